"""All that a store tells of a solution, as every export takes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ...storage.evidence import link_evidence
from ...storage.schema import Detections, LinkKind, require_equal_lengths, rows_of
from ..annotations.pins import by_numbers, pins_among
from ..annotations.words import told
from ..lineages import tops

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ...storage.catalogue import DetectionSet, SolutionInfo
    from ...storage.duckdb_store import DuckDBStore
    from ...storage.evidence import LinkEvidence
    from ...storage.measurements import Features
    from ...storage.schema import Movie, Tracks

About = dict[str, str | float | bool | None]


@dataclass(frozen=True, slots=True, eq=False)
class Tracking:
    """A solution with what is known of its n cells and m links.

    Parameters
    ----------
    movie : Movie
        The dataset.
    about : dict
        Where it comes from: ``store dataset detections solution linker objective lower_bound proven posterior``.
    path : str
        Folder of the store, for what to do next; exports tell its name alone.
    cells : Detections
        The cells of the solution, ordered by frame.
    track, lineage : (n,) int64
        Number of the tracklet of each cell, and of the first tracklet of its tree.
    source, target : (m,) int64
        Rows of the cells that each link ties.
    kind : (m,) int64
        A `LinkKind` each.
    tracks : Tracks
        The tracklets.
    evidence : LinkEvidence
        What else is known of the links.
    features : dict of str to (n,) array
        Measured features of the cells in pixels, named as in SQL: int64, or float64 with NaN where one is not known.
    properties : dict of str to (n,) array
        What the source told of the cells: float64 with NaN, or text with ``""``, where it told nothing.
    has_masks : bool
        Whether the store holds label masks of the movie.
    n_left_out : int
        Detections that are not part of the solution.
    without_place : tuple of str
        In words, what people said of cells that are not among the detections.
    in_dispute : tuple of str
        In words, each two answers that exclude each other, of which neither pins anything.
    """

    movie: Movie
    about: About
    path: str
    cells: Detections
    track: NDArray[np.int64]
    lineage: NDArray[np.int64]
    source: NDArray[np.int64]
    target: NDArray[np.int64]
    kind: NDArray[np.int64]
    tracks: Tracks
    evidence: LinkEvidence
    features: dict[str, NDArray[np.generic]]
    properties: dict[str, NDArray[np.generic]]
    has_masks: bool
    n_left_out: int
    without_place: tuple[str, ...] = ()
    in_dispute: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_equal_lengths(
            self.features, self.properties, cells=self.cells.id, track=self.track, lineage=self.lineage
        )
        require_equal_lengths(
            source=self.source, target=self.target, kind=self.kind, probability=self.evidence.probability
        )

    @property
    def axes(self) -> str:
        """Names of the space axes, ``zyx`` or ``yx``."""
        return "zyx"[-self.cells.ndim :]

    @property
    def position_px(self) -> NDArray[np.float32]:
        """(n, ndim) Positions in pixels in single precision, which is all that the store keeps: half the digits."""
        return self.cells.position_px.astype(np.float32)

    @property
    def is_merge(self) -> NDArray[np.bool_]:
        """Whether each link enters a cell of several mothers."""
        return np.equal(self.kind, LinkKind.MERGE)

    @property
    def parent(self) -> NDArray[np.int64]:
        """Row of the mother of each cell, merges aside; -1 for none."""
        row = np.full(len(self.cells), -1, dtype=np.int64)
        row[self.target[~self.is_merge]] = self.source[~self.is_merge]
        return row

    @property
    def n_gaps(self) -> int:
        """How many links within a tracklet skip a frame."""
        skips = self.cells.frame[self.target] - self.cells.frame[self.source] > 1
        return int(np.count_nonzero(skips & (self.kind == LinkKind.CONTINUE)))

    @property
    def n_merges(self) -> int:
        """How many links enter cells of several mothers."""
        return int(np.count_nonzero(self.is_merge))

    @property
    def link_columns(self) -> dict[str, NDArray[np.generic]]:
        """What is told of each link: kind, probability, pin, and in which other solutions it is."""
        found: dict[str, NDArray[np.generic]] = {
            "kind": np.array([kind.name.lower() for kind in LinkKind])[self.kind],
            "probability": self.evidence.probability,
            "pinned": self.evidence.pinned_by != "",
        }
        if found["pinned"].any():
            found["pinned_by"] = self.evidence.pinned_by
        return found | {f"solution_{name}": there for name, there in self.evidence.also_in.items()}

    @property
    def cell_pins(self) -> dict[str, NDArray[np.generic]]:
        """``decided`` and ``decided_by``: which cells people said to end or to begin; empty where nobody said so."""
        told = [self.evidence.decided.get(cell, ("", "")) for cell in self.cells.id.tolist()]
        if not any(what for what, _ in told):
            return {}
        what, who = zip(*told, strict=True)
        return {"decided": np.array(what), "decided_by": np.array(who)}

    def into_cells(self) -> dict[str, NDArray[np.generic]]:
        """Return what is told of the link into each cell, merges aside: its probability, its pin, and who made it."""
        plain = ~self.is_merge
        probability, pinned = np.full(len(self.cells), np.nan), np.zeros(len(self.cells), dtype=bool)
        probability[self.target[plain]] = self.evidence.probability[plain]
        pinned[self.target[plain]] = self.evidence.pinned_by[plain] != ""
        found: dict[str, NDArray[np.generic]] = {"probability_in": probability, "pinned_in": pinned}
        if pinned.any():
            who = np.zeros(len(self.cells), dtype=self.evidence.pinned_by.dtype)
            who[self.target[plain]] = self.evidence.pinned_by[plain]
            found["pinned_in_by"] = who
        return found

    def extras(self, own: Mapping[str, NDArray[np.generic]] | None = None) -> dict[str, NDArray[np.generic]]:
        """Return features and properties by name, to stand beside columns of our own.

        A property whose name is taken is called ``source_NAME``, and left out if it says the same: that is what an
        earlier export told.
        """
        taken = dict(own or {})
        for name, column in (*self.features.items(), *self.properties.items()):
            free = name
            while free in taken and not _same(taken[free], column):
                free = f"source_{free}"
            taken.setdefault(free, column)
        return {name: column for name, column in taken.items() if name not in (own or {})}


def _same(a: NDArray[np.generic], b: NDArray[np.generic]) -> bool:
    """Return whether two columns say the same, in single precision."""
    if "U" in (a.dtype.kind, b.dtype.kind):
        return np.array_equal(a, b)
    return np.allclose(a.astype(np.float64), b.astype(np.float64), rtol=1e-6, atol=0, equal_nan=True)


def tracking_of(store: DuckDBStore, chosen: DetectionSet, info: SolutionInfo) -> Tracking:
    """Read a solution with all that is known of its cells and links."""
    detections, table = store.detections(chosen), store.solution(info)
    source, target = store.link_ends(info)
    pinned = pins_among(store.decisions(), chosen.movie.name, detections)
    said = [by_numbers(answer, detections.id) for answer in pinned.pins.answers]
    evidence = link_evidence(store, info, table.edge, source, target, said)
    rows = detections.row_of(table.node)
    cells = detections.take(rows)
    return Tracking(
        movie=chosen.movie,
        about={
            "store": store.path.name,
            "dataset": chosen.movie.name,
            "detections": chosen.name,
            "solution": info.name,
            "linker": info.linker,
            "objective": info.objective,
            "lower_bound": info.lower_bound,
            "proven": info.proven,
            "posterior": evidence.posterior,
        },
        path=str(store.path),
        cells=cells,
        track=table.track_id,
        lineage=table.tracks.lineage[rows_of(table.tracks.pre, table.pre, "place in the walk")],
        source=cells.row_of(source),
        target=cells.row_of(target),
        kind=table.kind,
        tracks=table.tracks,
        evidence=evidence,
        features=_named(store.features(chosen, cells), cells),
        properties=store.properties(chosen, cells),
        has_masks=any(ref.kind == "masks" for ref in store.arrays(chosen)),
        n_left_out=len(detections) - len(cells),
        without_place=tuple(told(decision) for decision in pinned.lost),
        in_dispute=tuple(f"{told(one)} and {told(other)}" for one, other, _ in pinned.disputes),
    )


def branches(tracking: Tracking) -> NDArray[np.int64]:
    """Return the unbranched path that each cell lies on, counting links of cells that merge: those of GEFF and napari.

    It is the tracklet, but where a link leaves a tracklet midway for a cell of several mothers: what follows has a
    number of its own, above those of the tracklets.
    """
    if not tracking.n_merges:
        return tracking.track
    n_ways = np.bincount(tracking.source, minlength=len(tracking.cells))
    goes_on = (tracking.kind == LinkKind.CONTINUE) & (n_ways[tracking.source] == 1)
    before = np.arange(len(tracking.cells))
    before[tracking.target[goes_on]] = tracking.source[goes_on]
    heads, path = np.unique(tops(before), return_inverse=True)
    _, first = np.unique(tracking.track[heads], return_index=True)  # cells are ordered by frame, and so are heads
    number = tracking.track[heads]
    later = np.setdiff1d(np.arange(len(heads)), first)
    number[later] = tracking.tracks.id.max() + 1 + np.arange(len(later))
    return number[path]


def _named(features: Features, cells: Detections) -> dict[str, NDArray[np.generic]]:
    """Return features as columns, those of which nothing is known left out."""
    axes = "zyx"[-cells.ndim :]
    columns = {"equivalent_diameter": cells.equivalent_diameter_px, "border": features.border_px}
    for channel, intensity in features.intensity.items():
        told = {"mean": intensity.mean, "min": intensity.min, "max": intensity.max}
        columns |= {f"intensity_{what}_{channel}": column for what, column in told.items()}
    for end, corner in (("0", features.bbox_min), ("1", features.bbox_max)):
        known = np.where(corner < 0, np.nan, corner)
        columns |= {f"bbox_{axis}{end}": known[:, i] for i, axis in enumerate(axes)}
    for i, j in zip(*np.triu_indices(cells.ndim), strict=True):
        columns[f"inertia_{axes[i]}{axes[j]}"] = features.inertia_px2[:, i, j]
    known_of = {name: column for name, column in columns.items() if not np.isnan(column).all()}
    return {name: _whole(column) if name.startswith("bbox") else column for name, column in known_of.items()}


def _whole(column: NDArray[np.float64]) -> NDArray[np.generic]:
    """Return whole numbers as such, if none is missing."""
    return column if np.isnan(column).any() else column.astype(np.int64)


def components(tracking: Tracking) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the component of each cell, and the first cell of each component.

    A component is all that links tie together: a lineage, or several that merge.
    """
    n = len(tracking.cells)
    links = coo_array((np.ones(len(tracking.source), dtype=np.int8), (tracking.source, tracking.target)), shape=(n, n))
    component = connected_components(links, directed=False)[1].astype(np.int64)
    return component, np.unique(component, return_index=True)[1]
