"""Calibrating on stores with truth: what is fitted is what the stored posterior says, and it is for other movies."""

import json

import numpy as np
import pytest

from trackdb.engine.config import Config, SolveConfig
from trackdb.engine.evaluate import evaluate
from trackdb.engine.ingest import ingest
from trackdb.engine.pipeline import solve
from trackdb.engine.posterior.calibrating import calibrate
from trackdb.engine.posterior.calibration_file import read_calibration
from trackdb.engine.posterior.problem import weighed
from trackdb.engine.posterior.stage import posterior
from trackdb.engine.posterior_config import PosteriorConfig
from trackdb.engine.progress import Silent
from trackdb.errors import CalibrationError, ConfigError, FormatError, MissingRowsError
from trackdb.solvers.problem import objective
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.posteriors import find_posterior

from .command_line import answer, run
from .movies import DIVIDING, copied, write_rows


def crowd(seed, n_frames=7, n_cells=50, step=2.0, ends=0.04):
    """Rows of cells that walk by a third of their spacing, end now and then, and are born elsewhere as often."""
    rng = np.random.default_rng(seed)
    side = 6.0 * n_cells**0.5
    place, parent, rows = rng.uniform(0, side, (n_cells, 2)), [""] * n_cells, []
    for t in range(n_frames):
        first = len(rows) + 1
        rows += [(t, *np.round(place[i], 3).tolist(), first + i, parent[i]) for i in range(n_cells)]
        place = place + rng.normal(0, step, place.shape)
        gone = rng.random(n_cells) < ends
        place[gone] = rng.uniform(0, side, (np.count_nonzero(gone), 2))
        parent = ["" if gone[i] else first + i for i in range(n_cells)]
    return rows


def solved_store(folder, name, rows):
    store = DuckDBStore(folder / f"{name}.trackdb")
    ingest(write_rows(folder / f"{name}.csv", rows, header=DIVIDING), store)
    solve(store, store.detection_set(), Config(solve=SolveConfig(cost="density")))
    return store


@pytest.fixture(scope="module")
def crowds(tmp_path_factory):
    """Three stores of crowds with truth and a solution; they are copied, never written."""
    folder = tmp_path_factory.mktemp("crowds")
    return [solved_store(folder, f"crowd{seed}", crowd(seed)) for seed in range(3)]


@pytest.fixture
def stores(crowds, tmp_path):
    """Copies of the three."""
    return [DuckDBStore(copied(store.path, tmp_path / store.path.name)) for store in crowds]


def movies(stores):
    return [(store, *store.find_solution()) for store in stores]


def test_what_is_fitted_is_what_the_stored_posterior_says(stores, tmp_path):
    """At temperature 1 and at the fitted one the likelihood is that which `evaluate` finds of stored probabilities."""
    report = calibrate(movies(stores[:1]), tmp_path / "cal.toml", methods=["SM", "auto"])
    assert report.daughters > 200
    assert 0 < report.errors < report.daughters
    for method, fit in report.fits.items():
        for temperature, nll in ((1.0, fit.nll_before), (fit.temperature, fit.nll_after)):
            chosen, info = stores[0].find_solution()
            posterior(stores[0], chosen, info, Config(posterior=PosteriorConfig(method, temperature=temperature)))
            found = evaluate(stores[0], chosen, info).calibration
            assert found.with_new.nll == pytest.approx(nll, abs=1e-4)
            assert (found.with_new.daughters, found.with_new.errors) == (report.daughters, report.errors)
            assert found.asked.candidate_recall == report.candidate_recall
        assert fit.nll_after <= fit.nll_before


def test_the_temperature_is_for_other_movies(stores, tmp_path):
    file = tmp_path / "cal.toml"
    told = answer("calibrate", stores[0].path, stores[1].path, "-o", file, "--method", "softmax")
    assert read_calibration(file).temperature == {"softmax": told["temperature"]["softmax"]["temperature"]}
    assert [movie["dataset"] for movie in told["movies"]] == ["crowd0", "crowd1"]
    assert sum(movie["daughters"] for movie in told["movies"]) == told["daughters"]
    asked = ("--temperature", "auto", "--calibration", file)
    made = answer("posterior", stores[2].path, "--method", "softmax", *asked)
    assert made["calibrated"]
    assert made["temperature"] == told["temperature"]["softmax"]["temperature"]
    assert find_posterior(stores[2])[2].calibrated
    assert "no temperature for the method auto" in run("posterior", stores[2].path, *asked, code=1).stderr
    own = run("posterior", stores[1].path, "--method", "softmax", *asked, code=1)
    assert "fitted on crowd1 itself" in own.stderr
    both = run("posterior", stores[2].path, "--temperature", "2", "--calibration", file, code=2)
    assert "one of them" in both.stderr


def test_the_settings_may_name_the_calibration(stores, tmp_path):
    file = tmp_path / "cal.toml"
    run("calibrate", stores[0].path, "-o", file)
    (stores[2].path / "trackdb.toml").write_text(f'[posterior]\ncalibration = "{file}"\n')
    assert answer("posterior", stores[2].path)["calibrated"]
    plain = answer("posterior", stores[2].path, "--temperature", "1")
    assert (plain["calibrated"], plain["temperature"]) == (False, 1.0)


