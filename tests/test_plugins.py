"""A package of somebody else: installed, held to the published contracts, and used from the command line."""

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import trackdb
from trackdb.engine.scorers import Scores, ScoreScale, open_scorer
from trackdb.errors import ConfigError, InfeasibleError
from trackdb.solvers import OWN_SOLVERS, open_solver
from trackdb.solvers.problem import Selection, objective
from trackdb.testing import LAWS, SolverContract
from trackdb.testing.solver_contract import PROBLEMS

from .command_line import answer, refusal
from .movies import write_ctc

EXAMPLE = Path(__file__).parents[1] / "examples" / "plugin"


class TestContractOfSolvers(SolverContract):
    """What is published holds for the solvers of the house."""

    @pytest.fixture(params=[name for name in OWN_SOLVERS if name != "motile"])
    def solver(self, request):
        return open_solver(request.param)


class Wrong:
    """A solver that is right but for one thing."""

    def solve(self, problem):
        return self.spoil(problem, open_solver("ilp").solve(problem))


class TellsLess(Wrong):
    def spoil(self, problem, chosen):
        return replace(chosen, objective=chosen.objective - 1, lower_bound=chosen.lower_bound - 1)


class ProvesNothing(Wrong):
    def spoil(self, problem, chosen):
        return replace(chosen, lower_bound=chosen.objective - 1, proven=True)


class ClaimsAProof(Wrong):
    def solve(self, problem):
        chosen = open_solver("greedy").solve(problem)
        return replace(chosen, lower_bound=chosen.objective, proven=True)


class TakesWhatIsForbidden(Wrong):
    def solve(self, problem):
        return open_solver("ilp").solve(replace(problem, pinned_node=np.zeros_like(problem.pinned_node)))


