"""The cost of Trackastra: each association pays for itself, and what cells do costs the same everywhere.

Exact solvers that take these numbers choose the links that the authors' package chooses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from ...errors import SchemaError
from ...solvers.problem import TrackingProblem
from ..association_config import AssociationCosts

if TYPE_CHECKING:
    from numpy.typing import NDArray


KEEP_ALL: Final = AssociationCosts()


def association_problem(
    frame: NDArray[np.int64],
    source: NDArray[np.int64],
    target: NDArray[np.int64],
    probability: NDArray[np.float64],
    costs: AssociationCosts = KEEP_ALL,
) -> TrackingProblem:
    """Return the problem of m links between n cells.

    Parameters
    ----------
    frame : (n,) int64
        Frame of each cell.
    source, target : (m,) int64
        Rows of the cells that each link ties.
    probability : (m,) float64
        Of each.
    costs : AssociationCosts
        What is worth how much.

    Raises
    ------
    SchemaError
        If there is not one probability a link.
    """
    if len(probability) != len(source):
        raise SchemaError("every link needs a probability", expected=str(len(source)), got=str(len(probability)))
    each = np.ones(len(frame))
    return TrackingProblem(
        frame=frame,
        source=source,
        target=target,
        edge_cost=costs.link + costs.per_probability * probability,
        node_cost=costs.detection * each,
        appear_cost=costs.appear * each,
        disappear_cost=costs.disappear * each,
        division_cost=costs.division * each,
        pinned_node=(each * costs.keeps_all).astype(np.int8),
    )
