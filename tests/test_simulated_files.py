"""Simulated movies as files: the layout, the units, the same bytes each time, and everywhere the word simulated."""

import json
import re
import warnings
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from trackdb.cli.main import app
from trackdb.engine.ingest import ingest
from trackdb.engine.progress import Recorded
from trackdb.engine.simulation import Simulation, simulate, write_movie
from trackdb.errors import FormatError
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.formats.base import SourceOptions

from .command_line import answer as of_command
from .command_line import run

SMALL = Simulation(frames=8, cells=12, division_rate=0.1, missed=0.1, false=0.1, merged=0.1, split=0.1, seed=3)
FLAT = replace(SMALL, modality="phase", condition="b", scale_um=(0.5, 0.4), interval_s=300.0)
DEEP = replace(SMALL, frames=4, ndim=3, scale_um=(2.0, 0.5, 0.5), interval_s=60.0)


@pytest.mark.parametrize("options", [SMALL, FLAT, DEEP])
def test_the_files_are_those_of_the_challenge_and_hold_the_movie(tmp_path, options):
    folder = tmp_path / "deep" / "movie"
    progress = Recorded()
    report = write_movie(folder, simulate(options), progress=progress)
    movie = simulate(options)
    rows = []
    for drawn in movie:
        truth = tifffile.imread(folder / "01_GT" / "TRA" / f"man_track{drawn.frame:03d}.tif")
        np.testing.assert_array_equal(truth, drawn.truth)
        np.testing.assert_array_equal(tifffile.imread(folder / "01_SEG" / f"mask{drawn.frame:03d}.tif"), drawn.mask)
        np.testing.assert_array_equal(tifffile.imread(folder / "01" / f"t{drawn.frame:03d}.tif"), drawn.image)
        rows += zip(drawn.errors.kind.tolist(), drawn.errors.label.tolist(), drawn.errors.track.tolist(), strict=True)
    np.testing.assert_array_equal(np.loadtxt(folder / "01_GT" / "TRA" / "man_track.txt", dtype=int), movie.tracks)
    assert truth.dtype == np.uint16
    assert (report.frames, report.tracks) == (options.frames, len(movie.tracks))
    assert report.divisions == np.count_nonzero(np.bincount(movie.tracks[:, 3])[1:] == 2)
    assert (progress.stages, progress.steps) == (["simulate"], options.frames)
    table = (folder / "01_SEG_errors.csv").read_text().splitlines()
    assert table[0] == "t,kind,label,track"
    assert len(table) == 1 + len(rows)
    names = [line.split(",")[1] for line in table[1:]]
    assert report.errors == {
        kind: names.count(kind) // n for kind, n in {"missed": 1, "false": 1, "merged": 2, "split": 2}.items()
    }
    assert [p.name for p in folder.parent.iterdir()] == ["movie"]


