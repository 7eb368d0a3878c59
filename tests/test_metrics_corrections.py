"""Corrections of a graph: drawn errors one at a time, and py-ctcmetrics as oracle on random trackings."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trackdb.engine.metrics.corrections import Corrections, LinkGraph, count_corrections
from trackdb.errors import SchemaError


def graph(n_cells, *links):
    """Return a graph of links (source, target), or (source, target, True) for one from a mother to a daughter."""
    rows = [(*link, False)[:3] for link in links]
    source, target, parental = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    return LinkGraph(n_cells, source, target, parental.astype(bool))


TRUTH = graph(7, (0, 1), (1, 2, True), (1, 3, True), (2, 4), (3, 5))
r"""A mother, her daughters, and a cell of one frame::

                2 -- 4
    0 -- 1 <
                3 -- 5     6
"""
SAME = np.arange(7)
PERFECT = {"splits": 0, "missed_cells": 0, "false_cells": 0, "false_links": 0, "missed_links": 0, "wrong_kinds": 0}


def corrected(ours, covered_by=SAME, **options):
    """Return the counts that are not 0."""
    found = count_corrections(TRUTH, ours, np.asarray(covered_by), **options)
    assert (found.n_cells, found.n_links) == (7, 5)
    return {name: getattr(found, name) for name in PERFECT if getattr(found, name)}


def test_the_truth_itself_needs_no_correction():
    assert corrected(TRUTH) == {}


@pytest.mark.parametrize(
    ("ours", "covered_by", "expected"),
    [
        (graph(7, (0, 1), (1, 2, True), (1, 3, True), (2, 4)), SAME, {"missed_links": 1}),
        (graph(7, (0, 1), (1, 2), (2, 4), (3, 5)), SAME, {"missed_links": 1, "wrong_kinds": 1}),
        (graph(7, (0, 1), (1, 2, True), (1, 3, True), (2, 5), (3, 4)), SAME, {"missed_links": 2, "false_links": 2}),
        (
            graph(8, (0, 1), (1, 2, True), (1, 3, True), (2, 4), (3, 5), (6, 7)),
            SAME,
            {"false_cells": 1},  # the link to a false cell goes with it
        ),
        (
            graph(6, (0, 1), (1, 2, True), (1, 3, True), (2, 4)),
            [0, 1, 2, 3, 4, -1, 5],
            {"missed_cells": 1, "missed_links": 1},
        ),
        (
            graph(6, (0, 1), (1, 2), (2, 4), (2, 3)),
            [0, 1, 2, 2, 3, 4, 5],  # the daughters are one cell of ours in their first frame
            {"splits": 1, "missed_links": 4},
        ),
    ],
    ids=["missed link", "missed daughter", "swap", "false cell", "missed cell", "merged segmentation"],
)
def test_each_error_costs_what_it_is(ours, covered_by, expected):
    assert corrected(ours, covered_by) == expected


def test_a_sparse_truth_knows_no_false_cells():
    ours = graph(8, (0, 1), (1, 2, True), (1, 3, True), (2, 4), (3, 5), (6, 7))
    assert corrected(ours, sparse=True) == {}


def test_weights_are_those_of_the_challenge():
    found = Corrections(1, 2, 4, 8, 16, 32, n_cells=100, n_links=90)
    assert (found.aogm, found.aogm_0) == (5 + 20 + 4 + 8 + 24 + 32, 1135)
    assert found.tra == pytest.approx(1 - 93 / 1135)
    assert found.det == pytest.approx(1 - 29 / 1000)
    assert found.lnk == pytest.approx(1 - 64 / 135)


def test_no_tracking_is_worse_than_none():
    assert Corrections(0, 1, 50, 0, 0, 0, n_cells=1, n_links=0).tra == 0.0


def test_where_nothing_is_true_there_is_no_accuracy():
    nothing = count_corrections(graph(0), graph(1), np.empty(0, dtype=np.int64))
    assert all(map(math.isnan, (nothing.tra, nothing.det, nothing.lnk)))
    assert nothing.aogm == 1.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: graph(2, (0, 2)), "speaks of cells 2 to 2, there are 2"),
        (lambda: count_corrections(TRUTH, graph(7, (0, 1), (0, 1)), SAME), "from cell 0 to cell 1 is given twice"),
        (lambda: count_corrections(TRUTH, graph(3), SAME), "not those of the two trackings"),
        (lambda: count_corrections(TRUTH, TRUTH, SAME[:3]), "not those of the two trackings"),
    ],
)
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(SchemaError, match=message):
        make()


N_FRAMES = 5


@st.composite
def track_files(draw):
    """Draw rows L B E P of a track file, with at least one track."""
    rows = []
    for label in range(1, draw(st.integers(1, 7)) + 1):
        first = draw(st.integers(0, N_FRAMES - 1))
        last = draw(st.integers(first, N_FRAMES - 1))
        parents = [r[0] for r in rows if r[2] < first]
        rows.append((label, first, last, draw(st.sampled_from([0, *parents]))))
    return np.array(rows)


@st.composite
def matched_tracks(draw):
    """Draw two track files, and in each frame which track of the second each of the first is covered by."""
    truth, ours = draw(track_files()), draw(track_files())
    pairs = []
    for frame in range(N_FRAMES):
        alive = labels_in(ours, frame)
        pairs.append({label: draw(st.sampled_from([None, *alive])) for label in labels_in(truth, frame)})
    return truth, ours, pairs


def labels_in(tracks, frame):
    return [int(label) for label, first, last, _ in tracks if first <= frame <= last]


def graph_of(tracks):
    """Return the graph of a track file, and the number of each (frame, label)."""
    number = {}
    for frame in range(N_FRAMES):
        for label in labels_in(tracks, frame):
            number[frame, label] = len(number)
    links = [(a, number[t + 1, k]) for (t, k), a in number.items() if (t + 1, k) in number]
    last = {int(row[0]): int(row[2]) for row in tracks}
    links += [(number[last[p], p], number[first, k], True) for k, first, _, p in tracks.tolist() if p]
    return graph(len(number), *links), number


@settings(max_examples=300, deadline=None)
@given(matched_tracks())
def test_corrections_are_those_of_py_ctcmetrics(drawn):
    oracle = pytest.importorskip("ctc_metrics.utils.representations", reason="needs the extra `evaluate`")
    metrics = pytest.importorskip("ctc_metrics.metrics")
    truth, ours, pairs = drawn
    (truth_graph, truth_number), (our_graph, our_number) = graph_of(truth), graph_of(ours)
    covered_by = np.full(truth_graph.n_cells, -1)
    for frame, pair in enumerate(pairs):
        for label, other in pair.items():
            if other is not None:
                covered_by[truth_number[frame, label]] = our_number[frame, other]
    found = count_corrections(truth_graph, our_graph, covered_by)

    matched = [{a: b for a, b in pair.items() if b is not None} for pair in pairs]
    labels = ([labels_in(tracks, frame) for frame in range(N_FRAMES)] for tracks in (truth, ours))
    expected = oracle.count_acyclic_graph_correction_operations(
        truth, ours, *labels, [list(m) for m in matched], [list(m.values()) for m in matched]
    )
    names = ("NS", "FN", "FP", "ED", "EA", "EC", "num_vertices", "num_edges")
    assert tuple(getattr(found, name) for name in Corrections.__slots__) == tuple(expected[name] for name in names)
    tra, aogm, aogm_0 = metrics.tra(**expected)
    assert (found.aogm, found.aogm_0) == (aogm, aogm_0)
    assert found.tra == pytest.approx(tra)
    assert found.det == pytest.approx(metrics.det(**expected))
    if expected["num_edges"]:
        assert found.lnk == pytest.approx(metrics.lnk(**expected))
