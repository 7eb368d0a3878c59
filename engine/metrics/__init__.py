"""How well a tracking agrees with another: the truth, or a second opinion."""

from .corrections import Corrections, LinkGraph, count_corrections
from .edges import Counts, compare_divisions, compare_links
from .targets import target_effectiveness

__all__ = [
    "Corrections",
    "Counts",
    "LinkGraph",
    "compare_divisions",
    "compare_links",
    "count_corrections",
    "target_effectiveness",
]
