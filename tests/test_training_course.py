"""A training: it learns, it stops where it should, and killed at any moment and given again it ends the same."""

import csv
import resource
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from trackdb.engine.progress import Recorded, Silent
from trackdb.errors import ConfigError, FormatError, StoreExistsError, TrainingError

from .taught import RECIPE, SHAPE, Walks, walk

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install -c constraints.txt '.[models]'")

from trackdb.engine.models.encodings import turned  # noqa: E402
from trackdb.engine.models.settings import TransformerSettings  # noqa: E402
from trackdb.engine.models.transformer import AssociationTransformer  # noqa: E402
from trackdb.engine.training import unfinished  # noqa: E402
from trackdb.engine.training.association.course import Course  # noqa: E402
from trackdb.engine.training.association.judging import validate  # noqa: E402
from trackdb.engine.training.association.pupil import Pupil  # noqa: E402
from trackdb.engine.training.history import Board, Epoch, write_table  # noqa: E402
from trackdb.engine.training.precision import Precision  # noqa: E402
from trackdb.engine.training.schedule import share_of_rate  # noqa: E402
from trackdb.engine.training.unfinished import Checkpoint  # noqa: E402

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def course(file, lessons=None, recipe=RECIPE, *, precision="32", follows="the same", seed=0, **shape):
    """Return a course as a command would begin it, or go on with it."""
    torch.manual_seed(seed)
    model = AssociationTransformer(TransformerSettings(**{**SHAPE, **shape}))
    pupil = Pupil(model, Precision.chosen(precision, CPU), recipe.clip)
    return Course(pupil, lessons or Walks(), recipe, Checkpoint(file, {"what": follows}))


def run(made):
    """Run a course to its end; return how it ended and all it told of its epochs but the time that it took."""
    told = []
    ended = made.run(Silent(), told.append)
    return ended, [replace(epoch, seconds=0.0) for epoch in made.standing.history]


def loss_of(made, weights=None):
    """Return the loss in validation of the network of a course, or of one with other weights."""
    if weights is not None:
        made._pupil.model.load_state_dict(weights)
    return validate(made._pupil.model, Walks().validation(), Precision.chosen("32", CPU)).loss


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    torch.set_num_threads(1)
    return run(course(tmp_path_factory.mktemp("undisturbed") / "checkpoint.pt"))


def require_same(found, expected):
    assert found[1] == expected[1]  # to the last bit
    assert all(torch.equal(found[0].weights[name], weight) for name, weight in expected[0].weights.items())


def test_a_network_learns_a_movie_by_heart(tmp_path):
    one = [Walks().validation().__next__()]

    class Same:
        def batches(self, epoch, begin):
            yield from (one * 20)[begin:]

        def validation(self):
            return one

    recipe = replace(RECIPE, epochs=6, samples_per_epoch=40, lr=1e-2)
    ended, history = run(course(tmp_path / "c.pt", Same(), recipe, dropout=0.0, d_model=32))
    assert ended.best.val_f1 == ended.best.val_accuracy == 1
    assert ended.best.val_loss < history[0].val_loss / 10
    assert [epoch.step for epoch in history] == [20, 40, 60, 80, 100, 120]
    assert ended.why == "epochs"


def test_each_step_has_the_rate_of_its_moment_and_a_loss_counts_by_its_examples(tmp_path, monkeypatch):
    class Uneven(Walks):
        def batches(self, epoch, begin):
            for size in (1, 2, 2, 3)[begin:]:
                yield [walk(seed) for seed in range(size)]

    made, rates = course(tmp_path / "c.pt", Uneven()), []

    def learn(_examples, rate):
        rates.append(rate)
        return float(len(rates))

    monkeypatch.setattr(made._pupil, "learn", learn)
    _, history = run(made)
    assert rates == pytest.approx(
        [RECIPE.lr * share_of_rate(step / 4, RECIPE.epochs, RECIPE.warmup) for step in range(12)]
    )
    assert history[0].train_loss == pytest.approx((1 * 1 + 2 * 2 + 2 * 3 + 3 * 4) / 8)


KILLED = """
import os, signal, sys
import torch
sys.path.insert(0, sys.argv[2])
from tests.test_training_course import course, run
from tests.taught import Walks
from trackdb.engine.training import unfinished
torch.set_num_threads(1)
unfinished.EVERY_S = unfinished.AT_MOST = 0.0

def dies(epoch, step):
    if (epoch, step) == (1, 3):
        os.kill(os.getpid(), signal.SIGKILL)

run(course(__import__("pathlib").Path(sys.argv[1]), Walks(dies)))
"""


