"""What the links of a tracker are worth: links, divisions, association accuracy, target effectiveness, gaps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from trackdb.engine.metrics.edges import Counts, compare_divisions, compare_links
from trackdb.engine.metrics.targets import target_effectiveness

if TYPE_CHECKING:
    from cases import Case
    from numpy.typing import NDArray

COLUMNS = (
    "edge F1", "P", "AA", "TE", "division F1", "P", "R",
    "gaps closed", "links on false", "false rejected", "cells lost",
)  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """How a tracker did.

    Parameters
    ----------
    links, divisions, gaps : Counts
        All links; divisions, in the same frame; links over missed cells alone.
    effectiveness : float
        Target effectiveness.
    on_false : int
        Links that begin or end at a point that is no cell.
    n_false, rejected, lost : int
        Points that are no cells; those of them that no link touches; cells with true links that no link touches.
    """

    links: Counts
    divisions: Counts
    gaps: Counts
    effectiveness: float
    on_false: int
    n_false: int
    rejected: int
    lost: int

    def shown(self) -> list[str]:
        """Return the cells of a table, in the order of `COLUMNS`."""
        true_gaps = self.gaps.tp + self.gaps.fn
        return [
            f"{self.links.f1:.4f}",
            f"{self.links.precision:.4f}",
            f"{self.links.recall:.4f}",  # association accuracy: every true link counts, mother to daughter too
            f"{self.effectiveness:.4f}",
            f"{self.divisions.f1:.3f}",
            f"{self.divisions.precision:.3f}",
            f"{self.divisions.recall:.3f}",
            f"{self.gaps.tp} of {true_gaps}",
            str(self.on_false),
            f"{self.rejected} of {self.n_false}",
            str(self.lost),
        ]


def judge(case: Case, links: NDArray[np.int64]) -> Verdict:
    """Compare the links of a tracker, rows of the case, with the truth; points that are no cell count as errors."""
    truth = case.link
    ends = (truth[:, 0], truth[:, 1], links[:, 0], links[:, 1])
    real, n = ~case.false, len(case.false)
    alone = np.bincount(links.ravel(), minlength=n) == 0
    skips = case.frame[truth[:, 1]] - case.frame[truth[:, 0]] > 1
    return Verdict(
        links=compare_links(*ends),
        divisions=compare_divisions(*_plain(truth).T, *_plain(links).T),
        gaps=compare_links(truth[skips, 0], truth[skips, 1], links[:, 0], links[:, 1]),
        effectiveness=target_effectiveness(*(_tracks(found, len(real))[real] for found in (truth, links))),
        on_false=int(np.count_nonzero(case.false[links].any(axis=1))),
        n_false=int(np.count_nonzero(case.false)),
        rejected=int(np.count_nonzero(case.false & alone)),
        lost=int(np.count_nonzero(alone & (np.bincount(truth.ravel(), minlength=n) > 0))),
    )


def _plain(links: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the links without those into cells of several mothers: where cells merge, nobody divides."""
    return links[np.bincount(links[:, 1])[links[:, 1]] == 1] if len(links) else links


def _tracks(links: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Return a number for the track of each of n points; a division ends a track and begins two."""
    goes_on = np.bincount(links[:, 0], minlength=n)[links[:, 0]] == 1
    ends = tuple(links[goes_on].T)
    return connected_components(coo_array((np.ones(len(ends[0])), ends), shape=(n, n)), directed=False)[1]
