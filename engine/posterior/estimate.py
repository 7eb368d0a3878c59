"""How sure is each link: one door to every method, by its name.

``auto``, ``exact``, ``belief`` and ``gibbs`` weigh all selections of the problem, daughters and divisions together,
``topk`` the cheapest ones; ``perturb-map`` samples them with a solver. ``softmax`` and ``perturb`` look at one daughter
at a time: they tell of links alone. ``perturb-assign`` counts the solutions of perturbed detections; at a temperature
other than 1 it tempers each daughter, and tells of links alone, too. The names of the paper (SM, AS, FP,
FP+A) are taken, too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from ...errors import ConfigError, SolverError
from ...solvers.ilp import IlpSolver
from ...solvers.posterior.marginals import METHODS as _WEIGHING
from ...solvers.posterior.marginals import Marginals, estimate
from ...solvers.posterior.outcomes import HowWeighed
from ...solvers.posterior.perturbed import perturb_and_map
from ...solvers.posterior.product import best_assignments
from .perturbation import DRAWS, Perturbation, mean_problem, solved_frequency
from .softmax import ParentProbabilities, softmax
from .temperature import tempered

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ...solvers.posterior.outcomes import Outcomes
    from ...solvers.posterior.product import AssignmentList
    from ...solvers.problem import TrackingProblem
    from ...storage.schema import CandidateEdges
    from ..posterior_config import PosteriorConfig
    from ..scorers.base import Scorer
    from .perturbation import Price

    At = Callable[[float], "Posterior"]

WEIGHING: Final = _WEIGHING
PERTURBING: Final = ("perturb", "perturb-assign")
METHODS: Final = (*WEIGHING, "softmax", "topk", *PERTURBING, "perturb-map")
ALIASES: Final = {"sm": "softmax", "as": "topk", "fp": "perturb", "fp+a": "perturb-assign"}
"""Names of the paper: softmax, assignment, feature perturbation, and that with assignment."""

COLDEST_OF_MESSAGES: Final = 0.05
"""Temperature from which on messages may carry an answer, however far the costs are apart."""

WIDEST_NATS: Final = 1000.0
"""Costs that differ by more, in temperatures, are beyond what messages tell apart; seen to go wrong from 2000 on."""


@dataclass(frozen=True, slots=True, eq=False)
class Posterior:
    """How likely each of m links and each outcome of n cells is.

    Parameters
    ----------
    method : str
        One of `METHODS`.
    temperature : float
        What costs were divided by.
    link : (m,) float64
        Probability of each link.
    new : (n,) float64
        Probability of each cell to be one and to have no parent.
    how : (m,) uint8
        `HowWeighed` each link is known.
    error : (m,) float64
        Standard error where sampled, estimate of the mass left out where pruned (no bound), NaN elsewhere.
    outcomes : Outcomes or None
        What each cell does as a mother; None from methods that tell of links alone.
    how_cell : (n,) uint8
        `HowWeighed` these are known.
    error_cell : (n,) float64
        What `error` is to links, to the likeliest outcome.
    draws : int
        How many were made, or lineages listed; 0 where none are.
    """

    method: str
    temperature: float
    link: NDArray[np.float64]
    new: NDArray[np.float64]
    how: NDArray[np.uint8]
    error: NDArray[np.float64]
    outcomes: Outcomes | None
    how_cell: NDArray[np.uint8]
    error_cell: NDArray[np.float64]
    draws: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Redrawn:
    """What methods that perturb detections need besides a problem.

    Parameters
    ----------
    perturbation : Perturbation
        Of the cells of the problem.
    edges : CandidateEdges
        All candidates that `price` takes.
    scorer : Scorer
        Says how likely each is in a draw.
    price : callable
        Makes of that a problem, with the cells and links of the one that is asked about.
    """

    perturbation: Perturbation
    edges: CandidateEdges
    scorer: Scorer
    price: Price


def method_named(name: str) -> str:
    """Return the method of this name, in any case; those of the paper are taken.

    Raises
    ------
    ConfigError
        If there is none.
    """
    known = ALIASES.get(name.lower(), name.lower())
    if known not in METHODS:
        names = ", ".join((*METHODS, *(alias.upper() for alias in ALIASES)))
        raise ConfigError(f"there is no method {name!r} for a posterior", known=names)
    return known


def posterior_of(problem: TrackingProblem, config: PosteriorConfig, redrawn: Redrawn | None = None) -> Posterior:
    """Return how likely each link of a problem is, by the method and at the temperature that are configured.

    Where none is configured that is 1. Parameters and errors are those of `posterior_at`.
    """
    return posterior_at(problem, config, redrawn)(config.temperature or 1.0)


def posterior_at(problem: TrackingProblem, config: PosteriorConfig, redrawn: Redrawn | None = None) -> At:
    """Return what gives the posterior of a problem at any temperature.

    Lists and draws of detections stay the same at all temperatures and are made once: lists are weighed anew, averaged
    costs divided, and frequencies tempered.

    Parameters
    ----------
    problem : TrackingProblem
        n cells and m links.
    config : PosteriorConfig
        The method, and its options; not its temperature.
    redrawn : Redrawn or None
        For methods that perturb detections.

    Raises
    ------
    ConfigError
        If there is no such method, it perturbs detections and none are given, or it lists lineages and daughters are
        priced in pairs; also of the temperature, if that is no positive number.
    SolverError
        If the method is ``exact`` and a piece is too wide for it; also of the temperature, if messages cannot tell
        costs apart at one so low, and not all is exact.
    """
    method = method_named(config.method)
    if method in WEIGHING:
        return _by_weighing(problem, method, config)
    if method == "perturb-map":
        return _by_solving_perturbed_costs(problem, config)
    if method == "topk":
        return _by_list(problem, config.k)
    if method == "softmax":
        return lambda temperature: _of_parents(method, temperature, softmax(problem, temperature=temperature))
    if redrawn is None:
        raise ConfigError(f"the method {method} draws detections anew, a problem alone is not enough")
    return _by_mean_costs(redrawn, config) if method == "perturb" else _by_solving_draws(problem, redrawn, config)


def _by_weighing(problem: TrackingProblem, method: str, config: PosteriorConfig) -> At:
    """Weigh all selections, as one of `WEIGHING` does."""

    def at(temperature: float) -> Posterior:
        found = estimate(
            problem,
            method=method,
            temperature=temperature,
            prune=config.prune,
            width=config.width,
            sweeps=config.sweeps,
            seed=config.seed,
        )
        return _with_outcomes(problem, method, temperature, _require_tellable(problem, temperature, found))

    return at


def _by_solving_perturbed_costs(problem: TrackingProblem, config: PosteriorConfig) -> At:
    """Count the solutions of perturbed costs; each temperature perturbs anew."""
    draws = config.draws or DRAWS

    def at(temperature: float) -> Posterior:
        found = perturb_and_map(problem, draws=draws, scale=config.noise, temperature=temperature, seed=config.seed)
        return _with_outcomes(problem, "perturb-map", temperature, found, draws)

    return at


def _by_list(problem: TrackingProblem, k: int) -> At:
    """List the k cheapest lineages once, and weigh them at each temperature."""
    if problem.pairs is not None:
        raise ConfigError(
            "topk lists lineages whose costs are of single links, not of pairs of daughters",
            **{"try": "--method auto or perturb-map"},
        )
    cheapest = best_assignments(problem, k)
    return lambda temperature: _listed(problem, cheapest, temperature)


def _by_mean_costs(redrawn: Redrawn, config: PosteriorConfig) -> At:
    """Take the softmax of costs that are averaged over draws of the detections."""
    draws = config.draws or DRAWS
    mean = mean_problem(redrawn.perturbation, redrawn.edges, redrawn.scorer, redrawn.price, draws=draws)
    return lambda temperature: _of_parents("perturb", temperature, softmax(mean, temperature=temperature), draws=draws)


def _by_solving_draws(problem: TrackingProblem, redrawn: Redrawn, config: PosteriorConfig) -> At:
    """Count the solutions of draws of the detections; links alone are tempered."""
    draws, method = config.draws or DRAWS, "perturb-assign"
    often = solved_frequency(
        redrawn.perturbation, redrawn.edges, redrawn.scorer, redrawn.price, IlpSolver(), draws=draws
    )

    def at(temperature: float) -> Posterior:
        parents = tempered(problem.target, often.parents.link, often.parents.new, temperature)
        found = _of_parents(method, temperature, parents, often.error, draws)
        return found if temperature != 1 else _counted(found, often.outcomes)

    return at


def _counted(found: Posterior, outcomes: Outcomes) -> Posterior:
    """Return frequencies of links with those of what mothers do: of the same draws, while neither is tempered."""
    likeliest = outcomes.probability[outcomes.first[:-1]]
    return replace(found, outcomes=outcomes, error_cell=np.sqrt(likeliest * (1 - likeliest) / found.draws))


def _require_tellable(problem: TrackingProblem, temperature: float, found: Marginals) -> Marginals:
    """Raise SolverError where an answer leans on messages at a temperature too low for them; return it elsewhere."""
    if temperature >= COLDEST_OF_MESSAGES or not (found.how != HowWeighed.EXACT).any():
        return found
    costs = np.concatenate([problem.edge_cost, problem.appear_cost, problem.disappear_cost, problem.division_cost])
    if float(np.ptp(costs)) / temperature > WIDEST_NATS:
        raise SolverError(
            f"at a temperature of {temperature:g} nothing is left but the optimum, and pieces are too wide to weigh it",
            use=f"trackdb solve for the optimum, or a temperature of {COLDEST_OF_MESSAGES:g} or more",
        )
    return found


def _with_outcomes(
    problem: TrackingProblem, method: str, temperature: float, found: Marginals, draws: int = 0
) -> Posterior:
    left_out = np.zeros(len(found.new))
    pruned = found.how == HowWeighed.PRUNED
    np.maximum.at(left_out, problem.source[pruned], found.dropped[pruned])
    return Posterior(
        method=method,
        temperature=temperature,
        link=found.link,
        new=found.new,
        how=found.how,
        error=np.where(pruned, found.dropped, found.error),
        outcomes=found.outcomes,
        how_cell=found.how_cell,
        error_cell=np.where(found.how_cell == HowWeighed.PRUNED, left_out, found.error_cell),
        draws=draws,
    )


def _listed(problem: TrackingProblem, cheapest: AssignmentList, temperature: float) -> Posterior:
    """Return what the cheapest lineages say, each with its share of the list; exact only if there are no others."""
    shares = cheapest.shares(temperature)
    how = np.uint8(HowWeighed.EXACT if cheapest.complete else HowWeighed.BELIEF)
    return Posterior(
        method="topk",
        temperature=temperature,
        link=shares.link,
        new=shares.new,
        how=np.full(problem.n_edges, how),
        error=np.full(problem.n_edges, np.nan),
        outcomes=shares.outcomes,
        how_cell=np.full(problem.n_nodes, how),
        error_cell=np.full(problem.n_nodes, np.nan),
        draws=len(cheapest),
    )


def _of_parents(
    method: str,
    temperature: float,
    parents: ParentProbabilities,
    error: NDArray[np.float64] | None = None,
    draws: int = 0,
) -> Posterior:
    """Return what a method says that looks at daughters one by one: frequencies where they have an error."""
    m, n = len(parents.link), len(parents.new)
    how = np.uint8(HowWeighed.BELIEF if error is None else HowWeighed.SAMPLED)
    return Posterior(
        method=method,
        temperature=temperature,
        link=parents.link,
        new=parents.new,
        how=np.full(m, how),
        error=np.full(m, np.nan) if error is None else error,
        outcomes=None,
        how_cell=np.full(n, how),
        error_cell=np.full(n, np.nan),
        draws=draws,
    )
