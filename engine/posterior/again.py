"""How much of a stored posterior still holds after new annotations: all pieces that these do not touch.

A posterior keeps fingerprints of its input: of the costs, and of what annotations decided. Where the costs are the
same, the pieces that an added or withdrawn pin touches are weighed again, and the rest is taken over.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ...errors import InfeasibleError
from ...solvers.posterior.touched import TouchedPart, touched_part
from ...solvers.problem import on_grid
from ...storage.catalogue import code_version
from ...storage.posteriors import posteriors_of
from ..annotations.pins import decided, pins_among
from .estimate import COLDEST_OF_MESSAGES, method_named

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ...solvers.pins import Pins
    from ...storage.catalogue import DetectionSet, SolutionInfo
    from ...storage.decisions import Decision
    from ...storage.duckdb_store import DuckDBStore
    from ...storage.posteriors import PosteriorInfo
    from ..posterior_config import PosteriorConfig
    from .problem import WeighedMovie

FOLLOWING: Final = ("auto", "exact")
"""Methods that weigh each piece by itself; lists of lineages, draws and messages are of the whole movie."""

SETTINGS: Final = ("temperature", "prune", "width")
"""What the probabilities of a piece depend on besides its costs."""


@dataclass(frozen=True, slots=True)
class Again:
    """How much of a posterior was weighed again.

    Parameters
    ----------
    base : str
        Posterior from which the rest was taken over.
    pieces, of_pieces : int
        Pieces that were weighed again, and all that something is undecided about.
    cells : int
        Cells whose outcomes were found again.
    """

    base: str
    pieces: int
    of_pieces: int
    cells: int


def fingerprints(movie: WeighedMovie) -> dict[str, str]:
    """Return what tells whether two posteriors weighed the same: costs, what was decided, and the trackdb."""
    problem, pairs = movie.priced, movie.priced.pairs
    costs = (
        problem.edge_cost,
        problem.node_cost,
        problem.appear_cost,
        problem.disappear_cost,
        problem.division_cost,
    )
    columns: list[NDArray[np.generic]] = [
        movie.detections.id,
        movie.edges.id,
        problem.frame,
        problem.source,
        problem.target,
        *map(on_grid, costs),
        problem.pinned_node,
    ]
    if pairs is not None:
        columns += [pairs.first, pairs.second, on_grid(pairs.cost)]
    return {"costs": _digest(*columns), "decided": _digest_of_pins(movie.pinned), "code": code_version()}


def _digest_of_pins(pins: Pins) -> str:
    return _digest(pins.edge, pins.node)


def _digest(*columns: NDArray[np.generic]) -> str:
    """Return the SHA-256 of columns, their lengths and types in it."""
    digest = hashlib.sha256()
    for column in columns:
        digest.update(f"{len(column)} {column.dtype.str} ".encode())
        digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()


def to_follow(
    store: DuckDBStore,
    chosen: DetectionSet,
    info: SolutionInfo,
    movie: WeighedMovie,
    prints: Mapping[str, str],
    settings: PosteriorConfig,
    log: Sequence[Decision],
) -> tuple[tuple[PosteriorInfo, TouchedPart] | None, str]:
    """Return the newest posterior of a solution that differs by annotations alone, and what these touch.

    Parameters
    ----------
    store : DuckDBStore
        The store.
    chosen, info
        Detections and solution.
    movie : WeighedMovie
        Its movie, priced, with all annotations up to now.
    prints : dict
        Its `fingerprints`.
    settings : PosteriorConfig
        Method, temperature and options.
    log : sequence of Decision
        All annotations, in the order of their numbers.

    Returns
    -------
    followed : tuple of PosteriorInfo and TouchedPart, or None
        None where all has to be weighed.
    why : str
        Why so, in words; empty where nothing was weighed before.
    """
    method = method_named(settings.method)
    known = posteriors_of(store, chosen)
    if not known:
        return None, ""
    of_solution = [(found, params) for found, params in reversed(known) if found.solution_id == info.id]
    of_method = [(found, params) for found, params in of_solution if found.method == method]
    if method not in FOLLOWING:
        return None, f"{method} weighs all each time" if of_method else ""
    if settings.temperature < COLDEST_OF_MESSAGES:
        return None, f"at a temperature below {COLDEST_OF_MESSAGES:g} all is weighed together"
    if not of_method:
        return None, f"{info.name} has no posterior by {method} yet"
    reasons = []
    for found, params in of_method:
        why = _differs(found, params, prints, settings)
        if not why:
            before = _pins_then(movie, params, chosen.movie.name, log)
            if before is not None:
                return (found, touched_part(decided(movie.priced, before), movie.left)), ""
            why = f"the log of annotations is not the one that {found.name} heard"
        reasons.append(why)
    return None, reasons[0]


def _differs(
    found: PosteriorInfo, params: Mapping[str, Any], prints: Mapping[str, str], settings: PosteriorConfig
) -> str:
    """Return in words what else than annotations differs from a stored posterior; empty where nothing does."""
    if params.get("code") != prints["code"]:
        return f"{found.name} is of another version of trackdb"
    for name in SETTINGS:
        now = getattr(settings, name)
        if params[name] != now:
            return f"{name} is {now:g}, and {params[name]:g} in {found.name}"
    if params["costs"] != prints["costs"]:
        return f"candidates or costs are not those of {found.name}"
    return ""


def _pins_then(movie: WeighedMovie, params: Mapping[str, Any], dataset: str, log: Sequence[Decision]) -> Pins | None:
    """Return the pins when a posterior was weighed, None if the log no longer tells."""
    earlier = [decision for decision in log if decision.seq <= params["heard"]]
    try:
        found = pins_among(earlier, dataset, movie.detections).pins.for_edges(movie.edges, len(movie.detections))
    except InfeasibleError:
        return None
    return found if _digest_of_pins(found) == params["decided"] else None
