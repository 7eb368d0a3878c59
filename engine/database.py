"""A store from Python: ask, solve, and hand a lineage to other tools."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ConfigError
from ..storage.duckdb_store import DuckDBStore
from ..storage.posteriors import find_posterior
from ..storage.sandbox import Answer, ask
from . import pipeline
from .annotations.answers import Annotator, undo
from .config import AUTO, Config, ScoreConfig, load_config
from .imports.importing import import_tracking
from .notebook.bar import bar_in_notebook
from .notebook.summary import store_html
from .posterior.stage import posterior as weigh
from .posterior_config import temperature_options
from .solution import Solution
from .stored_posterior import StoredPosterior

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..solvers.base import Solver
    from ..storage.formats.base import SourceOptions
    from ..storage.sandbox import Parameter
    from ..storage.schema import CandidateEdges, Detections
    from .annotations.answered import AnswerReport, OnConflict
    from .network_config import NetworkConfig
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

    def _repr_html_(self) -> str:
        """Return what it holds for a notebook."""
        return store_html(self._store)

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
        network: NetworkConfig | None = None,
        dataset: str | None = None,
    ) -> ScoreReport:
        """Score the candidates by a scorer, a model, or a table of source, target and score; keep it under a name.

        Parameters
        ----------
        by : str or Path
            ``distance``, ``overlap``, ``activity``, a table of text or Parquet, or the folder of a model.
        name : str or None
            Name of the scores; by default that of the scorer, or of the table without its ending.
        scale : str
            What the numbers of a table mean: ``probability``, ``log-odds``, ``log-density``, ``similarity``; ``auto``
            reads it from the numbers.
        columns : mapping of str to str or None
            Columns of the table by our names: ``{"score": "logit"}``.
        network : NetworkConfig or None
            How a model judges; by default as the settings of the store say.
        dataset : str or None
            Where the store holds several.

        Raises
        ------
        ConfigError
            If the store was not opened for writing, or there is no such scorer or scale.
        FormatError
            If the table is not what it should be.
        MissingRowsError
            If there are no candidates yet, or no masks or images where the scorer needs them.

        Examples
        --------
        >>> made = db.score("network.csv", columns={"score": "logit"}, scale="similarity")  # doctest: +SKIP
        >>> db.solve(scores=made.scores)  # doctest: +SKIP
        """
        self._require_write()
        chosen = self._store.detection_set(dataset)
        scored = ScoreConfig(str(by), scale)
        network = network or load_config(self._store.path).network
        with bar_in_notebook() as progress:
            return pipeline.score(
                self._store, chosen, scored, network=network, name=name, columns=columns, progress=progress
            )

    def solve(
        self,
        linker: str = "ilp",
        *,
        by: str = AUTO,
        cost: str | None = None,
        learn_from: Solution | str | None = None,
        name: str | None = None,
        scores: str | None = None,
        solver: Solver | None = None,
        ignore_pins: bool = False,
        dataset: str | None = None,
    ) -> Solution:
        """Choose links, label the lineages and keep them; links and scores what is missing, and keeps annotations.

        Parameters
        ----------
        linker : str
            ``ilp``, ``lap`` or ``greedy``.
        by : str
            What it goes by: ``cost``; ``distance`` for LAP, its default without named scores; ``score`` for greedy.
        cost : str or None
            ``learned``, ``density`` (the plain one) or ``two-distance``; by default that of the settings, or
            ``learned`` where linker, scores and movie fit it.
        learn_from : Solution or str or None
            Lineage that the learned cost learns from: a solution, its name, or ``NAME@STORE``; by default it learns
            from the cells themselves.
        name : str or None
            Name of the solution; by default the linker and a number.
        scores : str or None
            Name of a score run; by default the newest of the configured scorer.
        solver : Solver or None
            In the place of the exact one: ``MotileSolver(extra=[...])`` takes costs and constraints of motile.
        ignore_pins : bool
            Solve as if there were no annotations.
        dataset : str or None
            Where the store holds several.

        Raises
        ------
        ConfigError
            If the store was not opened for writing, there is no such linker, or it does not go by that.
        CalibrationError
            If the lineage to learn from is of another kind of movie, or tells too little.

        Examples
        --------
        >>> db.solve(learn_from="truth@other.trackdb")  # doctest: +SKIP
        """
        self._require_write()
        settings: Config = load_config(self._store.path)
        lineage = learn_from.place if isinstance(learn_from, Solution) else learn_from
        solving = replace(
            settings.solve,
            linker=linker,
            by=by,
            cost=cost or settings.solve.cost,
            learn_from=settings.solve.learn_from if lineage is None else lineage,
        )
        config = replace(settings, solve=solving)
        chosen = self._store.detection_set(dataset)
        with bar_in_notebook() as progress:
            report = pipeline.solve(
                self._store,
                chosen,
                config,
                name=name,
                scores=scores,
                solver=solver,
                ignore_pins=ignore_pins,
                progress=progress,
            )
        return self.solution(report.solution, dataset=chosen.movie.name)

    def posterior(
        self,
        solution: Solution | str | None = None,
        *,
        method: str | None = None,
        temperature: float | None = None,
        calibration: str | Path | None = None,
        k: int | None = None,
        draws: int | None = None,
        seed: int | None = None,
        name: str | None = None,
        afresh: bool = False,
        dataset: str | None = None,
    ) -> StoredPosterior:
        """Compute how sure a solution is, and keep it: the probability of each link, and of what each cell does.

        Where annotations alone are newer than a posterior that is stored, the pieces that they touch are weighed again
        and the rest is taken over from it.

        Parameters
        ----------
        solution : Solution or str or None
            The solution, or its name; by default the newest that was solved here.
        method : str or None
            ``auto`` (exact where it can be, the default), ``exact``, ``belief``, ``gibbs``, ``softmax``, ``topk``,
            ``perturb``, ``perturb-assign``, ``perturb-map``.
        temperature : float or None
            What costs are divided by; by default that of the settings.
        calibration : str or Path or None
            File of ``trackdb calibrate``, whose temperature is taken.
        k : int or None
            Lineages that ``topk`` lists.
        draws, seed : int or None
            Of the methods that draw.
        name : str or None
            Name of the posterior; by default ``posterior`` and a number.
        afresh : bool
            Weigh all, whatever is stored.
        dataset : str or None
            Where the store holds several.

        Raises
        ------
        ConfigError
            If the store was not opened for writing, there is no such method, or a temperature and a calibration are
            given.
        MissingRowsError
            If there is no solution.

        Examples
        --------
        >>> db.posterior(db.solve()).uncertain(top=5)  # doctest: +SKIP
        """
        self._require_write()
        wanted = solution.name if isinstance(solution, Solution) else solution
        if isinstance(solution, Solution):
            dataset = solution.dataset
        chosen, info = self._store.find_solution(dataset, wanted, doubtful=True)
        given = {
            "method": method,
            "k": k,
            "draws": draws,
            "seed": seed,
            **temperature_options(temperature, calibration),
        }
        settings = load_config(self._store.path, overrides={"posterior": given})
        with bar_in_notebook() as progress:
            report = weigh(self._store, chosen, info, settings, name=name, afresh=afresh, progress=progress)
        return StoredPosterior(self._store, *find_posterior(self._store, chosen.movie.name, report.posterior))

    def annotate(
        self,
        cell: int,
        *,
        daughters: Sequence[int] | None = None,
        kind: str = "choose",
        who: str,
        add_candidate: bool = False,
        on_conflict: OnConflict = "refuse",
        note: str | None = None,
        dataset: str | None = None,
    ) -> AnswerReport:
        """Say what a cell does; every later solve keeps it. The same log as that of the command line.

        Parameters
        ----------
        cell : int
            Number of the cell.
        daughters : sequence of int or None
            The cell that it becomes, the two that it divides into, none (``[]``) where it ends; for ``reject`` the
            cells that it does not become.
        kind : str
            ``choose``, ``reject``, ``begins``, ``not_a_cell``; ``segmentation``, ``unsure`` and ``flag`` pin nothing.
        who : str
            Who says it.
        add_candidate : bool
            Make candidates of chosen links that are none.
        on_conflict : {"refuse", "replace", "keep", "unsure"}
            Where earlier answers exclude this one: raise an error, take them back, keep them and what was meant in
            words, or say of both that nobody can tell; see `Annotator.answer`.
        note : str or None
            What is added in words.
        dataset : str or None
            Where the store holds several.

        Raises
        ------
        InfeasibleError
            If no solution could honour it.
        ConflictError
            If an earlier answer excludes it, and `on_conflict` is ``"refuse"``; `earlier` names what does.

        Examples
        --------
        >>> db.annotate(1873, daughters=[1911, 1912], who="ana")  # doctest: +SKIP
        """
        self._require_write()
        annotator = Annotator(self._store, self._store.detection_set(dataset))
        return annotator.answer(
            kind,
            cell,
            daughters,
            who=who,
            note=note,
            add_candidate=add_candidate,
            on_conflict=on_conflict,
        )

    def undo(self, which: int | str | None = None, *, who: str) -> AnswerReport:
        """Take an annotation back, by its number or key; by default the newest of this person."""
        self._require_write()
        return undo(self._store, which, who=who)

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
        with bar_in_notebook() as progress:
            report = import_tracking(
                Path(path),
                self._store,
                chosen,
                name=name,
                file_format=file_format,
                options=options,
                match_distance=match_distance,
                progress=progress,
            )
        return self.solution(report.solution, dataset=chosen.movie.name)

    def _require_write(self) -> None:
        if not self._write:
            raise ConfigError("the store was opened read-only", **{"try": "trackdb.open(path, write=True)"})
