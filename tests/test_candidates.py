"""Candidate edges: a drawn movie, the laws, brute force as oracle, and how the radius is found."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trackdb.engine import grid
from trackdb.engine.candidates import LinkRadius, density_of, link_nearest, radius_from, unbridged
from trackdb.errors import ConfigError
from trackdb.storage.schema import Detections


def cells(frame, position, scale_um=None):
    frame, position = np.asarray(frame, dtype=np.int64), np.asarray(position, dtype=np.float64)
    n = np.arange(len(frame))
    return Detections(n, frame, position, n + 1, np.full(len(n), np.nan), scale_um)


def pairs(edges):
    return list(zip(edges.source.tolist(), edges.target.tolist(), strict=True))


@pytest.fixture
def drawn():
    """Four frames, one of them empty; x to the right, rows of the table in the picture.

    ::

        x        0  1  2  3  4  5  6
        frame 0  0        1
        frame 1     2  3           4
        frame 2
        frame 3  5              6
    """
    x = [0, 3, 1, 2, 6, 0, 5]
    return cells([0, 0, 1, 1, 1, 3, 3], [[0, at] for at in x])


@st.composite
def movies(draw):
    """A few cells anywhere, in a few frames, some of them empty; ties and identical places are common."""
    n = draw(st.integers(0, 14))
    frame = np.sort(draw(st.lists(st.integers(0, 4), min_size=n, max_size=n)))
    ndim = draw(st.integers(2, 3))
    place = draw(st.lists(st.lists(st.integers(0, 6), min_size=ndim, max_size=ndim), min_size=n, max_size=n))
    return cells(frame, np.array(place, dtype=float).reshape(n, ndim))


def brute_force(movie, radius, k, max_gap):
    """Return for each target and gap its candidate distances: the k shortest within the radius."""
    found = {}
    for target in range(len(movie)):
        for gap in range(1, max_gap + 2):
            before = np.flatnonzero(movie.frame == movie.frame[target] - gap)
            distance = np.linalg.norm(movie.position_um[before] - movie.position_um[target], axis=1)
            near = sorted(distance[distance <= radius])[:k]
            if near:
                found[target, gap] = near
    return found


def by_target(edges):
    found = {}
    for target, gap, distance in zip(edges.target.tolist(), edges.frames.tolist(), edges.distance, strict=True):
        found.setdefault((target, gap), []).append(distance)
    return {key: sorted(value) for key, value in found.items()}


def test_all_within_the_radius_are_candidates(drawn):
    edges = link_nearest(drawn, max_distance=2)
    assert pairs(edges) == [(0, 2), (0, 3), (1, 2), (1, 3)]
    assert edges.distance.tolist() == [1, 2, 2, 1]
    assert edges.frames.tolist() == [1, 1, 1, 1]
    assert edges.id.tolist() == [-1] * 4


def test_each_cell_keeps_its_nearest_parents(drawn):
    assert pairs(link_nearest(drawn, max_distance=9, neighbors=1)) == [(0, 2), (1, 3), (1, 4)]


def test_a_gap_reaches_over_an_empty_frame(drawn):
    edges = link_nearest(drawn, max_distance=1, max_gap=1)
    assert pairs(edges) == [(0, 2), (1, 3), (2, 5), (4, 6)]
    assert edges.frames.tolist() == [1, 1, 2, 2]


def test_a_distance_equal_to_the_radius_is_a_candidate():
    movie = cells([0, 1], [[0, 0], [3, 4]])
    assert pairs(link_nearest(movie, max_distance=5)) == [(0, 1)]


def test_the_radius_is_in_micrometres_of_each_axis():
    """Two planes apart is 4 um, two pixels apart is 0.4 um."""
    movie = cells([0, 1, 1], [[0, 0, 0], [2, 0, 0], [0, 0, 2]], scale_um=(2, 0.2, 0.2))
    edges = link_nearest(movie, max_distance=1)
    assert pairs(edges) == [(0, 2)]
    assert edges.distance[0] == pytest.approx(0.4)


def test_a_mother_may_have_more_children_than_a_cell_has_parents():
    movie = cells([0, 1, 1, 1], [[0, 0], [1, 0], [0, 1], [0, 2]])
    assert len(link_nearest(movie, max_distance=5, neighbors=1)) == 3


@pytest.mark.parametrize(
    "movie",
    [
        cells([], np.empty((0, 2))),
        cells([0], [[1, 1]]),
        cells([3, 3], [[1, 1], [2, 2]]),
        cells([0, 2], [[1, 1], [1, 1]]),
    ],
    ids=["no cells", "one cell", "one frame", "no successive frames"],
)
def test_movies_with_nothing_to_link_have_no_candidates(movie):
    assert len(link_nearest(movie)) == 0


@pytest.mark.parametrize("crowded", [np.inf, -1], ids=["by grid", "by tree"])
@settings(max_examples=150, deadline=None)
@given(movies(), st.sampled_from([0.5, 1, 2, 5, 100]), st.integers(1, 4), st.integers(0, 2))
def test_candidates_are_those_of_brute_force(crowded, movie, radius, k, max_gap):
    with mock.patch.object(grid, "CROWDED", crowded):
        edges = link_nearest(movie, max_distance=radius, neighbors=k, max_gap=max_gap)
    found, true = by_target(edges), brute_force(movie, radius, k, max_gap)
    assert found.keys() == true.keys()
    assert all(found[key] == pytest.approx(true[key]) for key in true)
    assert edges.distance == pytest.approx(
        np.linalg.norm(movie.position_um[edges.target] - movie.position_um[edges.source], axis=1)
    )


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 3), st.sampled_from([0.01, 0.3, 1.0, 3.0]), st.sampled_from([1e-9, 1, 1e9]))
def test_grid_and_tree_find_the_same(seed, ndim, radius, unit):
    """Cells in a heap and a few far away, frames of all sizes, some of them empty."""
    rng = np.random.default_rng(seed)
    frame = np.sort(rng.choice([0, 1, 2, 4, 9], 80, p=[0.5, 0.3, 0.1, 0.05, 0.05]))
    movie = cells(frame, unit * rng.normal(0, rng.choice([0.2, 5.0], (80, 1)), (80, ndim)))
    found = []
    for crowded in (np.inf, -1):
        with mock.patch.object(grid, "CROWDED", crowded):
            found.append(link_nearest(movie, max_distance=radius * unit, neighbors=6, max_gap=1))
    by_grid, by_tree = found
    assert pairs(by_grid) == pairs(by_tree)
    assert np.array_equal(by_grid.distance, by_tree.distance)


@pytest.mark.parametrize("radius", [50.0, 1e300, np.inf])
def test_a_radius_over_everything_is_searched_by_tree(radius):
    rng = np.random.default_rng(3)
    movie = cells(np.repeat(np.arange(2), 200), rng.uniform(0, 20, (400, 2)))
    starts = np.array([0, 200, 400])
    assert grid.Grid.of(movie.position_um, starts, radius) is None
    assert grid.Grid.of(movie.position_um, starts, 2.0) is not None
    assert len(link_nearest(movie, max_distance=radius, neighbors=4)) == 800


@settings(max_examples=50, deadline=None)
@given(movies(), st.integers(1, 3), st.integers(0, 2))
def test_no_candidate_is_too_far_and_no_cell_has_too_many(movie, k, max_gap):
    edges = link_nearest(movie, neighbors=k, max_gap=max_gap)
    assert np.all(edges.distance <= radius_from(movie).radius)
    of_frame = np.unique(np.c_[edges.target, edges.frames], axis=0, return_counts=True)[1]
    assert of_frame.max(initial=0) <= k
    assert set(edges.frames.tolist()) <= set(range(1, max_gap + 2))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1000), st.integers(-20, 20), st.integers(-50, 50))
def test_neither_the_unit_nor_the_clock_matters(seed, power, shift):
    rng = np.random.default_rng(seed)
    movie = cells(np.repeat(np.arange(4), 12), rng.uniform(0, 10, (48, 3)))
    other = cells(movie.frame + shift, movie.position_px * 2.0**power)
    here, there = link_nearest(movie, max_gap=1), link_nearest(other, max_gap=1)
    assert pairs(here) == pairs(there)
    assert np.array_equal(there.distance, here.distance * 2.0**power)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1000))
def test_the_order_of_cells_in_a_frame_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    movie = cells(np.repeat(np.arange(4), 12), rng.uniform(0, 10, (48, 2)))
    order = np.lexsort((rng.random(48), movie.frame))
    moved = link_nearest(cells(movie.frame, movie.position_px[order]), neighbors=3)
    back = sorted(zip(order[moved.source].tolist(), order[moved.target].tolist(), strict=True))
    assert back == pairs(link_nearest(movie, neighbors=3))


@pytest.mark.parametrize("options", [{"max_distance": 0}, {"max_distance": np.nan}, {"neighbors": 0}, {"max_gap": -1}])
def test_options_without_sense_are_refused(drawn, options):
    with pytest.raises(ConfigError, match=r"got .*(0|nan|-1)"):
        link_nearest(drawn, **options)


def grid_movie(step, spacing, n_frames=3, side=4):
    """A square grid of cells, all going `step` to the right each frame."""
    row, column = np.divmod(np.arange(side * side), side)
    place = [np.c_[row * spacing, column * spacing + step * t] for t in range(n_frames)]
    return cells(np.repeat(np.arange(n_frames), side * side), np.concatenate(place))


def test_the_radius_is_a_multiple_of_the_spacing_where_cells_move_little():
    found = radius_from(grid_movie(step=0.5, spacing=4))
    assert (found.step, found.spacing) == (0.5, 4)
    assert found.radius == 1.75 * 4


def test_the_radius_is_a_multiple_of_the_step_where_cells_move_far():
    found = radius_from(grid_movie(step=1.5, spacing=4))
    assert found.radius == 5.25 * 1.5


def test_few_cells_are_all_in_reach():
    """One cell a frame: no spacing to learn from."""
    movie = cells(np.arange(20), np.c_[np.zeros(20), np.arange(20.0) ** 2])
    found = radius_from(movie)
    assert found.spacing is None
    assert found.radius == 19**2
    assert len(link_nearest(movie)) == 19


def test_cells_at_one_place_are_candidates_of_each_other():
    movie = cells(np.repeat([0, 1], 9), np.ones((18, 2)))
    assert radius_from(movie).radius == 1
    assert len(link_nearest(movie)) == 81
    assert len(link_nearest(movie, neighbors=4)) == 36


def test_density_counts_the_cells_of_a_frame_in_the_box():
    movie = cells([0, 0, 1, 1], [[0, 0], [4, 5], [0, 5], [4, 0]])
    assert density_of(movie, thinnest=1) == 2 / 20
    flat = cells([0, 0], [[0, 0], [0, 5]])
    assert density_of(flat, thinnest=2) == 2 / 10


@pytest.mark.data
def test_the_radius_keeps_the_true_links_of_a_set_that_only_judges(data_dir):
    pd = pytest.importorskip("pandas")
    folder = data_dir / "mouse_epidermis_area1_apache"
    table = pd.read_csv(folder / "regionprops.csv").sort_values(["frame", "track"])
    movie = cells(table["frame"], table[["centroid-0", "centroid-1"]].to_numpy())
    track = table["track"].to_numpy()
    row = {(t, f): i for i, (t, f) in enumerate(zip(track.tolist(), movie.frame.tolist(), strict=True))}
    true = {(i, row[t, f + 1]) for (t, f), i in row.items() if (t, f + 1) in row}
    for label, begin, _, parent in np.loadtxt(folder / "02_GT/TRA/man_track.txt", dtype=int).tolist():
        if parent and (parent, begin - 1) in row and (label, begin) in row:
            true.add((row[parent, begin - 1], row[label, begin]))
    edges = link_nearest(movie)
    assert len(true) > 4000
    assert len(true & set(pairs(edges))) > 0.99 * len(true)
    assert len(edges) <= 10 * len(movie)


def test_more_neighbours_than_cells_are_all_cells():
    cells = Detections(
        id=np.arange(4),
        frame=np.array([0, 0, 1, 1]),
        position_px=np.array([[0.0, 0], [0, 9], [0, 1], [0, 8]]),
        label=np.arange(4),
        area=np.full(4, np.nan),
    )
    assert len(link_nearest(cells, max_distance=100, neighbors=10**9)) == 4


def test_steps_as_long_as_the_spacing_are_doubted():
    assert LinkRadius(10.0, step=1.0, spacing=10.0, how="").doubt is None
    assert "44% of a spacing" in (LinkRadius(10.0, step=4.4, spacing=10.0, how="").doubt or "")
    assert LinkRadius(10.0, step=None, spacing=None, how="").doubt is None


def test_cells_at_the_place_of_another_are_doubted():
    frame = np.repeat(np.arange(3), 20)
    same = radius_from(cells(frame, np.full((60, 2), 5.0)))
    assert same.spacing == 0
    assert "the very place of another" in (same.doubt or "")
    twice = cells(frame, np.c_[frame * 3.0, np.tile(np.arange(10) * 50.0, 6)])
    assert "the very place of another" in (radius_from(twice).doubt or "")


def test_empty_frames_that_no_candidate_leads_over_are_named():
    movie = cells(np.array([0, 2, 6, 7, 9, 9]), np.zeros((6, 2)))
    assert unbridged(movie, 3) is None
    told = unbridged(movie, 1) or ""
    assert "empty frames 3-5: candidates skip 1 at most" in told
    assert "--max-gap 3" in told
    assert "empty frames 1, 3-5, 8: candidates skip 0 at most" in (unbridged(movie, 0) or "")
    assert unbridged(cells(np.empty(0, dtype=np.int64), np.empty((0, 2))), 0) is None
