"""Questions about parents from the links of a posterior, a solution and a truth, all in rows of the same detections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...errors import SchemaError
from ...storage.schema import require_equal_lengths
from .calibration import ELSEWHERE, NEW, ParentQuestions

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """What can be asked of a truth, and what cannot.

    Parameters
    ----------
    questions : ParentQuestions
        Daughters with candidates that the truth knows and nobody annotated.
    daughter : (n,) int64
        Row of the detection that each of them is.
    option : (k,) int64
        Row of the candidate that each option is.
    with_mother, within_candidates : int
        Daughters that truly have a mother, and those among them whose mother is a candidate. Also daughters without
        any candidate count here.
    annotated, unknown : int
        Daughters with candidates that were left out: people pinned them, the truth does not know them.
    """

    questions: ParentQuestions
    daughter: NDArray[np.int64]
    option: NDArray[np.int64]
    with_mother: int
    within_candidates: int
    annotated: int
    unknown: int

    @property
    def candidate_recall(self) -> float:
        """Share of the true links that are candidates: no posterior finds the others; NaN where there are none."""
        return self.within_candidates / self.with_mother if self.with_mother else float("nan")


def ask_parents(
    source: NDArray[np.int64],
    target: NDArray[np.int64],
    probability: NDArray[np.float64],
    *,
    reported: NDArray[np.int64],
    true: NDArray[np.int64],
    known: NDArray[np.bool_],
    annotated: NDArray[np.bool_] | None = None,
) -> Asked:
    """Return one question for each daughter that can be judged.

    Parameters
    ----------
    source, target : (m,) int64
        Rows of the detections that each candidate ties, in any order.
    probability : (m,) float64
        Of each candidate to be a link.
    reported, true : (n,) int64
        Row of each detection's mother in the solution and in the truth, `NEW` for none; `ELSEWHERE` for a mother that
        is no detection.
    known : (n,) bool
        Detections that the truth speaks of. Of the others it says nothing, so they are no errors.
    annotated : (n,) bool, optional
        Daughters whose parent people settled: hard evidence, not a test of the posterior.

    Raises
    ------
    SchemaError
        If the arrays do not fit together.
    """
    n = len(known)
    require_equal_lengths(source=source, target=target, probability=probability)
    require_equal_lengths(known=known, reported=reported, true=true)
    if annotated is None:
        annotated = np.zeros(n, dtype=bool)
    if len(target) and max(source.max(), target.max()) >= n:
        raise SchemaError(f"a candidate ends at row {max(source.max(), target.max())}, there are {n} detections")
    order = np.lexsort((source, target))
    source, target = source[order], target[order]
    has = np.zeros(n, dtype=bool)
    has[target] = True
    counted = known & ~annotated
    options = counted[target]
    asked = np.flatnonzero(has & counted)
    first = np.append(np.searchsorted(target[options], asked), np.count_nonzero(options)).astype(np.int64)

    def chosen(mother: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the option that each mother is."""
        place = np.searchsorted(target[options] * n + source[options], asked * n + mother[asked])
        inside = place < first[1:]
        fits = np.zeros(len(asked), dtype=bool)
        fits[inside] = source[options][place[inside]] == mother[asked][inside]
        fits &= mother[asked] >= 0
        return np.where(fits, place, np.where(mother[asked] == NEW, NEW, ELSEWHERE)).astype(np.int64)

    questions = ParentQuestions(first, probability[order][options], chosen(reported), chosen(true))
    return Asked(
        questions,
        asked,
        order[options],
        with_mother=int(np.count_nonzero(counted & (true != NEW))),
        within_candidates=int(np.count_nonzero(questions.true >= 0)),
        annotated=int(np.count_nonzero(has & known & annotated)),
        unknown=int(np.count_nonzero(has & ~known)),
    )
