"""A stored posterior held against a truth: which daughters can be judged, and every figure of calibration."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ...storage import tables
from ...storage.posteriors import PosteriorInfo, posteriors, read_links
from ...storage.schema import LinkKind
from ..annotations.pins import pins_among
from ..metrics.calibration import (
    COVERAGES,
    ELSEWHERE,
    NEW,
    Answers,
    Reliability,
    Summary,
    answers,
    link_error,
    reliability,
    summarise,
    wilson,
)
from ..metrics.parents import Asked, ask_parents

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...storage.catalogue import DetectionSet, RunInfo, SolutionInfo
    from ...storage.duckdb_store import DuckDBStore
    from ...storage.schema import Detections
    from ..annotations.pins import PinSet
    from ..graphs import TrackingGraph

NO_DETECTION: Final = -1


@dataclass(frozen=True, slots=True, eq=False)
class TrueParents:
    """Who the mothers of n detections truly are.

    Parameters
    ----------
    mother : (n,) int64
        Row of each detection's mother, `NEW` for none, `ELSEWHERE` for one that is no detection.
    known : (n,) bool
        Detections that the truth knows, and gives one mother at most.
    """

    mother: NDArray[np.int64]
    known: NDArray[np.bool_]

    @classmethod
    def of(cls, graph: TrackingGraph, row: NDArray[np.int64], n: int) -> TrueParents:
        """Read them from a tracking.

        Parameters
        ----------
        graph : TrackingGraph
            The truth.
        row : (c,) int64
            Row of the detection that each of its cells is, -1 for none.
        n : int
            Number of detections.
        """
        source, target = row[graph.links.source], row[graph.links.target]
        ends = target != NO_DETECTION
        mother = np.full(n, NEW, dtype=np.int64)
        mother[target[ends]] = np.where(source[ends] == NO_DETECTION, ELSEWHERE, source[ends])
        known = np.zeros(n, dtype=bool)
        known[row[row != NO_DETECTION]] = True
        known[target[graph.merge & ends]] = False
        return cls(mother, known)


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """A posterior and what the truth says of it.

    Parameters
    ----------
    posterior : PosteriorInfo
        What was judged.
    asked : Asked
        Its daughters that can be judged.
    """

    posterior: PosteriorInfo
    asked: Asked

    @property
    def with_new(self) -> Answers:
        """Answers where "new" is a class."""
        return answers(self.asked.questions)

    @property
    def without_new(self) -> Answers:
        """Answers where it is none."""
        return answers(self.asked.questions, null=False)

    def report(self) -> CalibrationFigures:
        """Return all figures; there must be a daughter to judge."""
        links = self.without_new
        return CalibrationFigures(
            posterior=self.posterior,
            asked=self.asked,
            with_new=summarise(self.with_new),
            without_new=summarise(links) if len(links) else None,
            link_ece=link_error(self.asked.questions),
            curve=reliability(self.with_new.confidence, self.with_new.right),
        )


@dataclass(frozen=True, slots=True, eq=False)
class CalibrationFigures:
    """Every figure of a posterior's calibration.

    Parameters
    ----------
    posterior : PosteriorInfo
        What was judged.
    asked : Asked
        The daughters.
    with_new : Summary
        Figures where "new" is a class.
    without_new : Summary or None
        Figures over the reported links, where it is none; None where no link was reported.
    link_ece : float
        ECE over all candidate links, each a yes-or-no question.
    curve : Reliability
        Of the 15 bins of equal width, with "new".
    """

    posterior: PosteriorInfo
    asked: Asked
    with_new: Summary
    without_new: Summary | None
    link_ece: float
    curve: Reliability

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as the JSON of `trackdb evaluate` has them."""
        curve = self.curve
        names = ("daughters", "confidence", "accuracy", "low", "high")
        columns = (curve.count, curve.confidence, curve.accuracy, curve.low, curve.high)
        bins = zip(*(column.tolist() for column in columns), strict=True)
        return {
            "posterior": self.posterior.name,
            "method": self.posterior.method,
            "temperature": self.posterior.temperature,
            "calibrated": self.posterior.calibrated,
            **_as_dict(self.with_new),
            "without_new": None if self.without_new is None else _as_dict(self.without_new),
            "link_ece": self.link_ece,
            "candidate_recall": self.asked.candidate_recall,
            "annotated": self.asked.annotated,
            "unknown_to_the_truth": self.asked.unknown,
            "reliability": [dict(zip(names, bin_, strict=True)) for bin_ in bins],
        }


