"""Reading label masks: frame numbers, axes, voxel sizes, and what is refused."""

import os

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from trackdb.errors import ConfigError, FormatError
from trackdb.storage.formats import FORMATS, SourceOptions, open_source
from trackdb.storage.pixels.files import read_mask
from trackdb.storage.pixels.numbering import number_files, select_frames
from trackdb.storage.pixels.tif import stack_axes


def frame(label, shape=(4, 5), dtype=np.uint16):
    """Return a mask with one cell of a label in its corner."""
    mask = np.zeros(shape, dtype=dtype)
    mask[..., 0, :2] = label
    return mask


def write(path, pixels, **options):
    tifffile.imwrite(path, pixels, **{"photometric": "minisblack", **options})
    return path


def folder_of(tmp_path, names, **options):
    for number, name in enumerate(names, start=1):
        write(tmp_path / name, frame(number, **options))
    return tmp_path


def labels_of(source):
    return [int(b.mask.max()) for b in source.frames()]


@pytest.mark.parametrize(
    "names",
    [
        ["man9.tif", "man10.tif", "man11.tif"],
        ["002-Ch1-T0301.tif", "002-Ch1-T0302.tif", "002-Ch1-T0303.tif"],
        ["t000_ch00.tif", "t001_ch00.tif", "t002_ch00.tif"],
        ["20180101ef002xy01t01.TIFF", "20180101ef002xy01t02.TIFF", "20180101ef002xy01t03.TIFF"],
    ],
)
def test_files_are_read_in_the_order_of_their_numbers_from_frame_0(tmp_path, names):
    source = open_source(folder_of(tmp_path, names))
    assert (source.n_frames, source.ndim, source.shape_px, source.lineages) == (3, 2, (4, 5), ())
    assert [b.frame for b in source.frames()] == [0, 1, 2]
    assert labels_of(source) == [1, 2, 3]
    assert [int(b.mask.max()) for b in source.frames(first=1)] == [2, 3]


def test_a_note_tells_where_counting_starts(tmp_path):
    folder_of(tmp_path, ["m301.tif", "m302.tif"])
    assert "frame 301 of the files is frame 0 here" in open_source(tmp_path).notes


def test_frames_are_chosen_by_the_numbers_of_the_files(tmp_path):
    folder_of(tmp_path, [f"m{n}.tif" for n in range(5, 12)])
    assert labels_of(open_source(tmp_path, options=SourceOptions(frames=slice(6, 11, 2)))) == [2, 4, 6]
    with pytest.raises(ConfigError, match=r"frames 50::? keep nothing; expected: some of the frames 5 to 11"):
        open_source(tmp_path, options=SourceOptions(frames=slice(50, None)))
    with pytest.raises(ConfigError, match=r"frames ::0 cannot be read"):
        open_source(tmp_path, options=SourceOptions(frames=slice(None, None, 0)))


@given(st.integers(0, 50), st.integers(1, 40), st.integers(0, 60), st.integers(0, 100), st.integers(1, 7))
def test_frames_kept_are_those_of_a_python_slice(first, n, start, stop, step):
    numbers = range(first, first + n)
    wanted = [f for f in range(first + n)[start:stop:step] if f >= first]
    if wanted:
        assert select_frames(numbers, slice(start, stop, step)) == wanted
    else:
        with pytest.raises(ConfigError):
            select_frames(numbers, slice(start, stop, step))


@given(st.sets(st.integers(0, 3000), min_size=1, max_size=1), st.integers(2, 30), st.randoms())
def test_padding_and_order_of_names_do_not_matter(tmp_path_factory, begin, n, random):
    folder = tmp_path_factory.getbasetemp()
    numbers = range(min(begin), min(begin) + n)
    paths = [folder / f"a1_{number:0{random.choice([1, 4, 6])}d}_c2.tif" for number in numbers]
    random.shuffle(paths)
    assert number_files(paths)[1] == tuple(numbers)


def test_a_gap_in_the_numbers_is_refused(tmp_path):
    folder_of(tmp_path, ["m1.tif", "m2.tif", "m5.tif"])
    with pytest.raises(
        FormatError,
        match=r"frame 3 is missing; expected: a file for each frame 1 to 5; got: 3 files; no file for 3, 4",
    ):
        open_source(tmp_path)


def test_a_number_that_is_there_twice_is_refused(tmp_path):
    folder_of(tmp_path, ["m1.tif", "m01.tif", "m2.tif"])
    with pytest.raises(
        FormatError, match=r"frame 1 is there 2 times; expected: one file per frame; got: m01.tif, m1.tif"
    ):
        open_source(tmp_path)


