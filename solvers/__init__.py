"""Arrays in, selection out: the combinatorial solvers. This room knows no tables, no files and no torch."""

from __future__ import annotations

import math
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, cast

from ..errors import ConfigError

if TYPE_CHECKING:
    from .base import Solver

OWN_SOLVERS = ("greedy", "highs", "ilp", "lap", "motile")


def open_solver(name: str, *, time_limit_s: float | None = None) -> Solver:
    """Return the solver of that name.

    Parameters
    ----------
    name : str
        ``ilp`` (exact, by matching), ``highs`` (exact, by a general solver; slow), ``motile`` (exact, as a model of
        motile by SCIP; slower, takes costs and constraints of any kind), ``lap`` (frame to frame, then segments),
        ``greedy`` (a quick baseline), or an entry point of the group ``trackdb.solvers``: a class or
        function that takes `time_limit_s` by keyword; `trackdb.testing.SolverContract` tests what that promises.
    time_limit_s : float or None
        After how many seconds to return the best selection found so far. Greedy and LAP take no notice of it.

    Raises
    ------
    ConfigError
        If there is no such solver, the package that offers it cannot be imported, it does not take `time_limit_s`, or
        the limit is negative or no number.
    """
    if time_limit_s is not None and (math.isnan(time_limit_s) or time_limit_s < 0):
        raise ConfigError(f"a time limit is 0 seconds or more, got {time_limit_s}", use="None for no limit")
    match name:
        case "greedy":
            from .greedy import GreedySolver

            return GreedySolver()
        case "lap":
            from .lap import LapSolver

            return LapSolver()
        case "ilp":
            from .ilp import IlpSolver

            return IlpSolver(time_limit_s)
        case "highs":
            from .highs import HighsSolver

            return HighsSolver(time_limit_s)
        case "motile":
            from .motile_bridge import MotileSolver

            return MotileSolver(time_limit_s)
    others = entry_points(group="trackdb.solvers")
    if name in others.names:
        try:
            return cast("Solver", others[name].load()(time_limit_s=time_limit_s))
        except (ImportError, AttributeError, TypeError) as error:
            raise ConfigError(f"the solver {name!r} cannot be loaded from {others[name].value}: {error}") from error
    raise ConfigError(f"there is no solver {name!r}", known=", ".join(sorted({*OWN_SOLVERS, *others.names})))
