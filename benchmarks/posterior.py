"""The posterior of frame pairs whose truth is drawn from the model: time, distance to the truth, and how it is known.

Run: NUMBA_NUM_THREADS=1 python benchmarks/posterior.py [PART ...], all parts if none is named.

``marginals``: CPU time of estimate by method, 100 to 10,000 cells, at a step of .15 and .30 of the spacing of cells,
and what share of the links is known how. ``reference``: total variation of the parents of each daughter to the exact
marginals where these can be had, else to long chains of blocks (`--sweeps`), whose own distance from others is told.
``crowded``: the same distances of 10,000 cells at .30, their largest too, to two times two chains.
``calibration``: expected calibration error and log score on 8 frames of 1,000 cells. ``decisions``: one decision and
the pieces it touches, of 10,000 cells. ``review``: one answer and the new list of questions, of 10,000 cells.
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from measure import cpu_of, head, median_ms, row

from trackdb.engine.review.live import OpenReview, Reported
from trackdb.errors import SolverError
from trackdb.solvers.pins import Pins, pin
from trackdb.solvers.posterior.conditioning import OpenPosterior
from trackdb.solvers.posterior.marginals import Marginals, estimate
from trackdb.solvers.posterior.outcomes import HowWeighed
from trackdb.testing.frame_pairs import FramePair, frame_pair

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIGMAS = (0.15, 0.30)
SIZES = (100, 1_000, 10_000)
BINS = 15
FRAMES = 8
LEAST = 1e-6  # of the probability of the truth in the log score


def shares(found: Marginals) -> str:
    """Return which share of the links is known how."""
    count = np.bincount(found.how, minlength=len(HowWeighed)) / max(len(found.how), 1)
    return ", ".join(f"{how.name.lower()} {count[how]:.0%}" for how in HowWeighed if count[how])


def total_variation(pair: FramePair, one: Marginals, other: Marginals) -> float:
    """Return the mean total variation of the parents of each daughter, "new" included."""
    n = pair.problem.n_nodes
    apart = np.bincount(pair.problem.target, np.abs(one.link - other.link), n) + np.abs(one.new - other.new)
    return float(apart[pair.n_mothers :].mean() / 2)


def marginals() -> None:
    """Print what the marginals cost."""
    head("step / spacing", "cells", "method", "CPU s", "times that of a tenth of the cells", "known")
    for sigma in SIGMAS:
        before: dict[str, float] = {}
        for n in SIZES:
            problem = frame_pair(n, sigma, 0).problem
            for method in ("auto", "belief"):
                work = partial(estimate, problem, method=method)
                found = work()
                cpu_s = median_ms(cpu_of(work, 5)) / 1000
                ratio = f"{cpu_s / before[method]:.1f}" if method in before else ""
                before[method] = cpu_s
                row(sigma, f"{n:,}", method, f"{cpu_s:.4f}", ratio, shares(found))


def reference(sweeps: int) -> None:
    """Print how far each method is from the truth."""
    head("step / spacing", "cells", "method", "mean total variation", "reference", "known")
    for sigma in SIGMAS:
        for n in SIZES[:2]:
            pair = frame_pair(n, sigma, 0)
            try:
                true, name = estimate(pair.problem, method="exact"), "exact"
            except SolverError:
                true = estimate(pair.problem, method="gibbs", sweeps=sweeps, seed=1)
                other = estimate(pair.problem, method="gibbs", sweeps=sweeps, seed=2)
                apart = total_variation(pair, true, other)
                name = f"two chains of {sweeps} sweeps; {apart:.4f} from two others"
            for label, options in (
                ("auto", {}),
                ("auto, width 3", {"width": 3}),
                ("belief", {"method": "belief"}),
                ("gibbs, 50 sweeps", {"method": "gibbs", "sweeps": 50, "width": 3}),
            ):
                found = estimate(pair.problem, **options)
                row(sigma, f"{n:,}", label, f"{total_variation(pair, found, true):.4f}", name, shares(found))


def apart(pair: FramePair, one: Marginals, link: NDArray[np.float64], new: NDArray[np.float64]) -> str:
    """Return mean, 99th percentile and maximum over daughters of the total variation to these probabilities."""
    problem = pair.problem
    both = np.bincount(problem.target, np.abs(one.link - link), problem.n_nodes) + np.abs(one.new - new)
    each = both[pair.n_mothers :] / 2
    return f"{each.mean():.4f} / {np.quantile(each, 0.99):.3f} / {each.max():.3f}"


def crowded(sweeps: int) -> None:
    """Print how far 10,000 crowded cells are from long chains, and these from each other."""
    head("method", "total variation: mean / 99% / largest", "known")
    pair = frame_pair(10_000, 0.30, 0)
    one, other = (estimate(pair.problem, method="gibbs", sweeps=sweeps, seed=seed) for seed in (1, 2))
    link, new = (one.link + other.link) / 2, (one.new + other.new) / 2
    for method in ("auto", "belief"):
        found = estimate(pair.problem, method=method)
        row(method, apart(pair, found, link, new), shares(found))
    row(f"two chains of {sweeps} sweeps, to two others", apart(pair, one, other.link, other.new), shares(one))


def classes(pair: FramePair, found: Marginals) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the probability of each parent of each daughter, "new" last, and which of them is true."""
    problem, n = pair.problem, len(pair.parent)
    order = np.argsort(problem.target, kind="stable")
    daughter = problem.target[order] - pair.n_mothers
    rank = np.arange(len(order)) - np.searchsorted(daughter, daughter)
    p = np.zeros((n, int(rank.max()) + 2))
    true = np.zeros(p.shape, dtype=bool)
    p[daughter, rank] = found.link[order]
    true[daughter, rank] = problem.source[order] == pair.parent[daughter]
    p[:, -1] = found.new[pair.n_mothers :]
    true[:, -1] = pair.parent < 0
    return p, true


