"""Posteriors from perturbed detections: costs averaged over draws (FP), or frequencies of links in solved ones (FP+A).

Places are moved by a normal error of a tenth of the median distance to the nearest neighbour; where there are outlines
they grow or shrink by a pixel, or stay, and are shifted by less than one. What the scorer says of a draw is priced as
that of the movie itself is, and the candidates stay the same.

References
----------
.. [1] Paul et al., "Reliable Cell Trackers Say 'I dunno!'", section 2 (FP, FP+A); it tells neither the size of the
   perturbation nor the number of draws.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.ndimage import distance_transform_edt, find_objects, shift

from ...errors import ConfigError, SchemaError
from ...solvers.daughters import Pairs
from ...solvers.posterior.perturbed import OutcomeTally
from ..candidates import nearest_distances
from ..pixels import NO_PIXELS
from .softmax import ParentProbabilities

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from ...solvers.base import Solver
    from ...solvers.posterior.outcomes import Outcomes
    from ...solvers.problem import TrackingProblem
    from ...storage.schema import CandidateEdges, Detections
    from ..pixels import Pixels
    from ..scorers.base import Scorer, Scores

    Price = Callable[[Detections, CandidateEdges, Scores], TrackingProblem]

DRAWS: Final = 100
SHARE_OF_SPACING: Final = 0.1
COSTS: Final = ("edge_cost", "node_cost", "appear_cost", "disappear_cost", "division_cost")
MARGIN: Final = 3  # pixels around an outline that it may reach
GROWTHS: Final = (-1, 0, 1)  # pixels


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """A cell's outline in a frame.

    Parameters
    ----------
    corner : tuple of int
        Pixel of the frame where `depth` begins.
    depth : (...) float32
        Distance of each pixel to the outline, positive inside.
    """

    corner: tuple[int, ...]
    depth: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Perturbation:
    """Draws detections that could as well have been found.

    Parameters
    ----------
    detections : Detections
        The n cells as they were found.
    pixels : Pixels
        Their masks, where there are any, and images, which stay as they are.
    sigma_px : float
        Standard deviation of a place along each axis, in pixels along the last one.
    outlines : tuple of Outline
        Of each cell; empty where they are points.
    seed : int
        Draws with the same seed are the same.

    Raises
    ------
    ConfigError
        If sigma is negative or no number.
    """

    detections: Detections
    pixels: Pixels
    sigma_px: float
    outlines: tuple[Outline, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.sigma_px < np.inf:
            raise ConfigError(f"places are perturbed by {self.sigma_px} pixels", expected="0 or more")

    @classmethod
    def of(
        cls, detections: Detections, pixels: Pixels = NO_PIXELS, *, sigma_px: float | None = None, seed: int = 0
    ) -> Perturbation:
        """Prepare draws; by default sigma is a tenth of the median distance to the nearest cell of the frame."""
        sigma = _default_sigma_px(detections) if sigma_px is None else sigma_px
        return cls(detections, pixels, sigma, _outlines(detections, pixels), seed)

    def draw(self, number: int) -> tuple[Detections, Pixels]:
        """Return the cells of a draw, rows as they were, and their pixels; its masks are held in memory."""
        rng = np.random.default_rng([self.seed, number])
        step = rng.normal(0.0, self.sigma_px, self.detections.position_px.shape) * _unit_px(self.detections)
        moved = replace(self.detections, position_px=self.detections.position_px + step)
        if not self.outlines:
            return moved, self.pixels
        masks, area = _painted(self.detections, self.pixels, self.outlines, rng)
        return replace(moved, area=area), _WithMasks(self.pixels, masks)


def mean_problem(
    perturbation: Perturbation, edges: CandidateEdges, scorer: Scorer, price: Price, *, draws: int = DRAWS
) -> TrackingProblem:
    """Return the problem whose costs are the means over perturbed detections (FP); its softmax is the posterior.

    Parameters
    ----------
    perturbation : Perturbation
        Of n cells.
    edges : CandidateEdges
        m candidates.
    scorer : Scorer
        Says how likely each is in a draw.
    price : callable
        Turns what it says into a problem, always of the same cells and links.
    draws : int
        How many draws.

    Raises
    ------
    ConfigError
        If there is not one draw at least.
    """
    if draws < 1:
        raise ConfigError(f"a mean over {draws} draws", expected="1 draw or more")
    total = {name: np.zeros(1) for name in COSTS}
    offered: list[Pairs] = []
    for problem in perturbed_problems(perturbation, edges, scorer, price, draws=draws):
        total = {name: total[name] + getattr(problem, name) for name in COSTS}
        if problem.pairs is not None:
            offered.append(problem.pairs)
    mean = {name: total[name] / draws for name in COSTS}
    return replace(
        problem,
        edge_cost=mean["edge_cost"],
        node_cost=mean["node_cost"],
        appear_cost=mean["appear_cost"],
        disappear_cost=mean["disappear_cost"],
        division_cost=mean["division_cost"],
        pairs=mean_pairs(offered, problem.n_edges) if offered else None,
    )


def mean_pairs(offered: list[Pairs], n_edges: int) -> Pairs:
    """Return the pairs of daughters that at least half of some draws offer, each at its mean cost over these.

    Costs that price daughters in pairs offer those that may pay, which are not the same in each draw.

    Parameters
    ----------
    offered : list of Pairs
        Those of each draw.
    n_edges : int
        Number of candidates.
    """
    one, other = (np.concatenate([getattr(pairs, name) for pairs in offered]) for name in ("first", "second"))
    key = np.minimum(one, other) * n_edges + np.maximum(one, other)
    pair, place, often = np.unique(key, return_inverse=True, return_counts=True)
    mean = np.bincount(place, np.concatenate([pairs.cost for pairs in offered]), len(pair)) / often
    kept = 2 * often >= len(offered)
    return Pairs(pair[kept] // n_edges, pair[kept] % n_edges, mean[kept].astype(np.float64))


@dataclass(frozen=True, slots=True, eq=False)
class Frequencies:
    """How often each link stands in the solutions of perturbed detections.

    Parameters
    ----------
    parents : ParentProbabilities
        Shares of the draws: of each link, and of each cell without a parent.
    error : (m,) float64
        Standard error of each link's share.
    outcomes : Outcomes
        Shares of what each cell does as a mother.
    draws : int
        How many draws.
    """

    parents: ParentProbabilities
    error: NDArray[np.float64]
    outcomes: Outcomes
    draws: int


def solved_frequency(
    perturbation: Perturbation,
    edges: CandidateEdges,
    scorer: Scorer,
    price: Price,
    solver: Solver,
    *,
    draws: int = DRAWS,
) -> Frequencies:
    """Return how often links are in the solution of perturbed detections (FP+A); parameters as of `mean_problem`.

    Raises
    ------
    ConfigError
        If there is not one draw at least.
    """
    if draws < 1:
        raise ConfigError(f"a frequency over {draws} draws", expected="1 draw or more")
    link, new = np.zeros(0), np.zeros(0)
    for number, problem in enumerate(perturbed_problems(perturbation, edges, scorer, price, draws=draws)):
        if not number:
            link, new = np.zeros(problem.n_edges), np.zeros(problem.n_nodes)
            tally = OutcomeTally(problem)
        found = solver.solve(problem)
        link += found.edge
        tally.add(found.edge)
        new += found.node & (np.bincount(problem.target[found.edge], minlength=problem.n_nodes) == 0)
    link, new = link / draws, new / draws
    return Frequencies(ParentProbabilities(link, new), np.sqrt(link * (1 - link) / draws), tally.outcomes(draws), draws)


def perturbed_problems(
    perturbation: Perturbation, edges: CandidateEdges, scorer: Scorer, price: Price, *, draws: int
) -> Iterator[TrackingProblem]:
    """Yield the problem of each draw; parameters as of `mean_problem`."""
    for number in range(draws):
        detections, pixels = perturbation.draw(number)
        place = detections.position_um
        moved = replace(edges, distance=np.linalg.norm(place[edges.target] - place[edges.source], axis=1))
        yield price(detections, moved, scorer.score(detections, moved, pixels))


def _unit_px(detections: Detections) -> NDArray[np.float64]:
    """Return how many pixels along each axis one pixel of the last axis is, in micrometres."""
    if detections.scale_um is None:
        return np.ones(detections.ndim)
    scale = np.array(detections.scale_um)
    return np.asarray(scale[-1] / scale, dtype=np.float64)


def _default_sigma_px(detections: Detections) -> float:
    place = detections.position_px / _unit_px(detections)
    begin = np.append(np.flatnonzero(np.diff(detections.frame, prepend=-1)), len(detections))
    near = [nearest_distances(place[a:b]) for a, b in pairwise(begin.tolist()) if b - a > 1]
    return SHARE_OF_SPACING * float(np.median(np.concatenate(near))) if near else 0.0


def _outlines(detections: Detections, pixels: Pixels) -> tuple[Outline, ...]:
    """Measure the outline of every cell; none where there are no masks."""
    if not pixels.has_masks:
        return ()
    found: list[Outline] = []
    for frame, rows in _by_frame(detections):
        numbered = _numbered(pixels.mask(frame), detections.label[rows])
        boxes = find_objects(numbered, max_label=rows.stop - rows.start)
        for number, box in enumerate(boxes, start=1):
            if box is None:
                raise SchemaError(f"the mask of frame {frame} lacks label {detections.label[rows][number - 1]}")
            inside = np.pad(numbered[box] == number, MARGIN)
            depth = np.where(
                inside, distance_transform_edt(inside) - 0.5, 0.5 - distance_transform_edt(~inside)
            ).astype(np.float32)
            found.append(Outline(tuple(side.start - MARGIN for side in box), depth))
    return tuple(found)


def _by_frame(detections: Detections) -> Iterator[tuple[int, slice]]:
    """Yield each frame that has cells, and their rows."""
    begin = np.flatnonzero(np.diff(detections.frame, prepend=-1)).tolist()
    for start, stop in zip(begin, [*begin[1:], len(detections)], strict=True):
        yield int(detections.frame[start]), slice(start, stop)


def _numbered(mask: NDArray[np.integer], label: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return a mask in which each cell has its row in the frame, from 1; labels without a cell are background."""
    order = np.argsort(label)
    row = np.minimum(np.searchsorted(label[order], mask.ravel()), len(label) - 1)
    known = label[order][row] == mask.ravel()
    return np.where(known, order[row] + 1, 0).reshape(mask.shape)


