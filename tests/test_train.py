"""`trackdb train association`: from stores with truth to a model folder, and what is refused."""

import json
import resource
import shutil
import sys

import pytest
from filelock import FileLock

import trackdb
from trackdb.engine.config import load_config
from trackdb.engine.ingest import ingest
from trackdb.engine.progress import Silent
from trackdb.engine.train_config import TrainConfig
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.partials import MACHINE

from .command_line import answer, refusal, run
from .fault_commands import SMALL_NETWORK
from .movies import own_copy, write_ctc, write_points

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install -c constraints.txt '.[models]'")
yaml = pytest.importorskip("yaml", reason="needs PyYAML: pip install -c constraints.txt '.[models]'")

from trackdb.engine.models.checkpoint import load_model  # noqa: E402
from trackdb.engine.training.association.course import Course, Standing  # noqa: E402
from trackdb.engine.training.association.judging import validate  # noqa: E402
from trackdb.engine.training.association.lessons import lessons_of  # noqa: E402
from trackdb.engine.training.association.sampling import Sampling  # noqa: E402
from trackdb.engine.training.association.stage import _unfinished  # noqa: E402
from trackdb.engine.training.from_stores import sources_of  # noqa: E402
from trackdb.engine.training.history import Epoch, write_table  # noqa: E402
from trackdb.engine.training.model_folder import finish  # noqa: E402
from trackdb.engine.training.precision import Precision  # noqa: E402