def calibration() -> None:
    """Print how well confidence foretells accuracy, and the log score beside that of the exact posterior."""
    head("step / spacing", "method", "accuracy", "ECE", "log score")
    for sigma in SIGMAS:
        pairs = [frame_pair(1_000, sigma, seed) for seed in range(FRAMES)]
        for label, options in (
            ("auto", {}),
            ("auto, width 3", {"width": 3}),
            ("belief", {"method": "belief"}),
        ):
            confidence, right, score = [], [], []
            for pair in pairs:
                p, true = classes(pair, estimate(pair.problem, **options))
                best = p.argmax(axis=1)
                confidence.append(p.max(axis=1))
                right.append(true[np.arange(len(p)), best])
                score.append(-np.log(np.maximum((p * true).sum(axis=1), LEAST)))
            sure, hit = np.concatenate(confidence), np.concatenate(right)
            bins = np.minimum((sure * BINS).astype(int), BINS - 1)
            ece = np.abs(np.bincount(bins, hit, BINS) - np.bincount(bins, sure, BINS)).sum() / len(bins)
            row(sigma, label, f"{hit.mean():.3f}", f"{ece:.4f}", f"{np.concatenate(score).mean():.4f}")


def decisions() -> None:
    """Print what it costs to open a posterior, and to follow a decision."""
    head("step / spacing", "cells", "opening, CPU s", "decision, ms: median", "95%", "largest")
    for sigma in SIGMAS:
        problem = frame_pair(10_000, sigma, 0).problem
        OpenPosterior(frame_pair(100, sigma, 0).problem).begins(150)
        opening = median_ms(cpu_of(partial(OpenPosterior, problem), 3)) / 1000
        found = OpenPosterior(problem)
        spent = []
        entropy = -found.link * np.log(np.maximum(found.link, LEAST))
        for link in np.argsort(-entropy)[:200]:
            spent += cpu_of(partial(found.reject, int(link)), 1)
            found.undo()
        ms = np.sort(np.asarray(spent)) * 1000
        row(sigma, "10,000", f"{opening:.3f}", f"{np.median(ms):.2f}", f"{np.quantile(ms, 0.95):.2f}", f"{ms[-1]:.2f}")


def opened(pair: FramePair) -> OpenReview:
    """Return an open review of a frame pair that nobody was asked about, compared with the likeliest links."""
    problem = pair.problem
    n = problem.n_nodes
    likely = estimate(problem).link > 0.5
    no_pins = Pins(np.zeros(problem.n_edges, dtype=np.int8), np.zeros(n, dtype=np.int8))
    every, none = np.ones(n, dtype=bool), np.zeros(n, dtype=bool)
    reported = Reported("posterior", "solution", problem.source[likely], problem.target[likely], every, none)
    return OpenReview(pin(problem, no_pins), np.arange(n), reported)


def review() -> None:
    """Print what an answer costs with the list that follows it."""
    head("step / spacing", "cells", "list by", "answer and list, ms: median", "95%", "largest")
    for sigma in SIGMAS:
        for by in ("entropy", "margin", "degree", "error-reduction"):
            found = opened(frame_pair(10_000, sigma, 0))
            spent = []
            for item in found.uncertain(200, by="entropy"):
                found.uncertain(by=by)  # what was there before the answer
                if not spent:  # what is compiled is loaded
                    found.choose(item.cell, item.outcomes[0].daughters)
                    found.uncertain(by=by)
                    found.undo()
                    found.uncertain(by=by)
                start = time.process_time()
                found.choose(item.cell, item.outcomes[0].daughters)
                found.uncertain(by=by)
                spent.append(time.process_time() - start)
                found.undo()
            ms = np.sort(np.asarray(spent)) * 1000
            figures = np.median(ms), np.quantile(ms, 0.95), ms[-1]
            row(sigma, "10,000", by, *(f"{value:.2f}" for value in figures))


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument(
        "parts", nargs="*", default=["marginals", "reference", "crowded", "calibration", "decisions", "review"]
    )
    options.add_argument("--sweeps", type=int, default=600, help="of the chains that stand for the truth")
    given = options.parse_args()
    parts = {
        "marginals": marginals,
        "reference": partial(reference, given.sweeps),
        "crowded": partial(crowded, given.sweeps),
        "calibration": calibration,
        "decisions": decisions,
        "review": review,
    }
    for part in given.parts:
        parts[part]()
        print()
