"""Zarr: which array is read, axes, scales, channels and labels, and metadata that cannot be."""

import re
import shutil

import numpy as np
import pytest
import tifffile
import zarr
from typer.testing import CliRunner
from yaozarrs import validate_ome_object

from trackdb.cli.main import app
from trackdb.engine.ingest import ingest
from trackdb.errors import ConfigError, FormatError
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.formats import SourceOptions, detect, open_source
from trackdb.storage.pixels.ngff import ome_attributes, read_ngff
from trackdb.storage.pixels.opening import open_channels

from .containers import masks_of, tif_files, write_attributes, write_ngff
from .frames_contract import LAWS
from .movies import CENTRES, square_mask, write_points

MOVIE = np.array([square_mask(frame) for frame in CENTRES])
IMAGES = np.random.default_rng(0).integers(1, 999, (3, 2, 48, 64)).astype(np.uint16)  # (t, c, y, x)
UNITS = {"t": "minute", "z": "nanometer", "y": "micrometer", "x": "micrometer"}
VERSIONS = pytest.mark.parametrize("version", ["0.4", "0.5"])


@pytest.fixture(params=["0.4", "0.5"])
def movie(request, tmp_path):
    """An OME-Zarr image of two channels with labels inside.

    movie.zarr/          t c y x, DAPI and GFP, 2 minutes a frame, 0.5 um a pixel
      0/ 1/
      labels/cells/      t y x, the masks drawn in `movies`
    """
    path = tmp_path / "movie.zarr"
    write_ngff(
        path, IMAGES, "tcyx", version=request.param, scale=[2, 1, 0.5, 0.5], units=UNITS, channels=["DAPI", "GFP"]
    )
    write_ngff(path / "labels" / "cells", MOVIE, "tyx", version=request.param, is_label=True)
    return path


def attributes_of(path):
    return dict(zarr.open_group(path, mode="r").attrs)


# -- images, labels, channels --------------------------------------------------------------------------------------


def test_the_movies_drawn_here_are_valid_by_another_reader_of_the_specification(movie):
    for folder in (movie, movie / "labels", movie / "labels" / "cells"):
        attributes = attributes_of(folder)
        validate_ome_object(attributes)


def test_labels_inside_an_image_come_with_its_channels(movie):
    assert detect(movie) == "masks"
    source = open_source(movie)
    assert (source.name, source.n_frames, source.shape_px) == ("movie", 3, (48, 64))
    assert (source.scale_um, source.interval_s) == ((0.5, 0.5), 120.0)
    assert f"detections come from {movie / 'labels' / 'cells'}" in source.notes
    assert f"images come from {movie}: DAPI, GFP" in source.notes
    np.testing.assert_array_equal(masks_of(source), MOVIE)
    for channel, name in enumerate(("DAPI", "GFP")):
        np.testing.assert_array_equal([b.images[name] for b in source.frames()], IMAGES[:, channel])


@pytest.mark.parametrize("place", ["labels", "labels/cells"])
def test_the_path_of_the_labels_does_as_well(movie, place):
    source = open_source(movie / place)
    assert sorted(next(source.frames()).images) == ["DAPI", "GFP"]
    np.testing.assert_array_equal(masks_of(source), MOVIE)


def test_images_that_the_user_names_come_instead(movie, tmp_path):
    other = tif_files(tmp_path, MOVIE * 3)
    source = open_source(movie, options=SourceOptions(images={"mine": other}))
    assert list(next(source.frames()).images) == ["mine"]


def test_images_of_an_ome_zarr_come_beside_masks_and_points_by_their_names(movie, tmp_path):
    (tmp_path / "masks").mkdir()
    for path in (tif_files(tmp_path / "masks", MOVIE), write_points(tmp_path / "p.csv", n_frames=3)):
        source = open_source(path, options=SourceOptions(images={"image": movie}))
        batches = list(source.frames())
        for channel, name in enumerate(("DAPI", "GFP")):
            np.testing.assert_array_equal([b.images[name] for b in batches], IMAGES[:, channel])
        assert (source.scale_um, source.interval_s) == ((0.5, 0.5), 120.0)
    one = open_source(tmp_path / "masks", options=SourceOptions(images={"GFP": movie}))
    assert list(next(one.frames()).images) == ["GFP"]
    with pytest.raises(FormatError, match=r"movie.zarr has no channel RFP; expected: DAPI or GFP"):
        open_source(tmp_path / "masks", options=SourceOptions(images={"RFP": movie}))


