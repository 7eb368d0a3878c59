"""How much of each true cell's life one tracklet of ours follows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...storage.schema import require_equal_lengths

if TYPE_CHECKING:
    from numpy.typing import NDArray

NO_TRACKLET = -1


def target_effectiveness(target: NDArray[np.int64], tracklet: NDArray[np.int64]) -> float:
    """Return the share of the truth that is followed by the tracklet that follows most of its target.

    A target is a true tracklet, the life of a cell from its birth to its division. Each is given the one tracklet of
    ours that has most of its cells; their cells are summed over all targets and divided by all true cells. A switch to
    another cell half-way leaves 0.5 [1]_.

    Parameters
    ----------
    target : (n,) int64
        The target of each true cell, missed ones among them.
    tracklet : (n,) int64
        The tracklet of ours at that cell, `NO_TRACKLET` where there is none.

    Returns
    -------
    float
        In 0 .. 1; NaN where there are no true cells.

    References
    ----------
    .. [1] Nishimura et al., "Weakly Supervised Cell Tracking via Backward-and-Forward Propagation", ECCV 2020, section
       4.2.
    """
    require_equal_lengths(target=target, tracklet=tracklet)
    if not len(target):
        return float("nan")
    seen = tracklet != NO_TRACKLET
    order = np.lexsort((tracklet[seen], target[seen]))
    of, by = target[seen][order], tracklet[seen][order]
    begin = np.flatnonzero(np.r_[True, (of[1:] != of[:-1]) | (by[1:] != by[:-1])]) if len(of) else order
    shared = np.diff(begin, append=len(of))  # cells of one target in one tracklet
    if not len(shared):
        return 0.0
    targets = np.flatnonzero(np.r_[True, np.diff(of[begin]) > 0])
    return float(np.maximum.reduceat(shared, targets).sum() / len(target))
