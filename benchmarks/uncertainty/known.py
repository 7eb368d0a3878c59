"""Pairs of frames whose truth is drawn from the costs themselves: the right probabilities are those of the model."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
from methods import MODEL, Case, by_softmax, exactly, listed
from movies import APART

from trackdb.engine.metrics.calibration import NEW
from trackdb.testing.frame_pairs import frame_pair

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trackdb.solvers.problem import TrackingProblem

SIGMAS: Final = (0.15, 0.30)
"""Standard deviation of a step along each axis, in spacings of cells."""


def known_cases(*, cells: int, n_pairs: int, n_movies: int, assignments: int) -> Iterator[Case]:
    """Draw movies of frame pairs; their `step` is 1, and half of them are there to fit a temperature on."""
    for sigma in SIGMAS:
        for number in range(n_movies):
            problem, true = drawn(cells, sigma, n_pairs, seed=10_000 * number)
            at = {"SM": by_softmax(problem), "AS": listed(problem, assignments), "auto": exactly(problem)}
            role = ("design", "judge")[number % 2]
            yield Case(f"known {sigma:g} {number}", f"known {sigma:.2f}", role, MODEL, 1, problem, true, at)


def drawn(cells: int, sigma: float, n_pairs: int, *, seed: int) -> tuple[TrackingProblem, np.ndarray]:
    """Draw pairs of frames and lay them side by side in one problem; return it with each cell's true mother."""
    parts = [frame_pair(cells, sigma, seed + i) for i in range(n_pairs)]
    problems = [part.problem for part in parts]
    before = np.cumsum([0, *(p.n_nodes for p in problems)])[:-1]
    whole = replace(
        problems[0],
        frame=np.concatenate([p.frame + APART * i for i, p in enumerate(problems)]),
        source=np.concatenate([p.source + b for p, b in zip(problems, before, strict=True)]),
        target=np.concatenate([p.target + b for p, b in zip(problems, before, strict=True)]),
        edge_cost=np.concatenate([p.edge_cost for p in problems]),
        node_cost=np.concatenate([p.node_cost for p in problems]),
        appear_cost=np.concatenate([p.appear_cost for p in problems]),
        disappear_cost=np.concatenate([p.disappear_cost for p in problems]),
        division_cost=np.concatenate([p.division_cost for p in problems]),
        pinned_node=np.concatenate([p.pinned_node for p in problems]),
    )
    true = [
        np.concatenate([np.full(part.n_mothers, NEW), np.where(part.parent >= 0, part.parent + b, NEW)])
        for part, b in zip(parts, before, strict=True)
    ]
    return whole, np.concatenate(true)