@pytest.mark.parametrize("options", [SMALL, DEEP])
def test_the_same_settings_give_the_same_bytes(tmp_path, options):
    for name in ("one", "two"):
        write_movie(tmp_path / name, simulate(options))
    files = sorted(p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*") if p.is_file())
    assert len(files) == 3 * options.frames + 3
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes(), file


def test_every_file_says_that_it_is_simulated(tmp_path):
    write_movie(tmp_path / "m", simulate(SMALL))
    text = (tmp_path / "m" / "README.txt").read_text()
    assert text.startswith("Simulated by trackdb")
    for line in (r"missed +0\.1", r"seed +3", r"modality +nuclei", r"motion +0\.06"):
        assert re.search(f"^{line}$", text, flags=re.MULTILINE), line
    for path in (tmp_path / "m").rglob("*.tif"):
        with tifffile.TiffFile(path) as tif:
            assert tif.pages.first.software == "trackdb simulate"
            assert tif.imagej_metadata["Info"].startswith("Simulated by trackdb")


def test_labels_beyond_16_bits_are_written_in_32(tmp_path, monkeypatch):
    movie = simulate(replace(FLAT, frames=1))
    [drawn] = movie
    wide = replace(drawn, truth=drawn.truth + 70_000 * (drawn.truth > 0))
    monkeypatch.setattr(type(movie), "frames", lambda self, images: iter([wide]))
    write_movie(tmp_path / "m", movie)
    path = tmp_path / "m" / "01_GT" / "TRA" / "man_track000.tif"
    np.testing.assert_array_equal(tifffile.imread(path), wide.truth)
    with tifffile.TiffFile(path) as tif:
        assert tif.pages.first.description.startswith("Simulated by trackdb")


@pytest.mark.parametrize(("options", "scale"), [(FLAT, (0.5, 0.4)), (DEEP, (2.0, 0.5, 0.5))])
def test_units_are_in_the_files(tmp_path, options, scale):
    write_movie(tmp_path / "m", simulate(options))
    store = DuckDBStore(tmp_path / "m.trackdb")
    images = SourceOptions(images={"cells": tmp_path / "m" / "01"}, truth=tmp_path / "m" / "01_GT")
    ingest(tmp_path / "m" / "01_SEG", store, options=images)
    movie = store.detection_set().movie
    assert movie.scale_um == pytest.approx(scale)
    assert movie.interval_s == options.interval_s
    assert movie.ndim == options.ndim


@pytest.mark.parametrize("options", [replace(SMALL, frames=25, death_rate=0.05, motion=0.5), DEEP,
                                     replace(SMALL, density=1.0, cells=60)])  # fmt: skip
def test_the_truth_is_valid_by_the_rules_of_the_challenge(tmp_path, options):
    """The judge is py-ctcmetrics, which warns where a rule is broken; a warning is an error here."""
    validate = pytest.importorskip("ctc_metrics.scripts.validate").validate_sequence
    write_movie(tmp_path / "m", simulate(options), images=False)
    truth = tmp_path / "m" / "01_GT" / "TRA"
    (truth / "man_track.txt").rename(truth / "res_track.txt")
    for path in truth.glob("man_track*.tif"):
        path.rename(path.with_name(path.name.replace("man_track", "mask")))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert validate(str(truth), threads=1) == {"Valid": 1}
    tracks = np.loadtxt(truth / "res_track.txt", dtype=int)
    np.savetxt(truth / "res_track.txt", tracks[:-1], fmt="%d")  # and it does judge
    with pytest.warns(UserWarning, match="in mask but not in res_track"):
        assert validate(str(truth), threads=1) == {"Valid": 0}


def test_images_can_be_left_out_and_an_empty_folder_is_taken(tmp_path):
    folder = tmp_path / "movie"
    folder.mkdir()
    write_movie(folder, simulate(Simulation(frames=1, cells=1)), images=False)
    assert sorted(p.name for p in folder.iterdir()) == ["01_GT", "01_SEG", "01_SEG_errors.csv", "README.txt"]


def test_a_folder_in_use_is_refused_and_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    (tmp_path / "link").symlink_to("nowhere")
    for place in (tmp_path, tmp_path / "mine.txt", tmp_path / "link"):
        with pytest.raises(FormatError, match="holds something already; try: name a new folder"):
            write_movie(place, simulate(SMALL))
    assert (tmp_path / "mine.txt").read_text() == "precious"


def test_an_interrupted_run_leaves_nothing(tmp_path):
    class Impatient(Recorded):
        def advance(self, steps=1):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_movie(tmp_path / "movie", simulate(SMALL), progress=Impatient())
    assert list(tmp_path.iterdir()) == []


def answer(*words, code=0):
    result = CliRunner().invoke(app, ["simulate", *map(str, words), "--json", "-q"])
    assert result.exit_code == code, result.output
    return json.loads(result.stdout) if code == 0 else result.stderr


def test_the_command_passes_on_what_is_asked(tmp_path):
    words = (
        "--frames 3 --cells 9 --3d --density 0.2 --radius 5 --division-rate 0.1 --death-rate 0.01 --motion 0.4 "
        "--persistence 0.5 --drift 0.1 --closed --missed 0.1 --false 0.2 --merged 0.05 --split 0.05 --ragged 1 "
        "--condition b --pixel-size 1,0.5,0.5 --frame-interval 60 --seed 7"
    )
    found = answer("-o", tmp_path / "cli", *words.split())
    options = Simulation(
        frames=3, cells=9, ndim=3, density=0.2, radius_px=5.0, division_rate=0.1, death_rate=0.01, motion=0.4,
        persistence=0.5, drift=0.1, open_borders=False, missed=0.1, false=0.2, merged=0.05, split=0.05, ragged_px=1.0,
        condition="b", scale_um=(1.0, 0.5, 0.5), interval_s=60.0, seed=7,
    )  # fmt: skip
    report = write_movie(tmp_path / "python", simulate(options))
    assert found["shape"] == list(options.shape)
    assert (found["frames"], found["tracks"], found["cells"]) == (3, report.tracks, report.cells)
    assert (found["errors"], found["divisions"]) == (report.errors, report.divisions)
    for file in ("01/t002.tif", "01_SEG/mask002.tif", "README.txt"):
        assert (tmp_path / "cli" / file).read_bytes() == (tmp_path / "python" / file).read_bytes()


def test_the_command_that_comes_next_brings_the_images_that_were_drawn(tmp_path):
    words = ["simulate", "-o", tmp_path / "m", "--cells", 4, "--frames", 1]
    said = run(*words, "--dry-run").stdout
    assert "next" not in said
    said = run(*words).stdout
    command = said[said.index("trackdb ingest") :].split()
    assert command[command.index("--images") + 1] == str(tmp_path / "m" / "01")
    assert of_command(*command[1:-1], tmp_path / "m.trackdb")["frames"] == 1
    assert "--images" not in run(*words[:2], tmp_path / "dark", *words[3:], "--no-images").stdout


def test_the_command_draws_phase_contrast_of_a_shape(tmp_path):
    found = answer("-o", tmp_path / "m", "--modality", "phase", "--shape", "80,96", "--cells", 4, "--frames", 1)
    assert found["shape"] == [80, 96]
    assert "modality       phase" in (tmp_path / "m" / "README.txt").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--shape 80", "the shape of a 2D movie needs 2 numbers"),
        ("--shape 80,wide", "--shape: cannot read"),
        ("--shape 80,80 --3d", "the shape of a 3D movie needs 3 numbers"),
        ("--pixel-size tiny", "--pixel-size"),
        ("--modality x-ray", "x-ray"),
        ("--condition c", "there is no condition c"),
        ("--modality phase --3d", "phase contrast images are flat"),
        ("--density 2", "density must be between 0.001 and 1"),
        ("--merged 0.6", "more cells are missed, split and merged than there are"),
        ("--motion nan", "motion must be between 0 and 5"),
        ("--zoom 2", "--zoom has no meaning here"),
        ("--links links.csv", "--links has no meaning here"),
        ("--on movie.csv --cells 3", "--cells has no meaning here"),
        ("--on movie.csv --3d", "--3d has no meaning here"),
        ("--on movie.csv --shape 9,9", "--shape has no meaning here"),
    ],
)
def test_options_that_make_no_sense_are_refused_by_name(tmp_path, words, message):
    assert message in answer("-o", tmp_path / "m", *words.split(), code=2)
    assert list(tmp_path.iterdir()) == []
