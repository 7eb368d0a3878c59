"""What is known of each cell, in the store: features, intensities and properties, row by row as the detections."""

from dataclasses import replace

import numpy as np
import pytest

from trackdb.engine import ingest as engine_ingest
from trackdb.engine.check import check
from trackdb.engine.ingest import ingest
from trackdb.errors import FormatError, SchemaError
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.features import property_names
from trackdb.storage.formats.base import Points
from trackdb.storage.formats.points import point_source
from trackdb.storage.ingestion import ingesting
from trackdb.storage.measurements import Features, Intensity
from trackdb.storage.sandbox import ask
from trackdb.storage.schema import Detections, Movie

NAN = np.nan


@pytest.fixture
def store(tmp_path):
    made = DuckDBStore(tmp_path / "a.trackdb")
    made.create()
    return made


def cells(n, ndim=2, frame=0):
    """Detections as a batch brings them, not yet numbered."""
    rows = np.arange(n)
    return Detections(rows, np.full(n, frame), np.ones((n, ndim)), rows + 1, np.full(n, 9.0))


def features_of(n, ndim=2, channels=("red", "green"), seed=0):
    """Features of n cells, drawn at random and as single precision keeps them."""
    rng = np.random.default_rng(seed)
    low = rng.integers(0, 50, (n, ndim))
    half = rng.normal(size=(n, ndim, ndim)).astype(np.float32).astype(np.float64)
    bright = {c: np.sort(rng.normal(100, 30, (3, n)), axis=0) for c in channels}
    return Features(
        low,
        low + rng.integers(1, 9, (n, ndim)),
        half + half.transpose(0, 2, 1),
        rng.integers(0, 9, n).astype(np.float64),
        {c: Intensity(mean, least, most) for c, (least, mean, most) in bright.items()},
    )


def put(store, name, *batches, ndim=2):
    """Bring in a dataset, a frame for each (detections, features, properties)."""
    with ingesting(store, Movie(name, len(batches), ndim), {"source": name}) as ingestion:
        for frame, (detections, features, properties) in enumerate(batches):
            rows = replace(detections, frame=np.full(len(detections), frame))
            ingestion.append(rows, features, properties, frame + 1)
        chosen = ingestion.chosen
        found = store.detections(chosen)
        nothing = store.candidate_edges(chosen, found)
        ingestion.finish([], found, nothing, [], {})
    return chosen, found


def taken(features, rows):
    """The features of some rows."""
    return Features(
        features.bbox_min[rows],
        features.bbox_max[rows],
        features.inertia_px2[rows],
        features.border_px[rows],
        {c: Intensity(i.mean[rows], i.min[rows], i.max[rows]) for c, i in features.intensity.items()},
    )


def assert_same(a, b):
    for name in ("bbox_min", "bbox_max", "inertia_px2", "border_px"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=1e-6, err_msg=name)
        assert getattr(a, name).dtype == getattr(b, name).dtype
    assert list(a.intensity) == list(b.intensity)
    for channel in a.intensity:
        for name in ("mean", "min", "max"):
            np.testing.assert_array_equal(getattr(a.intensity[channel], name), getattr(b.intensity[channel], name))


@pytest.mark.parametrize("ndim", [2, 3])
def test_features_come_back_as_they_were_put(store, ndim):
    parts = [features_of(n, ndim, seed=n) for n in (4, 0, 3)]
    chosen, found = put(store, "m", *[(cells(len(p), ndim), p, {}) for p in parts], ndim=ndim)
    whole = Features.concatenate(parts)
    read = store.features(chosen, found)
    assert_same(read, whole)
    np.testing.assert_array_equal(read.inertia_px2, read.inertia_px2.transpose(0, 2, 1))
    assert check(store) == []


def test_channels_keep_the_order_in_which_they_were_named(store):
    chosen, found = put(store, "m", (cells(2), features_of(2, channels=("z", "a", "m")), {}))
    assert list(store.features(chosen, found).intensity) == ["z", "a", "m"]


def test_what_nobody_measured_is_unknown(store):
    known = features_of(3)
    known.bbox_min[1], known.bbox_max[1], known.inertia_px2[1], known.border_px[1] = -1, -1, NAN, NAN
    for intensity in known.intensity.values():
        intensity.mean[1] = intensity.min[1] = intensity.max[1] = NAN
    chosen, found = put(store, "m", (cells(3), known, {}))
    assert_same(store.features(chosen, found), known)
    row = ask(store.path, "select border, bbox_y0, intensity_mean from cells where label = 2").rows.to_pylist()
    assert row == [{"border": None, "bbox_y0": None, "intensity_mean": None}]
    assert ask(store.path, "select count(mean) as n from intensities").rows["n"].to_pylist() == [4]


