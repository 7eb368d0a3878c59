"""The stage that solves window by window: memory holds a window of the movie, and a few numbers for each cell.

Each window is read from the store, priced with the same rates, and solved (`solvers.windows`). What stays in memory
of all cells are numbers of cells and links, which the labels of lineages need as a whole. The rates come from the runs
of frames by which every large movie is sampled; nothing else of the movie is looked at for them.
"""

from __future__ import annotations

import logging
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ConfigError, NotProvenError, SchemaError
from ..solvers import open_solver
from ..solvers.windows import CoreSelection, Piece, Windows, solve_in_windows, sum_up
from ..storage.catalogue import SolutionInfo
from ..storage.decisions import live
from ..storage.frames import FrameReader
from ..storage.schema import CandidateEdges, Detections, Prices, SolutionTable, rows_of
from . import costs
from .annotations.pins import Answer, PinSet, decided, pins_among, told_to
from .costs import Extent
from .lineages import label_lineages
from .linkers import ASSOCIATION, LEARNED, TWO_DISTANCE
from .remarks import without_score
from .reports import Merged, SolveReport, report_of
from .scorers.base import Scores, ScoreScale
from .windowed_costs import LearnedInWindows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..solvers.base import Solver
    from ..solvers.pins import Pins
    from ..solvers.problem import TrackingProblem
    from ..storage.catalogue import DetectionSet, RunInfo
    from ..storage.duckdb_store import DuckDBStore
    from ..storage.frames import Outline
    from .config import Config, SolveConfig
    from .costs import Rates, Worth
    from .progress import Progress

log = logging.getLogger(__name__)


def require_windows_fit(settings: SolveConfig, solver: Solver | None) -> None:
    """Raise ConfigError where the settings ask for what only the whole movie can tell."""
    if settings.linker != "ilp":
        raise ConfigError(f"windows are for the exact linker, not for {settings.linker}", **{"try": "--ilp"})
    if settings.cost == ASSOCIATION:
        raise ConfigError("the cost association is for the whole movie at once", **{"try": "without --window"})
    if settings.cost == TWO_DISTANCE:
        why = f"the cost {settings.cost} is learned from the whole movie, not from windows of it"
        raise ConfigError(why, **{"try": "without --window, or --cost learned"})
    if solver is not None:
        raise ConfigError("a solver of your own speaks of the whole movie", **{"try": "without windows"})


