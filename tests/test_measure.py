"""Label masks to regions: a drawn mask, the laws, and scikit-image as oracle."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.measure import regionprops_table

from trackdb.engine.measure import measure, runs
from trackdb.errors import FormatError
from trackdb.storage.schema import Detections

DRAWN = """
. 7 7 . .
. 7 . . 2
. . . 2 2
7 . . . .
"""

MASKS = hnp.arrays(
    st.sampled_from([np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64]),
    hnp.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=7),
    elements=st.integers(0, 6),
)


def drawn() -> np.ndarray:
    """Return the drawn mask: label 2 is an L of three pixels, label 7 has two parts."""
    return np.array([[0 if c == "." else int(c) for c in line.split()] for line in DRAWN.split("\n") if line])


def test_a_drawn_mask_is_measured_as_by_hand():
    regions = measure(drawn())
    assert regions.label.tolist() == [2, 7]
    assert regions.area.tolist() == [3, 4]
    np.testing.assert_allclose(regions.centroid_px, [[5 / 3, 11 / 3], [4 / 4, 4 / 4]])
    assert regions.features.bbox_min.tolist() == [[1, 3], [0, 0]]
    assert regions.features.bbox_max.tolist() == [[3, 5], [4, 3]]
    assert regions.features.border_px.tolist() == [0, 0]
    # label 7 has rows 0, 0, 1, 3 and columns 1, 2, 1, 0: variances 3/2 and 1/2, covariance -1/2 * 3/2
    y, x = np.array([0, 0, 1, 3]), np.array([1, 2, 1, 0])
    spread = [[x.var(), -np.mean((y - 1) * (x - 1))], [-np.mean((y - 1) * (x - 1)), y.var()]]
    np.testing.assert_allclose(regions.features.inertia_px2[1], spread)


def test_the_arrays_have_the_types_of_the_tables():
    regions = measure(drawn().astype(np.uint16))
    assert len(regions) == 2
    features = regions.features
    assert [a.dtype for a in (regions.label, features.bbox_min, features.bbox_max)] == [np.int64] * 3
    floats = (regions.area, regions.centroid_px, features.inertia_px2, features.border_px)
    assert [a.dtype for a in floats] == [np.float64] * 4


@st.composite
def masks_with_images(draw):
    """A mask, with an image of any type that a microscope or a filter writes."""
    mask = draw(MASKS)
    kind = draw(st.sampled_from([np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64, "f4", "f8"]))
    values = st.floats(-1000, 1000, width=32) if np.dtype(kind).kind == "f" else st.integers(0, 120)
    return mask, draw(hnp.arrays(kind, mask.shape, elements=values))


PROPERTIES = (
    "label",
    "area",
    "centroid",
    "bbox",
    "equivalent_diameter_area",
    "inertia_tensor",
    "intensity_mean",
    "intensity_min",
    "intensity_max",
)


def assert_as_scikit_image(mask, image):
    """Compare every number with scikit-image's, and the border distance with a distance counted pixel by pixel."""
    regions = measure(mask, {"red": image})
    table = regionprops_table(mask.astype(np.int64), image, properties=PROPERTIES)
    features, axes = regions.features, range(mask.ndim)
    np.testing.assert_array_equal(regions.label, table["label"])
    np.testing.assert_array_equal(regions.area, table["area"])
    n = len(regions)
    detections = Detections(np.arange(n), np.zeros(n, int), regions.centroid_px, regions.label, regions.area)
    np.testing.assert_allclose(detections.equivalent_diameter_px, table["equivalent_diameter_area"], rtol=1e-12)
    for a in axes:
        np.testing.assert_allclose(regions.centroid_px[:, a], table[f"centroid-{a}"], rtol=0, atol=1e-9)
        np.testing.assert_array_equal(features.bbox_min[:, a], table[f"bbox-{a}"])
        np.testing.assert_array_equal(features.bbox_max[:, a], table[f"bbox-{a + mask.ndim}"])
        for b in axes:
            mine, theirs = features.inertia_px2[:, a, b], table[f"inertia_tensor-{a}-{b}"]
            np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-8)
    for key in ("mean", "min", "max"):
        mine, theirs = getattr(features.intensity["red"], key), table[f"intensity_{key}"]
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-4 if image.dtype.kind == "f" else 0)
    y, x = np.indices(mask.shape)[-2:]
    border = np.minimum.reduce([y, mask.shape[-2] - 1 - y, x, mask.shape[-1] - 1 - x])
    assert features.border_px.tolist() == [border[mask == label].min() for label in regions.label]


