"""The learned model knows again what a simulation was told: rates, steps, drift and persistence, to stated errors."""

import numpy as np
import pytest

from trackdb.engine.candidates import link_nearest
from trackdb.engine.costs.learned import learn
from trackdb.engine.simulation import Simulation, simulate_points
from trackdb.engine.simulation.life import live
from trackdb.testing.movies import cells


@pytest.mark.parametrize("ndim", [2, 3])
def test_rates_and_steps_are_those_of_the_simulation(ndim):
    """Eight thousand Brownian cells: rates are held against what was drawn, steps against a mean square of 1."""
    points = simulate_points(40, 200, 3, ndim=ndim, spacing=8.0, division_rate=0.01, missed=0.03, false=0.03)
    movie = cells(points.frame, points.position_px, (1.0,) * ndim)
    model = learn(movie, link_nearest(movie, max_gap=1)).model
    source, target = points.links
    children = np.bincount(source)
    gap = points.frame[target] - points.frame[source] == 2
    assert model.rates.division == pytest.approx((children == 2).sum() / (children > 0).sum(), abs=0.001)
    assert model.rates.miss == pytest.approx(gap.mean(), abs=0.004)
    assert model.rates.false == pytest.approx((points.track == 0).mean(), abs=0.003)
    variance = np.trace(model.motion.scale[3]) * model.motion.freedom / (model.motion.freedom - 2)
    assert variance == pytest.approx(1, rel=0.06)
    assert model.motion.growth == pytest.approx(2, abs=0.25)  # Brownian: variances add up


@pytest.mark.parametrize("drift", [0.0, 0.3])
def test_drift_and_persistence_are_those_of_the_simulation(drift):
    """Steps that keep 0.6 of the last one: given the steps before and after, each tells 0.6 / (1 + 0.36) = 0.44."""
    told = Simulation(
        frames=30, cells=150, motion=0.1, persistence=0.6, drift=drift, division_rate=0.0, death_rate=0.0, density=0.1,
        seed=4,
    )  # fmt: skip
    scenes = [scene.position for scene in live(told)]
    movie = cells(np.repeat(np.arange(30), [len(s) for s in scenes]), np.concatenate(scenes), (1.0, 1.0))
    motion = learn(movie, link_nearest(movie, max_gap=1)).model.motion
    assert motion.coefficient[3, 1:3] == pytest.approx([0.44, 0.44], abs=0.05)
    if drift:
        assert motion.coefficient[3, 0] == pytest.approx(1, abs=0.03)
