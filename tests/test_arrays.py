"""Pixels: written frame by frame, continued after a kill, named by their content, and found when altered."""

import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from trackdb.engine.check import check
from trackdb.engine.exports.ctc import export_ctc
from trackdb.errors import StoreDamagedError
from trackdb.storage.arrays import ARRAYS, DATA, ArrayWriter, digest, read_frame, sweep

MOVIE = np.arange(3 * 5 * 7, dtype=np.uint32).reshape(3, 5, 7)


def writer_for(store, movie=MOVIE, name="run-1-masks-"):
    return ArrayWriter(store, name, kind="masks", channel="", shape=movie.shape, dtype=movie.dtype)


def written(store, movie=MOVIE, name="run-1-masks-"):
    writer = writer_for(store, movie, name)
    for frame, pixels in enumerate(movie):
        writer.write(frame, pixels)
        writer.sync()
    return writer.seal()


def chunk_of(store, ref, frame):
    """A file that holds pixels of a frame."""
    return next(p for p in (store / ref.path / DATA / "c" / str(frame)).rglob("*") if p.is_file())


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 300, 17), (3, 5, 7), (2, 3, 70, 5)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.uint64, np.float32])
def test_frames_are_read_as_they_were_written(tmp_path, shape, dtype):
    movie = np.random.default_rng(0).integers(0, 200, shape).astype(dtype)
    ref = written(tmp_path, movie)
    assert (ref.shape, ref.dtype, ref.kind) == (shape, np.dtype(dtype).name, "masks")
    for frame, pixels in enumerate(movie):
        np.testing.assert_array_equal(read_frame(tmp_path, ref, frame), pixels)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(movie=hnp.arrays(np.uint16, st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9))))
def test_a_group_is_named_by_its_content(tmp_path_factory, movie):
    one, two = (tmp_path_factory.mktemp("store") for _ in range(2))
    first, second = written(one, movie), written(two, movie, name="run-77-masks-")
    assert first == second
    assert first.path == f"{ARRAYS}/{first.sha256}"
    assert digest(one / first.path) == (first.sha256, first.n_bytes)
    other = movie.copy()
    other.flat[0] ^= 1
    assert written(one, other).sha256 != first.sha256


def test_the_same_pixels_are_kept_once(tmp_path):
    assert written(tmp_path) == written(tmp_path, name="run-2-masks-")
    assert len(list((tmp_path / ARRAYS).iterdir())) == 1


def test_nothing_has_a_final_name_before_the_seal(tmp_path):
    writer = writer_for(tmp_path)
    writer.write(0, MOVIE[0])
    writer.sync()
    assert [p.name for p in (tmp_path / ARRAYS).iterdir()] == [".tmp-run-1-masks-"]
    writer.seal()
    assert not list((tmp_path / ARRAYS).glob(".tmp-*"))


def test_a_writer_of_the_same_name_goes_on(tmp_path):
    first = writer_for(tmp_path)
    assert not first.continued
    first.write(0, MOVIE[0])
    first.sync()
    second = writer_for(tmp_path)
    assert second.continued
    for frame in (1, 2):
        second.write(frame, MOVIE[frame])
    ref = second.seal()
    (tmp_path / "undisturbed").mkdir()
    assert ref == written(tmp_path / "undisturbed")
    for frame, pixels in enumerate(MOVIE):
        np.testing.assert_array_equal(read_frame(tmp_path, ref, frame), pixels)


def test_what_a_killed_write_left_is_no_part_of_the_array(tmp_path):
    first = writer_for(tmp_path)
    first.write(0, MOVIE[0])
    frame = next(path for path in (tmp_path / ARRAYS).rglob("c/0/**/*") if path.is_file())
    frame.with_suffix(".0123abcd.partial").write_bytes(b"half")
    second = writer_for(tmp_path)
    for row in (1, 2):
        second.write(row, MOVIE[row])
    (tmp_path / "undisturbed").mkdir()
    assert second.seal() == written(tmp_path / "undisturbed")


@pytest.mark.parametrize("other", [MOVIE[:2], MOVIE.astype(np.uint64), MOVIE[:, :4]], ids=["frames", "type", "size"])
def test_pixels_of_another_kind_are_not_gone_on_with(tmp_path, other):
    writer_for(tmp_path).write(0, MOVIE[0])
    assert not writer_for(tmp_path, other).continued
    ref = written(tmp_path, other)
    np.testing.assert_array_equal(read_frame(tmp_path, ref, 0), other[0])