def test_points_have_no_features(store):
    chosen, found = put(store, "m", (cells(3), None, {}))
    read = store.features(chosen, found)
    assert len(read) == 3
    assert np.all(read.bbox_min == -1)
    assert np.all(np.isnan(read.inertia_px2))
    assert np.all(np.isnan(read.border_px))
    assert read.intensity == {}
    assert store.properties(chosen, found) == {}


def test_a_set_without_cells_has_features_of_no_cells(store):
    chosen, found = put(store, "m", (cells(0), features_of(0), {}))
    assert store.features(chosen, found).inertia_px2.shape == (0, 2, 2)
    assert store.properties(chosen, found) == {}


def test_some_of_the_detections_have_their_own_features(store):
    whole = features_of(9)
    chosen, found = put(store, "m", (cells(9), whole, {"n": np.arange(9.0), "s": np.array(list("abcdefghi"))}))
    rows = np.array([2, 3, 7])
    some = Detections(found.id[rows], found.frame[rows], found.position_px[rows], found.label[rows], found.area[rows])
    assert_same(store.features(chosen, some), taken(whole, rows))
    properties = store.properties(chosen, some)
    assert properties["n"].tolist() == [2, 3, 7]
    assert properties["s"].tolist() == ["c", "d", "h"]


def test_datasets_do_not_mix_even_where_their_numbers_do(store):
    """Two ingests at once take numbers in turns; what one tells must not land on a silent cell of the other."""

    def told(which, frame):
        silent = which == "a" and frame == 1
        common = np.full(2, NAN if silent else 10.0 * (which == "b") + frame)
        part = features_of(2, channels=("red", f"of {which}"), seed=10 * (which == "b") + frame)
        return part, {"common": common, f"only {which}": np.array(["", ""] if silent else ["x", "y"])}

    with (
        ingesting(store, Movie("a", 2, 2), {"source": "a"}) as a,
        ingesting(store, Movie("b", 2, 2), {"source": "b"}) as b,
    ):
        for frame in range(2):
            for which, ingestion in (("a", a), ("b", b)):
                ingestion.append(cells(2, frame=frame), *told(which, frame), frame + 1)
        for which, ingestion in (("a", a), ("b", b)):
            found = store.detections(ingestion.chosen)
            assert np.any(np.diff(found.id) > 1)
            properties = store.properties(ingestion.chosen, found)
            assert list(properties) == ["common", f"only {which}"]
            with store.reading() as connection:
                assert property_names(connection, ingestion.chosen) == list(properties)
            for name in properties:
                wanted = np.concatenate([told(which, frame)[1][name] for frame in range(2)])
                np.testing.assert_array_equal(properties[name], wanted)
            whole = Features.concatenate([told(which, frame)[0] for frame in range(2)])
            assert_same(store.features(ingestion.chosen, found), whole)


def test_properties_are_numbers_or_texts_and_missing_where_not_told(store):
    first = {"QUALITY": np.array([0.5, NAN, -np.inf]), "name": np.array(["ABala", "", "E"])}
    second = {"name": np.array(["ABalaa", "MS"]), "manual": np.array([True, False])}
    chosen, found = put(store, "m", (cells(3), None, first), (cells(2), None, second))
    properties = store.properties(chosen, found)
    assert list(properties) == ["QUALITY", "name", "manual"]
    np.testing.assert_array_equal(properties["QUALITY"], [0.5, NAN, -np.inf, NAN, NAN])
    assert properties["name"].tolist() == ["ABala", "", "E", "ABalaa", "MS"]
    np.testing.assert_array_equal(properties["manual"], [NAN, NAN, NAN, 1, 0])
    assert properties["QUALITY"].dtype == np.float64
    assert properties["name"].dtype.kind == "U"
    rows = ask(store.path, "select name, count(*) as n from properties group by name order by name").rows.to_pylist()
    assert rows == [{"name": "QUALITY", "n": 2}, {"name": "manual", "n": 2}, {"name": "name", "n": 4}]
    assert check(store) == []


def test_a_property_that_is_told_of_no_cell_is_not_there(store):
    chosen, found = put(store, "m", (cells(2), None, {"a": np.full(2, NAN), "b": np.array(["", ""])}))
    assert store.properties(chosen, found) == {}


def test_numbers_of_a_property_that_is_text_elsewhere_are_written_out(store):
    """Parts of a movie may be read at different times; nothing of what was told is lost."""
    chosen, found = put(
        store, "m", (cells(1), None, {"id": np.array([7.5])}), (cells(1), None, {"id": np.array(["x"])})
    )
    assert store.properties(chosen, found)["id"].tolist() == ["7.5", "x"]


