"""Killed at any moment, a scoring by a model shows nothing half done, and the same command ends as if undisturbed."""

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest

from trackdb.engine.check import check
from trackdb.engine.config import ScoreConfig
from trackdb.engine.ingest import ingest
from trackdb.engine.network_config import NetworkConfig
from trackdb.engine.pipeline import score
from trackdb.storage.duckdb_store import DuckDBStore

from .movies import copied, write_ctc

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install -c constraints.txt '.[models]'")

from .test_networks import found, write_model  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="lives are forked")]

MOMENTS = {
    "a window is being kept": ("unfinished", "np", "savez", 2, "before"),
    "a window was kept": ("unfinished", "FinishedParts", "keep", 1, "after"),
    "embeddings of a frame are next": ("arrays", "ArrayWriter", "write", 2, "before"),
    "embeddings of a frame were written": ("arrays", "ArrayWriter", "write", 3, "after"),
    "the array has its name": ("arrays", "ArrayWriter", "seal", 1, "after"),
    "the scores are next": ("duckdb_store", "DuckDBStore", "add_scored_pairs", 1, "before"),
    "the scores were added": ("duckdb_store", "DuckDBStore", "add_scored_pairs", 1, "after"),
}
"""Module below storage, whose function, which of its calls, and on which side of it the process dies."""

# PyTorch is imported once; each life is a fork that opens the store, works until its moment and kills itself.
LIVES = """
import importlib, json, os, signal, sys
from pathlib import Path
import torch
from trackdb.engine.config import ScoreConfig
from trackdb.engine.network_config import NetworkConfig
from trackdb.engine.models import checkpoint, windows
from trackdb.engine.pipeline import score
from trackdb.storage.duckdb_store import DuckDBStore

torch.set_num_threads(1)


def dying(function, call, side):
    calls = []
    def until_then(*args, **options):
        calls.append(None)
        if len(calls) == call and side == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        answer = function(*args, **options)
        if len(calls) == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer
    return until_then


model, lives = sys.argv[1], json.loads(sys.argv[2])
ended = {}
for place, (module, owner, name, call, side) in lives.items():
    child = os.fork()
    if child == 0:
        owner = getattr(importlib.import_module(f"trackdb.storage.{module}"), owner)
        setattr(owner, name, dying(getattr(owner, name), call, side))
        store = DuckDBStore(Path(place), command="trackdb score")
        network = NetworkConfig(device="cpu", embeddings=True)
        score(store, store.detection_set(), ScoreConfig(model), network=network, name="net")
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    ended[place] = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
print(json.dumps(ended))
"""


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """What is compared was summed in the same order: by one thread, here as in the lives."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def told(store):
    """Return all that a scoring leaves: pairs with probabilities, and the digests of arrays."""
    return found(store, "net")[0], sorted((ref.kind, ref.sha256) for ref in store.all_arrays())


@pytest.fixture(scope="module")
def movie(tmp_path_factory):
    """A store that has no scores, a model, and what an undisturbed scoring makes of them."""
    folder = tmp_path_factory.mktemp("movie")
    ingest(write_ctc(folder / "movie", images=True), DuckDBStore(folder / "movie.trackdb"))
    model = write_model(folder / "small")
    whole = DuckDBStore(copied(folder / "movie.trackdb", folder / "whole.trackdb"))
    network = NetworkConfig(device="cpu", embeddings=True)
    score(whole, whole.detection_set(), ScoreConfig(str(model)), network=network, name="net")
    return folder / "movie.trackdb", model, told(whole)


@pytest.fixture(scope="module")
def killed(movie, tmp_path_factory):
    """Stores whose scoring was killed, by moment."""
    folder = tmp_path_factory.mktemp("killed")
    source, model, _ = movie
    places = {moment: copied(source, folder / f"{k}.trackdb") for k, moment in enumerate(MOMENTS)}
    lives = json.dumps({str(places[moment]): MOMENTS[moment] for moment in MOMENTS})
    lived = subprocess.run([sys.executable, "-c", LIVES, model, lives], capture_output=True, text=True)
    assert lived.returncode == 0, lived.stderr
    assert set(json.loads(lived.stdout).values()) == {signal.SIGKILL}
    return places


@pytest.fixture
def left(killed, tmp_path):
    """Return a copy of what a moment left."""
    return lambda moment: DuckDBStore(shutil.copytree(killed[moment], tmp_path / "left.trackdb"))


@pytest.mark.parametrize("moment", list(MOMENTS)[:-1])
def test_a_killed_scoring_shows_nothing_and_ends_as_if_undisturbed(movie, left, moment):
    source, model, expected = movie
    store, before = left(moment), DuckDBStore(source)
    chosen = store.detection_set()
    assert told_of(store) == ["score net was not finished by"]
    assert store.count_candidates(chosen) == 0
    assert [ref.kind for ref in store.all_arrays()] == [ref.kind for ref in before.all_arrays()]
    network = NetworkConfig(device="cpu", embeddings=True)
    score(store, chosen, ScoreConfig(str(model)), network=network, name="net")
    assert told(store) == expected
    assert check(store) == []


def test_scores_that_were_added_stay_and_the_next_scoring_clears_what_was_left(movie, left):
    _, model, expected = movie
    store = left("the scores were added")
    assert told(store) == expected
    assert [what.rsplit("-", 2)[0] for what in told_of(store)] == ["nothing waits for unfinished/score"]
    score(store, store.detection_set(), ScoreConfig(str(model)), network=NetworkConfig(device="cpu"), name="other")
    assert check(store) == []


def test_embeddings_that_were_begun_go_where_the_next_scoring_keeps_none(movie, left):
    _, model, expected = movie
    store = left("embeddings of a frame are next")
    score(store, store.detection_set(), ScoreConfig(str(model)), network=NetworkConfig(device="cpu"), name="net")
    assert found(store, "net")[0] == expected[0]
    assert check(store) == []


def told_of(store):
    """Return what is wrong with a store, without the process that left it."""
    return [problem.what.split(" pid ")[0] for problem in check(store)]
