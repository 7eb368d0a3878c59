"""The loss of an association transformer, beside a loop over pairs, and beside the authors' package."""

from pathlib import Path

import numpy as np
import pytest

from trackdb.engine.training.association.examples import Example

from .taught import walk
from .transformers import drawn_lesson, drawn_weights

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install -c constraints.txt '.[models]'")

from trackdb.engine.models.settings import NORMS, TransformerSettings  # noqa: E402
from trackdb.engine.models.transformer import AssociationTransformer  # noqa: E402
from trackdb.engine.training.association.loss import judge  # noqa: E402
from trackdb.engine.training.association.padded import Batch  # noqa: E402

ORACLE = np.load(Path(__file__).parent / "fixtures" / "trackastra_training.npz")


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def logits_of(batch, scale=3.0):
    generator = torch.Generator().manual_seed(0)
    return scale * torch.randn(batch.associated.shape, generator=generator)


def by_hand(logits, example, norm):
    """Return the loss of one example, pair by pair, and how many pairs count."""
    n, total, count = len(example.frame), 0.0, 0
    for i in range(n):
        for j in range(n):
            if not 0 < example.frame[j] - example.frame[i] <= 2:
                continue
            column = [logits[k, j] for k in range(n) if example.frame[k] == example.frame[i]]
            sigmoid = 1 / (1 + np.exp(-logits[i, j]))
            likely = {
                "quiet_softmax": np.exp(logits[i, j]) / (1 + np.exp(column).sum()),
                "softmax": np.exp(logits[i, j]) / np.exp(column).sum(),
                "linear": sigmoid / (1 / (1 + np.exp(-np.array(column)))).sum(),
                "none": sigmoid,
            }[norm]
            right = example.associated[i, j]
            blame = -np.log(likely if right else 1 - likely)
            blame += 0.01 * -np.log(sigmoid if right else 1 - sigmoid)
            total, count = total + example.weight[i, j] * blame, count + 1
    return total / count, count


@pytest.mark.parametrize("norm", NORMS)
def test_the_loss_is_that_of_a_loop_over_pairs(norm):
    examples = [walk(1, n=3), walk(2, n=6)]
    batch = Batch.of(examples)
    logits = logits_of(batch)
    parts = [by_hand(logits[i].double().numpy(), example, norm) for i, example in enumerate(examples)]
    share = np.array([count for _, count in parts]) ** 0.2
    expected = (share * [loss for loss, _ in parts]).sum() / share.sum()
    assert float(judge(logits, batch, norm).loss) == pytest.approx(expected, rel=2e-5)


def test_padding_and_what_has_no_weight_counts_nothing():
    small, large = walk(1, n=3), walk(2, n=9)
    batch = Batch.of([small, large])
    logits = logits_of(batch)
    alone = judge(logits[:1, :10, :10], Batch.of([small]), "quiet_softmax").loss
    logits[0, 10:], logits[0, :, 10:] = 1e9, -1e9
    nothing = Example(large.frame, large.places, large.features, large.associated, 0 * large.weight)
    assert float(judge(logits, Batch.of([small, nothing]), "quiet_softmax").loss) == pytest.approx(float(alone))


def test_logits_beyond_half_precision_have_a_loss():
    batch = Batch.of([walk(1)])
    for logits in (logits_of(batch, 1e30), torch.full(batch.associated.shape, float("inf"))):
        logits.requires_grad_()
        loss = judge(logits, batch, "quiet_softmax").loss
        loss.backward()
        assert torch.isfinite(loss)
        assert torch.isfinite(logits.grad).all()


def test_rows_of_a_batch_stand_by_their_frames():
    batch = Batch.of([walk(1, n=2), walk(2, n=3)])
    assert batch.rows.shape == (2, 3, 4)
    assert batch.rows[0].tolist() == [[0, 1, 0, 0], [2, 3, 0, 0], [4, 5, 6, 0]]
    assert batch.absent[0].tolist() == [[False, False, True, True], [False, False, True, True], [False] * 3 + [True]]
    assert batch.padding.sum(dim=1).tolist() == [3, 0]


@pytest.mark.parametrize("case", sorted({name.split("/")[0] for name in ORACLE.files}))
def test_loss_and_gradients_are_those_of_the_package(case):
    settings, examples = drawn_lesson(case)
    model = AssociationTransformer(TransformerSettings(**settings)).train()
    weights = drawn_weights({name: tuple(value.shape) for name, value in model.state_dict().items()})
    model.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()}, strict=False)
    batch = Batch.of([Example(*example) for example in examples])
    loss = judge(model(batch.places, batch.features, batch.padding), batch, settings["causal_norm"]).loss
    assert float(loss.detach()) == pytest.approx(float(ORACLE[f"{case}/loss"]), rel=1e-5)
    expected = {name.removeprefix(f"{case}/"): ORACLE[name] for name in ORACLE.files if name.startswith(f"{case}/")}
    del expected["loss"]
    if not expected:  # the package has no gradient of these norms where there is padding
        return
    loss.backward()
    found = {name: weight.grad.double().numpy() for name, weight in model.named_parameters() if weight.grad is not None}
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        direction = np.random.default_rng(len(name)).normal(size=gradient.shape)
        length, along = expected[name]
        assert np.linalg.norm(gradient) == pytest.approx(length, rel=1e-4, abs=1e-5)
        # a sum of both signs: what another processor rounds in another way is a share of all of it
        assert (gradient * direction).sum() == pytest.approx(along, abs=1e-4 * length + 1e-5)