def test_two_naming_patterns_are_refused(tmp_path):
    folder_of(tmp_path, ["seg_1.tif", "seg_2.tif", "raw_1.tif"])
    with pytest.raises(FormatError, match=r"2 naming patterns; .*got: seg_#.tif \(2\), raw_#.tif \(1\); try: name one"):
        open_source(tmp_path)


def test_files_of_another_kind_are_refused_by_name(tmp_path):
    (tmp_path / "a1.gif").write_bytes(b"")
    with pytest.raises(FormatError, match=r"holds no images; .*got: 1 .gif"):
        open_source(tmp_path, "masks")
    with pytest.raises(FormatError, match=r"a1.gif is no image; expected: a file that ends in .tif"):
        open_source(tmp_path / "a1.gif", "masks")
    with pytest.raises(FormatError, match="looks like no format"):
        open_source(tmp_path)


def test_nothing_there_and_unknown_formats_are_told(tmp_path):
    with pytest.raises(FormatError, match=r"there is nothing at .*nowhere"):
        open_source(tmp_path / "nowhere")
    (tmp_path / "Masks (2)").mkdir()
    with pytest.raises(FormatError, match=r"nothing at .*Masks 2; expected: a file or a folder; known: .*Masks \(2\)"):
        open_source(tmp_path / "Masks 2")
    with pytest.raises(ConfigError, match=f"there is no format lif; expected: auto, {', '.join(FORMATS)}"):
        open_source(tmp_path, "lif")


@pytest.mark.parametrize("bad", [0, 1, 2])
@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (frame(2, dtype=np.float32), "holds float32 pixels; expected: label masks of whole numbers"),
        (np.zeros((4, 5, 3), dtype=np.uint8), r"holds 3 colours \(RGB\); expected: one grey value per pixel"),
        (frame(-2, dtype=np.int32), "holds label -2; expected: 0 for background, labels from 1"),
    ],
    ids=["float", "rgb", "negative"],
)
def test_a_frame_that_is_no_mask_is_refused_by_name(tmp_path, bad, pixels, message):
    folder_of(tmp_path, ["m1.tif", "m2.tif", "m3.tif"])
    kind = "rgb" if pixels.ndim == 3 else "minisblack"
    write(tmp_path / f"m{bad + 1}.tif", pixels, photometric=kind)
    with pytest.raises(FormatError, match=rf"m{bad + 1}.tif {message}"):
        list(open_source(tmp_path).frames())


@pytest.mark.parametrize("bad", [1, 2])
def test_a_frame_of_another_size_is_refused_by_name(tmp_path, bad):
    folder_of(tmp_path, ["m1.tif", "m2.tif", "m3.tif"])
    write(tmp_path / f"m{bad + 1}.tif", frame(1, shape=(4, 6)))
    message = rf"m{bad + 1}.tif has another size than the first frame; expected: \(4, 5\); got: \(4, 6\)"
    with pytest.raises(FormatError, match=message):
        list(open_source(tmp_path).frames())


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_file_that_is_cut_off_is_refused_by_name(tmp_path, share, compression):
    folder_of(tmp_path, ["m1.tif", "m3.tif"])
    noise = np.random.default_rng(0).integers(0, 9, (4, 5)).astype(np.uint16)
    path = write(tmp_path / "m2.tif", noise, compression=compression)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(FormatError, match=r"m2.tif (is cut off|is damaged or cut off|cannot be read)"):
        list(open_source(tmp_path).frames())


@pytest.mark.parametrize("layout", [{}, {"rowsperstrip": 4}, {"tile": (16, 16)}], ids=str)
@pytest.mark.parametrize("compression", [None, "lzw", "zlib"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
def test_a_stack_that_is_cut_off_is_refused_when_it_is_opened(tmp_path, capfd, share, compression, layout):
    noise = np.random.default_rng(0).integers(0, 9, (6, 64, 64)).astype(np.uint16)
    path = write(tmp_path / "m.tif", noise, compression=compression, **layout)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(FormatError, match=r"m.tif (is cut off|is damaged or cut off|cannot be read)"):
        open_source(path)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((3, 4, 5), {}),
        ((3, 4, 5), {"imagej": True, "metadata": {"axes": "TYX"}}),
        ((3, 2, 4, 5), {}),
        ((3, 2, 4, 5), {"imagej": True, "metadata": {"axes": "TZYX"}}),
        ((3, 2, 4, 5), {"metadata": {"axes": "TZYX"}}),
        ((3, 2, 4, 5), {"ome": True, "metadata": {"axes": "TZYX"}}),
    ],
)
def test_a_stack_is_read_frame_by_frame(tmp_path, shape, options, compression):
    stack = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    source = open_source(write(tmp_path / "movie.tif", stack, compression=compression, **options))
    assert (source.name, source.n_frames, source.shape_px) == ("movie", 3, shape[1:])
    np.testing.assert_array_equal([b.mask for b in source.frames()], stack)
    np.testing.assert_array_equal([b.mask for b in source.frames(first=2)], stack[2:])