@settings(max_examples=200, deadline=None)
@given(masks_with_images())
def test_regions_are_those_of_scikit_image(drawn):
    assert_as_scikit_image(*drawn)


@settings(max_examples=50, deadline=None)
@given(MASKS, st.data())
def test_turning_the_axes_turns_the_answer(mask, data):
    axes = data.draw(st.permutations(range(mask.ndim)))
    before, after = measure(mask), measure(mask.transpose(axes))
    np.testing.assert_array_equal(before.label, after.label)
    np.testing.assert_allclose(before.centroid_px[:, axes], after.centroid_px, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(before.features.bbox_max[:, axes], after.features.bbox_max)
    turned = before.features.inertia_px2[:, axes][:, :, axes]
    np.testing.assert_allclose(turned, after.features.inertia_px2, rtol=0, atol=1e-9)


@settings(max_examples=50, deadline=None)
@given(masks_with_images(), st.randoms())
def test_other_numbers_for_the_labels_change_nothing_else(drawn, random):
    mask, image = drawn
    labels = [0, *random.sample([1, 2, 3, 65536, 2**20, 3 * 2**32, 2**62], 6)]
    before, after = (measure(m, {"red": image}) for m in (mask, np.array(labels)[mask.astype(int)]))
    assert sorted(labels[label] for label in before.label) == after.label.tolist()
    order = np.argsort([labels[label] for label in before.label])
    np.testing.assert_array_equal(before.area[order], after.area)
    np.testing.assert_array_equal(before.features.inertia_px2[order], after.features.inertia_px2)
    np.testing.assert_array_equal(before.features.intensity["red"].mean[order], after.features.intensity["red"].mean)


def test_many_labels_far_apart_are_told_apart():
    """More labels than the first table of them holds, all multiples of a power of two."""
    label = (np.random.default_rng(0).permutation(5000) + 1) * 2**40
    mask = np.repeat(label, 3).reshape(100, 150)
    regions = measure(mask)
    assert regions.label.tolist() == sorted(label.tolist())
    assert regions.area.tolist() == [3] * 5000


def test_a_shape_far_from_the_corner_keeps_its_digits():
    """Two pixels of a frame of 60,000 columns: squares of their places would lose the half."""
    mask = np.zeros((2, 60_000), np.uint8)
    mask[1, -2:] = 1
    regions = measure(mask)
    assert regions.centroid_px.tolist() == [[1, 59_998.5]]
    assert regions.features.inertia_px2.tolist() == [[[0.25, 0], [0, 0]]]


def test_each_channel_is_measured_by_name():
    mask, red = drawn(), np.arange(20, dtype=np.uint16).reshape(4, 5)
    intensity = measure(mask, {"red": red, "dark": np.zeros((4, 5), bool)}).features.intensity
    assert list(intensity) == ["red", "dark"]
    assert intensity["red"].mean.tolist() == [(9 + 13 + 14) / 3, (1 + 2 + 6 + 15) / 4]
    assert intensity["red"].min.tolist() == [9, 1]
    assert intensity["red"].max.tolist() == [14, 15]
    assert intensity["dark"].max.tolist() == [0, 0]


def test_a_pixel_that_is_no_number_makes_the_intensity_of_its_cell_unknown():
    """As in scikit-image; the other cells keep theirs, and background counts for nobody."""
    image = np.ones((4, 5), np.float32)
    image[0, 0] = image[0, 1] = np.nan
    image[1, 4], image[2, 3] = np.inf, -np.inf
    bright = measure(drawn(), {"red": image}).features.intensity["red"]
    np.testing.assert_array_equal(bright.mean, [np.nan, np.nan])  # of both infinities, and of a pixel without number
    np.testing.assert_array_equal(bright.min, [-np.inf, np.nan])
    np.testing.assert_array_equal(bright.max, [np.inf, np.nan])


def test_one_pixel_without_number_is_enough_wherever_it_lies():
    mask, places = np.ones((2, 3), np.uint8), [(0, 0), (0, 2), (1, 1), (1, 2)]
    for place in places:
        image = np.arange(6.0).reshape(2, 3)
        image[place] = np.nan
        bright = measure(mask, {"red": image}).features.intensity["red"]
        assert np.isnan([bright.mean[0], bright.min[0], bright.max[0]]).all(), place


@pytest.mark.parametrize("kind", [">u2", ">i4", ">f4", ">f8", "f2", "g", "?"])
def test_numbers_of_any_width_and_order_of_bytes_are_read(kind):
    mask = drawn().astype(">u4")
    image = (np.arange(20).reshape(4, 5) % 7).astype(kind)
    bright = measure(np.asfortranarray(mask), {"red": image}).features.intensity["red"]
    plain = measure(drawn(), {"red": image.astype(np.float64)}).features.intensity["red"]
    assert bright.mean.tolist() == plain.mean.tolist()
    assert bright.max.tolist() == plain.max.tolist()


def test_intensities_of_whole_numbers_add_up_exactly():
    """Sums beyond single precision: 2**24 + 1 is the first whole number that it lacks."""
    image = np.full((2000, 2000), 2**32 - 1, np.uint32)
    assert measure(np.ones((2000, 2000), np.uint8), {"red": image}).features.intensity["red"].mean[0] == 2**32 - 1


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_a_huge_label_costs_no_memory(dtype):
    mask = drawn().astype(dtype)
    mask[mask == 7] = 2**40
    assert measure(mask).label.tolist() == [2, 2**40]


@pytest.mark.parametrize("shape", [(4, 5), (0, 5), (3, 0, 2)])
def test_a_mask_without_cells_has_no_regions(shape):
    regions = measure(np.zeros(shape, np.uint8))
    assert len(regions) == 0
    assert regions.centroid_px.shape == regions.features.bbox_min.shape == (0, len(shape))


def test_runs_cover_every_pixel_once_and_end_with_the_row():
    starts, lengths = runs(np.ones((2, 3), np.uint8), np.array([[1, 1, 2], [2, 2, 2]]))
    assert starts.tolist() == [0, 2, 3]
    assert lengths.tolist() == [2, 1, 3]


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.array([[0, -3]]), "a label mask holds label -3; expected: 0 for background"),
        (np.array([[0, 2**63]], np.uint64), "label 9223372036854775808; expected: a label below"),
        (np.array([[0.0, 1.0]]), "a label mask holds integers, got float64"),
        (np.array([[False, True]]), "a label mask holds integers, got bool"),
        (np.array([0, 1]), "a label mask has 2 or 3 axes, got 1"),
    ],
)
def test_what_is_no_label_mask_is_refused(mask, message):
    with pytest.raises(FormatError, match=message):
        measure(mask)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 4)), r"channel red has another shape than the mask; expected: \(4, 5\); got: \(4, 4\)"),
        (np.zeros((4, 5, 3), np.uint8), "another shape than the mask"),
        (np.zeros((4, 5), complex), "channel red holds complex128"),
        (np.full((4, 5), "a"), "channel red holds <U1"),
    ],
)
def test_an_image_that_does_not_fit_is_refused(image, message):
    with pytest.raises(FormatError, match=message):
        measure(drawn(), {"red": image})


def test_masks_of_two_shapes_have_no_common_runs():
    with pytest.raises(FormatError, match=r"differ in shape: \(2, 2\) and \(2, 3\)"):
        runs(np.zeros((2, 2), int), np.zeros((2, 3), int))
