"""The learned model: motion with drift, pairs of daughters, gaps and false detections, all learned from the movie."""

from __future__ import annotations

from .estimates import told
from .following import follow
from .labels import Labels, learn_from_labels
from .outlines import Outlines
from .sample import middle_frames
from .schedule import MOST_CELLS, Learned, learn
from .taught import Taught
from .traits import Trait
from .windows import Whole

__all__ = [
    "MOST_CELLS",
    "Labels",
    "Learned",
    "Outlines",
    "Taught",
    "Trait",
    "Whole",
    "follow",
    "learn",
    "learn_from_labels",
    "middle_frames",
    "told",
]