def test_each_channel_keeps_the_contract_of_frames(movie):
    for channel, frames in enumerate(open_channels({"image": movie}).values()):
        for law in LAWS:
            law(frames, IMAGES[:, channel])


def test_of_several_labels_one_is_chosen(movie):
    version = "0.4" if (movie / ".zgroup").exists() else "0.5"
    write_ngff(movie / "labels" / "nuclei", MOVIE * 2, "tyx", version=version, is_label=True)
    with pytest.raises(
        ConfigError, match=r"labels holds several label images; expected: --sequence NAME, .*cells, nuclei"
    ):
        open_source(movie)
    with pytest.raises(ConfigError, match=r"holds no labels nucleus; expected: cells or nuclei; got: nucleus"):
        open_source(movie, options=SourceOptions(sequence="nucleus"))
    for source in (open_source(movie, options=SourceOptions(sequence="nuclei")), open_source(movie / "labels/nuclei")):
        np.testing.assert_array_equal(masks_of(source), MOVIE * 2)
        assert sorted(next(source.frames()).images) == ["DAPI", "GFP"]


def test_an_image_without_labels_is_no_movie_of_cells(movie):
    shutil.rmtree(movie / "labels")
    with pytest.raises(FormatError, match=r"movie.zarr is an image without labels; expected: label masks in .*labels"):
        open_source(movie)


def test_a_label_image_that_does_not_say_so_is_read_as_one_and_that_is_told(tmp_path):
    path = write_ngff(tmp_path / "a.zarr", MOVIE, "tyx")
    source = open_source(path)
    np.testing.assert_array_equal(masks_of(source), MOVIE)
    assert f"{path} does not say so, but is read as label masks" in source.notes


def test_channels_in_labels_are_refused(tmp_path):
    path = write_ngff(tmp_path / "a.zarr", IMAGES, "tcyx", is_label=True)
    with pytest.raises(FormatError, match=r"a.zarr.0 holds 2 channels; expected: label masks"):
        open_source(path)


def test_a_group_with_one_image_is_that_image(movie, tmp_path):
    outer = tmp_path / "outer.zarr"
    version = "0.4" if (movie / ".zgroup").exists() else "0.5"
    group = zarr.open_group(outer, mode="w", zarr_format=2 if version == "0.4" else 3)
    write_attributes(group, {"bioformats2raw.layout": 3}, version)
    group.create_group("OME")
    movie.rename(outer / "0")
    source = open_source(outer)
    np.testing.assert_array_equal(masks_of(source), MOVIE)
    assert sorted(next(source.frames()).images) == ["DAPI", "GFP"]
    shutil.copytree(outer / "0", outer / "1")
    with pytest.raises(FormatError, match=r"outer.zarr holds 2 images; expected: one, or the path of one; got: 0, 1"):
        open_source(outer)


def test_a_plate_is_refused_with_the_path_to_give(tmp_path):
    write_attributes(zarr.open_group(tmp_path / "a.zarr", mode="w"), {"plate": {"wells": []}}, "0.5")
    with pytest.raises(FormatError, match=r"a.zarr is a plate; expected: one field of it, as in plate.zarr/A/1/0"):
        open_source(tmp_path / "a.zarr")


@pytest.mark.parametrize(("n", "got"), [(0, "an empty group"), (2, "a0, a1")])
def test_a_group_has_to_hold_exactly_one_array(tmp_path, n, got):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    for number in range(n):
        group.create_array(f"a{number}", data=MOVIE)
    with pytest.raises(FormatError, match=f"a.zarr holds {n} arrays; expected: one, or the path of one; got: {got}"):
        open_source(tmp_path / "a.zarr", "masks")


# -- axes and scales -----------------------------------------------------------------------------------------------


@VERSIONS
@pytest.mark.parametrize("axes", ["tyx", "yx", "zyx", "tzyx", "tczyx", "cyx", "czyx", "txy", "tcxzy", "xy"])
def test_axes_may_be_missing_or_in_another_order(tmp_path, axes, version):
    sizes = {"t": 3, "c": 2, "z": 4, "y": 5, "x": 6}
    data = np.random.default_rng(1).integers(0, 999, [sizes[a] for a in axes]).astype(np.uint16)
    path = write_ngff(tmp_path / "a.zarr", data, axes, version=version)
    ordered = data.transpose([axes.index(a) for a in "ctzyx" if a in axes])
    ordered = ordered if "c" in axes else ordered[None]
    ordered = ordered if "t" in axes else ordered[:, None]
    channels = open_channels({"image": path})
    assert list(channels) == (["c0", "c1"] if "c" in axes else ["image"])
    for frames, expected in zip(channels.values(), ordered, strict=True):
        np.testing.assert_array_equal(list(frames.read(range(len(expected)))), expected)
        assert frames.header.shape == expected.shape[1:]


