"""Tell that kernels are compiled, once, when it happens: the first command of a kind would be silent for long."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

TOLD = "compiling for this machine, once: about half a minute"


@contextmanager
def told_of_compiling(tell: Callable[[str], None]) -> Iterator[None]:
    """Tell, the first time that a kernel is compiled while the block runs; one that is read from the cache is not.

    Where numba is not loaded yet nothing listens: it takes half a second to load, and commands that compile have
    loaded what they need before they begin.
    """
    if "numba" not in sys.modules:
        yield
        return
    from numba.core import event

    class Listener(event.Listener):
        told = False

        def on_start(self, _event: object) -> None:
            if not self.told:
                self.told = True
                tell(TOLD)

        def on_end(self, _event: object) -> None:
            """Say nothing; numba calls it on every listener."""

    with event.install_listener("numba:compile", Listener()):
        yield
