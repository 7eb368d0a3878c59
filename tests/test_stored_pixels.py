"""The door to the pixels: what there is, frame by frame, and never more in memory than was agreed."""

import numpy as np
import pytest

from trackdb.engine.ingest import ingest
from trackdb.engine.pixels import NO_PIXELS, PixelsInMemory, StoredPixels, pixels_of
from trackdb.engine.progress import Recorded
from trackdb.errors import MissingRowsError, StoreDamagedError
from trackdb.storage.duckdb_store import DuckDBStore

from .movies import CENTRES, square_mask, write_points

FRAME_BYTES = square_mask({}).astype(np.uint32).nbytes


@pytest.fixture
def counted(monkeypatch):
    """Frames that were read from the disk."""
    from trackdb.engine import pixels

    seen, read = [], pixels.read_frame
    monkeypatch.setattr(pixels, "read_frame", lambda folder, ref, frame: seen.append(frame) or read(folder, ref, frame))
    return seen


def test_masks_and_images_are_those_that_were_brought_in(solved):
    pixels = pixels_of(solved, solved.detection_set())
    assert pixels.has_masks
    assert pixels.channels == ("image",)
    for t, centres in enumerate(CENTRES):
        assert np.array_equal(pixels.mask(t), square_mask(centres))
        assert np.array_equal(pixels.image("image", t), (square_mask(centres) > 0) * 200)


def test_points_have_no_pixels(tmp_path):
    store = DuckDBStore(tmp_path / "points.trackdb")
    ingest(write_points(tmp_path / "points.csv"), store)
    for pixels in (pixels_of(store, store.detection_set()), NO_PIXELS):
        assert (pixels.has_masks, pixels.channels) == (False, ())
        with pytest.raises(MissingRowsError, match="mask"):
            pixels.mask(0)
        with pytest.raises(MissingRowsError, match="channel nuclei"):
            pixels.image("nuclei", 0)


def test_a_frame_that_is_asked_for_again_is_still_there(solved, counted):
    pixels = pixels_of(solved, solved.detection_set())
    assert pixels.mask(0) is pixels.mask(0)
    pixels.mask(1), pixels.mask(0), pixels.image("image", 0)
    assert counted == [0, 1, 0]


def test_no_more_frames_are_held_than_fit(solved, counted):
    refs = solved.arrays(solved.detection_set())
    three = StoredPixels(solved.path, refs, held_bytes=3 * FRAME_BYTES)
    for t in (0, 1, 2, 0, 1, 2):
        three.mask(t)
    assert counted == [0, 1, 2]
    counted.clear()
    two = StoredPixels(solved.path, refs, held_bytes=1)
    for t in (0, 1, 0, 1, 2, 1, 0):
        two.mask(t)
    assert counted == [0, 1, 2, 0]


def test_pixels_cannot_be_written_to(solved):
    with pytest.raises(ValueError, match="read-only"):
        pixels_of(solved, solved.detection_set()).mask(0)[0, 0] = 9


def test_progress_is_told_once_a_frame(solved):
    progress = Recorded()
    pixels = StoredPixels(solved.path, solved.arrays(solved.detection_set()), progress=progress, held_bytes=1)
    for t in (0, 1, 0, 1, 2):
        pixels.mask(t)
    assert progress.stages == ["frames"]
    assert progress.steps == 3


def test_a_frame_that_is_gone_is_damage(solved):
    [masks] = [ref for ref in solved.arrays(solved.detection_set()) if ref.kind == "masks"]
    for file in (solved.path / masks.path / "data" / "c" / "1").rglob("*"):
        if file.is_file():
            file.unlink()
    with pytest.raises(StoreDamagedError, match="lacks frame 1"):
        pixels_of(solved, solved.detection_set()).mask(1)


def test_pixels_in_memory_say_what_they_lack():
    pixels = PixelsInMemory({0: square_mask({})}, {"nuclei": {0: square_mask({})}})
    assert (pixels.has_masks, pixels.channels) == (True, ("nuclei",))
    assert pixels.image("nuclei", 0).shape == pixels.mask(0).shape
    with pytest.raises(MissingRowsError, match="frame 1"):
        pixels.mask(1)
    with pytest.raises(MissingRowsError, match="frame 1"):
        pixels.image("nuclei", 1)
