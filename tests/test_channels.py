"""Several channels by name: in tif stacks, in files beside each other, and what users may call them."""

import string

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from trackdb.engine.ingest import ingest
from trackdb.errors import FormatError
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.formats import SourceOptions, open_source
from trackdb.storage.pixels.naming import channel_names, split_by_channel
from trackdb.storage.pixels.opening import open_channels

from .containers import tif_files, tif_stack
from .frames_contract import LAWS
from .movies import CENTRES, square_mask, write_points

MOVIE = np.array([square_mask(frame) for frame in CENTRES])
FLAT = np.random.default_rng(0).integers(0, 999, (3, 2, 5, 6)).astype(np.uint16)  # (t, c, y, x)
DEEP = np.random.default_rng(1).integers(0, 999, (3, 4, 2, 5, 6)).astype(np.uint16)  # (t, z, c, y, x)


def opened(path, name="image"):
    return open_channels({name: path})


def pixels_of(frames):
    return np.array(list(frames.read(range(len(frames.numbers)))))


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize(
    ("stack", "axes", "options"),
    [
        (FLAT, "TCYX", {"imagej": True}),
        (FLAT, "TCYX", {"ome": True}),
        (FLAT, "TCYX", {}),
        (DEEP, "TZCYX", {"imagej": True}),
        (DEEP.transpose(0, 2, 1, 3, 4), "TCZYX", {"ome": True}),
        (DEEP.transpose(2, 1, 0, 3, 4), "CZTYX", {"ome": True}),
    ],
    ids=["imagej", "ome", "plain", "imagej 3D", "ome 3D", "ome, channels first"],
)
def test_each_channel_of_a_stack_is_read_alone(tmp_path, stack, axes, options, compression):
    path = tif_stack(tmp_path, stack, metadata={"axes": axes}, compression=compression, **options)
    places = [axes.index(a) for a in "CTZYX" if a in axes]
    channels = opened(path)
    assert list(channels) == ["c0", "c1"]
    for frames, movie in zip(channels.values(), stack.transpose(places), strict=True):
        for law in LAWS:
            law(frames, movie)


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (
            {"ome": True, "metadata": {"axes": "TCYX", "Channel": {"Name": ["DAPI", "GFP & more"]}}},
            ["DAPI", "GFP_more"],
        ),
        ({"imagej": True, "metadata": {"axes": "TCYX", "Labels": ["nuclei", "membrane"] * 3}}, ["nuclei", "membrane"]),
        ({"imagej": True, "metadata": {"axes": "TCYX", "Labels": ["c:1/2 t:1/3", "c:2/2 t:1/3"] * 3}}, ["c0", "c1"]),
        ({"imagej": True, "metadata": {"axes": "TCYX", "Labels": list("abcdef")}}, ["c0", "c1"]),
    ],
    ids=["ome", "imagej", "numbered slices", "named slices"],
)
def test_names_come_from_the_file(tmp_path, options, names):
    assert list(opened(tif_stack(tmp_path, FLAT, **options))) == names


def test_one_of_several_channels_is_chosen_by_its_name(tmp_path):
    named = {"axes": "TCYX", "Channel": {"Name": ["DAPI", "GFP"]}}
    path = tif_stack(tmp_path, FLAT, ome=True, metadata=named)
    [(name, frames)] = opened(path, "GFP").items()
    assert name == "GFP"
    np.testing.assert_array_equal(pixels_of(frames), FLAT[:, 1])
    with pytest.raises(FormatError, match=r"movie.tif has no channel RFP; expected: DAPI or GFP; got: RFP"):
        opened(path, "RFP")


def test_the_only_channel_takes_the_name_that_the_user_gives(tmp_path):
    named = {"axes": "TYX", "Channel": {"Name": ["DAPI"]}}
    path = tif_stack(tmp_path, MOVIE, ome=True, metadata=named)
    assert list(opened(path)) == ["DAPI"]
    assert list(opened(path, "blue")) == ["blue"]