pytestmark = pytest.mark.usefixtures("own_home_and_log")
LAYOUT = {"config.yaml", "metrics.csv", "model.pt", "train_config.yaml", "trained.json"}


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a store of six frames, in which the second of three cells divides, settings, and a model.

    ::

        frame   0 1 2 3 4 5
                1-1-1-1-1-1
                2-2-2-4-4-4
                     `5-5-5
                3-3-3-3-3-3
    """
    folder = tmp_path_factory.mktemp("train")
    centres = []
    for t in range(6):
        divided = {2: (24, 10 + 4 * t)} if t < 3 else {4: (20, 10 + 4 * t), 5: (29, 10 + 4 * t)}
        centres.append({1: (8, 10 + 4 * t), 3: (40, 12 + 4 * t), **divided})
    tracks = [(1, 0, 5, 0), (2, 0, 2, 0), (3, 0, 5, 0), (4, 3, 5, 2), (5, 3, 5, 2)]
    ingest(write_ctc(folder / "six", centres=centres, tracks=tracks, images=True), DuckDBStore(folder / "six.trackdb"))
    (folder / "small.toml").write_text(SMALL_NETWORK)
    torch.set_num_threads(1)
    answer("train", "association", folder / "six.trackdb", "--config", folder / "small.toml", "-o", folder / "mine")
    return folder


@pytest.fixture
def words(place, tmp_path):
    """The command that made the model, into another folder."""
    return ["train", "association", place / "six.trackdb", "--config", place / "small.toml", "-o", tmp_path / "again"]


def told(folder):
    return json.loads((folder / "trained.json").read_text())


def test_the_folder_is_one_of_the_authors_and_tells_what_was_learned_from(place):
    folder = place / "mine"
    assert {path.name for path in folder.iterdir()} == LAYOUT
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert (config["coord_dim"], config["feat_dim"], config["d_model"], config["window"]) == (2, 7, 16, 2)
    assert yaml.safe_load((folder / "train_config.yaml").read_text())["features"] == "wrfeat"
    assert told(folder)["stores"] == [{"store": str((place / "six.trackdb").resolve()), "dataset": "six"}]
    assert [movie["frames"] for movie in told(folder)["movies"]] == [[0, 4]]
    assert [movie["frames"] for movie in told(folder)["validation_movies"]] == [[4, 6]]
    assert len((folder / "metrics.csv").read_text().splitlines()) == 3


def test_the_model_that_is_read_back_answers_as_the_one_that_was_trained(place):
    model, card = load_model(place / "mine", device="cpu")
    config = load_config(None, place / "small.toml").train
    sources = sources_of([place / "six.trackdb"])
    lessons = lessons_of(sources, [], card.settings, config, config.recipe(), truth="truth", progress=Silent())
    figures = validate(model, lessons.validation(), Precision(torch.device("cpu"), "32"))
    assert figures.loss == told(place / "mine")["best"]["val_loss"]
    assert figures.f1 == told(place / "mine")["best"]["val_f1"]


def test_what_was_trained_scores(place, tmp_path):
    store = shutil.copytree(place / "six.trackdb", tmp_path / "six.trackdb")
    found = answer("score", store, "--by", place / "mine", "--device", "cpu")
    assert found["scores"] == "mine"
    assert found["edges"] > 0


def test_the_closing_line_and_the_json_tell_how_good_it_is(words, place, tmp_path):
    line = run(*words).stdout
    assert line.startswith("model again: 2 epochs, best validation loss ")
    assert "links F1" in line
    found = answer(*words, "--overwrite")
    assert {"name", "folder", "sha256", "weights", "epochs", "steps", "ended", "best_epoch"} <= found.keys()
    assert (found["epochs"], found["steps"], found["ended"], found["resumed"]) == (2, 4, "epochs", False)
    assert found["validation_loss"] == told(tmp_path / "again")["best"]["val_loss"]
    assert (tmp_path / "again" / "model.pt").read_bytes() == (place / "mine" / "model.pt").read_bytes()


def test_a_model_is_not_overwritten_unless_asked(place):
    said = refusal(
        "train", "association", place / "six.trackdb", "--config", place / "small.toml", "-o", place / "mine", code=3
    )
    assert "holds a model" in said
    assert "of these very settings" in said
    assert "--overwrite" in said


def test_a_model_of_other_settings_is_refused_by_name_and_before_anything_else_is_said(words, place):
    said = refusal(*words[:-1], place / "mine", "--seed", "4", code=3)
    assert "seed 0, now 4" in said
    assert "note: " not in said


def test_a_command_that_is_refused_keeps_the_model_that_it_was_to_overwrite(words, place, tmp_path):
    again = shutil.copytree(place / "mine", tmp_path / "again")
    refusal(*words, "--overwrite", "--against", "right", code=3)
    assert "begin with" in refusal(*words, "--overwrite", "--init", again, code=2)
    assert {path.name for path in again.iterdir()} - {".lock"} == LAYOUT
    assert (again / "model.pt").read_bytes() == (place / "mine" / "model.pt").read_bytes()


def test_a_folder_with_something_else_is_left_alone(words, tmp_path):
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "thesis.txt").write_text("mine")
    for more in ([], ["--overwrite"]):
        assert "thesis.txt" in refusal(*words, *more, code=1)
    assert [path.name for path in (tmp_path / "again").iterdir()] == ["thesis.txt"]
    (tmp_path / "file").touch()
    assert "is a file" in refusal(*words[:-1], tmp_path / "file", code=1)
    assert (tmp_path / "again" / "thesis.txt").read_text() == "mine"


def test_two_do_not_teach_in_one_folder(words, tmp_path):
    (tmp_path / "again").mkdir()
    with FileLock(tmp_path / "again" / ".lock"):
        assert "another process" in refusal(*words, code=3)
    answer(*words)


def interrupted(monkeypatch, words, after):
    """Give a command, and press Ctrl-C in the validation of an epoch."""
    examined, count = Course._examined, []

    def interrupts(self):
        count.append(1)
        if len(count) > after:
            raise KeyboardInterrupt
        return examined(self)

    with monkeypatch.context() as patched:
        patched.setattr(Course, "_examined", interrupts)
        return run(*words, code=130)


@pytest.mark.parametrize("after", [0, 1])
def test_ctrl_c_leaves_a_training_that_goes_on_to_the_same_end(words, place, tmp_path, monkeypatch, after):
    assert "the same command goes on" in interrupted(monkeypatch, words, after).stderr
    (tmp_path / "again" / f".model.pt.{MACHINE}-01234567.partial").mkdir()  # as a killed process leaves one
    found = answer(*words)
    assert found["resumed"]
    assert (tmp_path / "again" / "model.pt").read_bytes() == (place / "mine" / "model.pt").read_bytes()
    assert told(tmp_path / "again")["best"]["val_loss"] == told(place / "mine")["best"]["val_loss"]
    assert {path.name for path in (tmp_path / "again").iterdir()} == LAYOUT


def test_an_unfinished_training_of_other_settings_is_refused_by_name(words, tmp_path, monkeypatch):
    interrupted(monkeypatch, words, 1)
    said = refusal(*words, "--seed", "4", code=3)
    assert "seed 0, now 4" in said
    assert "note: " not in said
    assert answer(*words, "--seed", "4", "--overwrite")["resumed"] is False


def test_an_unfinished_training_of_other_movies_is_refused_by_name(words, place, tmp_path, monkeypatch):
    six, three = place / "six.trackdb", DuckDBStore(tmp_path / "three.trackdb")
    ingest(write_ctc(tmp_path / "three", images=True), three)

    def of(learned, examined):
        return [*words[:2], learned, *words[3:], "--validation", examined]

    def moved(store):
        other = own_copy(DuckDBStore(store), tmp_path / "moved")
        with other.writing() as connection:
            connection.exec_driver_sql("update detection set y = y + 1")
        return other.path

    interrupted(monkeypatch, of(six, three.path), 1)
    learned = refusal(*of(moved(six), three.path), code=3)
    examined = refusal(*of(six, moved(three.path)), code=3)
    assert ("movies '" in learned, "validation '" in learned) == (True, False)
    assert ("movies '" in examined, "validation '" in examined) == (False, True)


def test_an_unfinished_training_of_other_first_weights_is_refused_by_name(words, place, monkeypatch):
    interrupted(monkeypatch, words, 1)
    assert "init '', now '" in refusal(*words, "--init", place / "mine", code=3)


def test_another_seed_draws_another_network(words, tmp_path):
    """Nothing is learned at such a rate: what is kept is what was drawn."""
    drawn = []
    for seed in (0, 0, 1):
        answer(*words, "--lr", "1e-12", "--seed", seed, "--overwrite")
        drawn.append(load_model(tmp_path / "again")[0].state_dict()["proj.weight"])
    assert torch.allclose(drawn[0], drawn[1], atol=1e-6)
    assert not torch.allclose(drawn[0], drawn[2], atol=1e-2)


def test_what_is_asked_of_a_training_reaches_its_lessons(place):
    asked = {"weigh": "mothers", "div_upweight": 7.0, "augment": 2, "each_frame": True, "sparse_truth": True, "seed": 5}
    config = TrainConfig(window=2, batch=3, samples_per_epoch=6, crop=32, max_tokens=50, **asked)
    settings = load_model(place / "mine", device="cpu")[1].settings
    sources = sources_of([place / "six.trackdb"])
    lessons = lessons_of(sources, [], settings, config, config.recipe(), truth="truth", progress=Silent())
    assert lessons.sampling == Sampling(window=2, samples=6, batch=3, crop_px=32.0, max_tokens=50, **asked)


def test_a_model_and_a_table_are_written_whole_or_not_at_all(place, tmp_path):
    model, card = load_model(place / "mine", device="cpu")
    epoch = Epoch(epoch=1, step=4, lr=0.1, train_loss=1.0, val_loss=2.0, val_f1=0.9, val_accuracy=0.9, seconds=1.0)
    write_table(tmp_path / "metrics.csv", [epoch])
    before = (tmp_path / "metrics.csv").read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            finish(tmp_path, card.settings, model.state_dict(), {}, {})
        with pytest.raises(OSError, match="too large"):
            write_table(tmp_path / "metrics.csv", [epoch] * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / "metrics.csv").read_bytes() == before
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == {
        "config.yaml",
        "metrics.csv",
        "train_config.yaml",
    }


def test_overwrite_goes_on_with_the_same_training(words, monkeypatch):
    interrupted(monkeypatch, [*words, "--overwrite"], 1)
    assert answer(*words, "--overwrite")["resumed"]


def test_after_a_time_limit_there_is_a_model_and_the_command_goes_on(words, place, tmp_path):
    found = answer(*words, "--time-limit", "1e-9")
    assert (found["ended"], found["steps"]) == ("time limit", 0)
    load_model(tmp_path / "again", device="cpu")
    assert (tmp_path / "again" / "metrics.csv").read_text().startswith("epoch,step,")
    said = run(*words, "--time-limit", "1e-9")
    assert "stopped by the time limit, best validation loss" in said.stdout
    assert "(within epoch 1)" in said.stdout
    assert "in earlier commands)" in said.stdout
    assert "has hardly learned: what it links is of little use; the same command goes on" in said.stderr
    last = answer(*words)
    assert last["resumed"]
    assert 0 < last["earlier_s"] < last["seconds"]
    assert (tmp_path / "again" / "model.pt").read_bytes() == (place / "mine" / "model.pt").read_bytes()


def test_a_training_that_a_time_limit_ended_is_told_by_how_far_it_came(tmp_path):
    course = Course.__new__(Course)
    course.standing = Standing(step=7)
    assert _unfinished(tmp_path, course).endswith("the same command goes on after step 7 of epoch 1")
    course.standing = Standing(epoch=3, step=7)
    assert _unfinished(tmp_path, course) == f"{tmp_path} is unfinished after 3 epochs: the same command goes on with it"


def test_who_is_to_learn_from_a_movie_that_is_not_there_leaves_no_folder(words, tmp_path):
    refusal(*words, "--against", "right", code=3)
    assert not (tmp_path / "again").exists()


def test_a_folder_is_looked_at_when_it_is_held(words, place, tmp_path, monkeypatch):
    """Who comes while another training ends finds its model."""
    acquire = FileLock.acquire

    def another_ends(lock, *args, **kwargs):
        found = acquire(lock, *args, **kwargs)
        shutil.copytree(place / "mine", tmp_path / "again", dirs_exist_ok=True)
        return found

    monkeypatch.setattr(FileLock, "acquire", another_ends)
    assert "holds a model" in refusal(*words, code=3)
    assert {path.name for path in (tmp_path / "again").iterdir()} == LAYOUT


def test_a_model_to_begin_with_gives_its_weights_and_its_shape(words, place, tmp_path):
    words = words[:3] + words[5:]  # without the settings
    more = ["--init", place / "mine", "--epochs", "1", "--samples-per-epoch", "4", "--lr", "1e-12"]
    assert answer(*words, *more)["weights"] == answer(*words, *more, "--overwrite")["weights"]
    given, begun = (load_model(folder)[0].state_dict() for folder in (place / "mine", tmp_path / "again"))
    assert all(torch.allclose(given[name], begun[name], atol=1e-6) for name in given)
    assert "window 2, not 5" in refusal(*words, *more, "--window", "5", "--overwrite", code=2)


def test_validation_on_the_movie_that_is_learned_from_is_refused(words, place, tmp_path):
    assert "examined on" in refusal(*words, "--validation", place / "six.trackdb", code=1)
    three = DuckDBStore(tmp_path / "three.trackdb")
    ingest(write_ctc(tmp_path / "three", images=True), three)
    found = answer(*words, "--validation", three.path)
    assert [movie["movie"] for movie in told(tmp_path / "again")["validation_movies"]] == ["three"]
    assert [movie["frames"] for movie in told(tmp_path / "again")["movies"]] == [[0, 6]]
    assert found["validation_loss"] > 0


def test_points_teach_places_alone(place, tmp_path):
    points = DuckDBStore(tmp_path / "points.trackdb")
    ingest(write_points(tmp_path / "points.csv"), points)
    (tmp_path / "places.toml").write_text(SMALL_NETWORK + "places_alone = true\n")
    words = ["train", "association", points.path, "-o", tmp_path / "places", "--config"]
    assert "points" in refusal(*words, place / "small.toml", code=3)
    answer(*words, tmp_path / "places.toml")
    assert yaml.safe_load((tmp_path / "places" / "train_config.yaml").read_text())["features"] == "none"
    assert load_model(tmp_path / "places")[1].settings.feat_dim == 0


def test_what_cannot_be_is_told_before_any_work(words, place, tmp_path):
    assert "association" in refusal("train", "poem", *words[2:], code=2)
    if not torch.cuda.is_available():
        assert "CUDA" in refusal(*words, "--device", "cuda", code=2)
    assert "too few to train on some" in refusal(*words, "--window", "4", code=2)
    assert "no solution named right" in refusal(*words, "--against", "right", code=3)
    assert "train.size" in refusal(*words, "--size", "huge", code=2)
    too_large = {"d_model = 1000000000": "8,192 at most", "layers = 129": "128 at most", "window = 257": "256 at most"}
    for setting, told in (too_large | {"d_model = 8192\nlayers = 20": "expected  1,000,000,000 at most"}).items():
        (tmp_path / "large.toml").write_text(f"[train]\n{setting}\n")
        assert told in refusal(*words[:3], "-o", tmp_path / "again", "--config", tmp_path / "large.toml", code=2)
    assert not (tmp_path / "again" / "model.pt").exists()


def test_without_torch_it_says_how_to_install_it(words, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert 'pip install -c constraints.txt ".[models]"' in refusal(*words, code=2)


def test_a_full_disk_is_told_with_what_to_do(words, tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        said = refusal(*words, code=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "make room, then give the command again" in said
    assert "again" in said.split("make room")[0]
    assert answer(*words)["epochs"] == 2


def test_from_python_it_is_the_same_training(place, tmp_path):
    settings = load_config(None, place / "small.toml").train
    given = {name: getattr(settings, name) for name in ("window", "d_model", "heads", "layers", "epochs", "batch")}
    report = trackdb.train_association(
        [place / "six.trackdb"], tmp_path / "py", **given, samples_per_epoch=8, lr=0.01, augment=1
    )
    assert report.best.epoch == told(place / "mine")["best"]["epoch"]
    assert (tmp_path / "py" / "model.pt").read_bytes() == (place / "mine" / "model.pt").read_bytes()