def test_a_group_whose_making_was_killed_is_made_again(tmp_path):
    writer_for(tmp_path)
    (tmp_path / ARRAYS / ".tmp-run-1-masks-" / DATA / "zarr.json").write_text("")
    assert not writer_for(tmp_path).continued
    ref = written(tmp_path)
    np.testing.assert_array_equal(read_frame(tmp_path, ref, 2), MOVIE[2])


def test_sweeping_takes_the_pixels_of_one_run_alone(tmp_path):
    kept = written(tmp_path)
    for name in ("run-1-masks-", "run-1-images-nuclei", "run-12-masks-"):
        writer_for(tmp_path, name=name).write(0, MOVIE[0])
    sweep(tmp_path, "run-1-")
    left = {p.name for p in (tmp_path / ARRAYS).iterdir()}
    assert left == {kept.sha256, ".tmp-run-12-masks-"}


def test_a_frame_of_a_missing_group_is_refused_by_name(tmp_path):
    ref = written(tmp_path)
    shutil.rmtree(tmp_path / ref.path)
    with pytest.raises(StoreDamagedError, match=ref.sha256):
        read_frame(tmp_path, ref, 0)


@pytest.mark.parametrize("damage", ["cut", "noise"])
def test_a_damaged_frame_is_refused_by_name(tmp_path, damage):
    movie = np.random.default_rng(1).integers(0, 60_000, (2, 64, 64)).astype(np.uint16)
    ref = written(tmp_path, movie)
    file = chunk_of(tmp_path, ref, 1)
    whole = file.read_bytes()
    file.write_bytes({"cut": whole[: len(whole) // 2], "noise": bytes(len(whole))}[damage])
    np.testing.assert_array_equal(read_frame(tmp_path, ref, 0), movie[0])
    with pytest.raises(StoreDamagedError, match=ref.sha256):
        read_frame(tmp_path, ref, 1)


@pytest.mark.parametrize("damage", ["altered", "cut", "emptied", "gone"])
def test_every_damage_to_a_frame_is_found_by_the_check(solved, damage):
    """A frame whose file is empty or gone reads as background: the check is what tells."""
    [ref] = [ref for ref in solved.all_arrays() if ref.kind == "masks"]
    file = chunk_of(solved.path, ref, 1)
    content = file.read_bytes()
    middle = len(content) // 2
    altered = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    file.write_bytes({"altered": altered, "cut": content[:middle]}.get(damage, b""))
    if damage == "gone":
        file.unlink()
    assert [problem.what for problem in check(solved)] == [f"the masks in {ref.path} were altered"]


def test_a_missing_folder_is_found_by_the_check_and_refused_by_the_export(solved, tmp_path):
    [ref] = [ref for ref in solved.all_arrays() if ref.kind == "masks"]
    shutil.rmtree(solved.path / ref.path)
    assert [problem.what for problem in check(solved)] == [f"the masks in {ref.path} are missing"]
    with pytest.raises(StoreDamagedError):
        export_ctc(solved, *solved.find_solution(), tmp_path / "01_RES")
    assert not (tmp_path / "01_RES").exists()


def test_a_file_too_many_is_found_by_the_check(solved):
    ref = solved.all_arrays()[0]
    (solved.path / ref.path / "notes.txt").write_text("mine")
    assert len(check(solved)) == 1


def test_a_frame_whose_file_is_gone_is_damage_and_not_background(tmp_path):
    writer = ArrayWriter(tmp_path, "w", kind="masks", channel="", shape=(2, 4, 4), dtype=np.dtype(np.uint32))
    for frame in range(2):
        writer.write(frame, np.zeros((4, 4), np.uint32))  # all background: its file is there all the same
    ref = writer.seal()
    assert not read_frame(tmp_path, ref, 1).any()
    shutil.rmtree(tmp_path / ref.path / DATA / "c" / "1")
    assert not read_frame(tmp_path, ref, 0).any()
    with pytest.raises(StoreDamagedError, match="lacks frame 1"):
        read_frame(tmp_path, ref, 1)