def test_formats_of_other_packages_are_found_by_name(tmp_path, monkeypatch):
    from importlib import metadata

    lif = metadata.EntryPoint("lif", "builtins:max", "trackdb.formats")
    monkeypatch.setattr(metadata, "entry_points", lambda *, group: metadata.EntryPoints([lif]).select(group=group))
    assert open_source(tmp_path, "lif", tmp_path / "options") == tmp_path / "options"
    with pytest.raises(ConfigError, match=f"there is no format nd2; expected: auto, {', '.join(FORMATS)}, lif"):
        open_source(tmp_path, "nd2")


def test_files_that_each_hold_the_whole_movie_are_refused(tmp_path):
    for n in (1, 2):
        write(tmp_path / f"m{n}.ome.tif", np.ones((3, 4, 5), dtype=np.uint16), ome=True, metadata={"axes": "TYX"})
    with pytest.raises(FormatError, match=r"m1.ome.tif holds 3 time points; expected: one frame in each"):
        open_source(tmp_path)


def test_a_big_endian_stack_is_read(tmp_path):
    stack = np.arange(60, dtype=">u2").reshape(3, 4, 5)
    source = open_source(write(tmp_path / "movie.tif", stack, byteorder=">"))
    np.testing.assert_array_equal([b.mask for b in source.frames()], stack)


def test_a_z_stack_alone_is_read_as_time_and_noted(tmp_path):
    stack = np.ones((3, 4, 5), dtype=np.uint16)
    source = open_source(write(tmp_path / "a.tif", stack, imagej=True, metadata={"axes": "ZYX"}))
    assert source.n_frames == 3
    assert "axis Z of a.tif is read as time" in source.notes


@pytest.mark.parametrize("n_frames", [3, 4])
def test_a_stack_of_labels_whose_frames_were_written_as_colours_is_read_as_frames(tmp_path, n_frames):
    stack = np.arange(n_frames * 20, dtype=np.uint16).reshape(n_frames, 4, 5)
    source = open_source(write(tmp_path / "a.tif", stack, photometric="rgb", planarconfig="separate"))
    np.testing.assert_array_equal([b.mask for b in source.frames()], stack)


def test_an_image_of_planes_of_colour_is_refused_with_what_to_do(tmp_path):
    with pytest.raises(FormatError, match=r'holds 3 colours.*try: if these are frames.*photometric="minisblack"'):
        stack_axes((3, 4, 5), "SYX", tmp_path, is_stack=True, is_label=False)


def test_files_of_volumes_are_3d(tmp_path):
    folder_of(tmp_path, ["m1.tif", "m2.tif"], shape=(3, 4, 5))
    source = open_source(tmp_path)
    assert (source.ndim, source.shape_px, labels_of(source)) == (3, (3, 4, 5), [1, 2])
    np.testing.assert_array_equal(read_mask(tmp_path / "m2.tif"), frame(2, shape=(3, 4, 5)))


@pytest.mark.parametrize(
    ("shape", "axes", "is_stack", "expected"),
    [
        ((4, 5), "YX", False, (1, (4, 5))),
        ((1, 4, 5), "ZYX", False, (1, (4, 5))),
        ((3, 4, 5), "TYX", False, (1, (3, 4, 5))),
        ((3, 1, 4, 5), "TCYX", True, (3, (4, 5))),
        ((1, 3, 4, 5), "TZYX", True, (1, (3, 4, 5))),
        ((1, 3, 4, 5), "TZYX", False, (1, (3, 4, 5))),
        ((7, 1, 5), "QYX", True, (7, (1, 5))),
    ],
)
def test_axes_of_length_one_are_dropped(tmp_path, shape, axes, is_stack, expected):
    found, _ = stack_axes(shape, axes, tmp_path, is_stack=is_stack, is_label=True)
    assert (found.n_frames, found.frame_shape) == expected


@pytest.mark.parametrize(
    ("shape", "axes", "is_stack"),
    [
        ((3, 2, 4, 5), "TCYX", True),
        ((2, 3, 4, 5), "QQYX", False),
        ((4, 5), "YZ", True),
        ((2, 3, 4, 5, 6), "QTZYX", True),
    ],
)
def test_axes_that_are_no_movie_of_masks_are_refused(tmp_path, shape, axes, is_stack):
    with pytest.raises(FormatError, match=f"(got: |axes ){'axes t' if 'C' in axes else axes}"):
        stack_axes(shape, axes, tmp_path, is_stack=is_stack, is_label=True)


