"""Cells, brightness and windows: what a network is told, and how what it says of a movie is put together."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from trackdb.engine.measure import measure
from trackdb.engine.models.brightness import Brightness, brightness_of, percentiles
from trackdb.engine.models.cells import cells_for, inertia_in
from trackdb.engine.models.settings import TransformerSettings
from trackdb.errors import ConfigError, FormatError, MissingRowsError, SchemaError
from trackdb.storage.measurements import Features
from trackdb.testing.movies import cells as points
from trackdb.testing.movies import measured

from .movies import square_mask

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install -c constraints.txt '.[models]'")

from trackdb.engine.models import windows  # noqa: E402
from trackdb.engine.models.cells import Cells  # noqa: E402
from trackdb.engine.models.transformer import AssociationTransformer, Seen  # noqa: E402
from trackdb.engine.models.windows import Links, Sliding, associate  # noqa: E402
from trackdb.engine.training.precision import Precision  # noqa: E402

FLAT = TransformerSettings(coord_dim=2, feat_dim=7, d_model=16, nhead=2)
DEEP = TransformerSettings(coord_dim=3, feat_dim=12, d_model=16, nhead=2)


class Certain(AssociationTransformer):
    """Every link has a logit of 1 in a window that begins at an even frame, else of -1; cells at x > 90 see no one."""

    def __init__(self, window):
        super().__init__(TransformerSettings(coord_dim=2, d_model=8, nhead=2, window=window, causal_norm="none"))
        self.starts = []

    def look(self, places, features, padding=None):
        n = places.shape[1]
        self.starts.append((int(places[0, 0, 0]), n))
        sign = 1.0 if places[0, 0, 0] % 2 == 0 else -1.0
        one = torch.ones(1, n, 1)
        far = places[..., 2] > 90
        return Seen(one, sign * one, one, places[..., 1:], 1000.0 * (far[:, None] | far[:, :, None]))


SIGMOID = 1 / (1 + np.exp(-1.0))


def standing(frames, x=None):
    frame = np.array(frames, np.int64)
    places = np.zeros((len(frame), 3), np.float32)
    places[:, 0] = frame
    places[:, 2] = 0 if x is None else x
    return Cells(frame, places, np.empty((len(frame), 0), np.float32))


def told(judged):
    found = Links.concatenate([part.links for part in judged])
    return dict(zip(zip(found.source.tolist(), found.target.tolist(), strict=True), found.probability, strict=True))


def test_a_link_gets_the_mean_of_the_windows_that_hold_both_cells():
    """Frames 0 1 2 3 in windows of 3: 1 -> 2 lies in both windows, the other links in one."""
    links = told(associate(Certain(3), standing([0, 1, 2, 3]), Sliding(4, mean="all")))
    assert links == pytest.approx({(0, 1): SIGMOID, (1, 2): 0.5, (2, 3): 1 - SIGMOID})


def test_windows_in_which_a_link_is_less_than_least_do_not_count():
    links = told(associate(Certain(3), standing([0, 1, 2, 3]), Sliding(4, least=0.4)))
    assert links == pytest.approx({(0, 1): SIGMOID, (1, 2): SIGMOID})


def test_links_reach_over_gaps_up_to_the_window():
    links = told(associate(Certain(3), standing([0, 1, 2, 3]), Sliding(4, max_gap=5)))
    assert links.keys() == {(0, 1), (0, 2), (1, 2), (1, 3), (2, 3)}


def test_a_movie_shorter_than_the_window_is_one_window():
    model = Certain(6)
    assert told(associate(model, standing([0, 1]), Sliding(2))) == pytest.approx({(0, 1): SIGMOID})
    assert model.starts == [(0, 2)]


def test_a_frame_without_cells_and_a_window_with_one_cell_have_no_links():
    model = Certain(2)
    assert told(associate(model, standing([0, 1, 3, 5, 6]), Sliding(8))).keys() == {(0, 1), (3, 4)}
    assert [n for _, n in model.starts] == [2, 2]  # a window in which nothing can be linked is not looked at


def test_a_movie_without_cells_has_no_links():
    assert told(associate(Certain(3), standing([]), Sliding(5))) == {}


def test_cells_too_far_away_are_not_linked():
    assert told(associate(Certain(2), standing([0, 0, 1], x=[0, 95, 0]), Sliding(2))).keys() == {(0, 2)}


def test_links_are_handed_out_frame_by_frame():
    parts = list(associate(Certain(3), standing([0, 0, 1, 2, 3]), Sliding(4)))
    assert [set(part.links.source.tolist()) for part in parts] == [{0, 1}, {2}, {3}, set()]


def test_what_is_known_of_a_window_is_not_looked_at_again():
    model = Certain(2)
    kept = {}

    def look(start, fresh):
        kept[start] = kept.get(start) or fresh()
        return kept[start]

    first = told(associate(model, standing([0, 1, 2]), Sliding(3), look=look))
    assert told(associate(model, standing([0, 1, 2]), Sliding(3), look=look)) == first
    assert len(model.starts) == 2


def test_the_nearest_links_of_each_source_stay():
    links = Links(np.array([0, 0, 0, 0]), np.array([1, 2, 3, 4]), np.array([0.1, 0.2, 0.3, 0.4]))
    frame, position = np.array([0, 1, 1, 1, 2]), np.array([[0.0], [3], [1], [2], [9]])
    assert links.nearest(frame, position, most=2, within=8).target.tolist() == [2, 3]
    assert links.nearest(frame, position, most=2, within=9).target.tolist() == [2, 3, 4]


def test_windows_that_cannot_be_are_refused():
    with pytest.raises(SchemaError):
        Sliding(0)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float32, np.uint32])
def test_percentiles_are_exact(dtype):
    rng = np.random.default_rng(2)
    movie = (rng.normal(size=(4, 13, 17)) * 40 + 100).astype(dtype)
    wanted = (0, 1, 37.5, 99.8, 100)
    assert percentiles(lambda: iter(movie), wanted) == pytest.approx(np.percentile(movie, wanted).tolist(), rel=1e-6)


@given(arrays(np.float32, st.integers(1, 40), elements=st.floats(-(2.0**100), 2.0**100, width=32)))
def test_percentiles_of_any_numbers_are_exact(pixels):
    ours = percentiles(lambda: iter([pixels[None, :2], pixels[None, 2:]]), (25.0, 99.8))
    theirs = np.percentile(pixels.astype(np.float64), (25.0, 99.8))
    assert ours == pytest.approx(theirs.tolist(), rel=1e-6, abs=1e-40)


def test_pixels_that_are_no_number_are_left_out():
    assert percentiles(lambda: iter([np.array([[np.nan, 1.0, 2.0]])]), (0, 100)) == [1.0, 2.0]
    with pytest.raises(FormatError, match="no pixel"):
        percentiles(lambda: iter([np.array([[np.nan]])]), (50,))


def test_every_fourth_pixel_of_large_frames_is_looked_at():
    frame = np.zeros((300, 300), np.uint8)
    frame[::4, ::4] = 9
    assert brightness_of(lambda: iter([frame])) == Brightness(9.0, 9.0)
    assert brightness_of(lambda: iter([frame[:256]])).low == 0


@pytest.fixture
def two_squares():
    """A square of 5 x 5 pixels that touches the border, and one 7 pixels from it; the first is twice as bright."""
    mask = square_mask({1: (2, 2), 2: (9, 12)}, (20, 30))
    image = np.where(mask == 1, 200, 100).astype(np.uint8)
    detections, _ = measured(mask)
    return detections, measure(mask, {"dna": image}).features


def test_cells_are_told_by_hand(two_squares):
    detections, features = two_squares
    cells = cells_for(FLAT, detections, features, "dna", Brightness(100, 200))
    assert cells.places.tolist() == [[0, 2, 2], [0, 9, 12]]
    round_of_25 = (100 / np.pi) ** 0.5
    assert cells.features == pytest.approx(
        np.array([[round_of_25, 1, 2, 0, 0, 2, 1], [round_of_25, 0, 2, 0, 0, 2, 0]]), abs=1e-6
    )


def test_flat_cells_lie_at_0_in_a_model_of_volumes(two_squares):
    detections, features = two_squares
    cells = cells_for(DEEP, detections, features, "dna", Brightness(100, 200))
    assert cells.places[0].tolist() == [0, 0, 2, 2]
    volume = square_mask({1: (2, 2)}, (20, 30))[None]
    assert cells.features[0, 2:11].reshape(3, 3) == pytest.approx(measure(volume).features.inertia_px2[0])
    assert inertia_in(features.inertia_px2, 2) is features.inertia_px2


def test_what_a_model_misses_is_named(two_squares):
    detections, features = two_squares
    with pytest.raises(MissingRowsError, match="ctc looks at how bright cells are, and there are no images"):
        cells_for(FLAT, detections, features, None, None, model="ctc")
    dark = Features(
        features.bbox_min,
        features.bbox_max,
        features.inertia_px2,
        features.border_px,
        {"dna": SimpleNamespace(mean=np.array([np.nan, 1.0]))},
    )
    with pytest.raises(MissingRowsError, match="1 cells cover pixels of channel dna that are no number"):
        cells_for(FLAT, detections, dark, "dna", Brightness(0, 1))
    bare = points([0, 0], [[1, 2], [3, 4]])
    with pytest.raises(MissingRowsError, match="2 of 2 are points"):
        cells_for(FLAT, bare, features, "dna", Brightness(0, 1))
    with pytest.raises(FormatError, match="flat"):
        cells_for(FLAT, points([0], [[1, 2, 3]]), None, None, None)


def test_a_model_of_places_alone_needs_no_pixels():
    cells = cells_for(TransformerSettings(coord_dim=2), points([0, 3], [[1, 2], [3, 4]]), None, None, None)
    assert cells.places.tolist() == [[0, 1, 2], [3, 3, 4]]
    assert cells.features.shape == (2, 0)


def drawn(norm="quiet_softmax", positions="rope"):
    """Return a model whose logits spread, and cells of frames of 0 to 6 cells."""
    torch.manual_seed(0)
    settings = TransformerSettings(
        coord_dim=2, feat_dim=0, d_model=64, nhead=2, window=3, causal_norm=norm, attn_positional_bias=positions,
        spatial_pos_cutoff=60,
    )  # fmt: skip
    model = AssociationTransformer(settings).eval()
    with torch.no_grad():
        for head in (model.head_x, model.head_y):
            head.fc2.weight *= 8
    frame = np.repeat(np.arange(9), [4, 6, 1, 0, 5, 5, 2, 6, 3])
    rng = np.random.default_rng(0)
    places = np.column_stack([frame, rng.random((len(frame), 2)) * 80]).astype(np.float32)
    return model, Cells(frame, places, np.empty((len(frame), 0), np.float32))


@pytest.mark.parametrize("positions", ["rope", "bias", "none"])
def test_windows_that_are_looked_at_together_say_what_they_say_alone(positions):
    model, cells = drawn(positions=positions)
    sliding = Sliding(9, max_gap=1, embeddings=True)
    alone = list(associate(model, cells, sliding))
    for batch in (2, 4, 100):
        together = list(associate(model, cells, sliding, batch=batch))
        assert told(together).keys() == told(alone).keys()
        assert told(together) == pytest.approx(told(alone), abs=1e-5)
        for one, other in zip(alone, together, strict=True):
            np.testing.assert_allclose(one.embedding, other.embedding, atol=1e-4)
    assert len(told(alone)) > 10


def test_windows_together_are_looked_at_once(monkeypatch):
    model, cells = drawn()
    looked = []
    look = model.look
    monkeypatch.setattr(model, "look", lambda places, *rest: looked.append(len(places)) or look(places, *rest))
    list(associate(model, cells, Sliding(9), batch=4))
    assert looked == [4, 3]
    looked.clear()
    monkeypatch.setattr(windows, "CROWDED", 1)
    list(associate(model, cells, Sliding(9), batch=4))
    assert looked == [1] * 6  # one of the seven has no two frames with cells that follow each other


def test_a_window_is_handed_over_in_one_piece(monkeypatch):
    model, cells = drawn()
    handed, cpu = [], torch.Tensor.cpu
    monkeypatch.setattr(torch.Tensor, "cpu", lambda tensor: handed.append(tensor.shape) or cpu(tensor))
    links = told(associate(model, cells, Sliding(9, max_gap=1)))
    assert len(handed) == 7
    assert links


@pytest.mark.parametrize(("name", "most"), [("bf16", 0.1), ("16", 0.02)])
def test_half_precision_moves_probabilities_a_little(name, most):
    model, cells = drawn()
    sliding = Sliding(9, least=1e-3)
    whole = told(associate(model, cells, sliding))
    half = told(associate(model, cells, sliding, precision=Precision(torch.device("cpu"), name)))
    apart = [abs(whole.get(pair, 0.0) - half.get(pair, 0.0)) for pair in whole.keys() | half.keys()]
    assert 0 < np.mean(apart) < most / 4
    assert max(apart) < most


def test_memory_that_is_too_small_is_told_with_what_helps(monkeypatch):
    model, cells = drawn()

    def full(*_args):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(model, "look", full)
    with pytest.raises(ConfigError, match=r"11 cells in a window, 1 windows at once: the memory of cpu is too small"):
        list(associate(model, cells, Sliding(9)))