def _painted(
    detections: Detections, pixels: Pixels, outlines: tuple[Outline, ...], rng: np.random.Generator
) -> tuple[dict[int, NDArray[np.integer]], NDArray[np.float64]]:
    """Draw every outline again, grown and shifted a little; return the masks, and the area of each cell."""
    growth = rng.choice(GROWTHS, len(detections))
    by = rng.uniform(-0.5, 0.5, (len(detections), detections.ndim))
    masks, area = {}, np.zeros(len(detections))
    for frame, rows in _by_frame(detections):
        before = _numbered(pixels.mask(frame), detections.label[rows])
        after = np.zeros_like(before)
        for number, row in enumerate(range(rows.start, rows.stop), start=1):
            outline = outlines[row]
            region = shift(outline.depth, by[row], order=1, mode="nearest") > -growth[row]
            window, crop = _inside(outline, before.shape)
            # a cell grows into the background alone, and keeps a pixel at least
            free = (before[window] == number) | ((before[window] == 0) & (after[window] == 0))
            region = region[crop] & free
            if not region.any():
                region = before[window] == number
            after[window][region] = number
            area[row] = np.count_nonzero(region)
        label = np.append(0, detections.label[rows])
        masks[frame] = label[after]
    return masks, area


def _inside(outline: Outline, shape: tuple[int, ...]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Return where an outline lies in a frame, and which part of it does."""
    low = [max(corner, 0) for corner in outline.corner]
    high = [min(c + n, edge) for c, n, edge in zip(outline.corner, outline.depth.shape, shape, strict=True)]
    window = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    crop = tuple(slice(a - c, b - c) for a, b, c in zip(low, high, outline.corner, strict=True))
    return window, crop


@dataclass(frozen=True, slots=True, eq=False)
class _WithMasks:
    """The pixels of a movie with other masks; a frame without cells has an empty one."""

    pixels: Pixels
    masks: dict[int, NDArray[np.integer]]

    @property
    def has_masks(self) -> bool:
        """Whether there are label masks."""
        return True

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the image channels."""
        return self.pixels.channels

    def mask(self, frame: int) -> NDArray[np.integer]:
        """Return the label mask of a frame."""
        return self.masks[frame] if frame in self.masks else np.zeros_like(self.pixels.mask(frame))

    def image(self, channel: str, frame: int) -> NDArray[np.generic]:
        """Return the image of a channel in a frame."""
        return self.pixels.image(channel, frame)
