"""The learned model: motion with drift, pairs of daughters, gaps and false detections, all learned from the movie."""

from __future__ import annotations

from .estimates import told
from .outlines import Outlines
from .schedule import MOST_CELLS, Learned, learn
from .traits import Trait

__all__ = ["MOST_CELLS", "Learned", "Outlines", "Trait", "learn", "told"]
