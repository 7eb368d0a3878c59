"""The association transformer: it answers as the authors' package does, whatever its settings.

`tests/fixtures/trackastra.npz` holds what that package answered (`benchmarks/trackastra_oracle.py`). Logits are
compared relative to the largest: on another kind of processor the authors' own differ by some 5e-7 of it.
"""

from pathlib import Path

import numpy as np
import pytest

from trackdb.engine.models.settings import TransformerSettings, settings_from
from trackdb.errors import FormatError

from .transformers import CASES, SMALL, drawn_weights, drawn_window

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install -c constraints.txt '.[models]'")

from trackdb.engine.models import transformer  # noqa: E402
from trackdb.engine.models.attention import Surroundings  # noqa: E402
from trackdb.engine.models.near import groups_of  # noqa: E402
from trackdb.engine.models.parental import associations, frame_blocks, parental  # noqa: E402
from trackdb.engine.models.transformer import AssociationTransformer  # noqa: E402

ANSWERS = np.load(Path(__file__).parent / "fixtures" / "trackastra.npz")


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def drawn_model(settings):
    model = AssociationTransformer(settings_from(settings, "config.yaml")).eval()
    weights = drawn_weights({name: tuple(value.shape) for name, value in model.state_dict().items()})
    model.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()}, strict=False)
    return model


def batch(*arrays):
    return [torch.from_numpy(array)[None] for array in arrays]


@pytest.mark.parametrize("case", CASES)
def test_logits_and_probabilities_are_those_of_the_authors(case):
    settings, frame, places, features = drawn_window(case)
    with torch.inference_mode():
        seen = drawn_model(settings).look(*batch(places, features))
        logits = (seen.parent @ seen.child.mT)[0]
        invalid = seen.distance[0] > settings["spatial_pos_cutoff"]
        probability = associations(logits, torch.from_numpy(frame), invalid, settings["causal_norm"]).numpy()
    theirs, told = ANSWERS[f"{case}/logits"], ANSWERS[f"{case}/probability"]
    forward = frame[None, :] > frame[:, None]
    # processors add single precision in other orders: 2.0e-6 was the most seen, on AMD EPYC
    assert np.abs(logits.numpy() - theirs).max() <= 4e-6 * np.abs(theirs).max()
    assert np.abs(probability - told)[forward].max() <= 1e-5
    assert not probability[~forward].any()
    assert np.count_nonzero((told > 0.05) & (told < 0.95) & forward) > 5  # or the test would tell nothing


@pytest.mark.parametrize("case", ["rope", "bias", "features as they are"])
def test_padding_changes_nothing(case):
    settings, _, places, features = drawn_window(case)
    model = drawn_model(settings)
    with torch.inference_mode():
        alone = model(*batch(places, features))[0]
        padded = [np.pad(array, ((0, 9), (0, 0))) for array in (places, features)]
        padding = torch.arange(len(padded[0]))[None] >= len(places)
        together = model(*batch(*padded), padding)[0, : len(places), : len(places)]
    assert (alone - together).abs().max() <= 1e-5 * alone.abs().max()


def test_where_a_window_begins_shifts_its_places_too():
    """Two frames later, and the cells two pixels further: the authors' weights know it as the same window."""
    settings, _, places, features = drawn_window("rope")
    places = np.round(places * 4) / 4  # so that nothing is rounded on the way
    model = drawn_model(settings)
    with torch.inference_mode():
        here, there = model(*batch(places, features)), model(*batch(places + 2, features))
        moved = model(*batch(places + np.array([2, 0, 0], np.float32), features))
    assert (here - there).abs().max() <= 1e-5 * here.abs().max()
    assert (here - moved).abs().max() > 1e-2 * here.abs().max()


def test_cells_beyond_the_cutoff_do_not_see_each_other():
    settings = settings_from({**SMALL, "spatial_pos_cutoff": 10}, "config.yaml")
    places = torch.tensor([[[0, 0, 0], [0, 0, 9.0], [0, 0, 11.0]]])
    mask = Surroundings.of(settings, places, None).sights[0].mask[0, 0]
    assert (mask < -900).tolist() == [[False, False, True], [False, False, False], [True, False, False]]


