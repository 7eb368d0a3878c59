"""The uncertainty experiment at its smallest size: simulated movies, and frames whose right probabilities are known."""

import csv
import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

pytest.importorskip("matplotlib", reason="figures need the extra `plot`")

ROOT = Path(__file__).parents[1]
FIGURES = ("ece.svg", "gain.svg", "reliability.svg")
METHODS = {"SM", "FP", "FP+A", "AS", "auto"}

pytestmark = pytest.mark.slow


def run(out: Path, *options: str) -> None:
    """Run the smallest size; the real movies are not there for it."""
    command = [sys.executable, "benchmarks/uncertainty", "--smallest", "--out", str(out), *options]
    env = os.environ | {"TRACKDB_DATA": str(out / "nowhere")}
    subprocess.run(command, cwd=ROOT, env=env, check=True, capture_output=True, text=True)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("uncertainty")
    run(folder)
    return folder


@pytest.fixture(scope="module")
def rows(out):
    with (out / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def figure(rows, measure, **which):
    """Return a measure of the rows that are asked for."""
    found = [float(row[measure]) for row in rows if all(row[k] == str(v) for k, v in which.items())]
    assert found, which
    return found


def test_every_base_tracker_meets_every_method_and_every_resolution(rows):
    met = defaultdict(set)
    for row in rows:
        if row["kind"] == "simulated":
            met[row["tracker"], row["step"]].add(row["method"])
    assert met == {
        (tracker, step): {"auto"} if tracker == "trackdb" else METHODS
        for tracker in ("distance", "overlap", "activity", "activity, exact", "trackdb")
        for step in ("1", "4")
    }


def test_no_temperature_is_fitted_on_a_movie_that_it_is_for(out, rows):
    fitted_on = {m for fit in json.loads((out / "fits.json").read_text())["temperatures"] for m in fit["movies"]}
    scaled = {row["movie"] for row in rows if row["scaled"] == "True"}
    assert fitted_on
    assert scaled
    assert not fitted_on & scaled


def test_methods_differ_in_doubt_and_not_in_what_they_report(rows):
    errors = defaultdict(set)
    for row in rows:
        errors[row["movie"], row["step"], row["tracker"]].add((row["daughters"], row["errors"], row["recall"]))
    assert all(len(same) == 1 for same in errors.values())


def test_known_probabilities_are_calibrated_by_auto_and_by_no_list_or_softmax(rows):
    for kind, floor in (("known 0.15", 0.03), ("known 0.30", 0.05)):
        [auto], [listed], [softmax] = (
            figure(rows, "ece", kind=kind, role="judge", method=m, scaled=False) for m in ("auto", "AS", "SM")
        )
        assert auto <= floor
        assert auto < listed
        assert auto < softmax


def test_known_probabilities_need_no_temperature(out):
    for fit in json.loads((out / "fits.json").read_text())["temperatures"]:
        if fit["kind"].startswith("known") and fit["method"] == "auto":
            assert 0.85 < fit["temperature"] < 1.2


@pytest.mark.parametrize("method", ["SM", "FP+A", "auto"])
def test_temperatures_of_other_movies_lower_the_nll_where_costs_are_too_sure(rows, method):
    case = {"kind": "simulated", "tracker": "distance", "role": "judge", "step": 4, "method": method}
    [plain], [scaled] = (figure(rows, "nll", scaled=s, **case) for s in (False, True))
    assert scaled < plain


def test_the_same_results_give_the_same_files(tmp_path):
    once, again = tmp_path / "once", tmp_path / "again"
    for folder in (once, again):
        run(folder, "--kinds", "known")
    for file in sorted(once.iterdir()):
        assert file.read_bytes() == (again / file.name).read_bytes(), file.name


def test_earlier_runs_are_told_as_one(out, tmp_path):
    run(tmp_path, "--of", str(out))
    for name in ("results.csv", "fits.json", "curves.json"):
        assert (tmp_path / name).read_bytes() == (out / name).read_bytes(), name


def test_figures_are_drawn(out):
    assert all("<svg" in (out / name).read_text() for name in FIGURES)


def test_a_transformer_is_one_more_base_tracker(tmp_path):
    pytest.importorskip("torch", reason="needs PyTorch: pip install -c constraints.txt '.[models]'")
    from .test_networks import write_model

    model = write_model(tmp_path / "small")
    run(tmp_path, "--kinds", "simulated", "--model", str(model), "--model-draws", "2", "--trackers", "transformer")
    with (tmp_path / "results.csv").open(newline="") as file:
        met = {(row["tracker"], row["method"]) for row in csv.DictReader(file)}
    assert met == {("transformer", method) for method in METHODS}
    assert json.loads((tmp_path / "fits.json").read_text())["about"]["effort"]["model"] == "small"
