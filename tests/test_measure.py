"""Label masks to regions: a drawn mask, the laws, and scikit-image as oracle."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.measure import regionprops_table

from trackdb.engine.measure import measure, runs
from trackdb.errors import FormatError

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
    assert regions.bbox_min.tolist() == [[1, 3], [0, 0]]
    assert regions.bbox_max.tolist() == [[3, 5], [4, 3]]


def test_the_arrays_have_the_types_of_the_tables():
    regions = measure(drawn().astype(np.uint16))
    assert len(regions) == 2
    assert [a.dtype for a in (regions.label, regions.bbox_min, regions.bbox_max)] == [np.int64] * 3
    assert [a.dtype for a in (regions.area, regions.centroid_px)] == [np.float64] * 2


@settings(max_examples=150, deadline=None)
@given(MASKS)
def test_regions_are_those_of_scikit_image(mask):
    regions = measure(mask)
    table = regionprops_table(mask.astype(np.int64), properties=("label", "area", "centroid", "bbox"))
    axes = range(mask.ndim)
    np.testing.assert_array_equal(regions.label, table["label"])
    np.testing.assert_array_equal(regions.area, table["area"])
    for axis in axes:
        np.testing.assert_allclose(regions.centroid_px[:, axis], table[f"centroid-{axis}"], rtol=0, atol=1e-9)
        np.testing.assert_array_equal(regions.bbox_min[:, axis], table[f"bbox-{axis}"])
        np.testing.assert_array_equal(regions.bbox_max[:, axis], table[f"bbox-{axis + mask.ndim}"])


@settings(max_examples=50, deadline=None)
@given(MASKS, st.data())
def test_turning_the_axes_turns_the_answer(mask, data):
    axes = data.draw(st.permutations(range(mask.ndim)))
    before, after = measure(mask), measure(mask.transpose(axes))
    np.testing.assert_array_equal(before.label, after.label)
    np.testing.assert_allclose(before.centroid_px[:, axes], after.centroid_px, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(before.bbox_max[:, axes], after.bbox_max)


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_a_huge_label_costs_no_memory(dtype):
    mask = drawn().astype(dtype)
    mask[mask == 7] = 2**40
    assert measure(mask).label.tolist() == [2, 2**40]


@pytest.mark.parametrize("shape", [(4, 5), (0, 5), (3, 0, 2)])
def test_a_mask_without_cells_has_no_regions(shape):
    regions = measure(np.zeros(shape, np.uint8))
    assert len(regions) == 0
    assert regions.centroid_px.shape == regions.bbox_min.shape == (0, len(shape))


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


def test_masks_of_two_shapes_have_no_common_runs():
    with pytest.raises(FormatError, match=r"differ in shape: \(2, 2\) and \(2, 3\)"):
        runs(np.zeros((2, 2), int), np.zeros((2, 3), int))
