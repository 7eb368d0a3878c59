"""How likely each link, and each thing that a cell may do, is once all selections of a problem are weighed."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from ...errors import ConfigError, SchemaError
from .believing import Beliefs
from .components import OPTIONAL
from .frontier import WIDEST, weigh_pieces
from .gibbs import error_of_likeliest, sample
from .graph import ChoiceGraph
from .outcomes import LEAST, ROUNDING, HowWeighed, Outcomes, require_column
from .plan import WIDTH, belief_plan, cut_plan, piece_of_cells, require_narrow, whole_plan
from .views import both_views

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..problem import TrackingProblem
    from .components import Cut
    from .frontier import Weighed
    from .gibbs import Sampled
    from .plan import Plan
    from .views import Views


@dataclass(frozen=True, slots=True, eq=False)
class Marginals:
    """Probabilities of the m links and n cells of a problem, rows as there.

    Parameters
    ----------
    link : (m,) float64
        Probability that the link is real: the sum of the outcomes of its source that hold it.
    new : (n,) float64
        Probability that the cell is selected and has no parent. With the links into it, this sums to `present`.
    present : (n,) float64
        Probability that the cell is selected; 1 where it is kept.
    outcomes : Outcomes
        What each cell does as a mother.
    how : (m,) uint8
        `HowWeighed` each link is known.
    error : (m,) float64
        Standard error where sampled, NaN elsewhere.
    dropped : (m,) float64
        Estimate of the probability of all that was cut from the piece of the link, at most 1; 0 where nothing was. It
        is what belief propagation says of it, and no bound of the error: in a loop of several cells it may be too low.
    how_cell : (n,) uint8
        `HowWeighed` the outcomes of each cell are known.
    error_cell : (n,) float64
        Standard error of its likeliest outcome where sampled, NaN elsewhere.
    piece : (n,) int64
        Piece in which what the cell does as a mother was weighed, -1 where that is certain.
    log_z : float
        Logarithm of the sum of the weights of all selections; NaN unless everything is exact.
    converged : bool
        Whether belief propagation, where it was used, came to rest.

    Raises
    ------
    SchemaError
        If the arrays do not fit together, or a probability is not between 0 and 1.
    """

    link: NDArray[np.float64]
    new: NDArray[np.float64]
    present: NDArray[np.float64]
    outcomes: Outcomes
    how: NDArray[np.uint8]
    error: NDArray[np.float64]
    dropped: NDArray[np.float64]
    how_cell: NDArray[np.uint8]
    error_cell: NDArray[np.float64]
    piece: NDArray[np.int64]
    log_z: float
    converged: bool = True

    def __post_init__(self) -> None:
        m, n = len(self.link), len(self.new)
        for name, dtype, length in (
            ("link", np.float64, m),
            ("new", np.float64, n),
            ("present", np.float64, n),
            ("how", np.uint8, m),
            ("error", np.float64, m),
            ("dropped", np.float64, m),
            ("how_cell", np.uint8, n),
            ("error_cell", np.float64, n),
            ("piece", np.int64, n),
        ):
            require_column(name, getattr(self, name), np.dtype(dtype), length)
        if len(self.outcomes) != n:
            raise SchemaError(f"outcomes are of {len(self.outcomes)} cells, expected {n}")
        if len(self.outcomes.a) and max(self.outcomes.a.max(), self.outcomes.b.max()) >= m:
            raise SchemaError(f"outcomes name links beyond row {m - 1}")
        for name in ("link", "new", "present"):
            p = getattr(self, name)
            if not np.all((p >= 0) & (p <= 1 + ROUNDING)):
                row = int(np.argmax(~((p >= 0) & (p <= 1 + ROUNDING))))
                raise SchemaError(f"{name} {row} has the probability {p[row]}, expected 0 .. 1")


METHODS: Final = ("auto", "exact", "belief", "gibbs")
PRUNE: Final = 1e-3
SWEEPS: Final = 100


def estimate(
    problem: TrackingProblem,
    *,
    method: str = "auto",
    temperature: float = 1.0,
    prune: float = PRUNE,
    width: int = WIDTH,
    sweeps: int = SWEEPS,
    seed: int = 0,
) -> Marginals:
    """Return how likely each link and each outcome is, where a selection is likely as exp(-objective / temperature).

    Parameters
    ----------
    problem : TrackingProblem
        n detections and m candidate edges; without conflicts.
    method : str
        ``auto``: exact where pieces are narrow, else pruned or, where that is not enough, by belief. ``exact``: all
        pieces as they are. ``belief``: belief propagation alone. ``gibbs``: sampled where pieces are too wide.
    temperature : float
        By which costs are divided.
    prune : float
        Probability below which ``auto`` cuts links, of pieces that are too wide.
    width : int
        Most daughters that may be open at once while a piece is weighed; time and memory grow as ``2 ** width``.
    sweeps, seed
        Of ``gibbs``: sweeps of each chain, and where its random numbers begin.

    Raises
    ------
    ConfigError
        If an option makes no sense.
    SchemaError
        If detections exclude each other.
    SolverError
        If the method is exact and a piece is too wide.
    """
    check_options(method, prune, width, sweeps)
    graph = ChoiceGraph.of(problem, temperature)
    if method == "belief":
        plan = belief_plan(graph)
    elif method == "exact":
        plan = whole_plan(graph, width)
        require_narrow(plan, width)
    elif method == "gibbs":
        plan = whole_plan(graph, width)
    else:
        plan = cut_plan(Beliefs(graph), prune, width)
    weighed = weigh_pieces(graph, plan.cut, plan.pieces, plan.sweep, width)
    wide = plan.sweep.width > width
    sampled = None
    if wide.any():
        mothers = np.flatnonzero(np.append(wide, False)[piece_of_cells(graph, plan.pieces)])
        sampled = sample(graph, mothers, sweeps, seed)
        weighed = weighed._replace(choice=weighed.choice + sampled.choice)
        weighed.absent[mothers] = sampled.absent[mothers]
    views = both_views(graph, plan.cut, weighed.choice, weighed.absent)
    return assemble(problem, graph, plan, wide, views, weighed, sampled)


def check_options(method: str, prune: float, width: int, sweeps: int) -> None:
    """Raise ConfigError where an option makes no sense."""
    if method not in METHODS:
        raise ConfigError(f"there is no method {method!r}", known=", ".join(METHODS))
    if not 0 < prune < 1:
        raise ConfigError(f"prune is a probability between 0 and 1, got {prune}")
    if not 0 <= width <= WIDEST:
        raise ConfigError(f"width is {width}, expected 0 .. {WIDEST}")
    if sweeps < 1:
        raise ConfigError(f"sweeps is {sweeps}, expected 1 or more")


def assemble(
    problem: TrackingProblem,
    graph: ChoiceGraph,
    plan: Plan,
    wide: NDArray[np.bool_],
    views: Views,
    weighed: Weighed,
    sampled: Sampled | None,
) -> Marginals:
    """Bring what was found to the rows of the problem."""
    n, m = problem.n_nodes, problem.n_edges
    grade = np.array([HowWeighed.EXACT, HowWeighed.PRUNED, HowWeighed.BELIEF], dtype=np.uint8)[
        np.minimum(plan.level, 2)
    ]
    grade[wide] = HowWeighed.SAMPLED
    piece = piece_of_cells(graph, plan.pieces)
    how_cell = np.where(piece >= 0, grade[piece], np.uint8(HowWeighed.EXACT)) if len(grade) else np.zeros(n, np.uint8)
    as_daughter = np.zeros(n, np.uint8)
    np.maximum.at(as_daughter, graph.target, how_cell[graph.source])
    link, how, dropped = np.zeros(m), np.zeros(m, np.uint8), np.zeros(m)
    link[graph.row] = views.link
    how[graph.row] = np.where(plan.cut.alive, how_cell[graph.source], as_daughter[graph.target])
    dropped[graph.row] = plan.dropped[piece[graph.source]]
    error, error_cell = np.full(m, np.nan), np.full(n, np.nan)
    if sampled is not None:
        drawn = how_cell == HowWeighed.SAMPLED
        error[graph.row] = np.where(drawn[graph.source], sampled.link_error, np.nan)
        error_cell[drawn] = error_of_likeliest(graph, weighed.choice, sampled.choice_error)[drawn]
    certain = views.outcomes.probability[views.outcomes.first[:-1]] > 1 - LEAST
    exact = not how.any() and not how_cell.any()
    return Marginals(
        link=link,
        new=views.new,
        present=views.present,
        outcomes=in_rows_of_problem(graph, views.outcomes),
        how=how,
        error=error,
        dropped=dropped,
        how_cell=how_cell.astype(np.uint8),
        error_cell=error_cell,
        piece=np.where(certain, -1, piece),
        log_z=log_weight_of_all(graph, plan.cut, weighed.log_z) if exact else math.nan,
        converged=plan.converged,
    )


def rows_of(graph: ChoiceGraph, link: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rows in the problem of links of the graph; -1 stays."""
    return np.where(link >= 0, graph.row[link], -1) if graph.n_links else link


def in_rows_of_problem(graph: ChoiceGraph, outcomes: Outcomes) -> Outcomes:
    """Return outcomes whose links are rows of the problem, of those whose links are rows of the graph."""
    return replace(outcomes, a=rows_of(graph, outcomes.a), b=rows_of(graph, outcomes.b))


def log_weight_of_all(graph: ChoiceGraph, cut: Cut, log_z: NDArray[np.float64]) -> float:
    """Return the logarithm of the weight of all selections of a graph of which nothing is cut."""
    has_out, has_in = np.diff(graph.first) > 0, np.diff(graph.into_first) > 0
    remembered = np.zeros(graph.n_cells, bool)
    remembered[graph.target[cut.shared]] = True
    kept, optional = graph.state > OPTIONAL, graph.state == OPTIONAL
    whole = log_z.sum() + graph.node[kept].sum() + graph.none[kept & ~has_out].sum()
    whole += cut.leave[kept & ~remembered].sum()
    last = optional & ~has_out
    whole += cut.leave[last & ~remembered].sum() + (graph.node + graph.none)[last].sum()
    first = optional & has_out & ~has_in
    return float(whole + (graph.new + graph.node)[first].sum())