def test_a_name_that_comes_twice_is_refused(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    one = tif_stack(tmp_path / "a", FLAT, imagej=True, metadata={"axes": "TCYX"})
    other = tif_files(tmp_path / "b", FLAT[:, 0])
    with pytest.raises(
        FormatError, match=r"channel c0 of .*b is there already, in .*movie.tif; try: --images NAME=PATH"
    ):
        open_channels({"image": one, "c0": other})


def test_masks_with_channels_are_refused(tmp_path):
    path = tif_stack(tmp_path, FLAT, imagej=True, metadata={"axes": "TCYX"})
    with pytest.raises(FormatError, match=r"movie.tif holds 2 channels; expected: label masks"):
        open_source(path)


def test_files_of_one_frame_may_hold_channels(tmp_path):
    for number, frame in enumerate(FLAT):
        tifffile.imwrite(tmp_path / f"t{number}.tif", frame, imagej=True, metadata={"axes": "CYX"})
    channels = opened(tmp_path)
    assert list(channels) == ["c0", "c1"]
    for channel, frames in enumerate(channels.values()):
        np.testing.assert_array_equal(pixels_of(frames), FLAT[:, channel])


def test_a_later_file_that_lacks_a_channel_is_refused_by_name(tmp_path):
    for number, frame in enumerate(FLAT):
        axes = {"axes": "CYX"} if number != 1 else {"axes": "YX"}
        tifffile.imwrite(tmp_path / f"t{number}.tif", frame if number != 1 else frame[0], imagej=True, metadata=axes)
    with pytest.raises(
        FormatError, match=r"t1.tif has other channels than the first frame; expected: 2 or more; got: 1"
    ):
        list(opened(tmp_path)["c1"].read(range(3)))


# -- channels in the names of files --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("t{t:03d}_ch{c:02d}.tif", ["ch00", "ch01"]),
        ("a_c{c}_t{t}.tif", ["c0", "c1"]),
        ("002-Ch{c}-T03{t:02d}.tif", ["Ch0", "Ch1"]),
        ("pos1_Channel{c}_{t}.tif", ["Channel0", "Channel1"]),
        ("xy01t{t:02d}c{c}.tif", ["c0", "c1"]),
    ],
)
def test_files_of_several_channels_are_parted_by_their_names(tmp_path, pattern, names):
    for t, c in np.ndindex(3, 2):
        tifffile.imwrite(tmp_path / pattern.format(t=t, c=c), FLAT[t, c])
    channels = opened(tmp_path)
    assert list(channels) == names
    for channel, frames in enumerate(channels.values()):
        np.testing.assert_array_equal(pixels_of(frames), FLAT[:, channel])


@pytest.mark.parametrize(
    "names",
    [
        ["m_c1.tif", "m_c2.tif", "m_c3.tif"],  # as well three frames
        ["t0_c0.tif", "t1_c0.tif"],  # one channel
        ["t0_c0.tif", "t1_c0.tif", "t0_c1.tif"],  # one channel lacks a frame
        ["t0_c0_c1.tif", "t1_c0_c1.tif", "t0_c1_c1.tif", "t1_c1_c1.tif"],  # two numbers of a channel
        ["a_t0_c0.tif", "a_t1_c0.tif", "b_t0_c1.tif", "b_t1_c1.tif"],  # other names
        ["abc0_1.tif", "abc1_1.tif", "abc0_2.tif", "abc1_2.tif"],  # the end of a word is no channel
    ],
)
def test_names_that_are_not_clear_part_nothing(tmp_path, names):
    assert list(split_by_channel([tmp_path / name for name in names])) == [""]


def test_masks_of_several_channels_in_one_folder_are_refused(tmp_path):
    for t, c in np.ndindex(3, 2):
        tifffile.imwrite(tmp_path / f"t{t}_c{c}.tif", FLAT[t, c])
    with pytest.raises(FormatError, match="frame 0 is there 3 times"):
        open_source(tmp_path)


# -- names ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "names"),
    [
        (["DAPI", "GFP"], ("DAPI", "GFP")),
        ([], ("c0", "c1")),
        (["DAPI"], ("DAPI", "c1")),
        (["DAPI", "DAPI"], ("DAPI_c0", "DAPI_c1")),
        (["../../etc/passwd", None], ("etc_passwd", "c1")),
        (["c1", ""], ("c1", "_c1")),
        (["a", "b", "c"], ("a", "b")),
        (["Ultraviolett (µm)", "\n"], ("Ultraviolett_µm", "c1")),
    ],
)
def test_names_of_channels_are_plain_and_differ(found, names):
    assert channel_names(found, 2) == names


@given(st.lists(st.text(max_size=80) | st.sampled_from(["c0", "c1", "a", "", "c1_c2"]), max_size=6), st.integers(2, 6))
def test_whatever_metadata_say_names_are_plain_and_differ(found, n):
    names = channel_names(found, n)
    assert len(set(names)) == n
    for name in names:
        assert name not in ("", ".", "..")
        assert set(name) & set(string.whitespace + "/\\:") == set()
        assert len(name) <= 80


# -- in the store --------------------------------------------------------------------------------------------------


def test_all_channels_come_into_the_store_beside_masks_and_points(tmp_path):
    images = np.stack([MOVIE * 3, MOVIE * 5], axis=1)
    path = tif_stack(tmp_path, images, ome=True, metadata={"axes": "TCYX", "Channel": {"Name": ["DAPI", "GFP"]}})
    options = SourceOptions(images={"image": path})
    (tmp_path / "masks").mkdir()
    for source in (tif_files(tmp_path / "masks", MOVIE), write_points(tmp_path / "p.csv", n_frames=3)):
        batches = list(open_source(source, options=options).frames())
        for channel, name in enumerate(("DAPI", "GFP")):
            np.testing.assert_array_equal([b.images[name] for b in batches], images[:, channel])
    store = DuckDBStore(tmp_path / "s.trackdb")
    ingest(tmp_path / "masks", store, options=options)
    assert {(ref.kind, ref.channel) for ref in store.all_arrays()} == {
        ("masks", ""),
        ("images", "DAPI"),
        ("images", "GFP"),
    }
