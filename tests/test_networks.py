"""Scores by a network: from a model folder and a store to candidates with probabilities, and what is refused."""

import shutil
import subprocess
import sys

import numpy as np
import pytest

from trackdb.engine import networks
from trackdb.engine.check import check
from trackdb.engine.config import Config, ScoreConfig
from trackdb.engine.database import Database
from trackdb.engine.ingest import ingest
from trackdb.engine.network_config import NetworkConfig
from trackdb.engine.networks import left_by_nearer_frames
from trackdb.engine.pipeline import score, solve
from trackdb.engine.pixels import pixels_of
from trackdb.engine.posterior.stage import posterior
from trackdb.engine.posterior_config import PosteriorConfig
from trackdb.engine.progress import Recorded
from trackdb.errors import ConfigError, FormatError, MissingRowsError, StoreExistsError, TrackdbError
from trackdb.storage.arrays import read_frame
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.sandbox import ask

from .command_line import answer
from .movies import write_ctc, write_points
from .transformers import SMALL, drawn_weights

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install -c constraints.txt '.[models]'")
yaml = pytest.importorskip("yaml", reason="needs PyYAML: pip install -c constraints.txt '.[models]'")

from trackdb.engine.models import windows  # noqa: E402
from trackdb.engine.models.checkpoint import digest_of_model, load_model  # noqa: E402
from trackdb.engine.models.settings import settings_from  # noqa: E402
from trackdb.engine.models.transformer import AssociationTransformer  # noqa: E402
from trackdb.engine.scorers.network import NetworkScorer  # noqa: E402


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def write_model(folder, **settings):
    """Write a small model with drawn weights as a folder; its logits are small, so that most links count."""
    settings = {**SMALL, "num_encoder_layers": 1, "num_decoder_layers": 1, "window": 2, **settings}
    model = AssociationTransformer(settings_from(settings, "config.yaml"))
    weights = drawn_weights({name: tuple(value.shape) for name, value in model.state_dict().items()})
    weights["head_x.fc2.weight"] *= 0.1
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    (folder / "train_config.yaml").write_text("features: wrfeat\nseed: 3\n")
    buffers = {name: value for name, value in model.state_dict().items() if name.endswith("_bins")}
    torch.save({name: torch.from_numpy(value) for name, value in weights.items()} | buffers, folder / "model.pt")
    return folder


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Return a folder with a store and a model."""
    folder = tmp_path_factory.mktemp("drawn")
    ingest(write_ctc(folder / "movie", images=True), DuckDBStore(folder / "movie.trackdb"))
    write_model(folder / "small")
    return folder


@pytest.fixture
def store(drawn, tmp_path):
    return DuckDBStore(shutil.copytree(drawn / "movie.trackdb", tmp_path / "movie.trackdb"))


@pytest.fixture
def model(drawn, tmp_path):
    return shutil.copytree(drawn / "small", tmp_path / "small")


def scored(store, model, **options):
    progress = Recorded()
    network = NetworkConfig(device="cpu", **options)
    report = score(store, store.detection_set(), ScoreConfig(str(model)), network=network, progress=progress)
    return report, progress


def found(store, name):
    chosen = store.detection_set()
    detections = store.detections(chosen)
    edges = store.candidate_edges(chosen, detections)
    run = next(run for run in store.runs() if (run.kind, run.name, run.state) == ("score", name, "done"))
    value = store.scores(run, edges)
    pairs = zip(edges.source.tolist(), edges.target.tolist(), strict=True)
    return {pair: p for pair, p in zip(pairs, value.tolist(), strict=True) if not np.isnan(p)}, run


def test_links_of_a_model_become_candidates_with_their_probabilities(store, model):
    report, progress = scored(store, model)
    links, run = found(store, "small")
    assert report.scores == "small"
    assert report.scale == "probability"
    assert report.edges == report.new == len(links) > 5
    assert all(0.05 <= p <= 1 for p in links.values())
    assert report.device == run.params["device"] == "cpu"
    assert "windows" in progress.stages


def test_a_model_that_was_trained_without_images_asks_for_none(store, model, tmp_path):
    """Masks are all that it needs; where there are images they tell it nothing."""
    with (model / "train_config.yaml").open("a") as stream:
        stream.write("brightness: none\n")
    dark = DuckDBStore(tmp_path / "dark.trackdb")
    ingest(write_ctc(tmp_path / "dark"), dark)
    scored(dark, model)
    scored(store, model)
    (links, run), (with_images, _) = found(dark, "small"), found(store, "small")
    assert len(links) > 5
    assert links == with_images
    assert run.params["channel"] is None


def test_the_model_card_stands_with_the_scores(store, model):
    scored(store, model)
    card = found(store, "small")[1].params["model"]
    assert card["name"] == "small"
    assert card["sha256"] == digest_of_model(model)
    assert card["settings"]["d_model"] == 32
    assert card["training"] == {"features": "wrfeat", "seed": 3}
    assert card["weights"] > 10_000
    with store.reading() as connection:
        kept = connection.exec_driver_sql("select model_digest from run where kind = 'score'").scalar_one()
    assert kept == card["sha256"]


def test_scores_of_a_model_solve(store, model):
    report, _ = scored(store, model)
    chosen = store.detection_set()
    solve(store, chosen, scores="small")
    assert next(run for run in store.runs() if run.kind == "solve").params["scores"] == "small"
    again = Database(store, write=True).score(model, name="again", network=NetworkConfig(device="cpu"))
    assert again.edges == report.edges
    assert found(store, "again")[0] == found(store, "small")[0]


def test_who_scored_before_and_since_is_told(store, model):
    chosen = store.detection_set()
    assert not [note for note in scored(store, model)[1].notes if "there already" in note]
    report, progress = scored(store, model)
    assert report.scores == "small-2"
    assert any(note.startswith("scores small are there already, by the very same model") for note in progress.notes)
    with (model / "config.yaml").open("a") as stream:
        stream.write("\n")  # another digest, as of a model that was taught on
    third = scored(store, model)[1].notes
    assert any(
        "scores small, small-2 are there already, by small as it was then: the new ones are small-3" in n for n in third
    )
    for scores, told in (("small", "newer small-2, small-3, by small as it was taught since"), ("small-3", "")):
        progress = Recorded()
        solve(store, chosen, scores=scores, progress=progress)
        newer = [note for note in progress.notes if "newer" in note]
        assert [told in note for note in newer] == ([True] if told else [])


def test_a_model_that_has_hardly_learned_is_told_when_it_scores_and_when_it_solves(store, model):
    (model / "train_config.yaml").write_text("features: wrfeat\ntrackdb: '1'\nepochs: 0\n")
    notes = scored(store, model)[1].notes
    progress = Recorded()
    solve(store, store.detection_set(), scores="small", progress=progress)
    for told in (notes, progress.notes):
        assert any(note.startswith("small was stopped in its first epoch and has hardly learned") for note in told)
    assert any(note.endswith("the scores small: priced by the odds of these probabilities") for note in progress.notes)


def test_a_name_that_is_taken_is_refused_before_any_work(store, model):
    scored(store, model)
    with pytest.raises(StoreExistsError):
        score(store, store.detection_set(), ScoreConfig(str(model)), name="small")


def test_links_over_gaps_get_what_nearer_frames_leave():
    """Target 3 has parents 2 (one frame before, .6) and 1 (two before, .5) and 0 (three before, 1)."""
    target, frames = np.array([3, 3, 3]), np.array([3, 2, 1])
    given = left_by_nearer_frames(target, frames, np.array([1.0, 0.5, 0.6]), 4)
    assert given == pytest.approx([0.4 * 0.5 * 1.0, 0.4 * 0.5, 0.6])
    assert given.sum() <= 1


def test_models_with_wider_windows_see_links_over_gaps(store, tmp_path):
    wide = write_model(tmp_path / "wide", window=3)
    scored(store, wide, max_gap=1)
    chosen = store.detection_set()
    detections = store.detections(chosen)
    spans = {int(detections.frame[b] - detections.frame[a]) for a, b in found(store, "wide")[0]}
    assert spans == {1, 2}


def test_a_killed_scoring_goes_on_where_it_stopped(store, model, tmp_path, monkeypatch):
    scored(store, model)
    expected, _ = found(store, "small")
    look_at, looked = windows.look_at, []

    def dies(*args):
        if looked:
            raise KeyboardInterrupt
        looked.append(args[2])
        return look_at(*args)

    monkeypatch.setattr(windows, "look_at", dies)
    network = NetworkConfig(device="cpu")
    with pytest.raises(KeyboardInterrupt):
        score(store, store.detection_set(), ScoreConfig(str(model)), network=network, name="again")
    assert looked == [0]
    monkeypatch.setattr(windows, "look_at", lambda *args: looked.append(args[2]) or look_at(*args))
    progress = Recorded()
    score(store, store.detection_set(), ScoreConfig(str(model)), network=network, name="again", progress=progress)
    assert looked == [0, 1]
    assert "1 of 2 windows" in " ".join(progress.notes)
    assert found(store, "again")[0] == expected
    assert not (store.path / "unfinished").exists()


def test_what_was_judged_otherwise_is_judged_again(store, model, monkeypatch):
    def dies(*_args, **_options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(networks, "edges_of", dies)
        with pytest.raises(KeyboardInterrupt):
            score(store, store.detection_set(), ScoreConfig(str(model)), name="a", network=NetworkConfig(least=0.2))
    progress = Recorded()
    network = NetworkConfig(least=0.05)
    score(store, store.detection_set(), ScoreConfig(str(model)), name="a", network=network, progress=progress)
    assert "judged before" not in " ".join(progress.notes)


def test_embeddings_are_kept_for_each_cell_of_each_frame(store, model):
    scored(store, model, embeddings=True)
    [ref] = [ref for ref in store.all_arrays() if ref.kind == "embeddings"]
    assert (ref.channel, ref.shape) == ("small", (3, 4, 32))
    first, last = (read_frame(store.path, ref, t) for t in (0, 2))
    assert first[:2].any(axis=1).all()
    assert not first[2:].any()
    assert last.any(axis=1).all()
    assert check(store) == []


def test_a_movie_shorter_than_the_window_says_so(store, tmp_path):
    _, progress = scored(store, write_model(tmp_path / "long", window=6), max_gap=5)
    assert "the movie has 3 frames, fewer than the 6" in " ".join(progress.notes)
    assert "leaps over more than 4" in " ".join(progress.notes)


def test_a_model_of_volumes_sees_flat_cells(store, tmp_path):
    deep = write_model(tmp_path / "deep", coord_dim=3, feat_dim=12, d_model=48)
    report, _ = scored(store, deep)
    assert report.edges > 0


def test_points_are_scored_by_a_model_of_places_alone(tmp_path, model):
    made = DuckDBStore(tmp_path / "points.trackdb")
    ingest(write_points(tmp_path / "points.csv"), made)
    with pytest.raises(MissingRowsError, match="small looks at how bright cells are"):
        scored(made, model)
    bare = write_model(tmp_path / "bare", feat_dim=0)
    assert scored(made, bare)[0].edges > 0


def test_memory_grows_with_the_square_of_a_window_and_has_a_bound():
    """5,000 cells that all see each other: 0.4 GB at most, in a process of its own."""
    grown = float(subprocess.run([sys.executable, "-c", CROWD], capture_output=True, text=True, check=True).stdout)
    assert grown < 16 * 5000**2


CROWD = """
import resource
import numpy as np, torch
from trackdb.engine.models.cells import Cells
from trackdb.engine.models.settings import TransformerSettings
from trackdb.engine.models.transformer import AssociationTransformer
from trackdb.engine.models.windows import Sliding, associate

