"""The real data sets open with a mapping at most, and hold what their table says."""

import numpy as np
import pytest

from trackdb.errors import FormatError
from trackdb.storage.formats import SourceOptions, open_source

pytestmark = pytest.mark.data
TRACKED = {"t": "frame", "y": "centroid-0", "x": "centroid-1", "label": "label", "track": "track"}


def counts(lineage):
    """Return cells, links and divisions."""
    return len(lineage.frame), len(lineage.source), int(np.count_nonzero(np.bincount(lineage.source) > 1))


def labels_of(source):
    return {(b.frame, int(label)) for b in source.frames() for label in np.unique(b.mask) if label}


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("cellmigration_ccby/02_GT", (26087, 25719, 101)),
        ("mouse_epidermis_area1_apache/02_GT", (4453, 4070, 335)),
        ("mouse_epidermis_area1_apache", (4453, 4070, 335)),
        ("ctc_java_testdata_bsd2/GT", (18, 15, 0)),
    ],
)
def test_truth_speaks_of_exactly_the_labels_in_the_masks(data_dir, folder, expected):
    source = open_source(data_dir / folder)
    (truth,) = source.lineages
    assert counts(truth) == expected
    assert labels_of(source) == set(zip(truth.frame.tolist(), truth.label.tolist(), strict=True))


def test_a_result_of_others_comes_with_its_truth(data_dir):
    source = open_source(data_dir / "mouse_epidermis_area1_apache" / "02_RES_greedy_overlap")
    result, truth = source.lineages
    assert (result.name, counts(result)) == ("02_RES_greedy_overlap", (4453, 4133, 352))
    assert (truth.name, counts(truth), len(truth.masks)) == ("truth", (4453, 4070, 335), 15)
    assert any("more than two daughters: 12" in note for note in source.notes)


def test_voxel_size_comes_from_the_tif(data_dir):
    source = open_source(data_dir / "ctc_java_testdata_bsd2" / "res")
    assert source.scale_um == pytest.approx((0.1238, 0.1238), rel=1e-3)


@pytest.mark.parametrize(
    ("path", "ndim", "n_frames", "n_cells", "note"),
    [
        ("lstree_organoid_mit/002-Budding/nuclei_segmentation", 3, 5, 107, "frame 301 of the files is frame 0 here"),
        ("nist_lineage_mapper_pd", 2, 10, 113, "frame 1 of the files is frame 0 here"),
        ("cellmigration_ccby/image_crop/example_label.tif", 2, 6, 274, ""),
    ],
)
def test_masks_open_as_they_lie(data_dir, path, ndim, n_frames, n_cells, note):
    source = open_source(data_dir / path)
    assert (source.ndim, source.n_frames, len(labels_of(source))) == (ndim, n_frames, n_cells)
    assert source.notes == ((note,) if note else ())


def test_images_come_beside_the_masks(data_dir):
    folder = data_dir / "lstree_organoid_mit" / "002-Budding"
    options = SourceOptions(images={"nuclei": folder / "Channel1-Denoised"}, frames=slice(304, None))
    (first, *rest) = open_source(folder / "nuclei_segmentation", options=options).frames()
    assert first.images["nuclei"].shape == first.mask.shape
    assert len(rest) == 1


def test_a_table_takes_the_parents_of_its_tracks_from_the_truth(data_dir):
    folder = data_dir / "cellmigration_ccby"
    source = open_source(folder / "regionprops.csv.gz", options=SourceOptions(columns=TRACKED, truth=folder / "02_GT"))
    assert sum(len(b.points.label) for b in source.frames()) == 27630
    assert counts(source.lineages[0]) == (26087, 25719, 101)
    assert "26,087 of 27,630 detections have a track" in source.notes


@pytest.mark.parametrize(
    ("name", "n_frames", "expected"), [("BMP2", 780, (92621, 92502, 264)), ("Sparse5", 156, (18432, 18315, 260))]
)
def test_point_tracks_have_a_track_0(data_dir, name, n_frames, expected):
    folder = data_dir / "c2c12_ker2018_ccby" / name
    columns = {"t": "frame", "y": "y", "x": "x", "track": "track"}
    options = SourceOptions(columns=columns, truth=folder / "02_GT")
    source = open_source(folder / "regionprops.csv.gz", options=options)
    assert (source.n_frames, counts(source.lineages[0])) == (n_frames, expected)


def test_embryos_open_with_their_links(data_dir):
    folder = data_dir / "astec_ascidian_ccby"
    total = np.zeros(3, dtype=int)
    for movie in ("Pm03", "Pm04", "Pm07", "Pm09"):
        columns = {"source": "source_idx", "target": "target_idx"}
        options = SourceOptions(columns=columns, links=folder / f"{movie}_links.csv.gz")
        source = open_source(folder / f"{movie}_spots.csv.gz", options=options)
        assert source.ndim == 3
        total += counts(source.lineages[0])
    assert total.tolist() == [45034, 44838, 919]


def test_thinning_keeps_the_track_of_each_cell(data_dir):
    folder = data_dir / "cellmigration_ccby" / "02_GT"
    (whole,) = open_source(folder).lineages
    source = open_source(folder, options=SourceOptions(frames=slice(None, None, 5)))
    (thin,) = source.lineages
    assert source.n_frames == 18
    np.testing.assert_array_equal(np.sort(thin.label), np.sort(whole.label[whole.frame % 5 == 0]))
    parent = np.full(len(thin.frame), -1)
    parent[thin.target] = thin.source
    same = (parent >= 0) & (thin.label[parent] == thin.label)
    assert np.all(thin.frame[same] - thin.frame[parent[same]] == 1)


def test_truth_without_masks_is_no_movie(data_dir):
    with pytest.raises(FormatError, match=r"holds no images; .*got: 1 .txt"):
        open_source(data_dir / "c2c12_ker2018_ccby" / "BMP2" / "02_GT")
