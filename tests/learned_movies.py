"""Sheets of cells for the learned model: they drift, jitter and divide; some are missed, some points are no cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trackdb.engine.candidates import link_nearest
from trackdb.engine.costs.learned import learn
from trackdb.engine.costs.learned.lineage import Lineage
from trackdb.solvers import open_solver
from trackdb.testing.movies import cells

SPACING = 10.0


@dataclass(frozen=True)
class Sheet:
    """Detections, true links as rows (over a missed cell the link of those around it), and which points are cells."""

    detections: object
    link: np.ndarray
    real: np.ndarray

    @property
    def divisions(self):
        return int((np.bincount(self.link[:, 0]) == 2).sum())


def sheet(
    seed,
    *,
    n_frames=15,
    side=8,
    ndim=2,
    step=0.6,
    drift=(0.0, 0.0),
    division=0.0,
    missed=0.0,
    false=0.0,
    frames=None,
):
    """Cells on a jittered grid, 10 um apart; daughters part by 7 um around their mother.

    `frames` gives each frame another number.
    """
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.arange(side)] * ndim, indexing="ij"), axis=-1).reshape(-1, ndim)
    place = SPACING * (grid + rng.uniform(-0.25, 0.25, grid.shape))
    parent = np.full(len(place), -1)
    drift = np.resize(np.asarray(drift, dtype=float), ndim)
    rows, frame, link, real, row_of = [], [], [], [], np.full(0, -1)
    count = 0
    for t in range(n_frames):
        if t:
            splits = rng.random(len(place)) < division
            axis = rng.normal(size=(len(place), ndim))
            axis *= 3.5 / np.linalg.norm(axis, axis=1)[:, None]
            before, row_before = place, row_of
            place = np.concatenate([before + np.where(splits[:, None], axis, 0), before[splits] - axis[splits]])
            place = place + drift + rng.normal(0, step, place.shape)
            parent = row_before[np.concatenate([np.arange(len(before)), np.flatnonzero(splits)])]
        seen = rng.random(len(place)) >= missed
        row = count + np.cumsum(seen) - 1
        link += [np.c_[parent[seen], row[seen]][parent[seen] >= 0]]
        row_of = np.where(seen, row, parent)
        n_false = rng.binomial(len(place), false)
        rows += [place[seen], rng.uniform(place.min(axis=0), place.max(axis=0), (n_false, ndim))]
        frame += [t] * (int(seen.sum()) + n_false)
        real += [True] * int(seen.sum()) + [False] * n_false
        count = len(frame)
    number = np.asarray(frame) if frames is None else np.asarray(frames)[frame]
    return Sheet(cells(number, np.concatenate(rows), (1.0,) * ndim), np.concatenate(link), np.asarray(real))


def tracked(detections, *, max_gap=1, **options):
    """Learn and solve: what was learned, the candidates, and the selection."""
    edges = link_nearest(detections, max_gap=max_gap)
    learned = learn(detections, edges, **options)
    return learned, edges, open_solver("ilp").solve(learned.problem(detections, edges))


def linked(edges, selection):
    """Return the links of a selection as a set of pairs of rows."""
    return set(zip(edges.source[selection.edge].tolist(), edges.target[selection.edge].tolist(), strict=True))


def f1(sheet, edges, selection):
    """Return the F1 score of the links."""
    found, true = linked(edges, selection), set(map(tuple, sheet.link.tolist()))
    return 2 * len(found & true) / (len(found) + len(true))


def lineage(links, n, *, others=()):
    """A lineage of n cells with these links (source, target), among other candidates that it did not take."""
    source, target = np.array(sorted([*links, *others])).T
    taken, (first, second) = {tuple(link) for link in links}, np.full((2, n), -1)
    for row, u in enumerate(source):
        if (u, target[row]) not in taken:
            continue
        if first[u] < 0:
            first[u] = row
        else:
            second[u] = row
    return Lineage(first, second, np.ones(n, dtype=bool), source, target)