class GoesByTheOrderOfEdges(Wrong):
    def spoil(self, problem, chosen):
        edge = chosen.edge & (np.arange(problem.n_edges) != problem.n_edges // 2)
        return Selection(edge, chosen.node, objective(problem, edge, chosen.node), -np.inf, proven=False)


@pytest.mark.parametrize(
    ("wrong", "law"),
    [
        (TellsLess, "its_selection_is_feasible_and_priced_right"),
        (ProvesNothing, "its_bound_never_lies_above_the_objective"),
        (ClaimsAProof, "no_selection_is_cheaper_than_its_bound"),
        (TakesWhatIsForbidden, "forbidden_detections_are_not_used"),
        (GoesByTheOrderOfEdges, "the_order_of_the_edges_does_not_matter"),
    ],
)
def test_the_contract_finds_a_solver_that_breaks_it(wrong, law):
    (tried,) = (known for known in LAWS if known.__name__ == law)

    def on_all_problems():
        for problem in PROBLEMS.values():
            tried(wrong(), problem())

    with pytest.raises((AssertionError, InfeasibleError)):
        on_all_problems()


def wheel_of(project, folder):
    """Pack a project of single files as a wheel, as setuptools would: no build tool is needed, and no network."""
    told = tomllib.loads((project / "pyproject.toml").read_text())
    name, version = told["project"]["name"].replace("-", "_"), told["project"]["version"]
    points = told["project"]["entry-points"]
    groups = ["\n".join([f"[{group}]", *(f"{k} = {v}" for k, v in points[group].items())]) for group in points]
    info, path = f"{name}-{version}.dist-info", folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for module in told["tool"]["setuptools"]["py-modules"]:
            wheel.write(project / f"{module}.py", f"{module}.py")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/entry_points.txt", "\n".join(groups) + "\n")
        wheel.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A function that runs Python where the example is installed, outside the tree."""
    folder = tmp_path_factory.mktemp("plugin")
    site, outside = folder / "site", folder / "project"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check"]
    subprocess.run([*pip, "--target", site, wheel_of(EXAMPLE, folder)], check=True)
    shutil.copytree(EXAMPLE, outside, ignore=shutil.ignore_patterns("closest.py", "__pycache__"))
    paths = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "HOME": str(folder)}

    def python(*words):
        words = [sys.executable, *map(str, words)]
        return subprocess.run(words, cwd=outside, env=environment, capture_output=True, text=True, check=False)

    return python


def test_the_published_contracts_pass_in_the_package_of_another(installed):
    ran = installed("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_closest.py")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "passed" in ran.stdout
    assert "skipped" not in ran.stdout


def test_a_store_is_scored_and_solved_by_the_package_of_another(installed, tmp_path):
    store = tmp_path / "movie.trackdb"

    def trackdb(*words):
        ran = installed("-m", "trackdb.cli.main", *words, "--json")
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)

    answer("ingest", write_ctc(tmp_path / "movie"), "-o", store)
    answer("link", store)
    assert trackdb("score", store, "--by", "closeness")["scores"] == "closeness"
    solved = trackdb("solve", store, "--linker", "mutual", "--scores", "closeness", "--time-limit", "9")
    assert (solved["solution"], solved["linker"], solved["proven"]) == ("mutual-1", "mutual", False)
    assert solved["links"] > 0
    assert answer("check", store)["ok"]  # also where the package is not installed


def test_whoever_has_not_installed_it_is_told_what_there_is(tmp_path):
    store = tmp_path / "movie.trackdb"
    refusal("solve", store, "--linker", "mutual", code=3)  # no store
    with pytest.raises(ConfigError, match="no solver 'mutual'; known: greedy"):
        open_solver("mutual")


@pytest.mark.parametrize(("group", "open_by_name"), [("solvers", open_solver), ("scorers", open_scorer)])
def test_a_package_that_cannot_be_imported_is_named(group, open_by_name, monkeypatch):
    point = importlib.metadata.EntryPoint("broken", "no_such_module:Thing", f"trackdb.{group}")
    found = importlib.metadata.EntryPoints([point])
    monkeypatch.setattr(sys.modules[open_by_name.__module__], "entry_points", lambda group: found)
    with pytest.raises(ConfigError, match=r"broken.*no_such_module:Thing.*No module named 'no_such_module'"):
        open_by_name("broken")


@pytest.fixture
def offer(monkeypatch):
    """A function that offers a scorer or a solver under the name ``theirs``."""

    def offered(open_by_name, made):
        module = ModuleType("theirs")
        module.Thing = made
        monkeypatch.setitem(sys.modules, "theirs", module)
        point = importlib.metadata.EntryPoint("theirs", "theirs:Thing", "trackdb.theirs")
        found = importlib.metadata.EntryPoints([point])
        monkeypatch.setattr(sys.modules[open_by_name.__module__], "entry_points", lambda group: found)

    return offered


def as_scorer(answer_of):
    """A scorer that returns whatever this makes of the candidates."""

    class Theirs:
        name = "theirs"

        def score(self, detections, edges, pixels):
            return answer_of(edges)

    return Theirs


def as_solver(spoil):
    """A solver that returns whatever this makes of a selection."""

    class Theirs:
        def __init__(self, *, time_limit_s=None):
            pass

        def solve(self, problem):
            return spoil(open_solver("greedy").solve(problem))

    return Theirs


@pytest.mark.parametrize(("kind", "open_by_name"), [("solver", open_solver), ("scorer", open_scorer)])
def test_one_that_cannot_be_made_as_promised_is_named(kind, open_by_name, offer):
    def wants_more(weight):
        return weight

    offer(open_by_name, wants_more)
    with pytest.raises(ConfigError, match=rf"the {kind} 'theirs' cannot be loaded from theirs:Thing: .*wants_more\(\)"):
        open_by_name("theirs")


@pytest.mark.parametrize(
    ("answer_of", "told"),
    [
        (lambda edges: Scores(-edges.distance[1:], ScoreScale.SIMILARITY), "scores, expected one a candidate: "),
        (lambda edges: -edges.distance, "theirs returned a ndarray, expected Scores"),
        (lambda edges: Scores(-edges.distance[:, None], ScoreScale.SIMILARITY), "an array of one number an edge"),
        (lambda edges: Scores(list(-edges.distance), ScoreScale.SIMILARITY), "an array of one number an edge"),
    ],
)
def test_scores_that_do_not_fit_the_candidates_are_refused(answer_of, told, offer, tmp_path):
    store = tmp_path / "movie.trackdb"
    answer("ingest", write_ctc(tmp_path / "movie"), "-o", store)
    answer("link", store)
    offer(open_scorer, as_scorer(answer_of))
    assert told in refusal("score", store, "--by", "theirs", code=1)
    assert answer("sql", store, "select count(*) as n from scores")["rows"] == [[0]]


def fails(*_):
    raise ValueError("the weights are not there")


def test_what_fails_in_a_scorer_or_a_solver_is_told_as_theirs_and_its_run_is_over(offer, tmp_path):
    store = tmp_path / "movie.trackdb"
    answer("ingest", write_ctc(tmp_path / "movie"), "-o", store)
    answer("link", store)
    offer(open_scorer, as_scorer(fails))
    said = refusal("score", store, "--by", "theirs", code=1)
    assert "error: the scorer theirs failed: ValueError: the weights are not there" in said
    assert f"at   {__file__}, line {fails.__code__.co_firstlineno + 1}" in said
    offer(open_solver, as_solver(fails))
    said = refusal("solve", store, "--linker", "theirs", code=1)
    assert "error: the solver theirs failed: ValueError: the weights are not there" in said
    assert answer("check", store)["problems"] == []  # no run waits to be gone on with


def test_what_fails_in_a_solver_that_is_given_from_python_is_raised_as_it_is(tmp_path):
    store = tmp_path / "movie.trackdb"
    answer("ingest", write_ctc(tmp_path / "movie"), "-o", store)
    with pytest.raises(ValueError, match=r"^the weights are not there$"):
        trackdb.open(store, write=True).solve(solver=as_solver(fails)())
    assert answer("check", store)["problems"] == []


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda chosen: None, "returned a NoneType, expected a Selection"),
        (lambda chosen: replace(chosen, edge=chosen.edge[1:]), "expected one a candidate"),
        (lambda chosen: replace(chosen, edge=np.ones(1, bool)), "expected one a candidate"),
        (lambda chosen: replace(chosen, merge=np.ones(1, bool)), "merge is of shape (1,), expected one a candidate"),
    ],
)
def test_what_is_no_selection_of_the_candidates_is_refused(spoil, told, offer, tmp_path):
    store = tmp_path / "movie.trackdb"
    answer("ingest", write_ctc(tmp_path / "movie"), "-o", store)
    offer(open_solver, as_solver(spoil))
    assert told in refusal("solve", store, "--linker", "theirs", code=4)
    assert answer("sql", store, "select count(*) as n from solutions where solution <> 'truth'")["rows"] == [[0]]