def test_killed_and_given_again_it_ends_as_if_it_had_not_been(tmp_path, undisturbed, pytestconfig):
    file = tmp_path / "checkpoint.pt"
    died = subprocess.run([sys.executable, "-c", KILLED, file, pytestconfig.rootpath], capture_output=True, text=True)
    assert died.returncode == -signal.SIGKILL, died.stderr
    again = course(file, seed=5)
    assert again.resumed
    assert (again.standing.epoch, again.standing.step) == (1, 3)
    require_same(run(again), undisturbed)


@pytest.mark.parametrize("when", [(0, 0), (0, 2), (1, 0), (2, 1)])
def test_interrupted_anywhere_it_ends_the_same(tmp_path, undisturbed, monkeypatch, when):
    monkeypatch.setattr(unfinished, "EVERY_S", 0.0)
    monkeypatch.setattr(unfinished, "AT_MOST", 0.0)

    def interrupts(epoch, step):
        if (epoch, step) == when:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(course(tmp_path / "c.pt", Walks(interrupts)))
    require_same(run(course(tmp_path / "c.pt", seed=5)), undisturbed)


def test_what_was_done_since_the_last_file_is_done_again(tmp_path, undisturbed):
    """Files are rare: the one of the end of the last epoch is gone on with."""

    def interrupts(epoch, step):
        if (epoch, step) == (1, 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(course(tmp_path / "c.pt", Walks(interrupts)))
    again = course(tmp_path / "c.pt", seed=5)
    assert (again.standing.epoch, again.standing.step) == (1, 0)
    require_same(run(again), undisturbed)


def test_a_time_limit_leaves_a_network_and_a_training_that_goes_on(tmp_path, undisturbed):
    limited = course(tmp_path / "c.pt")
    limited._limit = -1.0
    ended, history = run(limited)
    assert (ended.why, history, limited.steps) == ("time limit", [], 0)
    assert ended.best.val_loss > undisturbed[0].best.val_loss
    require_same(run(course(tmp_path / "c.pt", seed=5)), undisturbed)


@pytest.mark.parametrize("spoilt", [False, True])
def test_a_time_limit_within_an_epoch_gives_the_better_of_the_network_at_work_and_the_best(tmp_path, spoilt):
    def stops(epoch, step):
        if (epoch, step) == (1, 3):
            made._limit = -1.0
            if spoilt:
                with torch.no_grad():
                    made._pupil.model.head_x.fc2.weight.neg_()

    made = course(tmp_path / "c.pt", Walks(stops), replace(RECIPE, warmup=0, clip=0.0))
    ended, [first] = run(made)
    assert made.steps == 4 + 3
    at_work = loss_of(made)
    assert (at_work > first.val_loss) == spoilt
    assert ended.best.val_loss == min(at_work, first.val_loss)
    assert ended.best.epoch == (1 if spoilt else 2)
    assert loss_of(made, ended.weights) == ended.best.val_loss


def test_a_time_limit_leaves_time_for_the_examination(tmp_path):
    made = course(tmp_path / "c.pt")
    made._limit, made._examination_s = 1000.0, 1000.0
    ended, _ = run(made)
    assert (ended.why, made.steps) == ("time limit", 0)


def test_time_of_earlier_lives_is_told_and_no_part_of_the_limit(tmp_path):
    earlier = course(tmp_path / "c.pt")
    earlier.standing.seconds = 1000.0
    earlier.begin()
    made = course(tmp_path / "c.pt")
    made._limit = 500.0
    assert made.run(Silent(), lambda _epoch: None).why == "epochs"
    seconds = [epoch.seconds for epoch in made.standing.history]
    assert 1000 < seconds[0] < seconds[1] < seconds[2] < made.seconds < 1500


def test_it_ends_when_nothing_gets_better(tmp_path):
    recipe = replace(RECIPE, lr=1e-12, patience=2, epochs=9)
    ended, history = run(course(tmp_path / "c.pt", recipe=recipe))
    assert ended.why == "no better"
    assert len(history) == ended.best.epoch + 2


def test_the_best_network_is_kept_not_the_last(tmp_path):
    made = course(tmp_path / "c.pt", recipe=replace(RECIPE, lr=1e-2, epochs=6, clip=0.0, warmup=0))
    ended, history = run(made)
    assert ended.best.val_loss == min(epoch.val_loss for epoch in history) < history[-1].val_loss
    assert loss_of(made, ended.weights) == ended.best.val_loss


def test_the_best_is_the_one_with_the_least_loss_whatever_links_it_finds(tmp_path):
    made = course(tmp_path / "c.pt")
    epoch = Epoch(epoch=1, step=4, lr=0.1, train_loss=1.0, val_loss=2.0, val_f1=0.9, val_accuracy=0.9, seconds=1.0)
    better = replace(epoch, epoch=2, val_loss=1.0, val_f1=0.5, val_accuracy=0.5)
    for closed in (epoch, better, replace(epoch, epoch=3)):
        made.standing.close(closed, made._pupil.model)
    assert (made.standing.best, made.standing.stale) == (better, 1)


@pytest.mark.parametrize("precision", ["bf16", "16"])
def test_half_precision_learns_too_and_goes_on_too(tmp_path, precision):
    recipe = replace(RECIPE, epochs=2, samples_per_epoch=4)
    whole = run(course(tmp_path / "a.pt", Walks(steps=2), recipe, precision=precision, d_model=32))

    def interrupts(epoch, _step):
        if epoch == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(course(tmp_path / "b.pt", Walks(interrupts, steps=2), recipe, precision=precision, d_model=32))
    require_same(run(course(tmp_path / "b.pt", Walks(steps=2), recipe, precision=precision, d_model=32)), whole)
    single = run(course(tmp_path / "c.pt", Walks(steps=2), recipe, d_model=32))
    assert whole[1][0].val_loss == pytest.approx(single[1][0].val_loss, rel=0.05)
    assert whole[1][0].val_loss != single[1][0].val_loss


@pytest.mark.parametrize("precision", ["32", "16"])
def test_gradients_are_cut_to_the_length_of_the_recipe(tmp_path, precision):
    pupil = course(tmp_path / "c.pt", recipe=replace(RECIPE, clip=0.01), precision=precision)._pupil
    pupil.learn([walk(1)], 1e-3)
    assert torch.nn.utils.get_total_norm([p.grad for p in pupil.model.parameters()]) == pytest.approx(0.01, rel=1e-3)


def test_who_goes_on_in_half_precision_scales_gradients_as_before(tmp_path):
    one, other = (course(tmp_path / "c.pt", precision="16")._pupil for _ in range(2))
    one.learn([walk(1)], 1e-3)
    one._scaler.update(512.0)
    other.resume(one.state())
    assert other.state()["scaler"] == one.state()["scaler"]
    assert other._scaler.get_scale() == 512


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_halves_are_turned_in_single_precision(dtype):
    heads = torch.randn(1, 2, 3, 16)
    turns = torch.polar(torch.ones(1, 1, 3, 8), torch.rand(1, 1, 3, 8))
    assert torch.equal(turned(heads.to(dtype), turns), turned(heads.to(dtype).float(), turns))


def test_a_loss_that_is_no_number_stops_it_and_names_the_step(tmp_path):
    def breaks(epoch, step):
        if (epoch, step) == (1, 2):
            with torch.no_grad():
                made._pupil.model.proj.weight.fill_(float("nan"))

    made = course(tmp_path / "c.pt", Walks(breaks))
    with pytest.raises(TrainingError, match="step 3 of epoch 2"):
        run(made)
    assert course(tmp_path / "c.pt").standing.epoch == 1


def test_a_training_of_something_else_is_refused_by_name(tmp_path):
    course(tmp_path / "c.pt")._checkpoint.keep({})
    with pytest.raises(StoreExistsError, match="what 'the same', now 'another'"):
        course(tmp_path / "c.pt", follows="another")


def test_a_file_that_would_run_code_or_is_cut_off_is_refused(tmp_path):
    class Runs:
        def __reduce__(self):
            return print, ("code ran",)

    torch.save({"format": 1, "follows": {"what": "the same"}, "state": Runs()}, tmp_path / "runs.pt")
    course(tmp_path / "cut.pt")._checkpoint.keep({"a": torch.zeros(1000)})
    (tmp_path / "cut.pt").write_bytes((tmp_path / "cut.pt").read_bytes()[:2000])
    torch.save({"format": 99, "follows": {}, "state": {}}, tmp_path / "newer.pt")
    for name in ("runs.pt", "cut.pt", "newer.pt"):
        with pytest.raises(FormatError, match=name):
            course(tmp_path / name)


def test_a_full_disk_leaves_the_last_file(tmp_path):
    checkpoint = course(tmp_path / "c.pt")._checkpoint
    checkpoint.keep({"step": 1})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            checkpoint.keep({"step": 2, "weights": torch.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert checkpoint.read() == {"step": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["c.pt"]


def test_the_table_tells_each_epoch(tmp_path, undisturbed):
    write_table(tmp_path / "metrics.csv", undisturbed[1])
    with (tmp_path / "metrics.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert float(rows[-1]["val_loss"]) == undisturbed[1][-1].val_loss
    assert list(rows[0]) == ["epoch", "step", "lr", "train_loss", "val_loss", "val_f1", "val_accuracy", "seconds"]


def test_progress_shows_epochs_and_steps(tmp_path):
    progress = Recorded()
    course(tmp_path / "c.pt").run(progress, lambda _epoch: None)
    assert progress.stages == ["epoch 1 of 3", "epoch 2 of 3", "epoch 3 of 3"]
    assert progress.steps == 12


def test_a_board_that_is_not_installed_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ConfigError, match="TensorBoard"):
        Board(tmp_path)
    Board(None).tell(None)
