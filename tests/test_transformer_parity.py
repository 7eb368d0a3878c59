"""From images and masks to links: features, windows, means and choices are those of the authors' package.

Their answers lie in ``oracles/trackastra`` beside the data sets; the test skips where they are not.
"""

import json
import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from trackdb.engine.costs.association import association_problem
from trackdb.engine.measure import measure
from trackdb.solvers import open_solver
from trackdb.solvers.greedy import BestScoreSolver
from trackdb.storage.measurements import Features
from trackdb.testing.movies import measured

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install -c constraints.txt '.[models]'")
yaml = pytest.importorskip("yaml", reason="needs PyYAML: pip install -c constraints.txt '.[models]'")

from trackdb.engine.models.brightness import brightness_of  # noqa: E402
from trackdb.engine.models.cells import cells_for  # noqa: E402
from trackdb.engine.models.parental import associations  # noqa: E402
from trackdb.engine.models.settings import settings_from  # noqa: E402
from trackdb.engine.models.transformer import AssociationTransformer  # noqa: E402
from trackdb.engine.models.windows import Links, Sliding, associate  # noqa: E402

DATA = Path(os.environ.get("TRACKDB_DATA", Path(__file__).parents[2] / "shared" / "data"))
ORACLES = DATA.parent / "oracles" / "trackastra"
MOVIES = ["ilp_small", "rope2d", "rope2din3d"]

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not ORACLES.is_dir(), reason=f"{ORACLES} is not there"),
]


@cache
def opened(name):
    torch.set_num_threads(1)
    folder = ORACLES / name
    settings = settings_from(yaml.safe_load((folder / "checkpoint" / "config.yaml").read_text()), name)
    model = AssociationTransformer(settings).eval()
    model.load_state_dict(torch.load(folder / "checkpoint" / "model.pt", weights_only=True))
    movie = np.load(folder / "movie.npz")
    masks, images = movie["masks"], movie["imgs"]
    detections, _ = measured(*masks)
    parts = [measure(mask, {"dna": image}).features for mask, image in zip(masks, images, strict=True)]
    features = Features.concatenate(parts)
    cells = cells_for(settings, detections, features, "dna", brightness_of(lambda: iter(images)))
    return model, detections, cells, np.load(folder / "oracle.npz")


@cache
def links_of(name):
    model, detections, cells, _ = opened(name)
    judged = associate(model, cells, Sliding(int(detections.frame[-1]) + 1))
    return Links.concatenate([part.links for part in judged])


@pytest.mark.parametrize("name", MOVIES)
def test_features_are_those_of_the_authors(name):
    _, detections, cells, oracle = opened(name)
    assert np.array_equal(detections.label, oracle["all_labels"])
    assert np.array_equal(cells.places[:, 1:], oracle["all_coords"])
    assert np.abs(cells.features - oracle["all_features"]).max() <= 1e-6


@pytest.mark.parametrize("name", MOVIES)
@pytest.mark.parametrize("start", [0, 1, 2])
def test_windows_are_those_of_the_authors(name, start):
    model, _, _, oracle = opened(name)
    if f"win{start}_coords" not in oracle:
        pytest.skip("the movie has two windows")
    places, features = oracle[f"win{start}_coords"], oracle[f"win{start}_features"]
    with torch.inference_mode():
        seen = model.look(torch.from_numpy(places)[None], torch.from_numpy(features)[None])
        logits = (seen.parent @ seen.child.mT)[0]
        invalid = seen.distance[0] > model.settings.spatial_pos_cutoff
        frame = torch.from_numpy(places[:, 0].astype(np.int64))
        probability = associations(logits, frame, invalid, model.settings.causal_norm).numpy()
    theirs = oracle[f"win{start}_logits"]
    forward = places[None, :, 0] > places[:, None, 0]
    assert np.abs(logits.numpy() - theirs).max() <= 4e-6 * np.abs(theirs).max()  # as between processors
    assert np.abs(probability - oracle[f"win{start}_probs"])[forward].max() <= 1e-5


@pytest.mark.parametrize("name", MOVIES)
def test_links_and_their_weights_are_those_of_the_authors(name):
    oracle = opened(name)[-1]
    found = links_of(name)
    theirs = {tuple(edge): w for edge, w in zip(oracle["edge_index"].tolist(), oracle["edge_weight"], strict=True)}
    ours = dict(zip(zip(found.source.tolist(), found.target.tolist(), strict=True), found.probability, strict=True))
    assert ours.keys() == theirs.keys()
    assert max(abs(ours[edge] - theirs[edge]) for edge in theirs) <= 1e-5


@pytest.mark.parametrize("name", MOVIES)
@pytest.mark.parametrize(("linker", "max_children"), [("greedy_edges", 2), ("greedy_nodiv_edges", 1), ("ilp_edges", 2)])
def test_chosen_links_are_those_of_the_authors(name, linker, max_children):
    _, detections, cells, oracle = opened(name)
    if linker not in oracle:
        pytest.skip("the authors' exact solver was not asked")
    found = links_of(name).nearest(cells.frame, cells.places[:, 1:], most=10, within=256)
    problem = association_problem(detections.frame, found.source, found.target, found.probability)
    greedy = BestScoreSolver(found.probability, least=0.5, max_children=max_children)
    chosen = (open_solver("ilp") if linker == "ilp_edges" else greedy).solve(problem).edge
    ours = set(zip(found.source[chosen].tolist(), found.target[chosen].tolist(), strict=True))
    assert ours == {tuple(edge) for edge in oracle[linker].tolist()}


def test_the_fixtures_are_of_the_version_that_was_told():
    oracle = opened("rope2d")[-1]
    assert str(oracle["trackastra_version"]) == "0.5.6"
    assert json.loads(str(oracle["config"]))["d_model"] == 64