torch.set_num_threads(1)
shape = TransformerSettings(coord_dim=2, d_model=16, nhead=2, num_encoder_layers=1, num_decoder_layers=1, window=2)
frame = np.arange(5000) // 2500
places = np.column_stack([frame, np.random.default_rng(0).uniform(0, 180, (5000, 2))]).astype(np.float32)
cells = Cells(frame, places, np.empty((5000, 0), np.float32))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
list(associate(AssociationTransformer(shape).eval(), cells, Sliding(2)))
print(1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))
"""


def lacking(folder):
    (folder / "model.pt").unlink()


def cut_off(folder):
    (folder / "model.pt").write_bytes((folder / "model.pt").read_bytes()[:5000])


def running_code(folder):
    torch.save({"proj.weight": print}, folder / "model.pt")


def of_other_layers(folder):
    weights = torch.load(folder / "model.pt", weights_only=True)
    weights["more"] = weights.pop("head_x.fc1.bias")
    torch.save(weights, folder / "model.pt")


def of_other_shape(folder):
    weights = torch.load(folder / "model.pt", weights_only=True)
    torch.save({**weights, "norm.bias": torch.zeros(7)}, folder / "model.pt")


def without_numbers(folder):
    weights = torch.load(folder / "model.pt", weights_only=True)
    torch.save({**weights, "norm.bias": torch.full((32,), torch.nan)}, folder / "model.pt")


def of_other_features(folder):
    (folder / "train_config.yaml").write_text("features: regionprops2\n")


def without_settings(folder):
    (folder / "config.yaml").write_text("- 1\n- 2\n")


def no_yaml(folder):
    (folder / "config.yaml").write_text("a: [1\n")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lacking, "lacks model.pt"),
        (cut_off, "model.pt holds no weights"),
        (running_code, "without running code"),
        (of_other_layers, "lacks head_x.fc1.bias, and has more too many"),
        (of_other_shape, r"norm.bias does not fit config.yaml; expected: \(32,\); got: \(7,\)"),
        (without_numbers, "norm.bias holds what is no finite number"),
        (of_other_features, "features 'regionprops2'"),
        (without_settings, "config.yaml holds no settings"),
        (no_yaml, "config.yaml cannot be read"),
    ],
)
def test_folders_that_are_no_model_are_named(model, spoil, told):
    spoil(model)
    with pytest.raises(FormatError, match=told):
        load_model(model, device="cpu")


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"d_model": 2**30}, "d_model is 1073741824; expected: 8,192 at most"),
        ({"num_encoder_layers": 10**9}, "num_encoder_layers is 1000000000"),
        ({"pos_embed_per_dim": 2 * 10**9}, "pos_embed_per_dim is 2000000000"),
        ({"window": 10**12}, "window is 1000000000000"),
        ({"attn_positional_bias": "bias", "attn_positional_bias_n_spatial": 10**30}, "n_spatial is 1000"),
        ({"d_model": 8192, "num_encoder_layers": 8}, "config.yaml: a network of .* weights; expected: 1,000,000,000"),
        ({"d_model": 4096}, "model.pt: .* does not fit config.yaml"),
    ],
)
def test_a_model_that_asks_for_all_memory_is_refused_before_it_takes_any(model, asked, told, monkeypatch):
    settings = yaml.safe_load((model / "config.yaml").read_text())
    (model / "config.yaml").write_text(yaml.safe_dump(settings | asked))
    allocated = []
    monkeypatch.setattr(torch.nn.Linear, "reset_parameters", lambda layer: allocated.append(layer.weight.device.type))
    with pytest.raises(FormatError, match=told):
        load_model(model, device="cpu")
    assert set(allocated) <= {"meta"}


def test_a_folder_that_is_no_model_leaves_the_store_as_it_was(store, model):
    lacking(model)
    with pytest.raises(FormatError, match="small lacks model"):
        scored(store, model)
    assert not [run for run in store.runs() if run.kind == "score"]


def test_weights_that_lightning_kept_are_read(model):
    before, _ = load_model(model, device="cpu")
    weights = torch.load(model / "model.pt", weights_only=True)
    torch.save({"epoch": 3, "state_dict": {f"model.{k}": v for k, v in weights.items()}}, model / "model.pt")
    after, _ = load_model(model, device="cpu")
    assert all(torch.equal(a, b) for a, b in zip(before.parameters(), after.parameters(), strict=True))


def test_a_channel_that_is_not_there_is_named(store, model):
    with pytest.raises(ConfigError, match="no images of channel gfp; known: image"):
        scored(store, model, channel="gfp")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is CUDA here")
def test_cuda_where_there_is_none_is_refused(model):
    with pytest.raises(ConfigError, match="no CUDA"):
        load_model(model, device="cuda")


def test_without_torch_it_is_said_how_to_install_it(store, model, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(ConfigError, match=r"models need torch, which is not installed; try: pip install .*models"):
        scored(store, model)


@pytest.mark.parametrize("wrong", [{"device": "tpu"}, {"least": 0.0}, {"window_mean": "none"}, {"max_gap": -1}])
def test_settings_that_cannot_be_are_named(wrong):
    with pytest.raises(ConfigError, match=f"network.{next(iter(wrong))}"):
        NetworkConfig(**wrong)


def test_a_model_as_a_scorer_says_what_the_store_keeps(store, model):
    scored(store, model, max_gap=0, max_distance_px=1e9)
    chosen = store.detection_set()
    detections = store.detections(chosen)
    edges = store.candidate_edges(chosen, detections)
    run = next(run for run in store.runs() if run.kind == "score")
    asked = NetworkScorer(str(model), device="cpu").score(detections, edges, pixels_of(store, chosen, Recorded()))
    np.testing.assert_allclose(asked.value, store.scores(run, edges), rtol=1e-5)
    assert len(edges) > 3


def test_a_model_looks_again_at_perturbed_cells(store, model):
    scored(store, model, max_gap=0)
    chosen, progress = store.detection_set(), Recorded()
    solved = solve(store, chosen, scores="small")
    info = store.solutions(chosen)[solved.solution]
    config = Config(posterior=PosteriorConfig("perturb"))
    report = posterior(store, chosen, info, config, progress=progress)
    assert report.draws == 20
    assert "20 draws: a model looks at the whole movie for each" in " ".join(progress.notes)
    kept = ask(store.path, "select target, sum(probability) p from probabilities group by target", {}).rows.to_pylist()
    assert kept
    assert all(0 < row["p"] <= 1 + 1e-6 for row in kept)


def test_a_store_and_a_model_in_one_process_end_in_silence():
    """What DuckDB's bindings find alive after Python has ended they tell line by line."""
    both = "import trackdb.storage.connection, torch"
    ended = subprocess.run([sys.executable, "-c", both], capture_output=True, text=True)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("", "", 0)


def test_the_command_scores_by_a_folder(store, model):
    out = answer("score", store.path, "--by", model, "--device", "cpu", "--window-mean", "all")
    assert out["device"] == "cpu"
    assert out["scores"] == "small"
    shutil.rmtree(model)
    with pytest.raises(TrackdbError):
        score(store, store.detection_set(), ScoreConfig(str(model)))
