"""Links and divisions of a tracking against those of another: true positives, false positives, false negatives.

Both trackings speak of the same detections, by row. What is compared is exact: a link over a gap is not the two links
through the cell between.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...errors import SchemaError
from ...storage.schema import require_equal_lengths

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Counts:
    """How often a tracking is right, claims too much, and misses.

    Parameters
    ----------
    tp, fp, fn : int
        True positives, false positives, false negatives.
    """

    tp: int
    fp: int
    fn: int

    @property
    def precision(self) -> float:
        """Share of the claims that are right; NaN where nothing is claimed."""
        return self.tp / (self.tp + self.fp) if self.tp + self.fp else float("nan")

    @property
    def recall(self) -> float:
        """Share of the truth that is found; NaN where there is none."""
        return self.tp / (self.tp + self.fn) if self.tp + self.fn else float("nan")

    @property
    def f1(self) -> float:
        """Harmonic mean of both; 1 where nothing is claimed and nothing is true."""
        wrong = self.fp + self.fn
        return 2 * self.tp / (2 * self.tp + wrong) if self.tp + wrong else 1.0


def compare_links(
    truth_source: NDArray[np.int64],
    truth_target: NDArray[np.int64],
    source: NDArray[np.int64],
    target: NDArray[np.int64],
    *,
    annotated: NDArray[np.bool_] | None = None,
) -> Counts:
    """Count the links that two trackings share.

    Parameters
    ----------
    truth_source, truth_target : (p,) int64
        Rows of the detections that the true links tie.
    source, target : (m,) int64
        The same for the solution.
    annotated : (n,) bool, optional
        Cells that the truth speaks of, where it is sparse: a link of the solution with both ends outside says nothing
        that the truth could deny, and is not counted. **A link with one end inside counts as false**: it gives an
        annotated cell a mother or a daughter that the truth does not give it. To forgive links beyond the end of
        tracks that an annotator broke off, leave the last cells of these tracks out of `annotated`.

    Returns
    -------
    Counts
        One for each link; a pair given twice counts once.

    Raises
    ------
    SchemaError
        If the two ends of the links differ in number.
    """
    n = _n_rows(truth_source, truth_target, source, target, annotated)
    truth, ours = _sorted_keys(truth_source, truth_target, n), _sorted_keys(source, target, n)
    place = np.searchsorted(truth, ours)  # both are sorted: this walks through memory once
    right = np.append(truth, -1)[place] == ours
    false = ours[~right]
    if annotated is not None:
        false = false[annotated[false // n] | annotated[false % n]]
    tp = int(np.count_nonzero(right))
    return Counts(tp=tp, fp=len(false), fn=len(truth) - tp)


def compare_divisions(
    truth_source: NDArray[np.int64],
    truth_target: NDArray[np.int64],
    source: NDArray[np.int64],
    target: NDArray[np.int64],
    *,
    tolerance_frames: int = 0,
    annotated: NDArray[np.bool_] | None = None,
) -> Counts:
    r"""Count the divisions that two trackings share; a division is a cell with two daughters or more.

    A division is found if the same cell divides into the same daughters. With a tolerance it is also found k
    links late or early, for k up to `tolerance_frames`:

    ::

        truth                 found late by one        found early by one

              d -- e                a -- e                   a -- d
        p - m <               p - m    /               p  <
              d'-- e'               d'   e'                  b -- d'

    Late: the mother's only child in the solution divides (the one above takes e and e'), and its daughters are the
    successors in the truth of the true daughters. Early: the parent in the truth of the true mother divides, and the
    true daughters are the successors in the solution of its daughters. No path on the way may divide itself. Each
    division is used once: the exact ones first, then the nearest in time, late before early.

    Parameters
    ----------
    truth_source, truth_target : (p,) int64
        Rows of the detections that the true links tie, a forest.
    source, target : (m,) int64
        The same for the solution.
    tolerance_frames : int
        Largest shift in time, in links: a gap counts as one.
    annotated : (n,) bool, optional
        Cells that the truth speaks of, where it is sparse: a division of the solution counts as false only if its
        mother or one of its daughters is among them, as in `compare_links`.

    Returns
    -------
    Counts
        One for each division.

    Raises
    ------
    SchemaError
        If a cell has two mothers.
    """
    n = _n_rows(truth_source, truth_target, source, target, annotated)
    width = _most_daughters(truth_source, source)
    truth, ours = _divisions(truth_source, truth_target, n, width), _divisions(source, target, n, width)
    truth_next, ours_next = _only_child(truth_source, truth_target, n), _only_child(source, target, n)

    found = np.zeros(len(truth), dtype=bool)
    right = np.zeros(len(ours), dtype=bool)
    late, early = truth, ours
    _pair_up(late, ours, found, right, n)
    for _ in range(tolerance_frames):
        late, early = _shifted(late, ours_next, truth_next), _shifted(early, truth_next, ours_next)
        _pair_up(late, ours, found, right, n)
        _pair_up(early, truth, right, found, n)

    false = ~right
    if annotated is not None:
        false &= np.append(annotated[:n], False)[ours].any(axis=1)
    tp = int(np.count_nonzero(found))
    return Counts(tp=tp, fp=int(np.count_nonzero(false)), fn=len(truth) - tp)


def _n_rows(
    truth_source: NDArray[np.int64],
    truth_target: NDArray[np.int64],
    source: NDArray[np.int64],
    target: NDArray[np.int64],
    annotated: NDArray[np.bool_] | None,
) -> int:
    """Return a number of rows that holds all ends of links."""
    require_equal_lengths(truth_source=truth_source, truth_target=truth_target)
    require_equal_lengths(source=source, target=target)
    n = 1 + max(int(rows.max(initial=0)) for rows in (truth_source, truth_target, source, target))
    if annotated is not None and len(annotated) < n:
        raise SchemaError(f"links speak of row {n - 1}, but `annotated` has {len(annotated)} rows")
    return n


def _sorted_keys(source: NDArray[np.int64], target: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Return one number for each link, increasing, each once."""
    key = np.sort(source * n + target)  # ten times faster than np.unique, which hashes
    return key[np.flatnonzero(np.diff(key, prepend=-1))]


