"""Simulated movies for several test files: settings of all kinds, and what is measured in what they give."""

import numpy as np
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from trackdb.engine.simulation import Simulation
from trackdb.engine.simulation.life import live

RATE = st.floats(0, 0.3)


@st.composite
def simulations(draw) -> Simulation:
    """Small simulations of any kind."""
    ndim = draw(st.sampled_from([2, 2, 3]))
    return Simulation(
        ndim=ndim,
        frames=draw(st.integers(1, 10)),
        cells=draw(st.integers(1, 15)),
        density=draw(st.one_of(st.none(), st.floats(0.05, 1))),
        radius_px=draw(st.one_of(st.none(), st.floats(1, 8))),
        division_rate=draw(st.floats(0, 0.5)),
        death_rate=draw(RATE),
        motion=draw(st.floats(0, 1.5)),
        drift=draw(st.sampled_from([0, 0, 0.5])),
        open_borders=draw(st.booleans()),
        missed=draw(RATE),
        false=draw(st.floats(0, 1)),
        merged=draw(RATE) / 2,
        split=draw(RATE),
        ragged_px=draw(st.floats(0, 2)),
        scale_um=draw(st.sampled_from([None, (1.5, 0.5, 0.5)[-ndim:], (5.0, 0.25, 0.5)[-ndim:]])),
        modality="nuclei" if ndim == 3 else draw(st.sampled_from(["nuclei", "phase"])),
        condition=draw(st.sampled_from(["a", "b"])),
        seed=draw(st.integers(0, 2**40)),
    )


def steps_and_spacings(settings: Simulation) -> tuple[np.ndarray, np.ndarray]:
    """Return the steps (k, d) of cells along their tracks, and the distances of nearest neighbours, of shown cells."""
    steps, spacings, before = [], [], None
    for scene in live(settings):
        shown = scene.track > 0
        track, position = scene.track[shown], scene.position[shown]
        spacings.append(np.asarray(cKDTree(position).query(position, k=2)[0])[:, 1])
        if before is not None:
            _, old, new = np.intersect1d(before[0], track, return_indices=True)
            steps.append(position[new] - before[1][old])
        before = track, position
    return np.concatenate(steps), np.concatenate(spacings)


def within_binomial(count: int, n: int, rate: float) -> bool:
    """Return whether a count of n trials is one that a rate gives in all but one of 15,000 cases."""
    return abs(count - n * rate) <= 4 * np.sqrt(n * rate * (1 - rate)) + 1e-9