def test_z_of_one_plane_is_dropped(tmp_path):
    path = write_ngff(tmp_path / "a.zarr", MOVIE[:, None, None], "tczyx", is_label=True)
    source = open_source(path)
    assert (source.ndim, source.shape_px) == (2, (48, 64))
    np.testing.assert_array_equal(masks_of(source), MOVIE)


@pytest.mark.parametrize(
    ("names", "axes"),
    [(("time", "Y", "X"), "tyx"), (("x", "y", "t"), "xyt"), (("frame", "y", "x"), None), (None, None)],
)
def test_axes_of_a_plain_array_go_by_their_names_or_else_by_their_number(tmp_path, names, axes):
    array = zarr.create_array(tmp_path / "a.zarr", data=MOVIE, dimension_names=names)
    source = open_source(tmp_path / "a.zarr")
    expected = MOVIE.transpose([axes.index(a) for a in "tyx"]) if axes else MOVIE
    np.testing.assert_array_equal(masks_of(source), expected)
    told = any("have no names and are read as t, y, x" in note for note in source.notes)
    assert told == (axes is None)
    assert array.shape == MOVIE.shape


def test_names_of_axes_as_xarray_writes_them_count(tmp_path):
    array = zarr.create_array(tmp_path / "a.zarr", data=MOVIE.T, zarr_format=2)
    array.attrs["_ARRAY_DIMENSIONS"] = ["x", "y", "t"]
    np.testing.assert_array_equal(masks_of(open_source(tmp_path / "a.zarr")), MOVIE)


@pytest.mark.parametrize("shape", [(7,), (1, 2, 3, 4, 5)])
def test_a_plain_array_of_other_axes_needs_names(tmp_path, shape):
    zarr.create_array(tmp_path / "a.zarr", data=np.zeros(shape, dtype=np.uint8))
    with pytest.raises(FormatError, match=rf"a.zarr has {len(shape)} axes without names; expected: \(y, x\)"):
        open_source(tmp_path / "a.zarr")


@VERSIONS
@pytest.mark.parametrize(
    ("scale", "units", "scale_um", "interval_s", "note"),
    [
        ([2, 200, 0.5, 0.25], UNITS, (0.2, 0.5, 0.25), 120.0, None),
        ([2, 0.2, 0.5, 0.25], {}, None, None, "axis y of .* has a scale of 0.5 without a unit: pixels are assumed"),
        ([1, 1, 1, 1], {}, None, None, None),
        ([5, 1, 1, 1], UNITS | {"t": "fortnight"}, (1e-3, 1, 1), None, "axis t .* 'fortnight', .* frames are assumed"),
        ([1, 1, 1, 1], UNITS | {"y": "meter"}, None, 60.0, "axis y .* of 1 meter, which cannot be: pixels are assumed"),
        ([1, 1, 1, 1], {"t": "second"}, None, 1.0, None),
    ],
    ids=["told", "no units", "nothing", "unknown unit", "insane", "time alone"],
)  # fmt: skip
def test_scales_are_converted_and_missing_units_said(tmp_path, version, scale, units, scale_um, interval_s, note):
    data = np.ones((2, 3, 4, 5), dtype=np.uint16)
    source = open_source(
        write_ngff(tmp_path / "a.zarr", data, "tzyx", version=version, scale=scale, units=units, is_label=True)
    )
    assert source.scale_um == (None if scale_um is None else pytest.approx(scale_um))
    assert source.interval_s == interval_s
    if note is None:
        assert not any("scale" in text for text in source.notes)
    else:
        assert any(re.search(note, text) for text in source.notes)


def test_scales_of_the_image_and_of_its_level_are_multiplied():
    level = {
        "path": "0",
        "coordinateTransformations": [{"type": "scale", "scale": [1, 0.5, 0.5]}, {"type": "translation"}],
    }
    image = {"datasets": [level], "coordinateTransformations": [{"type": "scale", "scale": [30, 2, 1]}]}
    image["axes"] = [{"name": n, "unit": u} for n, u in (("t", "second"), ("y", "micrometer"), ("x", "micrometer"))]
    assert read_ngff({"multiscales": [image]}, "a").scale == {"t": 30.0, "y": 1.0, "x": 0.5}