def _as_dict(summary: Summary) -> dict[str, Any]:
    figures = asdict(summary)
    for by in ("entropy", "confidence"):
        kept = figures.pop(f"kept_by_{by}")
        figures[f"accuracy_kept_by_{by}"] = {f"{share:g}": value for share, value in zip(COVERAGES, kept, strict=True)}
    right = summary.daughters - summary.errors
    low, high = wilson(np.array([float(right)]), np.array([summary.daughters]))
    return {**figures, "accuracy": summary.accuracy, "accuracy_low": float(low[0]), "accuracy_high": float(high[0])}


def newest_posterior(store: DuckDBStore, info: SolutionInfo) -> PosteriorInfo | None:
    """Return the newest posterior of a solution, if it has one."""
    with store.reading() as connection:
        found = posteriors(connection, tables.posterior.c.solution_id == info.id)
    return found[-1] if found else None


def judge(
    store: DuckDBStore,
    chosen: DetectionSet,
    info: SolutionInfo,
    posterior: PosteriorInfo,
    truth: TrueParents,
    detections: Detections,
) -> Judged:
    """Hold a stored posterior against a truth.

    Confidence is that of the parent in the solution that the posterior belongs to. Daughters whose parent people had
    settled before are left out, and so are cells that the truth does not know, or that have several mothers.

    Parameters
    ----------
    store : DuckDBStore
        The store.
    chosen, info, posterior
        The detection set, a solution of it, and a posterior of that.
    truth : TrueParents
        Of the detections.
    detections : Detections
        All n detections of the set.
    """
    links = read_links(store, posterior)
    edges = store.candidate_edges(chosen, detections)
    edges = edges.take(np.isin(edges.id, links.edge))
    reported, single = reported_parents(store, info, detections)
    [run] = store.runs(tables.run.c.run_id == posterior.run_id)
    pins = _pins_before(store, chosen, run, detections)
    asked = ask_parents(
        edges.source,
        edges.target,
        links.probability[np.searchsorted(links.edge, edges.id)],
        reported=reported,
        true=truth.mother,
        known=truth.known & single,
        annotated=settled_daughters(pins, len(detections)),
    )
    return Judged(posterior, asked)


def reported_parents(
    store: DuckDBStore, info: SolutionInfo, detections: Detections
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the row of each detection's mother in a solution, `NEW` for none, and whether there is one at most."""
    source, target = (detections.row_of(ends) for ends in store.link_ends(info))
    merge = store.solution(info).kind == LinkKind.MERGE
    mother = np.full(len(detections), NEW, dtype=np.int64)
    mother[target] = source
    single = np.ones(len(detections), dtype=bool)
    single[target[merge]] = False
    return mother, single


def _pins_before(store: DuckDBStore, chosen: DetectionSet, run: RunInfo, detections: Detections) -> PinSet:
    """Return what people had said when a posterior was made: that is evidence in it, later answers are none.

    Answers know the second alone; those of the second in which it began count as earlier, and their cells are left out.
    """
    earlier = [decision for decision in store.decisions() if decision.at <= run.started]
    return pins_among(earlier, chosen.movie.name, detections).pins


def settled_daughters(pins: PinSet, n: int) -> NDArray[np.bool_]:
    """Return which of n detections have a parent, or one parent less, because people said so."""
    settled = np.zeros(n, dtype=bool)
    settled[[*pins.parent, *pins.no_cell, *(daughter for _, daughter in pins.out)]] = True
    return settled
