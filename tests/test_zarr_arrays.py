"""Arrays of Zarr, opened with care: those that lie, lack chunks or lead away are refused, the rest is streamed."""

import json
import os
import pickle
import shutil
import tracemalloc

import numcodecs
import numpy as np
import pytest
import zarr

from trackdb.engine.ingest import ingest
from trackdb.errors import FormatError
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.formats import open_source
from trackdb.storage.pixels.opening import open_channels

from .containers import masks_of, write_ngff, zarr_array
from .movies import CENTRES, square_mask

MOVIE = np.array([square_mask(frame) for frame in CENTRES])


# -- arrays that lie -----------------------------------------------------------------------------------------------


def lying(tmp_path, **change):
    """Write a plain array of version 2, and change what it says of itself."""
    path = zarr_array(tmp_path, MOVIE, zarr_format=2, compressors=numcodecs.Blosc())
    said = json.loads((path / ".zarray").read_text())
    (path / ".zarray").write_text(json.dumps(said | change))
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dtype": "<u4"}, "frame 0 of .*movie.zarr cannot be read; .*cannot reshape"),
        ({"dtype": "|u1"}, "frame 0 of .*movie.zarr cannot be read"),
        ({"dtype": "<f4"}, "holds float32 pixels; expected: label masks of whole numbers"),
        ({"dtype": "<c8"}, "(holds complex64 pixels|cannot be read)"),
        ({"dtype": "|b1"}, "(holds bool pixels|cannot be read)"),
        ({"dtype": "|O"}, "movie.zarr cannot be read"),
        ({"dtype": "<U3"}, "movie.zarr (cannot be read|holds <U3)"),
        ({"dtype": "<M8[s]", "fill_value": 0}, r"holds datetime64\[s\] pixels"),
        ({"dtype": [["a", "<u2"]]}, "movie.zarr (cannot be read|holds)"),
        ({"shape": [3, 48]}, "movie.zarr cannot be read"),
        ({"shape": [3, 48, -64]}, "movie.zarr cannot be read"),
        ({"shape": [3, 0, 64]}, "movie.zarr holds no pixels"),
        ({"shape": [0, 48, 64]}, "movie.zarr holds no pixels"),
        ({"shape": ["a", 48, 64]}, "movie.zarr cannot be read"),
        ({"shape": [3, 10**6, 10**6]}, r"promises 6,000,000,000,000 bytes and stores \d+; "),
        ({"shape": [10**9, 48, 64]}, "promises .* bytes and stores"),
        ({"shape": [10**30, 48, 64]}, "promises .* bytes and stores|cannot be read"),
        ({"chunks": [1, 16, 16]}, "frame 0 of .*movie.zarr cannot be read"),
        ({"chunks": [1, 0, 16]}, "movie.zarr has chunks of 0 bytes"),
        ({"chunks": [1, 10**6, 10**6]}, "has chunks of 2,000,000,000,000 bytes; expected: 4,294,967,296 at most"),
        ({"chunks": [1, 30_000, 30_000]}, "promises frames of 1,800,000,000 bytes and stores"),
        ({"compressor": {"id": "nope"}}, "cannot be read; .*nope"),
        ({"compressor": {"id": "zlib"}}, "frame 0 of .*movie.zarr cannot be read"),
        ({"compressor": {"id": "base64"}}, "is compressed by base64; expected: a codec such as blosc"),
        ({"filters": [{"id": "base64"}]}, "is compressed by base64"),
        ({"compressor": 7}, "movie.zarr cannot be read"),
        ({"zarr_format": 4}, "movie.zarr cannot be read"),
        ({"fill_value": "many"}, "movie.zarr cannot be read"),
    ],
)  # fmt: skip
def test_an_array_that_lies_is_refused_and_no_store_is_left(tmp_path, change, message):
    path = lying(tmp_path, **change)
    tracemalloc.start()
    with pytest.raises(FormatError, match=message):
        ingest(path, DuckDBStore(tmp_path / "a.trackdb"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64 << 20
    assert not (tmp_path / "a.trackdb").exists()


class Bomb:
    """An object that makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize(
    "change",
    [{"filters": [{"id": "pickle"}]}, {"compressor": {"id": "pickle"}}, {"dtype": "|O", "filters": [{"id": "pickle"}]}],
)
def test_objects_in_chunks_are_never_unpickled(tmp_path, change):
    path = lying(tmp_path, **{"compressor": None, **change})
    for chunk in path.glob("[0-9]*"):
        chunk.write_bytes(pickle.dumps(Bomb(str(tmp_path / "bang"))))
    with pytest.raises(FormatError, match=r"movie.zarr (is compressed by pickle|cannot be read)"):
        list(open_source(path).frames())
    assert not (tmp_path / "bang").exists()


@pytest.mark.parametrize("nested", [False, True])
def test_codecs_that_are_not_of_numbers_are_refused_wherever_they_stand(tmp_path, nested):
    path = zarr_array(tmp_path, MOVIE, shards=(1, 64, 64) if nested else None)
    said = json.loads((path / "zarr.json").read_text())
    codecs = said["codecs"][0]["configuration"]["codecs"] if nested else said["codecs"]
    codecs[0] = {"name": "vlen-bytes"}
    (path / "zarr.json").write_text(json.dumps(said))
    with pytest.raises(FormatError, match=r"movie.zarr (is compressed by vlen-bytes|cannot be read)"):
        open_source(path)


@pytest.mark.parametrize("keep", [0.0, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("options", [{"zarr_format": 2, "compressors": None}, {"compressors": None}, {}], ids=str)
def test_a_chunk_that_is_cut_off_is_refused_by_the_name_of_its_array_and_frame(tmp_path, options, keep):
    noise = np.random.default_rng(0).integers(0, 9, MOVIE.shape).astype(np.uint16)
    path = zarr_array(tmp_path, noise, **options)
    chunk = path / "1.0.1" if options.get("zarr_format") else path / "c/1/0/1"
    chunk.write_bytes(chunk.read_bytes()[: int(chunk.stat().st_size * keep)])
    with pytest.raises(FormatError, match=r"frame 1 of .*movie.zarr cannot be read"):
        list(open_source(path).frames())


@pytest.mark.parametrize("dtype", [np.int16, np.int64])
def test_a_negative_label_is_refused_by_name(tmp_path, dtype):
    movie = MOVIE.astype(dtype)
    movie[2, 5, 5] = -7
    with pytest.raises(FormatError, match=r"movie.zarr holds label -7"):
        list(open_source(zarr_array(tmp_path, movie)).frames())


# -- chunks that are not stored, and links that lead away ----------------------------------------------------------


def test_chunks_that_are_not_stored_are_background_and_said(tmp_path):
    path = zarr_array(tmp_path, MOVIE + 1)
    shutil.rmtree(path / "c" / "1")
    source = open_source(path)
    assert any("4 of 12 chunks of" in note and "are read as background" in note for note in source.notes)
    expected = MOVIE + 1
    expected[1] = 0
    np.testing.assert_array_equal(masks_of(source), expected)


def test_chunks_of_images_that_are_not_stored_are_the_fill_value_and_said(tmp_path):
    path = zarr_array(tmp_path, MOVIE + 1, fill_value=300)
    shutil.rmtree(path / "c" / "1")
    frames = open_channels({"image": path})["image"]
    assert any("4 of 12 chunks of" in note and "are read as 300" in note for note in frames.header.notes)
    assert (next(frames.read([1])) == 300).all()


def test_missing_chunks_that_would_be_cells_are_refused(tmp_path):
    path = zarr_array(tmp_path, MOVIE + 1, fill_value=3)
    np.testing.assert_array_equal(masks_of(open_source(path)), MOVIE + 1)
    (path / "c" / "1" / "0" / "1").unlink()
    with pytest.raises(FormatError, match=r"1 of 12 chunks of .* are not stored, and would be filled with label 3"):
        open_source(path)


@pytest.mark.parametrize("what", ["0/c/1/0/1", "0/c", "0"])
def test_links_that_lead_out_of_the_folder_are_refused(tmp_path, what):
    path = write_ngff(tmp_path / "a.zarr", MOVIE + 1, "tyx", is_label=True)
    inside = path / what
    inside.rename(tmp_path / "elsewhere")
    inside.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FormatError, match=r"leads out of .*a.zarr"):
        open_source(path)


def test_links_that_run_in_circles_end(tmp_path):
    path = zarr_array(tmp_path, MOVIE + 1)
    for name in ("a", "b", "d"):
        (path / name).symlink_to(path)
    np.testing.assert_array_equal(masks_of(open_source(path)), MOVIE + 1)
    (path / "c" / "1" / "0" / "1").unlink()
    (path / "c" / "1" / "0" / "1").symlink_to("1")
    with pytest.raises(FormatError, match=r"movie.zarr"):
        list(open_source(path).frames())


def test_links_inside_the_folder_and_to_the_folder_are_followed(tmp_path):
    path = write_ngff(tmp_path / "a.zarr", MOVIE + 1, "tyx", is_label=True)
    (path / "0").rename(path / "full")
    (path / "0").symlink_to("full")
    (tmp_path / "link.zarr").symlink_to(path)
    np.testing.assert_array_equal(masks_of(open_source(tmp_path / "link.zarr")), MOVIE + 1)


# -- streaming -----------------------------------------------------------------------------------------------------


def peak_of_reading(path):
    frames = open_channels({"image": path})["image"]
    tracemalloc.start()
    for _ in frames.read(range(len(frames.numbers))):
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def test_memory_does_not_grow_with_the_number_of_frames(tmp_path):
    peaks = []
    for n_frames in (3, 30):
        (tmp_path / str(n_frames)).mkdir()
        movie = np.ones((n_frames, 8, 256, 256), dtype=np.uint16)  # 1 MiB a frame
        peaks.append(peak_of_reading(zarr_array(tmp_path / str(n_frames), movie, chunks=(1, 8, 128, 128))))
    assert peaks[0] < 6 << 20
    assert peaks[1] < 1.5 * peaks[0]


def test_frames_that_share_a_chunk_are_decoded_once(tmp_path, monkeypatch):
    path = zarr_array(tmp_path, np.repeat(MOVIE, 4, axis=0), chunks=(5, 48, 64))
    reads = []
    plain = zarr.Array.__getitem__
    monkeypatch.setattr(zarr.Array, "__getitem__", lambda array, index: reads.append(index[0]) or plain(array, index))
    frames = open_channels({"image": path})["image"]
    np.testing.assert_array_equal(list(frames.read(range(1, 12, 2))), np.repeat(MOVIE, 4, axis=0)[1::2])
    assert reads == [slice(1, 4), slice(5, 10), slice(11, 12)]