@pytest.mark.parametrize("case", ["rope", "bias", "3D"])
def test_in_groups_cells_look_as_they_do_all_at_once(case, monkeypatch):
    settings, _, places, features = drawn_window(case, n=200)
    model = drawn_model({**settings, "spatial_pos_cutoff": 20})
    with torch.inference_mode():
        at_once = model.look(*batch(places, features))
        monkeypatch.setattr(transformer, "CROWDED", 1)
        monkeypatch.setattr(transformer, "WORTH_GROUPS", 1.0)
        monkeypatch.setitem(groups_of.__kwdefaults__, "most", 60)
        grouped = model.look(*batch(places, features))
    assert at_once.distance is not None
    assert grouped.distance is None
    assert torch.allclose(grouped.apart(slice(0, 90), slice(100, 160)), at_once.distance[0, :90, 100:160], atol=0.1)
    for name in ("encoded", "parent", "child"):
        one, other = getattr(at_once, name), getattr(grouped, name)
        assert (one - other).abs().max() <= 1e-4 * one.abs().max()


def test_groups_are_all_cells_once_and_see_whoever_is_near():
    place = np.random.default_rng(3).uniform(0, 300, (200, 2)).astype(np.float32)
    order, groups, seen = groups_of(place, 40.0, most=16)
    assert sorted(order.tolist()) == list(range(200))
    assert sorted((g.start, g.stop) for g in groups) == [(g.start, g.stop) for g in groups]
    assert (groups[0].start, groups[-1].stop) == (0, 200)
    for group, others in zip(groups, seen, strict=True):
        assert group.stop - group.start <= 16
        far = np.linalg.norm(place[order[group], None] - place[None, order], axis=-1).min(axis=0)
        assert set(np.flatnonzero(far <= 40)) <= set(others.tolist())
    assert sum(map(len, seen)) < 0.5 * len(groups) * 200


def test_every_weight_learns():
    settings, _, places, features = drawn_window("rope")
    model = drawn_model(settings).train()
    model(*batch(places, features)).square().mean().backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in model.parameters() if p.numel())


def test_parental_softmax_by_hand():
    """Two parents at even odds with "none of them": a third each; one that cannot be leaves a half."""
    logits = torch.tensor([[0.0, 0.0], [0.0, 5.0]])
    invalid = torch.tensor([[False, False], [False, True]])
    quiet = parental(logits, invalid, "quiet_softmax")
    assert quiet.numpy() == pytest.approx(np.array([[1 / 3, 1 / 2], [1 / 3, 0]]), abs=1e-5)
    assert parental(logits, invalid, "softmax").numpy() == pytest.approx(np.array([[0.5, 1], [0.5, 0]]), abs=1e-5)
    assert parental(logits, invalid, "linear").numpy() == pytest.approx(np.array([[0.5, 1], [0.5, 0]]), abs=1e-5)
    assert parental(logits, invalid, "none").numpy() == pytest.approx(np.array([[0.5, 0.5], [0.5, 0]]), abs=1e-5)


@pytest.mark.parametrize("norm", ["quiet_softmax", "softmax", "linear"])
def test_a_cell_has_at_most_one_parent_in_a_frame(norm):
    logits = torch.from_numpy(np.random.default_rng(0).normal(size=(30, 20)).astype(np.float32)) * 40
    total = parental(logits, logits > 60, norm).sum(0)
    assert total.max() <= 1 + 1e-5


def test_blocks_pair_each_frame_with_those_within_the_gap():
    frame = torch.tensor([2, 2, 3, 5])
    blocks = [((r.start, r.stop), (c.start, c.stop)) for r, c in frame_blocks(frame, 1)]
    assert blocks == [((0, 2), (2, 3)), ((2, 3), (3, 4))]
    assert len(list(frame_blocks(frame, 2))) == 3


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"attn_positional_bias": False}, "attn_positional_bias is False"),
        ({"attn_positional_bias": None}, "attn_positional_bias is None"),
        ({"attn_positional_bias": "absolute"}, "rope or bias or none"),
        ({"d_model": 30}, "a multiple of twice nhead, 8"),
        ({"d_model": "wide"}, "d_model is 'wide'"),
        ({"feat_dim": 6}, "0 or 7"),
        ({"coord_dim": 4}, "2 or 3"),
        ({"coord_dim": 3, "feat_dim": 7}, "0 or 12"),
        ({"logit_norm": 1}, "unknown logit_norm"),
        ({"pretrained_feat_dim": 256}, "features of another network"),
    ],
)
def test_settings_that_cannot_be_are_named(wrong, told):
    with pytest.raises(FormatError) as caught:
        settings_from({"coord_dim": 2, **wrong}, "config.yaml")
    assert "config.yaml" in str(caught.value)
    assert told in str(caught.value)


def test_settings_that_are_not_named_have_their_defaults():
    assert settings_from({}, "config.yaml") == TransformerSettings()
    assert TransformerSettings().attn_dist_mode == "v0"
    assert TransformerSettings(d_model=64, nhead=4, coord_dim=2).rotations == (8, 4, 4)
