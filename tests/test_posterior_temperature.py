"""Temperature scaling: the temperature that data were drawn with is found again; too little truth is refused."""

import math

import numpy as np
import pytest

from trackdb.engine.metrics.calibration import NEW, ParentQuestions
from trackdb.engine.posterior.softmax import softmax_over_parents
from trackdb.engine.posterior.temperature import HOTTEST_TRIED, fit_temperature, require_fittable, tempered
from trackdb.errors import CalibrationError, ConfigError

TARGET = np.repeat(np.arange(3000), 3)


def drawn(temperature, n=3000, seed=0):
    """Costs of three candidates and "new" for n daughters, and mothers drawn from their softmax at a temperature."""
    rng = np.random.default_rng(seed)
    cost = rng.normal(0, 2, (n, 4))
    weight = np.exp(-cost / temperature)
    p = weight / weight.sum(axis=1, keepdims=True)
    true = (rng.random((n, 1)) > np.cumsum(p, axis=1)).sum(axis=1)
    best = cost.argmin(axis=1)
    option = [np.where(chosen == 3, NEW, 3 * np.arange(n) + chosen) for chosen in (best, true)]

    def questions_at(t):
        link = softmax_over_parents(TARGET[: 3 * n], cost[:, :3].ravel(), n, temperature=t, new_cost=cost[:, 3]).link
        return ParentQuestions(np.arange(n + 1) * 3, link, *option)

    return questions_at


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_of_the_data_is_found(temperature):
    fit = fit_temperature(drawn(temperature))
    assert fit.temperature == pytest.approx(temperature, rel=0.08)
    assert fit.nll_after <= fit.nll_before
    assert fit.daughters == 3000
    assert not fit.at_limit


def test_what_is_fitted_holds_on_other_movies():
    """At the temperature found, those of another movie are likelier than as the costs say."""
    fit, other = fit_temperature(drawn(3.0)), drawn(3.0, seed=5)
    assert fit_temperature(other).nll_before > fit_temperature(other).nll_after
    assert fit.temperature == pytest.approx(fit_temperature(other).temperature, rel=0.1)


def test_a_temperature_beyond_the_limits_is_told():
    rng = np.random.default_rng(0)
    option = [3 * np.arange(500) + rng.integers(0, 3, 500) for _ in range(2)]

    def at(t):
        cost = np.tile([0.0, 200.0, 400.0], 500)
        return ParentQuestions(
            np.arange(501) * 3, softmax_over_parents(TARGET[:1500], cost, 500, temperature=t).link, *option
        )

    fit = fit_temperature(at)
    assert fit.temperature == pytest.approx(HOTTEST_TRIED, rel=0.02)
    assert fit.at_limit


def test_too_few_daughters_are_refused():
    with pytest.raises(CalibrationError, match="199 daughters"):
        fit_temperature(drawn(1.0, n=199))


def test_movies_without_an_error_are_refused():
    right = drawn(1.0, n=300)(1.0)
    with pytest.raises(CalibrationError, match="without an error"):
        require_fittable(ParentQuestions(right.first, right.probability, right.true, right.true))


def test_tempering_softmax_is_softmax_of_divided_costs():
    rng = np.random.default_rng(1)
    target, cost, new = np.repeat(np.arange(5), 2), rng.normal(0, 1, 10), rng.normal(0, 1, 5)
    plain = softmax_over_parents(target, cost, 5, new_cost=new)
    warm = tempered(target, plain.link, plain.new, 2.5)
    divided = softmax_over_parents(target, cost, 5, temperature=2.5, new_cost=new)
    assert np.allclose(warm.link, divided.link)
    assert np.allclose(warm.new, divided.new)


def test_what_never_happened_is_taken_as_a_millionth():
    warm = tempered(np.array([0, 0]), np.array([1.0, 0.0]), np.array([0.0]), 2.0)
    assert warm.link[1] == pytest.approx(1e-3 / (1 + 2e-3))
    assert warm.link.sum() + warm.new.sum() == pytest.approx(1)


def test_frequencies_stay_as_they_are_at_temperature_1():
    assert tempered(np.array([0, 0]), np.array([1.0, 0.0]), np.array([0.0]), 1.0).link.tolist() == [1, 0]


@pytest.mark.parametrize("temperature", [0, -2, math.inf, math.nan])
def test_no_temperature_is_refused(temperature):
    with pytest.raises(ConfigError, match="positive"):
        tempered(np.array([0]), np.array([1.0]), np.array([0.0]), temperature)
