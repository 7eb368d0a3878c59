"""What links and divisions cost: negative log densities by distance, or learned with much more; and two distances."""

from __future__ import annotations

from .association import association_problem
from .fit import fit
from .learned import (
    MOST_CELLS,
    Labels,
    Learned,
    Outlines,
    Taught,
    Trait,
    Whole,
    follow,
    learn,
    learn_from_labels,
    middle_frames,
    told,
)
from .model import Rates, problem_from
from .sample import Extent, Runs, sampled_runs
from .similarity import WORTH, Worth, as_densities, learn_worth
from .two_distance import two_distance_problem

__all__ = [
    "MOST_CELLS",
    "WORTH",
    "Extent",
    "Labels",
    "Learned",
    "Outlines",
    "Rates",
    "Runs",
    "Taught",
    "Trait",
    "Whole",
    "Worth",
    "as_densities",
    "association_problem",
    "fit",
    "follow",
    "learn",
    "learn_from_labels",
    "learn_worth",
    "middle_frames",
    "problem_from",
    "sampled_runs",
    "told",
    "two_distance_problem",
]