class WindowedMovie:
    """A movie that is to be solved in windows, with what people said of its cells.

    Parameters
    ----------
    store : DuckDBStore
        The store.
    chosen : DetectionSet
        Detections to track.
    config : Config
        Settings; `SolveConfig.window` is not 0.
    ignore_pins : bool
        Solve as if nobody had said anything.
    progress : Progress
        Who is told how far it is.
    """

    def __init__(
        self, store: DuckDBStore, chosen: DetectionSet, config: Config, *, ignore_pins: bool, progress: Progress
    ) -> None:
        self._store, self._chosen, self._config, self._progress = store, chosen, config, progress
        self._reader = FrameReader(store, chosen)
        self._said = [] if ignore_pins else self._answers()

    def solve(self, score_run: RunInfo, name: str, started: float) -> SolveReport:
        """Solve by the scores of a run, keep the solution, and report since `started` (``time.perf_counter``).

        Raises
        ------
        InfeasibleError
            If an annotation asks for a link that is no candidate.
        NotProvenError
            If an optimum was required and could not be proven; nothing is kept then.
        """
        settings = self._config.solve
        used = {**asdict(settings), "by": "cost", "scores": score_run.name, "pins": len(self._said)}
        if settings.cost == LEARNED:
            used["learned"] = asdict(self._config.learned)
        with self._store.running("solve", name, used, chosen=self._chosen) as run:
            outline = self._reader.outline()
            self._require_near(outline.reach)
            source = _Source(self._reader, score_run, outline, self._said, self._learned_cost())
            estimates = source.learn()
            if estimates.get(costs.WORTH.get(source.scale, "")) == 0:
                self._progress.note(f"{score_run.name} tells nothing of the links of this movie: solved by distance")
            found = self._solved(source, outline)
            cost, bound, proven = sum_up(found.sums)
            if settings.require_optimal and not proven:
                raise NotProvenError(
                    f"the optimum could not be proven: cost {cost:.6f}, bound {bound:.6f}",
                    **{"try": "a larger --window, or without it"},
                )
            if found.left_out:
                of = self._store.count_candidates(self._chosen)
                self._progress.note(without_score(found.left_out, of, score_run.name))
            self._progress.start("saving")
            table = found.labelled(*self._reader.cells())
            info = SolutionInfo(0, self._chosen.id, run.id, name, settings.linker, cost, bound, proven)
            kept = {"estimates": estimates, "left_out": found.left_out, "again": found.again}
            self._store.add_solution(run, info, table, kept)
        unmerged = Merged(*np.zeros((2, len(table.tracks)), dtype=bool))
        occupied = outline.first_frame, outline.last_frame
        seconds = time.perf_counter() - started
        report = report_of(info, occupied, table, unmerged, len(self._said), found.left_out, estimates, seconds)
        log.info("solved: %s, %d links", name, report.links)
        return report

    def _learned_cost(self) -> LearnedInWindows | None:
        if self._config.solve.cost != LEARNED:
            return None
        return LearnedInWindows(self._store, self._chosen, self._reader, self._config.learned, self._progress)

    def _solved(self, source: _Source, outline: Outline) -> _Found:
        settings = self._config.solve
        context = max(settings.window_context, outline.reach)
        windows = Windows(outline.first_frame, outline.last_frame, settings.window, context, outline.reach)
        # each window is solved twice, its core once: no more than the limit together
        limit = settings.time_limit_s / (3 * max(len(windows), 1))
        solver = open_solver(
            settings.linker if settings.backend == "matching" else settings.backend, time_limit_s=limit or None
        )
        self._progress.start("solving", len(windows))
        found = _Found()
        for (first, stop), core in zip(windows, solve_in_windows(source, windows, solver), strict=True):
            found.add(core, source.settled(first, stop))
            self._progress.advance()
        cost, bound, proven = sum_up(found.sums)
        if not proven and np.isfinite(bound):
            self._progress.note(
                f"{len(windows)} windows of {settings.window} frames and {context} on either side, {found.again} "
                f"solved again: at most {(cost - bound) / max(abs(cost), 1e-6):.2g} of the cost above the optimum"
            )
        return found

    def _answers(self) -> list[_Said]:
        """Return what people said of cells that are there, by their ids; what excludes each other is none."""
        decisions = self._store.decisions()
        places = [
            place
            for decision in live(decisions)
            for place in (decision.cell, *(decision.daughters or ()))
            if place is not None
        ]
        if not places:
            return []
        frames = sorted({place.t for place in places if place.t is not None})
        near = self._reader.detections_near(sorted({place.id for place in places}), frames)
        pinned = pins_among(decisions, self._chosen.movie.name, near)
        told_to(self._progress, pinned, self._store.path)
        answers = pinned.pins.answers
        rows = [np.array([answer.cell, *answer.daughters]) for answer in answers]
        return [
            _Said(answer, near.id[row], int(np.ptp(near.frame[row]))) for answer, row in zip(answers, rows, strict=True)
        ]

    def _require_near(self, reach: int) -> None:
        """Raise InfeasibleError if a chosen link is longer than all candidates: no window would hold it."""
        for one in self._said:
            if one.frames > reach:
                one.refuse_absent()


@dataclass(frozen=True, slots=True, eq=False)
class _Said:
    """An answer, the ids of the cell and the daughters that it is about, and the frames between them."""

    answer: Answer
    cell: NDArray[np.int64]
    frames: int

    def refuse_absent(self) -> None:
        """Raise InfeasibleError if it chooses a link: there are no candidates for it."""
        pins = PinSet()
        pins.add(replace(self.answer, cell=0, daughters=tuple(range(1, len(self.cell)))))
        none = np.empty(0, dtype=np.int64)
        pins.for_edges(CandidateEdges(none, none, none, none, np.empty(0)), len(self.cell))