@pytest.mark.parametrize("name", ["it's 100% \\ :x $a", "%(x)s", '"; drop table detection; --', "ü\n", "nul\0x", ""])
def test_names_and_texts_are_kept_as_they_are(store, name):
    values = {name: np.array([name or "nothing", "ü"]), f"{name} number": np.array([1.0, 2.0])}
    features = features_of(2, channels=(name, "other"))
    chosen, found = put(store, "m", (cells(2), features, values))
    properties = store.properties(chosen, found)
    assert {key: column.tolist() for key, column in properties.items()} == {
        key: column.tolist() for key, column in values.items()
    }
    assert_same(store.features(chosen, found), features)


@pytest.mark.parametrize("values", [np.array([1, "a"], object), np.array([b"a", b"\xff"]), np.array([{}, 1], object)])
def test_what_is_neither_number_nor_text_is_refused(store, values):
    with pytest.raises(SchemaError, match="property odd holds neither numbers nor text"):
        put(store, "m", (cells(2), None, {"odd": values}))


def telling(monkeypatch, *frames):
    """Make `ingest` open a source that tells these properties, frame by frame."""
    frame = np.repeat(np.arange(len(frames)), 2)
    label = np.arange(len(frame))

    class Told:
        def __init__(self, source):
            self.source = source

        def __getattr__(self, name):
            return getattr(self.source, name)

        def frames(self, first=0):
            for batch in self.source.frames(first):
                yield replace(batch, points=replace(batch.points, properties=frames[batch.frame]))

    def open_told(path, file_format, options):
        points = Points(label, np.column_stack([label, label]) + 1.0, np.full(len(label), NAN))
        return Told(point_source("told", options, frame, points))

    monkeypatch.setattr(engine_ingest, "open_source", open_told)


def test_an_ingest_keeps_what_a_source_tells_of_each_cell(tmp_path, monkeypatch):
    telling(monkeypatch, {"a": np.array([1.0, 2.0])}, {}, {"a": np.array([3.0, NAN]), "b": np.array(["x", ""])})
    store = DuckDBStore(tmp_path / "a.trackdb")
    (tmp_path / "source").touch()
    ingest(tmp_path / "source", store)
    chosen = store.detection_set()
    properties = store.properties(chosen, store.detections(chosen))
    np.testing.assert_array_equal(properties["a"], [1, 2, NAN, NAN, 3, NAN])
    assert properties["b"].tolist() == ["", "", "", "", "x", ""]


def test_a_property_that_changes_its_kind_is_refused_and_leaves_no_store(tmp_path, monkeypatch):
    telling(monkeypatch, {"a": np.array([1.0, 2.0])}, {"a": np.array(["x", ""])})
    store = DuckDBStore(tmp_path / "a.trackdb")
    (tmp_path / "source").touch()
    with pytest.raises(FormatError, match="property a is a number in one frame and a text in another"):
        ingest(tmp_path / "source", store)
    assert not store.path.exists()


def test_an_unfinished_ingest_that_is_taken_out_leaves_nothing_of_its_cells(store):
    movie = Movie("m", 2, 2)
    with ingesting(store, movie, {"source": "m"}) as ingestion:
        ingestion.append(cells(3), features_of(3), {"name": np.array(["a", "b", "c"])}, 1)
    with ingesting(store, movie, {"source": "another"}):
        pass
    with store.reading() as connection:
        for table in ("detection", "detection_feature", "detection_intensity", "detection_property"):
            assert connection.exec_driver_sql(f"select count(*) from {table}").scalar_one() == 0, table


def test_the_mean_of_the_first_channel_is_in_the_view_of_cells(store):
    features = features_of(3, channels=("second to none", "a"))
    put(store, "m", (cells(3), features, {}))
    shown = ask(store.path, "select intensity_mean from cells order by cell").rows["intensity_mean"].to_numpy()
    np.testing.assert_allclose(shown, features.intensity["second to none"].mean, rtol=1e-6)


@pytest.mark.parametrize(("ndim", "diameter"), [(2, 2 * np.sqrt(9 / np.pi)), (3, (6 * 9 / np.pi) ** (1 / 3))])
def test_the_equivalent_diameter_is_that_of_a_disc_or_a_ball(store, ndim, diameter):
    _, found = put(store, "m", (cells(2, ndim), None, {}), ndim=ndim)
    np.testing.assert_allclose(found.equivalent_diameter_px, diameter)
    shown = ask(store.path, "select equivalent_diameter as d from cells").rows["d"].to_numpy()
    np.testing.assert_allclose(shown, diameter)
