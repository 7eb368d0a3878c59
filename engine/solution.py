"""A tracking that a store holds, from Python: its links, its worth, what changed, and the same for other tools."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from ..storage.families import number_of
from ..storage.posteriors import find_posterior
from ..storage.sandbox import Answer, ask
from .config import load_config
from .diff import SolutionDiff, difference
from .evaluate import evaluate as _evaluate
from .exports import export
from .exports.napari import napari_layer
from .exports.tracking import tracking_of
from .family_tree import FamilyTree, tree_of
from .handoff import to_motile, to_networkx
from .notebook.summary import solution_html
from .review.linking import open_linker
from .stored_posterior import StoredPosterior

if TYPE_CHECKING:
    import networkx as nx
    import numpy as np
    from motile import TrackGraph
    from numpy.typing import NDArray

    from ..storage.catalogue import DetectionSet, SolutionInfo
    from ..storage.duckdb_store import DuckDBStore
    from ..storage.formats.base import SourceOptions
    from ..storage.schema import Detections, SolutionTable
    from .evaluation import Evaluation
    from .exports import ExportReport
    from .exports.napari import Layer
    from .review.linking import OpenLinker


def evaluate(solution: Solution, truth: Solution | str | Path = "truth", **options: Any) -> Evaluation:
    """Compare a solution with the truth: a folder or file, or another solution of the store by its name.

    Parameters
    ----------
    solution : Solution
        What is judged.
    truth : Solution, str or Path
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

    def _repr_html_(self) -> str:
        """Return what it is for a notebook."""
        table = self._store.solution(self._info)
        divisions = int((table.tracks.n_children > 1).sum())
        counts = {
            "cells": len(table.node),
            "links": len(table.edge),
            "tracks": len(table.tracks),
            "divisions": divisions,
        }
        return solution_html(self._store, self._set, self._info, counts)

    @property
    def name(self) -> str:
        """Name of the solution."""
        return self._info.name

    @property
    def dataset(self) -> str:
        """Name of its dataset."""
        return self._set.movie.name

    @property
    def place(self) -> str:
        """Where others find it: ``NAME@STORE/DATASET``, as `trackdb solve --learn-from` takes it."""
        return f"{self.name}@{self._store.path}/{self.dataset}"

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

    def posterior(self, name: str | None = None) -> StoredPosterior:
        """Return a posterior that the store holds of it: by default the newest; `Database.posterior` computes one.

        Raises
        ------
        MissingRowsError
            If there is none.
        """
        return StoredPosterior(self._store, *find_posterior(self._store, self.dataset, name, solution=self.name))

    def open(self) -> OpenLinker:
        """Open a linker on it: the tracking of least cost follows each answer at once; nothing is written.

        It opens from the prices that the store holds, without solving; where they do not hold, as around annotations
        that are newer than the solution, only what surrounds these is matched again. ``opened`` says how it went.
        A solution that was not chosen by cost has no prices: the linker is then that of the costs of the model.

        Raises
        ------
        SchemaError
            If its costs price pairs of daughters, as those that `solve` takes by default do:
            ``db.solve(cost="density")`` makes a solution that opens.
        MissingRowsError
            If there are no candidates.

        Examples
        --------
        >>> linker = solution.open()  # doctest: +SKIP
        >>> linker.choose(1873, [1911, 1912]).unlinked  # doctest: +SKIP
        >>> linker.undo()  # doctest: +SKIP
        """
        return open_linker(self._store, self._set, self._info, load_config(self._store.path))

    def evaluate(
        self,
        against: Solution | str | Path = "truth",
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
            against=self._beside(against).name if isinstance(against, Solution) else against,
            tolerance=tolerance,
            sparse=sparse,
            by_py_ctcmetrics=by_py_ctcmetrics,
            file_format=file_format,
            options=options,
            match_distance=match_distance,
        )

    def diff(self, other: Solution | str) -> SolutionDiff:
        """Return what this solution has that another one of the same detections has not, and the other way round.

        Parameters
        ----------
        other : Solution or str
            The other one, or its name.

        Raises
        ------
        MissingRowsError
            If there is none of that name.
        ConfigError
            If it is of another store, or of other detections.

        Examples
        --------
        >>> again.diff("ilp-1").only_a  # doctest: +SKIP
        """
        return difference(self._store, self._info, self._beside(other)._info)

    def _beside(self, other: Solution | str) -> Solution:
        """Return another solution of this store."""
        if isinstance(other, str):
            return Solution(self._store, *self._store.find_solution(self.dataset, other))
        if other._store.path.resolve() != self._store.path.resolve():
            raise ConfigError(f"{other.place} is of another store", **{"try": f"import it into {self._store.path}"})
        return other

    def lineage(self, cell: int | tuple[int, int], *, up: bool = True, down: bool = True) -> FamilyTree:
        """Return the ancestors (`up`) and the descendants (`down`) of a cell; a notebook draws them.

        Parameters
        ----------
        cell : int or (int, int)
            Its number, or its frame and its label there.
        up, down : bool
            Whether to follow it back and on.

        Raises
        ------
        MissingRowsError
            If the cell is not part of the solution.

        Examples
        --------
        >>> print(solution.lineage(17))  # doctest: +SKIP
        >>> solution.lineage((3, 8), up=False).df()  # doctest: +SKIP
        """
        number = number_of(self._store, self._set, cell)
        return tree_of(self._store, self._set, self._info, number, up=up, down=down)

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