@dataclass(frozen=True, slots=True, eq=False)
class _Settled:
    """What is not left to the solver of the candidates that leave a core.

    Parameters
    ----------
    edge, source, target : (k,) int64
        Ids of the links that are forced in, and of the cells that each ties.
    left_out : int
        How many candidates have no score.
    """

    edge: NDArray[np.int64]
    source: NDArray[np.int64]
    target: NDArray[np.int64]
    left_out: int


@dataclass(frozen=True, slots=True, eq=False)
class _Frames:
    """Some frames as they are read: detections, the candidates that have a score, their scores, and pins.

    Parameters
    ----------
    unscored : (u,) int64
        Frame of the source of each candidate without a score.
    """

    detections: Detections
    edges: CandidateEdges
    value: NDArray[np.float64]
    pins: Pins
    unscored: NDArray[np.int64]


class _Source:
    """Reads and prices windows, all by the same rates; the `Loader` of `solve_in_windows`."""

    def __init__(
        self,
        reader: FrameReader,
        run: RunInfo,
        outline: Outline,
        said: Sequence[_Said],
        learned: LearnedInWindows | None,
    ) -> None:
        self.scale = ScoreScale(run.params["scale"])
        self._reader, self._run, self._outline, self._said = reader, run, outline, said
        self._least = reader.least_score(run) if said else 0.0
        self._learned = learned
        self._worth: Worth | None = None
        self._rates: Rates | None = None
        self._last: tuple[_Frames, NDArray[np.bool_]] | None = None

    def learn(self) -> dict[str, float]:
        """Estimate the rates from the sampled frames, or learn the cost; return all estimates by name."""
        if self._learned is not None:
            return self._learned.learn(self._to_learn_from)
        outline = self._outline
        runs = costs.sampled_runs(outline.first_frame, outline.last_frame, outline.detections)
        detections, edges, value = _joined([self._read(first, last) for first, last in runs])
        given = self._given(value)
        self._worth = costs.learn_worth(detections, edges, given)
        known = self._worth.as_densities(detections, edges, given)
        extent = self._extent(detections.scale_um or (1.0,) * detections.ndim) if len(edges) else None
        self._rates = costs.fit(detections, edges, known, runs=runs, extent=extent)
        return {**self._rates.as_dict(), **known.estimates}

    def __call__(self, first_frame: int, last_frame: int) -> Piece:
        """Return some frames, priced, without what people have settled."""
        read = self._read(first_frame, last_frame)
        problem = self._priced(read)
        left = decided(problem, read.pins)
        self._last = read, left.forced
        return Piece(left.problem, read.detections.id, read.edges.id[left.rows])

    def _priced(self, read: _Frames) -> TrackingProblem:
        if self._learned is not None:
            return self._learned.problem(read.detections, read.edges, read.pins.forced)
        if self._worth is None:
            raise SchemaError("windows are priced by rates that have to be learned first")
        known = self._worth.as_densities(read.detections, read.edges, self._given(read.value))
        occupied = self._outline.first_frame, self._outline.last_frame
        return costs.problem_from(read.detections, read.edges, known, self._rates, occupied=occupied)

    def _to_learn_from(self, first: int, last: int) -> tuple[Detections, CandidateEdges, NDArray[np.bool_]]:
        read = self._read(first, last)
        return read.detections, read.edges, read.pins.forced

    def settled(self, first: int, stop: int) -> _Settled:
        """Return what is settled of the core ``first .. stop - 1`` of the window that was read last."""
        if self._last is None:
            raise SchemaError("no window was read yet")
        read, forced = self._last
        frame, edges = read.detections.frame, read.edges
        own = edges.take(forced & (frame[edges.source] >= first) & (frame[edges.source] < stop))
        left_out = np.count_nonzero((read.unscored >= first) & (read.unscored < stop))
        return _Settled(own.id, read.detections.id[own.source], read.detections.id[own.target], int(left_out))

    def _extent(self, scale: tuple[float, ...]) -> Extent:
        """Return where the cells of the whole movie are, and how far its candidates reach."""
        whole = self._reader.reaches(self._run)
        low, high = (np.array(ends) * np.array(scale) for ends in (whole.lowest_px, whole.highest_px))
        longest = whole.longest or 1.0
        size = float(np.prod(np.maximum(high - low, longest)))
        return Extent(
            box=tuple(zip(low.tolist(), high.tolist(), strict=True)),
            density=self._outline.detections / whole.occupied_frames / size,
            longest=longest,
            step=whole.nearest,
        )

    def _given(self, value: NDArray[np.float64]) -> Scores:
        return Scores(value, self.scale, self._run.params["estimates"])

    def _read(self, first: int, last: int) -> _Frames:
        detections = self._reader.detections(first, last)
        edges = self._reader.candidate_edges(detections, first, last)
        value = self._reader.scores(self._run, edges)
        pins = _within(self._said, detections).for_edges(edges, len(detections))
        value = np.where(np.isnan(value) & pins.forced, self._least, value)  # chosen anyway: as the worst
        seen = ~np.isnan(value)
        unscored = detections.frame[edges.source[~seen]]
        return _Frames(detections, edges.take(seen), value[seen], replace(pins, edge=pins.edge[seen]), unscored)