def _divisions(source: NDArray[np.int64], target: NDArray[np.int64], n: int, width: int) -> NDArray[np.int64]:
    """Return a row (mother, daughters in order) for each division; rows of fewer than `width` daughters end in n."""
    n_mothers = np.bincount(target, minlength=n)
    if np.any(n_mothers > 1):
        row = int(np.argmax(n_mothers > 1))
        raise SchemaError(f"the cell of row {row} has {n_mothers[row]} mothers", expected="at most 1")
    order = np.lexsort((target, source))
    source, target = source[order], target[order]
    mother, first, n_daughters = np.unique(source, return_index=True, return_counts=True)
    divides = n_daughters > 1
    mother, first, n_daughters = mother[divides], first[divides], n_daughters[divides]
    slot = np.arange(width)
    taken = slot < n_daughters[:, None]
    place = np.where(taken, first[:, None] + slot, 0)
    daughters = np.where(taken, target[place] if len(target) else 0, n)
    return np.column_stack([mother, daughters])


def _most_daughters(*sources: NDArray[np.int64]) -> int:
    """Return how many daughters the most fertile cell has, two at least."""
    return max(2, *(int(np.bincount(source).max(initial=0)) for source in sources))


def _only_child(source: NDArray[np.int64], target: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Return the child of each row that has one only, else -1; row n, nobody, and row -1 stay what they are."""
    child = np.full(n + 2, -1, dtype=np.int64)
    child[source] = target
    child[np.flatnonzero(np.bincount(source, minlength=n) > 1)] = -1
    child[n] = n
    return child


def _shifted(
    divisions: NDArray[np.int64], mother_next: NDArray[np.int64], daughter_next: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return divisions moved on by one link; -1 where a path ends or divides."""
    daughters = np.sort(daughter_next[divisions[:, 1:]], axis=1)
    return np.column_stack([mother_next[divisions[:, 0]], daughters])


def _pair_up(
    moved: NDArray[np.int64],
    fixed: NDArray[np.int64],
    moved_used: NDArray[np.bool_],
    fixed_used: NDArray[np.bool_],
    n: int,
) -> None:
    """Mark the divisions that are the same in both tables and not yet used; a mother divides once in each."""
    at = np.full(n + 2, -1, dtype=np.int64)
    at[fixed[:, 0]] = np.arange(len(fixed))
    place = at[moved[:, 0]]
    free = np.flatnonzero((place >= 0) & ~moved_used)
    free = free[~fixed_used[place[free]]]
    same = free[np.all(moved[free] == fixed[place[free]], axis=1)]
    moved_used[same] = True
    fixed_used[place[same]] = True
