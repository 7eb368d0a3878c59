"""How well a tracking agrees with another: the truth, or a second opinion."""

from .edges import Counts, compare_divisions, compare_links

__all__ = ["Counts", "compare_divisions", "compare_links"]