def test_images_of_the_first_versions_have_five_axes():
    image = read_ngff({"multiscales": [{"version": "0.1", "datasets": [{"path": "0"}]}]}, "a")
    assert (image.axes, image.scale) == ("tczyx", {})
    image = read_ngff({"multiscales": [{"axes": ["t", "y", "x"], "datasets": [{"path": "0"}]}]}, "a")
    assert image.axes == "tyx"


# -- bad metadata --------------------------------------------------------------------------------------------------


def changed(path, change):
    """Change the OME attributes of a group in place."""
    group = zarr.open_group(path, mode="a")
    attributes = dict(group.attrs)
    change(ome_attributes(attributes))
    group.attrs.put(attributes)
    return path


def of_image(**changes):
    return lambda ome: ome["multiscales"][0].update(changes)


def of_level(**changes):
    return lambda ome: ome["multiscales"][0]["datasets"][0].update(changes)


def scaled(scale):
    return of_image(coordinateTransformations=[{"type": "scale", "scale": scale}])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda ome: ome.update(multiscales=[]), "no usable multiscales; expected: a list of objects"),
        (lambda ome: ome.update(multiscales={"0": 1}), "no usable multiscales"),
        (of_image(datasets=None), "no usable datasets; .*got: None"),
        (of_level(path=7), r"no usable datasets\[0\].path"),
        (of_level(path="9"), "there is no '9', which the metadata name"),
        (of_level(path="../other.zarr"), "lead to '../other.zarr'; expected: a path inside"),
        (of_level(path="/etc"), "lead to '/etc'"),
        (of_level(path="s3://bucket/a"), "lead to 's3://bucket/a'"),
        (of_level(path="a\0b"), "the metadata lead to"),
        (of_image(axes=None), "no usable axes; expected: a list of 2 to 5 axes"),
        (of_image(axes=["t"] * 9), "no usable axes"),
        (of_image(axes=["t", "y", "y"]), "axes tyy of shape"),
        (of_image(axes=["lifetime", "y", "x"]), r"axes \?yx of shape .*; expected: axes of t, c, z, y and x"),
        (of_level(coordinateTransformations=7), "no usable .*coordinateTransformations"),
        (scaled([1, 2]), "one number for each of 3 axes"),
        (scaled([1, 0, 2]), "a list of positive numbers"),
        (scaled([1, -1, 2]), "a list of positive numbers"),
        (scaled([1, float("nan"), 2]), "a list of positive numbers"),
        (scaled([10**400, 1, 2]), "a list of positive numbers"),
        (scaled("big"), "a list of positive numbers"),
        (scaled([True, "1", None]), "a list of positive numbers"),
    ],
)
def test_metadata_that_say_nothing_usable_are_refused_by_name(tmp_path, change, message):
    write_ngff(tmp_path / "other.zarr", MOVIE, "tyx", is_label=True)
    path = changed(write_ngff(tmp_path / "a.zarr", MOVIE, "tyx", is_label=True), change)
    with pytest.raises(FormatError, match=rf"a.zarr.* {message}"):
        open_source(path)


def test_axes_that_do_not_fit_the_array_are_refused(tmp_path):
    path = write_ngff(tmp_path / "a.zarr", MOVIE, "tyx", is_label=True)
    changed(path, of_image(axes=["y", "x"], datasets=[{"path": "0"}]))
    with pytest.raises(FormatError, match=r"a.zarr.0 has shape \(3, 48, 64\); expected: 2 axes, as the metadata say"):
        open_source(path)


@pytest.mark.parametrize("named", ["../../other.zarr", "http://example.org/cells", "/etc", "gone"])
def test_labels_elsewhere_are_not_read(movie, named):
    write_ngff(movie.parent / "other.zarr", MOVIE, "tyx", is_label=True)
    changed(movie / "labels", lambda ome: ome.update(labels=[named]))
    with pytest.raises(FormatError, match="labels: (the metadata lead to|there is no) .*" + named):
        open_source(movie)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"zarr_format": 3}', b"null"])
