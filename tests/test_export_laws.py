"""Whatever the lineages: peers' rules hold for each export, and nothing of the graph is lost."""

import tempfile
from pathlib import Path

import networkx as nx
import numpy as np
from geff.core_io import read_to_memory
from geff.validate.data import ValidationConfig
from hypothesis import given, settings
from hypothesis import strategies as st

from trackdb.engine.exports.geff import geff_graph
from trackdb.engine.exports.napari import napari_layer
from trackdb.engine.exports.tracking import Tracking, branches
from trackdb.engine.exports.trackmate import trackmate_model
from trackdb.engine.lineages import label_lineages
from trackdb.storage.evidence import LinkEvidence
from trackdb.storage.formats import open_source
from trackdb.storage.formats.base import SourceOptions
from trackdb.storage.schema import Detections, Movie
from trackdb.storage.writers.geff import write_geff
from trackdb.storage.writers.napari import write_napari
from trackdb.storage.writers.trackmate import write_trackmate

from .test_export_napari import require_layer
from .trackmate_rules import accept

EVERYTHING = ValidationConfig(graph=True, lineage=True, tracklet=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


@st.composite
def trackings(draw):
    """Draw cells of a few frames, each with up to three mothers in earlier frames: gaps, divisions and merges."""
    counts = draw(st.lists(st.integers(0, 4), min_size=1, max_size=6))
    frame = np.repeat(np.arange(len(counts)), counts)
    links = []
    for cell in range(len(frame)):
        before = np.flatnonzero(frame < frame[cell]).tolist()
        for mother in draw(st.lists(st.sampled_from(before), max_size=3, unique=True)) if before else []:
            links.append((mother, cell))
    source, target = np.array(links, dtype=np.int64).reshape(-1, 2).T
    merge = np.bincount(target, minlength=len(frame))[target] > 1
    labels = label_lineages(frame, source, target, merge=merge)
    n, m = len(frame), len(source)
    ids = np.cumsum(draw(st.lists(st.integers(1, 9), min_size=n, max_size=n)) or [0])[:n].astype(np.int64)
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    position = rng.normal(50, 20, (n, draw(st.sampled_from([2, 3])))).astype(np.float32).astype(np.float64)
    scale = draw(st.sampled_from([None, (0.65,) * position.shape[1], (2.0, 0.1, 0.3)[-position.shape[1] :]]))
    area = np.where(rng.random(n) < 0.5, np.nan, 20.0)
    names = np.array(draw(st.lists(TEXTS, min_size=n, max_size=n)), dtype=np.str_)
    return Tracking(
        movie=Movie(
            "m", len(counts), position.shape[1], scale_um=scale, interval_s=draw(st.sampled_from([None, 12.5]))
        ),
        about={"store": "s", "dataset": "m", "solution": "x", "linker": "l", "posterior": None},
        path="s.trackdb",
        cells=Detections(ids, frame, position, np.arange(n), area, scale),
        track=labels.track_id,
        lineage=labels.tracks.lineage[labels.pre],
        source=source,
        target=target,
        kind=labels.kind,
        tracks=labels.tracks,
        evidence=LinkEvidence(None, rng.random(m), np.full(m, ""), {"other": rng.random(m) < 0.5}),
        features={},
        properties={"name": names, "score": np.where(rng.random(n) < 0.3, np.nan, rng.normal(0, 1e3, n))},
        has_masks=False,
        n_left_out=0,
    )


def edges_of(found):
    return {*zip(found.cells.id[found.source].tolist(), found.cells.id[found.target].tolist(), strict=True)}


@settings(deadline=None, max_examples=300)
@given(trackings())
def test_branches_are_the_unbranched_paths_of_the_whole_graph(found):
    graph = nx.DiGraph(zip(found.source.tolist(), found.target.tolist(), strict=True))
    graph.add_nodes_from(range(len(found.cells)))
    simple = [(a, b) for a, b in graph.edges if graph.out_degree(a) == 1 and graph.in_degree(b) == 1]
    paths = nx.Graph(simple)
    paths.add_nodes_from(graph)
    number = branches(found)
    for path in nx.connected_components(paths):
        assert len({int(number[cell]) for cell in path}) == 1
    assert len(set(number.tolist())) == nx.number_connected_components(paths)
    if not found.n_merges:
        assert number.tolist() == found.track.tolist()


@settings(deadline=None, max_examples=60)
@given(trackings())
def test_trackmate_accepts_the_same_graph(found):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.xml"
        write_trackmate(path, trackmate_model(found))
        accepted = accept(path)
        [lineage] = open_source(path).lineages if len(found.source) else [None]
    assert sorted(accepted.spots) == found.cells.id.tolist()
    assert set(accepted.edges) == edges_of(found)
    if lineage is not None:
        label = lineage.label
        assert {*zip(label[lineage.source].tolist(), label[lineage.target].tolist(), strict=True)} == edges_of(found)


@settings(deadline=None, max_examples=25)
@given(trackings())
def test_geff_accepts_the_same_graph(found):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.geff"
        write_geff(path, geff_graph(found))
        read = read_to_memory(path, structure_validation=True, data_validation=EVERYTHING)
    assert read["node_ids"].tolist() == found.cells.id.tolist()
    assert {*map(tuple, read["edge_ids"].tolist())} == edges_of(found)


@settings(deadline=None, max_examples=60)
@given(trackings())
def test_napari_and_its_reader_take_the_same_graph(found):
    data, graph, properties = napari_layer(found)
    require_layer(data, graph, properties)
    if not len(data):
        return
    with tempfile.TemporaryDirectory() as folder:
        axes = dict(zip(found.axes, data[:, 2:].T, strict=True))
        whole = {"track": data[:, 0].astype(int), "t": data[:, 1].astype(int)}
        write_napari(Path(folder) / "layer", whole | axes | {"label": properties["id"]}, graph)
        [lineage] = open_source(Path(folder) / "layer", options=SourceOptions()).lineages
    label = lineage.label
    assert {*zip(label[lineage.source].tolist(), label[lineage.target].tolist(), strict=True)} == edges_of(found)
