"""Compiling a kernel that only other kernels call.

What numba makes for calls from Python unpacks every array of every argument: for a graph of some twenty arrays that
adds some two thirds to the compiling of a small kernel. Kernels that are called by kernels alone do without.
"""

from numba import njit

inner = njit(  # type: ignore[call-overload]  # numba's stubs leave out its options for wrappers
    cache=True, nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True
)
"""Decorator of such kernels; called from Python they do not work."""
