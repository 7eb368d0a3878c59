"""One movie in every container: the same frames, the same detections, and refusals that name the file."""

import pickle
import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile

from trackdb.engine.ingest import ingest
from trackdb.errors import FormatError
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.formats import SourceOptions, detect, open_source
from trackdb.storage.pixels.opening import open_channels, open_label_frames

from .containers import CONTAINERS, FLAT, npy_stack, png_files, tif_files, tif_stack
from .frames_contract import LAWS
from .movies import CENTRES, square_mask

MOVIE = np.array([square_mask(frame) for frame in CENTRES])
VOLUMES = np.stack([MOVIE * 0, MOVIE, MOVIE + (MOVIE > 0)], axis=1)  # (t, z, y, x)
CASES = [(name, 2) for name in CONTAINERS] + [(name, 3) for name in CONTAINERS if name not in FLAT]


def movie_of(ndim):
    return MOVIE if ndim == 2 else VOLUMES


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize(("container", "ndim"), CASES, ids=str)
def test_masks_in_every_container_keep_the_contract(tmp_path, container, ndim, law):
    movie = movie_of(ndim)
    law(open_label_frames(CONTAINERS[container](tmp_path, movie)), movie)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("container", [name for name in CONTAINERS if name not in FLAT])
def test_images_in_every_container_keep_the_contract(tmp_path, container, dtype):
    movie = (VOLUMES * 17).astype(dtype)
    [(name, frames)] = open_channels({"image": CONTAINERS[container](tmp_path, movie)}).items()
    assert name == "image"
    for law in LAWS:
        law(frames, movie)


@pytest.mark.parametrize("container", CONTAINERS)
def test_every_container_gives_the_same_detections(tmp_path, container):
    def detections(path, store):
        assert detect(path) == "masks"
        store = DuckDBStore(tmp_path / store)
        report = ingest(path, store, name="movie")
        found = store.detections(store.detection_set())
        return report.frames, found.frame, found.label, found.position_px, found.area

    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    ours = detections(CONTAINERS[container](tmp_path / "here", MOVIE), "a.trackdb")
    peer = detections(tif_files(tmp_path / "there", MOVIE), "b.trackdb")
    assert len(ours[1]) > 6
    for a, b in zip(ours, peer, strict=True):
        np.testing.assert_array_equal(a, b)


# -- what a folder holds -------------------------------------------------------------------------------------------


def test_in_a_folder_of_cellpose_its_masks_are_masks_and_the_images_are_images(tmp_path):
    folder = CONTAINERS["cellpose"](tmp_path, MOVIE)
    source = open_source(folder, options=SourceOptions(images={"image": folder}))
    batches = list(source.frames())
    np.testing.assert_array_equal([b.mask for b in batches], MOVIE)
    assert all((b.images["image"] == 7).all() for b in batches)
    assert any("3 png files are read, 3 .tif, 1 .png, 1 .npy left out" in note for note in source.notes)


def test_of_several_kinds_in_a_folder_one_is_read_and_that_is_told(tmp_path):
    tif_files(tmp_path, MOVIE)
    png_files(tmp_path, MOVIE + 1, "_preview")
    source = open_source(tmp_path)
    np.testing.assert_array_equal([b.mask for b in source.frames()], MOVIE)
    assert any("3 tif files are read, 3 .png left out" in note for note in source.notes)


def test_the_axis_that_is_taken_for_time_is_told(tmp_path):
    assert "the first axis of movie.npy is read as time" in open_source(npy_stack(tmp_path, MOVIE)).notes


# -- PNG -----------------------------------------------------------------------------------------------------------


def png_bytes(height, width, bits, kind, raw):
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read; expected: a whole PNG file; got: 0 bytes"),
        (b"\x89PNG\r\n\x1a\n", "cannot be read"),
        (b"GIF89a" + b"\0" * 60, "cannot be read"),
        (png_bytes(60_000, 60_000, 16, 0, b"\0" * 1000), "promises more than it holds; expected: 60000 x 60000 pixels"),
        (png_bytes(2**31 - 1, 2**31 - 1, 8, 0, b"\0" * 1000), "promises more than it holds"),
        (png_bytes(0, 5, 8, 0, b""), "promises more than it holds"),
        (png_bytes(48, 64, 8, 0, b"\0" * 900), "cannot be read; .*got: Not enough image data"),
        (png_bytes(48, 64, 16, 0, b"\0" * 6193)[:-12], "is cut off; expected: a whole PNG file"),
        (png_bytes(4, 5, 8, 2, b"\0" * 64), "holds RGB pixels of 8 bits; expected: grey values of 8 or 16 bits"),
        (png_bytes(4, 5, 8, 3, b"\0" * 24), "holds a palette pixels of 8 bits"),
        (png_bytes(4, 8, 1, 0, b"\0" * 8), "holds grey pixels of 1 bits"),
    ],
    ids=["empty", "start", "gif", "bomb", "largest", "no pixels", "short", "no end", "rgb", "palette", "binary"],
)
def test_a_png_that_is_none_is_refused_by_name(tmp_path, content, message):
    png_files(tmp_path, MOVIE)
    (tmp_path / "t01.png").write_bytes(content)
    with pytest.raises(FormatError, match=rf"t01.png.* {message}"):
        list(open_source(tmp_path).frames())


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9])
def test_a_png_that_is_cut_off_is_refused_by_name(tmp_path, share):
    noise = np.random.default_rng(0).integers(0, 9, (3, 64, 64)).astype(np.uint16)
    path = png_files(tmp_path, noise) / "t02.png"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(FormatError, match=r"t02.png (cannot be read|is cut off)"):
        list(open_source(tmp_path).frames())


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8, 0.95])
def test_a_png_whose_bytes_were_changed_is_refused_by_name(tmp_path, capfd, share):
    path = png_files(tmp_path, MOVIE) / "t01.png"
    content = bytearray(path.read_bytes())
    content[int(len(content) * share)] ^= 0x55
    path.write_bytes(content)
    with pytest.raises(FormatError, match=r"t01.png (is damaged at byte \d+|is cut off|holds|promises|cannot|has)"):
        list(open_source(tmp_path).frames())
    assert capfd.readouterr().err == ""


