"""The generative reading of a lineage, and its costs: minus the log of what the cells do.

Each cell ends, goes on or divides with probabilities p_d, p_c, p_v that sum to 1. A child's place has the density q of
the scorer; a cell without a parent appears with the intensity ``p_a rho``, where rho is the density of cells. So a
selection costs, up to a constant, minus the log of its probability:

    link: -ln q,    appearance: -ln(p_a rho),    no child: -ln p_d,    one child: -ln p_c,    two: -ln(2 p_v) - bonus

The 2 counts the ways of naming two daughters. Daughters lie further from their mother than a cell moves in a frame; the
bonus, in nats, gives back on average what q takes from them too much (`fit` learns it). Flow costs are differences:

    node = -ln p_c,    disappear = ln(p_c / p_d),    division = ln(p_c / 2 p_v) - bonus

and division + disappear >= 0 always holds, so that a first child is never dearer than a second one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from ...errors import ConfigError, SchemaError
from ...solvers.problem import TrackingProblem
from ..scorers.base import ScoreScale
from .similarity import as_densities

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ...storage.schema import CandidateEdges, Detections
    from ..scorers.base import Scores

DEAREST: Final = 100.0  # nats; more than any appearance and disappearance together, so no optimum has a dearer link
LEAST_PROBABILITY: Final = 1e-6  # of a link, and of a cell being new


@dataclass(frozen=True, slots=True)
class Rates:
    """What cells do in one frame, in numbers that a biologist can check.

    Parameters
    ----------
    division : float
        Probability that a cell divides before the next frame.
    appear, appear_border : float
        Probability that a cell has no parent in the frame before: inside, and at the border of the box around all
        cells.
    disappear, disappear_border : float
        Probability that a cell has no child in the next frame.
    miss : float
        Probability that a cell is overlooked in a frame.
    density : float
        Cells in a frame per unit of area or volume.
    daughter_bonus : float
        Nats that a second daughter is likelier than the scorer's density of steps says.
    daughter_sigma : float
        Spread of the second daughters around their mothers along each axis.
    border : float
        Cells nearer than this to a face of the box are at its border.
    box : tuple of (float, float)
        Lowest and highest position along each axis ``([z,] y, x)``.
    unit : str
        Unit of all lengths: ``um`` or ``px``.

    Raises
    ------
    ConfigError
        If a probability is not between 0 and 1, cells do more than one thing at once, or the density is not positive.
    """

    division: float
    appear: float
    appear_border: float
    disappear: float
    disappear_border: float
    miss: float
    density: float
    daughter_bonus: float
    daughter_sigma: float
    border: float
    box: tuple[tuple[float, float], ...]
    unit: str = "um"

    def __post_init__(self) -> None:
        for name in ("division", "appear", "appear_border", "disappear", "disappear_border", "miss"):
            if not 0 < getattr(self, name) < 1:
                raise ConfigError(f"{name} is a probability between 0 and 1, got {getattr(self, name)}")
        if self.division + max(self.disappear, self.disappear_border) >= 1:
            raise ConfigError(
                "a cell divides or disappears with a probability of less than 1",
                got=f"{self.division} + {max(self.disappear, self.disappear_border)}",
            )
        if not self.density > 0:
            raise ConfigError(f"density must be positive, got {self.density}")

    def at_border(self, position: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which of (n, ndim) positions, in the unit of the rates, are at the border of the box."""
        low, high = np.array(self.box).T
        return np.asarray(np.minimum(position - low, high - position).min(axis=1) < self.border)

    def as_dict(self) -> dict[str, float]:
        """Return every number under a name that tells its unit, for the parameters of the run."""
        params = {
            "division_per_cell_and_frame": self.division,
            "appear_per_cell_and_frame": self.appear,
            "appear_at_border_per_cell_and_frame": self.appear_border,
            "disappear_per_cell_and_frame": self.disappear,
            "disappear_at_border_per_cell_and_frame": self.disappear_border,
            "miss_per_cell_and_frame": self.miss,
            f"density_cells_per_{self.unit}{len(self.box)}": self.density,
            "daughter_bonus_nats": self.daughter_bonus,
            f"daughter_sigma_{self.unit}": self.daughter_sigma,
            f"border_{self.unit}": self.border,
        }
        for axis, (low, high) in zip("zyx"[-len(self.box) :], self.box, strict=True):
            params |= {f"box_low_{axis}_{self.unit}": low, f"box_high_{axis}_{self.unit}": high}
        return params

    @classmethod
    def from_dict(cls, params: Mapping[str, float], *, ndim: int, unit: str) -> Rates:
        """Return the rates that `as_dict` wrote among the parameters of a run.

        Raises
        ------
        KeyError
            If one of them is missing.
        """
        return cls(
            division=params["division_per_cell_and_frame"],
            appear=params["appear_per_cell_and_frame"],
            appear_border=params["appear_at_border_per_cell_and_frame"],
            disappear=params["disappear_per_cell_and_frame"],
            disappear_border=params["disappear_at_border_per_cell_and_frame"],
            miss=params["miss_per_cell_and_frame"],
            density=params[f"density_cells_per_{unit}{ndim}"],
            daughter_bonus=params["daughter_bonus_nats"],
            daughter_sigma=params[f"daughter_sigma_{unit}"],
            border=params[f"border_{unit}"],
            box=tuple((params[f"box_low_{axis}_{unit}"], params[f"box_high_{axis}_{unit}"]) for axis in "zyx"[-ndim:]),
            unit=unit,
        )