@pytest.mark.parametrize("place", [".", "0"])
def test_damaged_metadata_are_refused_by_name(tmp_path, place, content):
    path = write_ngff(tmp_path / "a.zarr", MOVIE, "tyx", is_label=True)
    (path / place / "zarr.json").write_bytes(content)
    with pytest.raises(
        FormatError, match=r"a.zarr(.0)?:? (cannot be read|.* metadata |is no Zarr array|holds 2 arrays)"
    ):
        open_source(path)


# -- real movies ---------------------------------------------------------------------------------------------------


def stacked(files):
    return np.array([tifffile.imread(file) for file in sorted(files)])


@pytest.mark.data
@pytest.mark.slow
def test_a_real_3d_movie_as_ome_zarr_gives_what_its_tif_files_give(data_dir, tmp_path):
    folder = data_dir / "lstree_organoid_mit" / "002-Budding"
    masks, images = folder / "nuclei_segmentation", folder / "Channel1-Denoised"
    path = tmp_path / "organoid.zarr"
    write_ngff(path, stacked(images.glob("*.tif"))[:, None], "tczyx", channels=["H2B"],
               chunks=(1, 1, 16, 256, 256))  # fmt: skip
    write_ngff(path / "labels" / "nuclei", stacked(masks.glob("*.tif")), "tzyx", is_label=True,
               chunks=(1, 16, 256, 256))  # fmt: skip
    ours, peer = DuckDBStore(tmp_path / "a.trackdb"), DuckDBStore(tmp_path / "b.trackdb")
    ingest(path, ours)
    ingest(masks, peer, options=SourceOptions(images={"H2B": images}))
    a, b = (store.detections(store.detection_set()) for store in (ours, peer))
    assert len(a.frame) == 107
    for name in ("frame", "label", "position_px", "area"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    assert {(r.kind, r.channel, r.sha256) for r in ours.all_arrays()} == {
        (r.kind, r.channel, r.sha256) for r in peer.all_arrays()
    }


@pytest.mark.data
@VERSIONS
@pytest.mark.parametrize(
    ("masks", "images"),
    [
        ("cellmigration_ccby/image_crop/example_label.tif", "cellmigration_ccby/image_crop/example_images.tif"),
        ("format_fixtures/laptrack_docs/example_label.tif", "format_fixtures/laptrack_docs/example_images.tif"),
        ("nist_lineage_mapper_pd", None),
    ],
)
def test_real_movies_as_ome_zarr_give_what_their_tif_files_give(data_dir, tmp_path, masks, images, version):
    from_tif = open_source(
        data_dir / masks, "masks", SourceOptions(images={"image": data_dir / images} if images else {})
    )
    batches = list(from_tif.frames())
    path = tmp_path / "a.zarr"
    zarr.open_group(path, mode="w", zarr_format=2 if version == "0.4" else 3)
    if images:
        write_ngff(path, np.array([b.images["image"] for b in batches]), "tyx", version=version)
    write_ngff(path / "labels/cells", np.array([b.mask for b in batches]), "tyx", version=version, is_label=True)
    for ours, peer in zip(open_source(path).frames(), batches, strict=True):
        np.testing.assert_array_equal(ours.mask, peer.mask)
        assert ours.images.keys() == peer.images.keys()
        for name, image in peer.images.items():
            np.testing.assert_array_equal(ours.images[name], image)


# -- from the command line -----------------------------------------------------------------------------------------


def test_channels_and_labels_are_named_on_the_command_line(movie, tmp_path):
    version = "0.4" if (movie / ".zgroup").exists() else "0.5"
    write_ngff(movie / "labels" / "nuclei", MOVIE * 2, "tyx", version=version, is_label=True)
    masks = write_ngff(tmp_path / "masks.zarr", MOVIE, "tyx", version=version, is_label=True)

    def channels(name, *words):
        store = tmp_path / f"{name}.trackdb"
        result = CliRunner().invoke(app, ["ingest", *map(str, words), "-o", str(store)])
        if result.exit_code:
            return result.exit_code
        return sorted(ref.channel for ref in DuckDBStore(store).all_arrays() if ref.kind == "images")

    assert channels("a", masks, "--images", movie) == ["DAPI", "GFP"]
    assert channels("b", masks, "--images", f"GFP={movie}") == ["GFP"]
    assert channels("c", movie) == 2  # several labels
    assert channels("d", movie, "--sequence", "nuclei") == ["DAPI", "GFP"]
    assert channels("e", masks, "--images", f"RFP={movie}") == 1
