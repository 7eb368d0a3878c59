"""Temperature scaling (TS): one number that calibrates probabilities, fitted on other movies.

For softmax, lists of assignments and exact marginals, costs are divided by the temperature and probabilities computed
again; averages that were made already (frequencies over draws) have their logarithms divided. The likelihood of the
true parents says which temperature is best. It is fitted on movies other than those it is for: probabilities that were
fitted to a movie's own truth always look calibrated on it.

References
----------
.. [1] Guo et al., "On Calibration of Modern Neural Networks", ICML 2017 (temperature scaling).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.optimize import minimize_scalar

from ...errors import CalibrationError
from ...solvers.posterior.graph import require_temperature
from ..metrics.calibration import FLOOR, answers, mean_nll
from .softmax import ParentProbabilities, softmax_over_parents

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ..metrics.calibration import ParentQuestions

COLDEST_TRIED: Final = 0.05
HOTTEST_TRIED: Final = 20.0
LEAST_DAUGHTERS: Final = 200
COARSE: Final = 9  # temperatures that are tried before the best of them is refined
PRECISION: Final = 1e-3  # of the logarithm of the temperature


@dataclass(frozen=True, slots=True)
class TemperatureFit:
    """A temperature and what it was fitted on.

    Parameters
    ----------
    temperature : float
        Within 0.05 .. 20.
    daughters, errors : int
        Daughters, and reports among them that were wrong.
    nll_before, nll_after : float
        Mean negative log likelihood of the true parents in nats, at temperature 1 and at this one.
    """

    temperature: float
    daughters: int
    errors: int
    nll_before: float
    nll_after: float

    @property
    def at_limit(self) -> bool:
        """Whether the best temperature may lie beyond those allowed: something else is wrong with the costs."""
        return not COLDEST_TRIED * 1.02 < self.temperature < HOTTEST_TRIED / 1.02


def fit_temperature(
    questions_at: Callable[[float], ParentQuestions], *, least: int = LEAST_DAUGHTERS
) -> TemperatureFit:
    """Return the temperature at which the true parents are likeliest.

    Parameters
    ----------
    questions_at : callable
        Questions with the probabilities that a method gives at a temperature; always the same daughters.
    least : int
        Fewest daughters that it is fitted to.

    Raises
    ------
    CalibrationError
        If there are fewer than `least` daughters: any temperature would fit by chance; or no errors: the lowest would.
    """
    plain = questions_at(1.0)
    errors = require_fittable(plain, least=least)

    def nll(log_temperature: float) -> float:
        return mean_nll(answers(questions_at(float(np.exp(log_temperature)))).true_probability)

    grid = np.linspace(np.log(COLDEST_TRIED), np.log(HOTTEST_TRIED), COARSE)
    best = int(np.argmin([nll(x) for x in grid.tolist()]))
    bounds = float(grid[max(best - 1, 0)]), float(grid[min(best + 1, COARSE - 1)])
    found = minimize_scalar(nll, bounds=bounds, method="bounded", options={"xatol": PRECISION})
    before = mean_nll(answers(plain).true_probability)
    if not found.fun < before:
        return TemperatureFit(1.0, len(plain), errors, before, before)
    return TemperatureFit(float(np.exp(found.x)), len(plain), errors, before, float(found.fun))


def require_fittable(questions: ParentQuestions, *, least: int = LEAST_DAUGHTERS) -> int:
    """Return how many reports are wrong, if that is enough to fit anything to.

    Raises
    ------
    CalibrationError
        If there are fewer than 200 daughters, or no errors.
    """
    n = len(questions)
    if n < least:
        raise CalibrationError(
            f"{n} daughters with a known parent are too few to fit to, {least} are needed",
            **{"try": "more movies with truth"},
        )
    errors = int(np.count_nonzero(~answers(questions).right))
    if not errors:
        raise CalibrationError(
            f"all {n} daughters have the parent that was reported: without an error no doubt can be fitted",
            **{"try": "movies that are harder to track, or fewer frames of these"},
        )
    return errors


def tempered(
    target: NDArray[np.int64], link: NDArray[np.float64], new: NDArray[np.float64], temperature: float
) -> ParentProbabilities:
    """Divide the logarithms of probabilities by a temperature, and make those of a daughter sum to 1 again.

    Parameters
    ----------
    target : (m,) int64
        Daughter of each candidate.
    link, new : (m,) and (n,) float64
        Probabilities of the candidates, and of having no mother; none is taken to be less than a millionth.
    temperature : float
        Larger is less sure.

    Raises
    ------
    ConfigError
        If the temperature is not a positive number.
    """
    require_temperature(temperature)
    if temperature == 1:
        return ParentProbabilities(link, new)
    cost, new_cost = (-np.log(np.maximum(p, FLOOR)) for p in (link, new))
    return softmax_over_parents(target, cost, len(new), temperature=temperature, new_cost=new_cost)