@dataclass(frozen=True, slots=True, eq=False)
class CellCosts:
    """Flow costs of n cells, (n,) float64 each."""

    node: NDArray[np.float64]
    appear: NDArray[np.float64]
    disappear: NDArray[np.float64]
    division: NDArray[np.float64]


def problem_from(
    detections: Detections,
    edges: CandidateEdges,
    scores: Scores,
    rates: Rates | None,
    *,
    occupied: tuple[int, int] | None = None,
) -> TrackingProblem:
    """Turn scores and rates into the problem that solvers and posteriors read.

    Log densities need rates, and so do overlaps and similarities, which become log densities first (`as_densities`).
    Probabilities bring their own: a link costs ``-ln(p / p_new)``, where ``p_new`` is what
    the probabilities of its target leave to 1, and everything else is free, so that exp(-cost) gives back p for a
    target on its own. Rates are not looked at then.

    Parameters
    ----------
    detections : Detections
        n cells; all of them are kept.
    edges : CandidateEdges
        m candidates.
    scores : Scores
        Their m scores.
    rates : Rates or None
        From `fit`.
    occupied : tuple of int or None
        First and last frame that has cells; by default those of the detections. A window of a movie has to be told.

    Returns
    -------
    TrackingProblem
        Appearing is free in the first frame that has cells; disappearing, and the cell itself, in the last one.

    Raises
    ------
    SchemaError
        If there is not one score an edge.
    ConfigError
        If log densities come without rates, or with rates in another unit.
    """
    if len(scores) != len(edges):
        raise SchemaError("every candidate edge needs a score", wanted=str(len(edges)), got=str(len(scores)))
    scores = as_densities(detections, edges, scores)
    n, frame = len(detections), detections.frame
    if scores.scale is ScoreScale.PROBABILITY:
        free = np.zeros(n)
        cells, edge_cost = CellCosts(free, free, free, free), odds_costs(edges, scores.value, n)
    elif rates is None:
        raise ConfigError(
            "scores that are log densities need rates", next="estimate them with trackdb.engine.costs.fit"
        )
    else:
        unit = "px" if detections.scale_um is None else "um"
        if rates.unit != unit:
            raise ConfigError(f"the rates are in {rates.unit}, the detections in {unit}")
        first, last = (frame[:1], frame[-1:]) if occupied is None else occupied
        cells = cell_costs(detections.position_um, frame == first, frame == last, rates)
        edge_cost = edge_costs(edges, scores.value, rates)
    return TrackingProblem(
        frame=frame,
        source=edges.source,
        target=edges.target,
        edge_cost=edge_cost,
        node_cost=cells.node,
        appear_cost=cells.appear,
        disappear_cost=cells.disappear,
        division_cost=cells.division,
        pinned_node=np.ones(n, dtype=np.int8),
    )


def cell_costs(
    position: NDArray[np.float64], first: NDArray[np.bool_], last: NDArray[np.bool_], rates: Rates
) -> CellCosts:
    """Price what each cell does.

    Parameters
    ----------
    position : (n, ndim) float64
        In the unit of the rates.
    first, last : (n,) bool
        Cells before which, after which nothing was seen: there, to have no parent, no child, says nothing.
    rates : Rates
        What cells do.
    """
    border = rates.at_border(position)
    end = np.where(border, rates.disappear_border, rates.disappear)
    go_on = 1 - rates.division - end
    new = np.where(border, rates.appear_border, rates.appear)
    disappear = np.where(last, 0.0, np.log(go_on / end))
    division = np.log(go_on / (2 * rates.division)) - rates.daughter_bonus
    return CellCosts(
        node=np.where(last, 0.0, -np.log(go_on)),
        appear=np.where(first, 0.0, -np.log(new * rates.density)),
        disappear=disappear,
        division=np.where(last, 0.0, np.maximum(division, -disappear)),
    )


def edge_costs(edges: CandidateEdges, log_density: NDArray[np.float64], rates: Rates) -> NDArray[np.float64]:
    """Price each link: its density, and the frames in which the cell must have been overlooked."""
    overlooked = (edges.frames - 1) * -np.log(rates.miss)
    return np.asarray(np.minimum(overlooked - log_density, DEAREST), dtype=np.float64)


def odds_costs(edges: CandidateEdges, probability: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Price each link against its target being new: -ln(p / p_new), both at least a millionth so that it is finite.

    Probabilities of a target that sum to more than 1, as means over different windows may, are divided by their sum.
    """
    total = np.bincount(edges.target, probability, n)
    probability = probability / np.maximum(total, 1.0)[edges.target]
    new = np.maximum(1 - total, LEAST_PROBABILITY)
    return np.asarray(np.log(new[edges.target]) - np.log(np.maximum(probability, LEAST_PROBABILITY)), dtype=np.float64)