@pytest.mark.parametrize(
    ("shape", "axes", "is_stack", "frames", "channels", "frame"),
    [
        ((3, 2, 4, 5), "TCYX", True, 3, 2, (4, 5)),
        ((3, 6, 2, 4, 5), "TZCYX", True, 3, 2, (6, 4, 5)),
        ((2, 6, 3, 4, 5), "CZTYX", True, 3, 2, (6, 4, 5)),
        ((2, 6, 4, 5), "CQYX", True, 6, 2, (4, 5)),
        ((2, 6, 4, 5), "CZYX", False, 1, 2, (6, 4, 5)),
    ],
)
def test_images_may_have_channels_and_axes_in_any_order(tmp_path, shape, axes, is_stack, frames, channels, frame):
    found, _ = stack_axes(shape, axes, tmp_path, is_stack=is_stack, is_label=False)
    assert (found.n_frames, found.n_channels, found.frame_shape) == (frames, channels, frame)


@pytest.mark.parametrize(
    ("options", "scale", "interval"),
    [
        ({"imagej": True, "resolution": (4, 2), "metadata": {"unit": "um", "finterval": 30.0, "axes": "TYX"}},
         (0.5, 0.25), 30.0),
        ({"imagej": True, "resolution": (4, 2), "metadata": {"unit": "pixel", "axes": "TYX"}}, None, None),
        ({"ome": True, "metadata": {"axes": "TYX", "PhysicalSizeX": 250, "PhysicalSizeXUnit": "nm",
                                    "PhysicalSizeY": 0.5, "TimeIncrement": 2, "TimeIncrementUnit": "min"}},
         (0.5, 0.25), 120.0),
        ({"resolution": (40_000, 20_000), "resolutionunit": "CENTIMETER"}, (0.5, 0.25), None),
        ({"resolution": (72, 72), "resolutionunit": "INCH"}, None, None),
        ({"resolution": (1, 1), "resolutionunit": "NONE"}, None, None),
    ],
    ids=["imagej", "imagej in pixels", "ome", "centimetres", "a screen", "none"],
)  # fmt: skip
def test_voxel_size_and_interval_come_from_the_file(tmp_path, options, scale, interval):
    path = write(tmp_path / "m.tif", np.ones((2, 4, 5), dtype=np.uint16), **options)
    source = open_source(path)
    assert source.scale_um == (None if scale is None else pytest.approx(scale))
    assert source.interval_s == interval
    said = open_source(path, options=SourceOptions(scale_um=(2.0, 3.0), interval_s=5.0, frames=slice(None, None, 2)))
    assert (said.scale_um, said.interval_s) == ((2.0, 3.0), 10.0)


def test_volumes_need_all_three_sizes(tmp_path):
    volume = np.ones((2, 3, 4, 5), dtype=np.uint16)
    told = {"unit": "micron", "spacing": 2.0, "axes": "TZYX"}
    path = write(tmp_path / "m.tif", volume, imagej=True, resolution=(4, 4), metadata=told)
    assert open_source(path).scale_um == pytest.approx((2.0, 0.25, 0.25))
    del told["spacing"]
    path = write(tmp_path / "n.tif", volume, imagej=True, resolution=(4, 4), metadata=told)
    assert open_source(path).scale_um is None
    with pytest.raises(
        ConfigError, match=r"3D movie needs 3 positive numbers; expected: z,y,x in micrometres; got: 1.0,1.0"
    ):
        open_source(path, options=SourceOptions(scale_um=(1.0, 1.0)))


def test_images_that_count_from_another_number_are_paired_by_rank(tmp_path):
    masks, images = tmp_path / "masks", tmp_path / "images"
    masks.mkdir()
    images.mkdir()
    folder_of(masks, ["m1.tif", "m2.tif"])
    folder_of(images, ["i0.tif", "i1.tif"], dtype=np.float32)
    source = open_source(masks, options=SourceOptions(images={"dna": images}))
    assert [float(b.images["dna"].max()) for b in source.frames()] == [1.0, 2.0]
    assert any("frame 0 there is taken for frame 1 of the masks" in note for note in source.notes)


@pytest.mark.parametrize("said", [{"columns": {"t": "frame"}}, {"links": "links.csv"}, {"sequence": "01"}])
def test_options_of_other_formats_are_refused(tmp_path, said):
    folder_of(tmp_path, ["seg_1.tif", "seg_2.tif"])
    with pytest.raises(ConfigError, match=f"--{next(iter(said))} says nothing about label masks"):
        open_source(tmp_path, options=SourceOptions(**said))


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "masks.tif")
    with pytest.raises(FormatError, match="is neither a file nor a folder"):
        open_source(tmp_path / "masks.tif")
    folder_of(tmp_path, ["seg_1.tif", "seg_2.tif"])
    with pytest.raises(FormatError, match="is no image; expected: a file"):
        open_source(tmp_path, options=SourceOptions(images={"dapi": tmp_path / "masks.tif"}))
