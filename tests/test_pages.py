"""Every block of code of README, tutorial and how-tos runs, on small data, or says why not."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile

from .command_line import run
from .containers import write_ngff
from .movies import square_mask, write_ctc
from .pages import RUN, blocks_of, run_page

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
OWN = [page for page in (*sorted((DOCS / "howto").glob("*.md")), DOCS / "reference" / "settings.md") if blocks_of(page)]
"""Pages with blocks to run; the tutorial is run by test_demo, which has its first step."""
ELSEWHERE = ("sql.md", "cookbook.md")
"""Pages whose queries run in test_docs."""
ALL = [ROOT / "README.md", *(p for p in sorted(DOCS.rglob("*.md")) if p.name not in ELSEWHERE)]

pytestmark = pytest.mark.usefixtures("own_home_and_log")


@pytest.fixture
def own_copy_of_the_docs(tmp_path, monkeypatch):
    """A folder of its own to work in, as a reader has it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", ALL, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_says_what_it_is(page):
    languages = {block.language for block in blocks_of(page)}
    assert languages <= {*RUN, "text", "{toctree}"}, f"{page.name}: {languages}"


@pytest.mark.parametrize("page", OWN, ids=lambda page: page.stem)
def test_a_page_runs_as_it_stands(page, own_copy_of_the_docs):
    assert run_page(page) > 0


# Eight cells in a row walk to the right for ten frames: cell 1 + 8 t + k is the k-th one in frame t.
WALKING = [{k + 1: (20, 15 + 24 * k + t) for k in range(8)} for t in range(10)]
TRACKS = [(k + 1, 0, 9, 0) for k in range(8)]


def write_masks(folder, centres, shape):
    folder.mkdir()
    for t, frame in enumerate(centres):
        tifffile.imwrite(folder / f"m{t:03d}.tif", square_mask(frame, shape))


@pytest.fixture
def what_the_readme_names(own_copy_of_the_docs):
    """The files and folders that README speaks of, each small."""
    here = own_copy_of_the_docs
    shape = (40, 220)
    write_ctc(here / "Fluo-N2DH-SIM+", centres=WALKING, tracks=TRACKS, shape=shape, images=True)
    solid = [{label: (8, *place) for label, place in frame.items()} for frame in WALKING[:3]]
    write_ctc(here / "Fluo-N3DH-CE", centres=solid, tracks=[(k + 1, 0, 2, 0) for k in range(8)], shape=(16, *shape))
    judged = write_ctc(here / "whole", centres=WALKING, tracks=TRACKS, shape=shape, images=True)
    for name in ("01", "01_GT"):
        shutil.move(judged / name, here / name)
    for name in ("cellpose_masks", "01_SEG"):
        write_masks(here / name, WALKING, shape)
    for name in ("nuclei_3d", "raw_3d"):
        write_masks(here / name, solid, (16, *shape))
    shutil.copytree(here / "01", here / "tifs")
    rows = [(t, *WALKING[t][k], 8 * t + k) for t in range(10) for k in range(1, 9)]
    spots = "frame,centroid-0,centroid-1,id\n" + "".join(f"{t},{y},{x},{n}\n" for t, y, x, n in rows)
    (here / "spots.csv").write_text(spots)
    tracks = "t,y,x,track\n" + "".join(f"{t},{y},{x},{(n - 1) % 8 + 1}\n" for t, y, x, n in rows)
    (here / "tracks.csv").write_text(tracks)
    (here / "links.csv").write_text("source_idx,target_idx\n" + "".join(f"{n},{n + 8}\n" for n in range(1, 73)))
    (here / "network.csv").write_text("source,target,score\n" + "".join(f"{n},{n + 8},0.9\n" for n in range(1, 73)))
    masks = np.stack([square_mask(frame, shape) for frame in WALKING[:3]])
    write_ngff(here / "movie.zarr", masks, "tyx")
    write_ngff(here / "movie.zarr" / "labels" / "cells", masks, "tyx", is_label=True)
    for name in ("new", "proofread"):
        run("ingest", "01_SEG", "--truth", "01_GT", "-o", f"{name}.trackdb", "-q")
    for name in ("FakeTracks.xml", "their_tracks.xml"):
        run("export", "trackmate", "proofread.trackdb", "--solution", "truth", "-o", name, "-q")


def test_the_readme_runs(what_the_readme_names):
    assert run_page(ROOT / "README.md") > 10
