"""What an ingest keeps of the pixels of each cell, drawn by hand, and as scikit-image sees it on real movies."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from skimage.measure import regionprops_table

from trackdb.engine import ingest as engine_ingest
from trackdb.engine.check import check
from trackdb.engine.ingest import ingest
from trackdb.engine.measure import measure
from trackdb.engine.progress import Recorded
from trackdb.errors import FormatError
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.formats.base import SourceOptions
from trackdb.storage.sandbox import ask

from .movies import CENTRES, SHAPE, square_mask, write_points


@pytest.fixture
def store(tmp_path):
    return DuckDBStore(tmp_path / "a.trackdb")


def write_channel(folder, value, *, shape=SHAPE, kind=np.uint16):
    """Write an image for each drawn frame; `value` of a frame is one number or an array."""
    folder.mkdir()
    for t in range(len(CENTRES)):
        image = np.broadcast_to(np.asarray(value(t)), shape).astype(kind)
        tifffile.imwrite(folder / f"t{t:03d}.tif", image, photometric="minisblack")
    return folder


def column_of(t):
    """An image that tells its column, brighter in each frame."""
    return np.arange(SHAPE[1]) + 1000 * t


def test_every_cell_is_kept_with_all_its_features(drawn, tmp_path, store):
    channels = {
        "x": write_channel(tmp_path / "x", column_of),
        "flat": write_channel(tmp_path / "flat", lambda _: 7, kind=np.float32),
    }
    ingest(drawn, store, options=SourceOptions(images=channels))
    chosen = store.detection_set()
    detections = store.detections(chosen)
    features = store.features(chosen, detections)
    centre = np.array([CENTRES[t][label] for t, label in zip(detections.frame, detections.label, strict=True)])
    np.testing.assert_array_equal(features.bbox_min, centre - 2)
    np.testing.assert_array_equal(features.bbox_max, centre + 3)
    np.testing.assert_array_equal(features.inertia_px2, np.tile(2 * np.eye(2), (9, 1, 1)))  # a square of side 5
    low, high = centre - 2, np.array(SHAPE) - 3 - centre
    np.testing.assert_array_equal(features.border_px, np.minimum(low, high).min(axis=1))
    assert list(features.intensity) == ["x", "flat"]
    x = centre[:, 1] + 1000.0 * detections.frame
    for got, wanted in zip(
        (features.intensity["x"].mean, features.intensity["x"].min, features.intensity["x"].max),
        (x, x - 2, x + 2),
        strict=True,
    ):
        np.testing.assert_array_equal(got, wanted)
    assert set(features.intensity["flat"].mean) == {7}
    seen = ask(store.path, "select cell, border, intensity_mean from cells order by cell").rows
    np.testing.assert_array_equal(seen["border"].to_numpy(), features.border_px)
    np.testing.assert_array_equal(seen["intensity_mean"].to_numpy(), x)
    assert check(store) == []


def test_the_images_of_a_ctc_folder_are_measured_without_being_asked_for(drawn, store):
    ingest(drawn, store)
    chosen = store.detection_set()
    features = store.features(chosen, store.detections(chosen))
    assert features.intensity["image"].mean.tolist() == [200] * 9


def test_points_keep_their_images_and_have_no_intensity(tmp_path, store):
    folder = tmp_path / "images"
    folder.mkdir()
    for t in range(6):
        tifffile.imwrite(folder / f"{t}.tif", np.ones((80, 80), np.uint8))
    ingest(write_points(tmp_path / "points.csv"), store, options=SourceOptions(images={"red": folder}))
    chosen = store.detection_set()
    assert store.features(chosen, store.detections(chosen)).intensity == {}


def test_an_interrupted_ingest_ends_with_the_same_features(drawn, tmp_path, store, monkeypatch):
    class Stop(Recorded):
        left = 3

        def advance(self, steps=1):
            self.left -= steps
            if not self.left:
                raise KeyboardInterrupt

    monkeypatch.setattr(engine_ingest, "BATCH_ROWS", 1)
    with pytest.raises(KeyboardInterrupt):
        ingest(drawn, store, progress=Stop())
    ingest(drawn, store)
    whole = DuckDBStore(tmp_path / "b.trackdb")
    ingest(drawn, whole)
    rows = [
        ask(s.path, f"from {table} order by all").rows.to_pylist()
        for table in ("cells", "intensities")
        for s in (store, whole)
    ]
    assert rows[0] == rows[1]
    assert rows[2] == rows[3]
    assert len(rows[0]) == len(rows[2]) == 9


def test_pixels_that_are_no_number_are_said_and_counted(drawn, tmp_path, store):
    def holed(t):
        image = np.ones(SHAPE)
        image[10, 20 + t] = np.nan if t < 2 else 1  # a pixel of cell 1
        image[0, 0] = np.nan
        return image

    progress = Recorded()
    channels = {"red": write_channel(tmp_path / "red", holed, kind=np.float32)}
    ingest(drawn, store, options=SourceOptions(images=channels), progress=progress)
    assert "channel red: 2 cells cover pixels that are no number; their intensity is unknown" in progress.notes
    rows = ask(store.path, "select t, label from cells where intensity_mean is null order by t").rows.to_pylist()
    assert rows == [{"t": 0, "label": 1}, {"t": 1, "label": 1}]
    [counted] = ask(store.path, "select count(*) as n, count(mean) as known from intensities").rows.to_pylist()
    assert counted == {"n": 9, "known": 7}
    chosen = store.detection_set()
    bright = store.features(chosen, store.detections(chosen)).intensity["red"]
    assert np.isnan(bright.mean).sum() == np.isnan(bright.max).sum() == 2
    assert check(store) == []


def negative(tra):
    mask = square_mask(CENTRES[1]).astype(np.int32)
    mask[mask == 3] = -3
    tifffile.imwrite(tra / "man_track001.tif", mask)


def beyond(tra):
    for t, centres in enumerate(CENTRES):
        mask = square_mask(centres).astype(np.uint64)
        mask[mask == 3] = 2**63
        tifffile.imwrite(tra / f"man_track{t:03d}.tif", mask)


def broken(tra):
    tifffile.imwrite(tra / "man_track001.tif", square_mask(CENTRES[1]).astype(np.float32))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (negative, "man_track001.tif holds label -3; expected: 0 for background"),
        (beyond, "frame 1: a label mask holds label 9223372036854775808; expected: a label below"),
        (broken, "man_track001.tif .*float32"),
    ],
)
def test_a_mask_that_is_none_is_refused_and_leaves_no_store(drawn, store, spoil, message):
    spoil(drawn / "01_GT" / "TRA")
    with pytest.raises(FormatError, match=message):
        ingest(drawn, store)
    assert not store.path.exists()


@pytest.mark.parametrize(
    ("value", "shape", "kind", "message"),
    [
        (lambda _: 1, (48, 63), np.uint8, r"channel red .* another size.*\(48, 64\).*\(48, 63\)"),
        (lambda _: 1, (5, 48, 64), np.uint8, "channel red .* another size"),
        (lambda _: 1, SHAPE, np.complex64, "complex64"),
    ],
)
def test_an_image_that_does_not_fit_is_refused_and_leaves_no_store(drawn, tmp_path, store, value, shape, kind, message):
    folder = write_channel(tmp_path / "red", value, shape=shape, kind=kind)
    with pytest.raises(FormatError, match=message):
        ingest(drawn, store, options=SourceOptions(images={"red": folder}))
    assert not store.path.exists()


REAL = {
    "crop": (
        "cellmigration_ccby/image_crop/example_label.tif",
        "cellmigration_ccby/image_crop/example_images.tif",
        274,
    ),
    "organoid": (
        "lstree_organoid_mit/002-Budding/nuclei_segmentation",
        "lstree_organoid_mit/002-Budding/Channel1-Denoised",
        107,
    ),
    "epidermis": ("mouse_epidermis_area1_apache/02_GT", None, 4453),
}
PROPERTIES = ("label", "centroid", "bbox", "inertia_tensor", "intensity_mean", "intensity_min", "intensity_max")


def pages(path: Path):
    """The frames of a stack, or of a folder in the order of the numbers in its names."""
    if path.is_file():
        return list(tifffile.imread(path))
    files = sorted(path.rglob("*.tif"), key=lambda file: int("".join(filter(str.isdigit, file.stem.split("-")[-1]))))
    return [tifffile.imread(file) for file in files]


@pytest.mark.data
@pytest.mark.parametrize("name", REAL)
def test_features_of_a_real_movie_are_those_of_scikit_image(data_dir, store, name):
    where, images, n_cells = REAL[name]
    channels = {"red": data_dir / images} if images else {}
    ingest(data_dir / where, store, options=SourceOptions(images=channels))
    chosen = store.detection_set()
    detections = store.detections(chosen)
    features = store.features(chosen, detections)
    assert len(detections) == n_cells
    assert list(features.intensity) == list(channels)
    masks = pages(data_dir / where)
    bright = pages(data_dir / images) if images else masks
    ndim = masks[0].ndim
    for frame, (mask, image) in enumerate(zip(masks, bright, strict=True)):
        rows = np.flatnonzero(detections.frame == frame)
        table = regionprops_table(mask, image, properties=PROPERTIES)
        np.testing.assert_array_equal(detections.label[rows], table["label"])
        size = np.array(mask.shape)
        for a in range(ndim):
            np.testing.assert_allclose(detections.position_px[rows, a], table[f"centroid-{a}"], rtol=1e-6)
            np.testing.assert_array_equal(features.bbox_min[rows, a], table[f"bbox-{a}"])
            np.testing.assert_array_equal(features.bbox_max[rows, a], table[f"bbox-{a + ndim}"])
            for b in range(ndim):
                scale = sum(table[f"inertia_tensor-{axis}-{axis}"] for axis in range(ndim))
                difference = np.abs(features.inertia_px2[rows, a, b] - table[f"inertia_tensor-{a}-{b}"])
                assert np.all(difference <= 1e-5 * scale)
        for channel in channels:
            for key in ("mean", "min", "max"):
                kept = getattr(features.intensity[channel], key)[rows]
                np.testing.assert_allclose(kept, table[f"intensity_{key}"], rtol=1e-5)
        border = np.minimum(features.bbox_min, size - features.bbox_max)[rows, -2:].min(axis=1)
        np.testing.assert_array_equal(features.border_px[rows], border)
        again = measure(mask)
        np.testing.assert_array_equal(again.label, table["label"])
    assert check(store) == []