def test_every_method_gets_a_temperature(stores, tmp_path):
    config = Config(posterior=PosteriorConfig(draws=4, k=20))
    methods = ["FP", "FP+A", "AS", "belief"]
    report = calibrate(movies(stores[:1]), tmp_path / "cal.toml", methods=methods, config=config)
    assert list(report.fits) == ["perturb", "perturb-assign", "topk", "belief"]
    assert all(fit.nll_after <= fit.nll_before for fit in report.fits.values())
    # lists and few draws are too sure of themselves: they want to be warmer
    assert report.fits["topk"].temperature > 1
    assert report.fits["perturb-assign"].temperature > 1


def test_costs_are_learned_where_asked(stores, tmp_path):
    file = tmp_path / "cal.toml"
    done = run("calibrate", stores[0].path, stores[1].path, "-o", file, "--costs", "--method", "softmax", "--json")
    told = json.loads(done.stdout)
    assert "the truth knows no division: what one costs was not learned and kept" in done.stderr
    assert (told["costs"]["divisions"], told["costs"]["shifts"]["division"]) == (0, 0)
    assert told["costs"]["error"]["division"] is None
    assert told["costs"]["nll_after"] <= told["costs"]["nll_before"] + 0.01
    assert read_calibration(file).costs.appear == told["costs"]["shifts"]["appear"]


def test_learned_costs_are_those_of_solution_and_posterior(stores, tmp_path):
    """The solution with them is proven, priced again alike for its posterior, and another one than without."""
    file = tmp_path / "cal.toml"
    report = calibrate(movies(stores[:2]), file, methods=["softmax"], costs=True)
    store = stores[2]
    run("solve", store.path, "--calibration", file, "--name", "learned")
    chosen, info = store.find_solution(name="learned")
    assert info.proven
    movie = weighed(store, chosen, info, Config(), Silent())
    ids = store.solution(info).edge
    again = objective(movie.problem, np.isin(movie.edges.id, ids), np.ones(len(movie.detections), bool))
    assert again == info.objective
    plain = weighed(store, *store.find_solution(name="ilp-1"), Config(), Silent()).problem
    shifts = report.learned.shifts
    assert movie.problem.edge_cost == pytest.approx(plain.edge_cost / shifts.temperature)
    later = movie.detections.frame > 0
    assert movie.problem.appear_cost[later] == pytest.approx(plain.appear_cost[later] + shifts.appear)


def test_learned_costs_are_refused_where_they_do_not_hold(stores, tmp_path):
    file, plain = tmp_path / "cal.toml", tmp_path / "plain.toml"
    calibrate(movies(stores[:1]), file, methods=["softmax"], costs=True)
    calibrate(movies(stores[:1]), plain, methods=["softmax"])
    missing, folder = (run("solve", stores[2].path, "--calibration", f, code=2) for f in (tmp_path / "none", tmp_path))
    assert "there is no such file" in missing.stderr
    assert "it is a folder" in folder.stderr
    asked = ("solve", stores[2].path, "--calibration")
    assert "fitted on crowd0 itself" in run("solve", stores[0].path, "--calibration", file, code=1).stderr
    assert "holds no costs" in run(*asked, plain, code=1).stderr
    assert "cannot be read" in run(*asked, tmp_path / "none.toml", code=2).stderr
    assert "no window" in run(*asked, file, "--window", "3", code=2).stderr
    assert "goes by distance" in run(*asked, file, "--lap", code=2).stderr


def test_too_little_truth_is_refused_in_words(tmp_path):
    few = solved_store(tmp_path, "few", crowd(5, n_frames=3))
    said = run("calibrate", few.path, "-o", tmp_path / "cal.toml", code=1)
    assert "daughters with a known parent are too few to fit to, 200 are needed" in said.stderr
    easy = solved_store(tmp_path, "easy", crowd(5, step=0.01, ends=0.0))
    with pytest.raises(CalibrationError, match="without an error no doubt can be fitted"):
        calibrate(movies([easy]), tmp_path / "cal.toml")
    with pytest.raises(MissingRowsError, match=r"easy\S* holds no solution named nobody"):
        calibrate(movies([easy]), tmp_path / "cal.toml", against="nobody")
    assert not (tmp_path / "cal.toml").exists()


def test_a_movie_twice_other_scores_and_files_that_are_there_are_refused(stores, tmp_path):
    file = tmp_path / "cal.toml"
    with pytest.raises(ConfigError, match="nothing to calibrate on"):
        calibrate([], file)
    with pytest.raises(ConfigError, match="crowd0 stands twice"):
        calibrate(movies([stores[0], stores[0]]), file, methods=["softmax"])
    with pytest.raises(ConfigError, match="no method 'hope'"):
        calibrate(movies(stores[:1]), file, methods=["hope"])
    file.touch()
    with pytest.raises(FormatError, match="exists already"):
        calibrate(movies(stores[:1]), file)


def test_the_learned_cost_gets_a_temperature_and_its_costs_are_not_shifted(stores, tmp_path):
    solve(stores[0], stores[0].detection_set(), Config(solve=SolveConfig(cost="learned")), name="by-learned")
    report = calibrate([(stores[0], *stores[0].find_solution(name="by-learned"))], tmp_path / "cal.toml")
    assert set(report.fits) == {"auto", "softmax"}
    assert all(0.05 < fit.temperature < 20 for fit in report.fits.values())
    said = run("calibrate", stores[0].path, "--solution", "by-learned", "--costs", "-o", tmp_path / "no.toml", code=1)
    assert "priced as pairs" in said.stderr
    assert "solve --simple" in said.stderr
