"""Compile the kernels that take longest, so that the workers of a test run find them compiled instead of each waiting.

Each is called by what calls it in earnest, so its arguments have the types that it meets there. Nothing is wrong if one
is missing here: the first test that needs it compiles it.
"""

import tempfile
from pathlib import Path

from trackdb.engine.ingest import ingest
from trackdb.engine.pipeline import solve
from trackdb.engine.simulation import Simulation, simulate
from trackdb.solvers import open_solver
from trackdb.solvers.linker import Linker
from trackdb.solvers.posterior.by_component import best_by_component
from trackdb.solvers.posterior.conditioning import OpenPosterior
from trackdb.solvers.posterior.draws import draw_selections
from trackdb.solvers.posterior.flips import flip_costs
from trackdb.solvers.posterior.gaps import min_marginals
from trackdb.solvers.posterior.marginals import estimate
from trackdb.solvers.posterior.product import best_assignments
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.testing.frame_pairs import frame_pair
from trackdb.testing.problems import crowded_movie, with_every_pair, with_hypotheses

from .movies import write_ctc


def compile_solvers() -> None:
    """Solve movies of each kind by each solver."""
    movie = crowded_movie(0, n_frames=4, per_frame=8)
    for problem in (movie, with_every_pair(movie, 0), with_hypotheses(movie, 0)):
        open_solver("ilp").solve(problem)
    open_solver("greedy").solve(movie)
    open_solver("lap").solve(movie)
    Linker(movie).pin_cell(0, -1)


def compile_posteriors() -> None:
    """Ask for the posterior of a movie by each method."""
    movie = crowded_movie(0, n_frames=4, per_frame=8)
    pair = frame_pair(30, 0.3, 0).problem
    for method in ("auto", "belief", "gibbs"):
        estimate(movie, method=method, width=2, sweeps=2)
    draw_selections(movie, 2)
    OpenPosterior(movie)
    flip_costs(movie)
    min_marginals(pair)
    best_assignments(pair, 5)
    best_by_component(pair, 5)


def compile_stages() -> None:
    """Measure cells in masks and images, tie and link them in a store, and simulate others."""
    with tempfile.TemporaryDirectory() as folder:
        store = DuckDBStore(Path(folder) / "movie.trackdb")
        ingest(write_ctc(Path(folder) / "movie", images=True), store)
        solve(store, store.detection_set())
    for ndim in (2, 3):
        for _ in simulate(Simulation(ndim=ndim, frames=2, cells=4, missed=0.2, split=0.2, merged=0.2, ragged_px=1)):
            pass


if __name__ == "__main__":
    compile_posteriors()
    compile_solvers()
    compile_stages()