class _Found:
    """What the cores chose, put together: ids, and no more of each cell than that."""

    def __init__(self) -> None:
        self.sums: list[tuple[float, float]] = []
        self.left_out = 0
        self.again = 0
        self._cores: list[tuple[CoreSelection, _Settled]] = []

    def add(self, core: CoreSelection, settled: _Settled) -> None:
        """Take in what a core chose, and what was settled of it."""
        self.sums.append((core.objective, core.lower_bound))
        self.left_out += settled.left_out
        self.again += core.again
        self._cores.append((core, settled))

    def labelled(self, ids: NDArray[np.int64], frame: NDArray[np.int64]) -> SolutionTable:
        """Return the solution with its labels; `ids` and `frame` are those of all detections, by increasing id."""
        cores, self._cores = self._cores, []
        node = _ids([core.node for core, _ in cores])
        edge = _ids([part.edge for pair in cores for part in pair])
        source = rows_of(node, _ids([part.source for pair in cores for part in pair]), "cell")
        target = rows_of(node, _ids([part.target for pair in cores for part in pair]), "cell")
        prices = [core.dual for core, _ in cores if core.dual is not None]
        known = Prices(node, np.concatenate(prices)) if cores and len(prices) == len(cores) else None
        del cores
        labels = label_lineages(frame[rows_of(ids, node, "detection")], source, target)
        return SolutionTable(node, labels.track_id, labels.pre, edge, labels.kind, labels.tracks, known)


def _ids(parts: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate([np.empty(0, dtype=np.int64), *parts])


def _within(said: Sequence[_Said], detections: Detections) -> PinSet:
    """Return what was said of some detections and no others, in their rows."""
    pins = PinSet()
    for one in said:
        row = np.searchsorted(detections.id, one.cell)
        if row.max() < len(detections) and np.array_equal(detections.id[row], one.cell):
            pins.add(Answer(one.answer.decision, int(row[0]), tuple(row[1:].tolist())))
    return pins


def _joined(parts: list[_Frames]) -> tuple[Detections, CandidateEdges, NDArray[np.float64]]:
    """Return runs of frames as one table, with the candidates within each and their scores."""
    first, cells = parts[0].detections, [part.detections for part in parts]
    shift = np.cumsum([0, *(len(part) for part in cells[:-1])])
    detections = Detections(
        id=np.concatenate([part.id for part in cells]),
        frame=np.concatenate([part.frame for part in cells]),
        position_px=np.concatenate([part.position_px for part in cells]),
        label=np.concatenate([part.label for part in cells]),
        area=np.concatenate([part.area for part in cells]),
        scale_um=first.scale_um,
    )
    edges = CandidateEdges(
        id=np.concatenate([part.edges.id for part in parts]),
        source=np.concatenate([part.edges.source + by for part, by in zip(parts, shift, strict=True)]),
        target=np.concatenate([part.edges.target + by for part, by in zip(parts, shift, strict=True)]),
        frames=np.concatenate([part.edges.frames for part in parts]),
        distance=np.concatenate([part.edges.distance for part in parts]),
    )
    return detections, edges, np.concatenate([part.value for part in parts])