def test_one_png_is_a_movie_of_one_frame(tmp_path):
    source = open_source(png_files(tmp_path, MOVIE) / "t01.png")
    assert (source.name, source.n_frames) == ("t01", 1)
    np.testing.assert_array_equal(next(iter(source.frames())).mask, MOVIE[1])


# -- npy -----------------------------------------------------------------------------------------------------------


class Bomb:
    """An object that writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def lying_header(path, shape):
    np.save(path, np.zeros((2, 4, 5), dtype=np.uint16))
    path.write_bytes(path.read_bytes().replace(b"(2, 4, 5), }" + b" " * (len(str(shape)) - 9), f"{shape}, }}".encode()))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones((2, 4, 5), dtype=np.float64), "holds float64 pixels; expected: label masks of whole numbers"),
        (np.ones((2, 4, 5), dtype=complex), "holds complex128 pixels"),
        (np.full((2, 4, 5), -3), "holds label -3; expected: 0 for background"),
        (np.array(["cell"] * 8).reshape(2, 2, 2), "holds <U4 pixels"),
        (np.zeros((2, 4, 5), dtype=[("a", "u2")]), r"holds \[\('a', '<u2'\)\] pixels"),
        (np.zeros(7, dtype=np.uint8), r"holds an array of shape \(7,\); expected: axes \(y, x\) or \(t, y, x\)"),
        (np.zeros((1, 2, 3, 4, 5), dtype=np.uint8), "holds an array of shape"),
    ],
    ids=["float", "complex", "negative", "text", "records", "1D", "5D"],
)
def test_an_npy_file_that_holds_no_masks_is_refused(tmp_path, array, message):
    with pytest.raises(FormatError, match=f"movie.npy {message}"):
        list(open_source(npy_stack(tmp_path, array)).frames())


def test_objects_in_an_npy_file_are_never_unpickled(tmp_path):
    objects, bare = tmp_path / "objects.npy", tmp_path / "bare.npy"
    np.save(objects, np.array([Bomb(tmp_path / "bang")], dtype=object), allow_pickle=True)
    bare.write_bytes(pickle.dumps(Bomb(tmp_path / "bang")))
    for path in (objects, bare):
        with pytest.raises(FormatError, match=f"{path.name} cannot be read; expected: a whole npy file of numbers"):
            open_source(path)
    assert not (tmp_path / "bang").exists()


@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.5, 0.99])
def test_an_npy_file_that_is_cut_off_is_refused_when_it_is_opened(tmp_path, share):
    path = npy_stack(tmp_path, MOVIE)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(FormatError, match=r"movie.npy cannot be read"):
        open_source(path)


def test_an_npy_file_that_promises_more_than_it_holds_is_refused(tmp_path):
    lying_header(tmp_path / "movie.npy", (99_999_999, 99_999, 99_999))
    with pytest.raises(FormatError, match=r"movie.npy cannot be read"):
        open_source(tmp_path / "movie.npy")


def test_an_archive_of_arrays_is_refused(tmp_path):
    np.savez(tmp_path / "movie.npz", MOVIE)
    (tmp_path / "movie.npz").rename(tmp_path / "movie.npy")
    with pytest.raises(FormatError, match=r"movie.npy is a zip archive; expected: an npy file of one array"):
        open_source(tmp_path / "movie.npy")


# -- tif -----------------------------------------------------------------------------------------------------------


def test_a_tif_that_promises_more_than_it_holds_is_refused_before_it_is_read(tmp_path):
    path = tif_stack(tmp_path, np.zeros((1, 64, 64), dtype=np.uint16), compression="zlib", rowsperstrip=64)
    with tifffile.TiffFile(path, mode="r+") as tif:
        for name in ("ImageWidth", "ImageLength", "RowsPerStrip"):
            tif.pages.first.tags[name].overwrite(200_000)
    with pytest.raises(FormatError, match=r"movie.tif (promises frames of|cannot be read)"):
        list(open_source(path).frames())


# -- real masks ----------------------------------------------------------------------------------------------------


@pytest.mark.data
def test_labels_of_an_npy_stack_and_of_tif_files_agree_on_real_masks(data_dir, tmp_path):
    path = data_dir / "format_fixtures" / "laptrack_docs" / "labels.npy"
    labels = np.load(path)
    source = open_source(path)
    assert (source.n_frames, source.shape_px) == (5, (256, 256))
    np.testing.assert_array_equal([b.mask for b in source.frames()], labels)
    np.testing.assert_array_equal([b.mask for b in open_source(tif_files(tmp_path, labels)).frames()], labels)


@pytest.mark.data
def test_png_masks_of_a_tracker_come_with_their_phase_contrast_images(data_dir):
    folder = data_dir / "usiigaci_t98g_mit"
    source = open_source(folder / "tracker_output", "masks", SourceOptions(images={"phase": folder / "images"}))
    assert (source.n_frames, source.shape_px) == (7, (1022, 1024))
    for number, batch in enumerate(source.frames()):
        peer = imagecodecs.png_decode((folder / "tracker_output" / f"id_masks_{number:02d}.png").read_bytes())
        np.testing.assert_array_equal(batch.mask, peer)
        image = tifffile.imread(folder / "images" / f"20180101ef002xy01t{number + 1:02d}.tif")
        np.testing.assert_array_equal(batch.images["phase"], image)
