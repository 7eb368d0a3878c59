"""A store from Python: ask, solve, and hand a lineage to other tools."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from ..storage.duckdb_store import DuckDBStore
from ..storage.sandbox import Answer, ask
from . import pipeline
from .config import AUTO, Config, ScoreConfig, load_config
from .evaluate import evaluate as _evaluate
from .exports import export
from .exports.napari import napari_layer
from .exports.tracking import tracking_of
from .handoff import to_motile, to_networkx
from .imports.importing import import_tracking

if TYPE_CHECKING:
    from collections.abc import Mapping

    import networkx as nx
    import numpy as np
    from motile import TrackGraph
    from numpy.typing import NDArray

    from ..solvers.base import Solver
    from ..storage.catalogue import DetectionSet, SolutionInfo
    from ..storage.formats.base import SourceOptions
    from ..storage.sandbox import Parameter
    from ..storage.schema import CandidateEdges, Detections, SolutionTable
    from .evaluation import Evaluation
    from .exports import ExportReport
    from .exports.napari import Layer
    from .scoring import ScoreReport


def open(path: str | Path, *, write: bool = False) -> Database:
    """Open a store.

    Parameters
    ----------
    path : str or Path
        Its folder, ``NAME.trackdb``.
    write : bool
        Whether new solutions may be added.

    Raises
    ------
    StoreError
        If it is missing, damaged, or of a newer trackdb.

    Examples
    --------
    >>> db = trackdb.open("movie.trackdb")  # doctest: +SKIP
    >>> db.sql("select t, count(*) n from cells group by t order by t").df()  # doctest: +SKIP
    """
    store = DuckDBStore(Path(path))
    store.check_version()
    return Database(store, write=write)


class Database:
    """What a store answers; no connection is open between calls.

    Parameters
    ----------
    store : DuckDBStore
        The store.
    write : bool
        Whether new solutions may be added.
    """

    def __init__(self, store: DuckDBStore, *, write: bool) -> None:
        self._store = store
        self._write = write

    def __repr__(self) -> str:
        sets = self._store.detection_sets()
        return f"<trackdb store {self._store.path}: {', '.join(s.movie.name for s in sets) or 'empty'}>"

    def sql(self, query: str, /, **parameters: Parameter) -> Answer:
        """Answer a query over the views; ``$name`` in it stands for the parameter of that name."""
        return ask(self._store.path, query, parameters)

    def detections(self, dataset: str | None = None) -> Detections:
        """Return the detections of a dataset."""
        return self._store.detections(self._store.detection_set(dataset))

    def candidates(self, dataset: str | None = None) -> CandidateEdges:
        """Return the candidate graph of a dataset, in rows of its detections."""
        chosen = self._store.detection_set(dataset)
        return self._store.candidate_edges(chosen, self._store.detections(chosen))

    def solution(self, name: str | None = None, *, dataset: str | None = None) -> Solution:
        """Return a solution: by default the newest one that was solved here."""
        return Solution(self._store, *self._store.find_solution(dataset, name))

    def score(
        self,
        by: str | Path = "distance",
        *,
        name: str | None = None,
        scale: str = AUTO,
        columns: Mapping[str, str] | None = None,
        dataset: str | None = None,
    ) -> ScoreReport:
        """Score the candidates by a scorer, or by a table of source, target and score; keep the scores under a name.

        Parameters
        ----------
        by : str or Path
            ``distance``, ``overlap``, or a table of text or Parquet.
        name : str or None
            Name of the scores; by default that of the scorer, or of the table without its ending.
        scale : str
            What the numbers of a table mean: ``probability``, ``log-odds``, ``log-density``, ``similarity``; ``auto``
            reads it from the numbers.
        columns : mapping of str to str or None
            Columns of the table by our names: ``{"score": "logit"}``.
        dataset : str or None
            Where the store holds several.

        Raises
        ------
        ConfigError
            If the store was not opened for writing, or there is no such scorer or scale.
        FormatError
            If the table is not what it should be.
        MissingRowsError
            If there are no candidates yet, or no masks where the scorer needs them.

        Examples
        --------
        >>> made = db.score("network.csv", columns={"score": "logit"}, scale="similarity")  # doctest: +SKIP
        >>> db.solve(scores=made.scores)  # doctest: +SKIP
        """
        self._require_write()
        chosen = self._store.detection_set(dataset)
        return pipeline.score(self._store, chosen, ScoreConfig(str(by), scale), name=name, columns=columns)

    def solve(
        self,
        linker: str = "ilp",
        *,
        by: str = AUTO,
        name: str | None = None,
        scores: str | None = None,
        solver: Solver | None = None,
        dataset: str | None = None,
    ) -> Solution:
        """Choose links, label the lineages and keep them; links and scores what is missing.

        Parameters
        ----------
        linker : str
            ``ilp``, ``lap`` or ``greedy``.
        by : str
            What it goes by: ``cost``; ``distance`` for LAP, its default without named scores; ``score`` for greedy.
        name : str or None
            Name of the solution; by default the linker and a number.
        scores : str or None
            Name of a score run; by default the newest of the configured scorer.
        solver : Solver or None
            In the place of the exact one: ``MotileSolver(extra=[...])`` takes costs and constraints of motile.
        dataset : str or None
            Where the store holds several.

        Raises
        ------
        ConfigError
            If the store was not opened for writing, there is no such linker, or it does not go by that.
        """
        self._require_write()
        settings: Config = load_config(self._store.path)
        config = replace(settings, solve=replace(settings.solve, linker=linker, by=by))
        chosen = self._store.detection_set(dataset)
        report = pipeline.solve(self._store, chosen, config, name=name, scores=scores, solver=solver)
        return self.solution(report.solution, dataset=chosen.movie.name)

    def import_tracking(
        self,
        path: str | Path,
        *,
        name: str | None = None,
        dataset: str | None = None,
        file_format: str = "auto",
        options: SourceOptions | None = None,
        match_distance: float | None = None,
    ) -> Solution:
        """Bring someone's tracking of a movie in as a solution; see `engine.imports.importing.import_tracking`.

        Raises
        ------
        ConfigError
            If the store was not opened for writing.
        """
        self._require_write()
        chosen = self._store.detection_set(dataset)
        report = import_tracking(
            Path(path),
            self._store,
            chosen,
            name=name,
            file_format=file_format,
            options=options,
            match_distance=match_distance,
        )
        return self.solution(report.solution, dataset=chosen.movie.name)

    def _require_write(self) -> None:
        if not self._write:
            raise ConfigError("the store was opened read-only", **{"try": "trackdb.open(path, write=True)"})


def evaluate(solution: Solution, truth: str | Path = "truth", **options: Any) -> Evaluation:
    """Compare a solution with the truth: a folder or file, or another solution of the store by its name.

    Parameters
    ----------
    solution : Solution
        What is judged.
    truth : str or Path
        The reference.
    **options
        As `Solution.evaluate` takes them.

    Examples
    --------
    >>> trackdb.evaluate(solution, truth="01_GT/TRA").association_accuracy  # doctest: +SKIP
    """
    return solution.evaluate(truth, **options)


@dataclass(frozen=True, slots=True)
class Solution:
    """A tracking that a store holds.

    Attributes
    ----------
    name, linker : str
        Its name, and what made it.
    objective, lower_bound : float or None
        Cost, and what no solution can be cheaper than; None for an imported tracking.
    proven : bool or None
        Whether the two meet.
    """

    _store: DuckDBStore
    _set: DetectionSet
    _info: SolutionInfo

    def __repr__(self) -> str:
        proof = {True: ", proven optimal", False: ", not proven", None: ""}[self._info.proven]
        return f"<solution {self.name} of {self._set.movie.name} by {self._info.linker}{proof}>"

    @property
    def name(self) -> str:
        """Name of the solution."""
        return self._info.name

    @property
    def linker(self) -> str:
        """What made it."""
        return self._info.linker

    @property
    def objective(self) -> float | None:
        """Cost of the solution; None for an imported tracking."""
        return self._info.objective

    @property
    def lower_bound(self) -> float | None:
        """Cost that no solution can go below; None for an imported tracking."""
        return self._info.lower_bound

    @property
    def proven(self) -> bool | None:
        """Whether the cost meets the bound."""
        return self._info.proven

    @property
    def links(self) -> Answer:
        """Its links: source, target, t, kind, probability."""
        return self._ask("select source, target, t, kind, probability from links", "order by t, source, target")

    @property
    def tracks(self) -> Answer:
        """Its tracklets: track, parent, lineage, first_t, last_t, generation, n_children."""
        return self._ask("select * exclude (dataset, solution) from tracks", "order by track")

    def _ask(self, what: str, order: str) -> Answer:
        own = {"dataset": self._set.movie.name, "solution": self.name}
        return ask(self._store.path, f"{what} where dataset = $dataset and solution = $solution {order}", own)

    def evaluate(
        self,
        against: str | Path = "truth",
        *,
        tolerance: int = 1,
        sparse: bool = False,
        by_py_ctcmetrics: bool = False,
        file_format: str = "auto",
        options: SourceOptions | None = None,
        match_distance: float | None = None,
    ) -> Evaluation:
        """Compare it with another solution, or with a tracking that a file tells; see `engine.evaluate.evaluate`."""
        return _evaluate(
            self._store,
            self._set,
            self._info,
            against=against,
            tolerance=tolerance,
            sparse=sparse,
            by_py_ctcmetrics=by_py_ctcmetrics,
            file_format=file_format,
            options=options,
            match_distance=match_distance,
        )

    def to_networkx(self) -> nx.DiGraph[int]:
        """Return it as a directed graph; a node is the number of a cell."""
        return to_networkx(*self._graph())

    def to_motile(self) -> TrackGraph:
        """Return it as a graph of motile: frame ``t``, place ``position``."""
        return to_motile(*self._graph())

    def to_napari(self) -> Layer:
        """Return data, graph and properties for ``viewer.add_tracks``; positions are in pixels.

        Examples
        --------
        >>> data, graph, properties = solution.to_napari()  # doctest: +SKIP
        >>> viewer.add_tracks(data, graph=graph, properties=properties)  # doctest: +SKIP
        """
        return napari_layer(tracking_of(self._store, self._set, self._info))

    def export(self, format: str, path: str | Path, *, masks: bool = False) -> ExportReport:
        """Write it for other tools: ``ctc geff trackmate napari csv parquet graphml``.

        Parameters
        ----------
        format : str
            One of these.
        path : str or Path
            File or folder to make; it must not be there.
        masks : bool
            GEFF alone: write the label masks beside the graph.

        Returns
        -------
        ExportReport
            How much was written, and in its notes what the format could not hold.

        Raises
        ------
        ConfigError
            If there is no such format.
        FormatError
            If something stands at `path`, or the format cannot hold the solution.
        """
        return export(format, self._store, self._set, self._info, Path(path), masks=masks)

    def _graph(self) -> tuple[SolutionTable, Detections, NDArray[np.int64], NDArray[np.int64]]:
        links = self._store.link_ends(self._info)
        return self._store.solution(self._info), self._store.detections(self._set), *links
