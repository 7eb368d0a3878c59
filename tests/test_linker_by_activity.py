"""The linker by activity on stores: what it reads of images, what it keeps to, and what it refuses."""

import math
from dataclasses import replace

import numpy as np
import pytest
import tifffile

import trackdb
from trackdb.engine.check import check
from trackdb.engine.config import ActivityConfig, Config, LinkConfig, SolveConfig
from trackdb.engine.ingest import ingest
from trackdb.engine.pipeline import solve
from trackdb.engine.pixels import PixelsInMemory, pixels_of
from trackdb.engine.scorers.activity import AUTHORS_K, observed
from trackdb.errors import ConfigError, MissingRowsError
from trackdb.storage.duckdb_store import DuckDBStore

from .command_line import answer, refusal
from .movies import square_mask, write_ctc, write_points
from .test_linkers import links
from .test_scorer_activity import pairs

# Two frames, numbers are labels, each cell a square of five pixels in row 10. Under cell 1 the image changes by 8 in
# every pixel (activity 4: spread 1.6 at the authors' k), under cell 2 by 40 (activity 20: spread 8):
#
#   column      10  14        30         60
#   frame 0      1             2
#   frame 1          3                    4
#
# 2 -> 3 is the likelier link, exp(-0.5 (16 / 8)^2) = 0.135, but 1 chooses first, with exp(-0.5 (4 / 1.6)^2) = 0.044.
CENTRES = [{1: (10, 10), 2: (10, 30)}, {3: (10, 14), 4: (10, 60)}]
TRACKS = [(1, 0, 0, 0), (2, 0, 0, 0), (3, 1, 1, 0), (4, 1, 1, 0)]
SHAPE = (20, 70)


def config(**settings):
    """Return settings of the linker, with candidates to 20 pixels."""
    settings = {"k": AUTHORS_K} | settings
    return Config(
        link=LinkConfig(max_distance=20),
        solve=SolveConfig(linker="greedy", by="activity"),
        activity=ActivityConfig(**settings),
    )


@pytest.fixture
def strip(tmp_path):
    """The drawn cells with their images, ingested."""
    folder = write_ctc(tmp_path / "strip", centres=CENTRES, tracks=TRACKS, shape=SHAPE, images=True)
    first = square_mask(CENTRES[0], SHAPE)
    image = np.full(SHAPE, 100, np.uint8)
    tifffile.imwrite(folder / "01" / "t000.tif", image)
    tifffile.imwrite(folder / "01" / "t001.tif", image + np.uint8(8) * (first == 1) + np.uint8(40) * (first == 2))
    store = DuckDBStore(tmp_path / "strip.trackdb")
    ingest(folder, store)
    return store


def test_the_least_active_cell_chooses_first(strip):
    found = solve(strip, strip.detection_set(), config())
    assert links(strip, found.solution) == {(1, 3)}
    assert (found.solution, found.linker, found.proven) == ("greedy-1", "greedy", False)
    assert check(strip) == []


def test_a_link_that_is_not_likely_enough_leaves_the_daughter_to_others(strip):
    found = solve(strip, strip.detection_set(), config(least=0.05))
    assert links(strip, found.solution) == {(2, 3)}


def test_its_run_tells_what_it_went_by_and_costs_come_from_scores_by_activity(strip):
    solve(strip, strip.detection_set(), config())
    [run] = [run for run in strip.runs() if run.kind == "solve"]
    assert (run.params["by"], run.params["scores"]) == ("activity", "activity")
    assert run.params["activity"] == {"k": 2.5, "least": 0.01, "kept_area": 0.9}


def test_annotations_hold(strip):
    solve(strip, strip.detection_set(), config())
    cell = trackdb.open(strip.path).sql("select label, cell from cells").arrow().to_pydict()
    id_of = dict(zip(cell["label"], cell["cell"], strict=True))
    trackdb.open(strip.path, write=True).annotate(id_of[2], daughters=[id_of[3]], who="ana")
    found = solve(strip, strip.detection_set(), config())
    assert links(strip, found.solution) == {(2, 3)}


def edges_of(source, target, distance):
    """Return candidates of these lengths."""
    return replace(pairs(source, target), distance=np.array(distance, dtype=float))


def test_likelihoods_by_hand_in_pixels_and_micrometres(strip):
    detections, pixels = strip.detections(strip.detection_set()), pixels_of(strip, strip.detection_set())
    edges = edges_of([0, 1], [2, 2], [4, 16])
    seen = observed(detections, edges, pixels)
    assert seen.raw.tolist() == [4, 20]
    by_hand = [math.exp(-0.5 * 2.5**2), math.exp(-2)]
    assert seen.likelihood(detections, edges, k=2.5) == pytest.approx(by_hand)
    in_um = replace(detections, scale_um=(0.5, 0.5))
    assert seen.likelihood(in_um, edges_of([0, 1], [2, 2], [2, 8]), k=2.5) == pytest.approx(by_hand)
    learned = seen.habits.reach * seen.activity
    assert seen.likelihood(detections, edges) == pytest.approx(np.exp(-0.5 * (edges.distance / learned) ** 2))


def test_a_cell_under_which_nothing_changes_is_expected_where_it_is(strip):
    detections, kept = strip.detections(strip.detection_set()), pixels_of(strip, strip.detection_set())
    still = PixelsInMemory({t: kept.mask(t) for t in (0, 1)}, {"image": dict.fromkeys((0, 1), kept.image("image", 0))})
    edges = edges_of([0, 0], [2, 3], [0, 1])
    assert observed(detections, edges, still).likelihood(detections, edges, k=2.5).tolist() == [1, 0]


def test_movies_without_images_and_other_linkers_are_refused(tmp_path, strip):
    points = DuckDBStore(tmp_path / "points.trackdb")
    ingest(write_points(tmp_path / "points.csv"), points)
    with pytest.raises(MissingRowsError, match="activity need images"):
        solve(points, points.detection_set(), config())
    with pytest.raises(ConfigError, match="linker lap does not go by activity"):
        solve(strip, strip.detection_set(), Config(solve=SolveConfig(linker="lap", by="activity")))
    for wrong in ({"k": -1.0}, {"k": math.nan}, {"least": 1.0}, {"kept_area": -0.1}):
        with pytest.raises(ConfigError, match=f"activity.{next(iter(wrong))}"):
            ActivityConfig(**wrong)


@pytest.mark.usefixtures("own_home_and_log")
def test_the_command_takes_it_by_name(strip):
    told = answer("solve", strip.path, "--greedy", "--by", "activity")
    assert told["linker"] == "greedy"
    assert "linker ilp does not go by activity" in refusal("solve", strip.path, "--ilp", "--by", "activity", code=2)
