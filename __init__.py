"""A graph database for cell tracking: candidates, exact lineages, and SQL over them.

The names below are loaded when they are first used, so ``import trackdb`` is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .engine.database import Database as Database
    from .engine.database import open as open
    from .engine.solution import evaluate as evaluate
    from .engine.training.from_stores import train_association as train_association
    from .errors import TrackdbError as TrackdbError
    from .storage.schema import CandidateEdges as CandidateEdges
    from .storage.schema import Detections as Detections

__all__ = ["CandidateEdges", "Database", "Detections", "TrackdbError", "evaluate", "open", "train_association"]

_HOME = {
    "CandidateEdges": ".storage.schema",
    "Database": ".engine.database",
    "Detections": ".storage.schema",
    "TrackdbError": ".errors",
    "evaluate": ".engine.solution",
    "open": ".engine.database",
    "train_association": ".engine.training.from_stores",
}


def __getattr__(name: str) -> Any:
    """Load a public name from its room when it is first used (PEP 562)."""
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("trackdb")
        except PackageNotFoundError:
            return "0+unknown"
    if name in _HOME:
        return getattr(import_module(_HOME[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
