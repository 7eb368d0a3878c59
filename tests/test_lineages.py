"""Chosen links to tracklets and interval labels: a drawn forest, the laws on random ones, networkx as oracle."""

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trackdb.engine.lineages import label_lineages, tops
from trackdb.errors import SchemaError
from trackdb.storage.schema import LinkKind


def table(rows):
    """Return rows of numbers as columns of int64."""
    return np.array(list(rows), dtype=np.int64).reshape(len(rows), -1).T


@pytest.fixture
def drawn():
    r"""A movie of five frames: rows stand in the picture, tracklet numbers behind it.

    ::

        frame   0    1    2    3    4
                          3 ------- 7     0-2: 1   3-7: 2 (over a gap)   4: 3   6: 4   8: 5
                0 -- 2 <
                          4 -- 6          1-5: 6   9: 7
                             \ 8
                1 ------- 5       9
    """
    frame = np.array([0, 0, 1, 2, 2, 2, 3, 4, 3, 3])
    links = [(0, 2), (2, 3), (2, 4), (3, 7), (4, 6), (4, 8), (1, 5)]
    return frame, *table(links)


def test_a_drawn_forest_is_labelled_as_by_hand(drawn):
    labels = label_lineages(*drawn)
    tracks = labels.tracks
    assert labels.track_id.tolist() == [1, 6, 1, 2, 3, 6, 4, 2, 5, 7]
    assert labels.pre.tolist() == [0, 5, 0, 1, 2, 5, 3, 1, 4, 6]
    assert "".join(LinkKind(k).name[0] for k in labels.kind) == "CDDCDDC"
    assert tracks.id.tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert tracks.pre.tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert tracks.last.tolist() == [4, 1, 4, 3, 4, 5, 6]
    assert tracks.parent.tolist() == [0, 1, 1, 3, 3, 0, 0]
    assert tracks.lineage.tolist() == [1, 1, 1, 1, 1, 6, 7]
    assert tracks.first_frame.tolist() == [0, 2, 2, 3, 3, 0, 3]
    assert tracks.last_frame.tolist() == [1, 4, 2, 3, 3, 2, 3]
    assert tracks.generation.tolist() == [0, 1, 1, 2, 2, 0, 0]
    assert tracks.n_children.tolist() == [2, 0, 2, 0, 0, 0, 0]


def test_a_merge_is_marked_and_counts_for_nothing_else(drawn):
    frame, source, target = drawn
    merge = np.zeros(8, dtype=bool)
    merge[3] = True
    plain = label_lineages(frame, source, target)
    merged = label_lineages(frame, np.insert(source, 3, 5), np.insert(target, 3, 6), merge=merge)  # cell 5 joins cell 6
    assert merged.kind.tolist() == np.insert(plain.kind, 3, LinkKind.MERGE).tolist()
    assert merged.track_id.tolist() == plain.track_id.tolist()
    assert merged.tracks.last.tolist() == plain.tracks.last.tolist()


@st.composite
def forests(draw):
    """Draw cells in frames, not in order of frame, and links from a random earlier cell with a free place."""
    frame = draw(st.lists(st.integers(0, 6), min_size=0, max_size=24))
    links, daughters = [], [0] * len(frame)
    for row in draw(st.permutations(range(len(frame)))):
        mothers = [r for r in range(len(frame)) if frame[r] < frame[row] and daughters[r] < 2]
        mother = draw(st.sampled_from([None, *mothers]))
        if mother is not None:
            links.append((mother, row))
            daughters[mother] += 1
    return np.array(frame, dtype=np.int64), *(table(links) if links else np.empty((2, 0), dtype=np.int64))


def graph_of(frame, source, target):
    graph = nx.DiGraph()
    graph.add_nodes_from(range(len(frame)))
    graph.add_edges_from(zip(source.tolist(), target.tolist(), strict=True))
    return graph


def tracklets_of(graph):
    """Return the tracklets by walking: sets of rows, cut behind every division."""
    plain = graph.copy()
    plain.remove_edges_from([(a, b) for a, b in graph.edges if graph.out_degree(a) > 1])
    return {frozenset(part) for part in nx.weakly_connected_components(plain)}


@settings(max_examples=200, deadline=None)
@given(forests())
def test_intervals_hold_exactly_the_descendants(forest):
    frame, source, target = forest
    labels, graph = label_lineages(frame, source, target), graph_of(frame, source, target)
    tracks = labels.tracks
    for row in range(len(frame)):
        place = labels.pre[row]
        own = labels.pre == place
        by_interval = (labels.pre > place) & (labels.pre <= tracks.last[place]) | own & (frame >= frame[row])
        assert set(np.flatnonzero(by_interval).tolist()) == nx.descendants(graph, row) | {row}


@settings(max_examples=200, deadline=None)
@given(forests())
def test_tracklets_are_those_found_by_walking(forest):
    frame, source, target = forest
    labels, graph = label_lineages(frame, source, target), graph_of(frame, source, target)
    tracks = labels.tracks
    rows = {int(i): np.flatnonzero(labels.track_id == i) for i in tracks.id}
    assert {frozenset(r.tolist()) for r in rows.values()} == tracklets_of(graph)
    assert tracks.id.tolist() == list(range(1, len(tracks) + 1))
    np.testing.assert_array_equal(tracks.id[labels.pre], labels.track_id)
    for k, i in enumerate(tracks.id.tolist()):
        first, last = (rows[i][pick(frame[rows[i]])] for pick in (np.argmin, np.argmax))
        up, down = list(graph.predecessors(first)), list(graph.successors(last))
        assert tracks.first_frame[k] == frame[first]
        assert tracks.last_frame[k] == frame[last]
        assert tracks.parent[k] == (labels.track_id[up[0]] if up else 0)
        assert tracks.n_children[k] == len(down)
        root = next(a for a in nx.ancestors(graph, first) | {first} if graph.in_degree(a) == 0)
        assert tracks.lineage[k] == labels.track_id[root]
        assert tracks.generation[k] == len({int(labels.track_id[a]) for a in nx.ancestors(graph, first)} - {i})


@settings(max_examples=100, deadline=None)
@given(forests())
def test_walks_begin_with_the_first_row_and_daughters_go_by_row(forest):
    labels = label_lineages(*forest)
    tracks = labels.tracks
    heads = [np.flatnonzero(labels.track_id == i) for i in tracks.id]
    head = np.array([rows[np.argmin(forest[0][rows])] for rows in heads], dtype=np.int64)
    for parent in np.unique(tracks.parent):
        assert np.all(np.diff(head[tracks.parent == parent]) > 0)


@settings(max_examples=100, deadline=None)
@given(forests(), st.data())
def test_the_order_of_links_and_the_first_frame_change_nothing(forest, data):
    frame, source, target = forest
    order = np.array(data.draw(st.permutations(range(len(source)))), dtype=np.int64)
    one, other = label_lineages(frame, source, target), label_lineages(frame + 5, source[order], target[order])
    np.testing.assert_array_equal(one.pre, other.pre)
    np.testing.assert_array_equal(one.kind[order], other.kind)
    np.testing.assert_array_equal(one.tracks.last_frame + 5, other.tracks.last_frame)


def test_a_long_chain_and_a_ladder_of_divisions_take_no_walk():
    n = 20_000
    frame = np.arange(n)
    chain = label_lineages(frame, frame[:-1], frame[1:])
    assert len(chain.tracks) == 1
    assert chain.tracks.last_frame.tolist() == [n - 1]
    ladder = label_lineages(np.repeat(frame, 2), np.repeat(2 * frame[:-1], 2), np.arange(2, 2 * n))
    assert ladder.tracks.generation.max() == n - 1
    assert ladder.tracks.last[0] == len(ladder.tracks) - 2  # all but the second cell of frame 0


def test_tops_are_the_ends_of_the_chains_of_parents():
    assert tops(np.array([0, 0, 1, 2, 4, 3])).tolist() == [0, 0, 0, 0, 4, 0]


@pytest.mark.parametrize(
    ("links", "message"),
    [
        ([(0, 2), (1, 2)], "the cell of row 2 in frame 1 has 2 mothers"),
        ([(2, 0)], r"from frame 1 \(row 2\) to frame 0 \(row 0\); expected: a later frame"),
        ([(2, 2)], r"from frame 1 \(row 2\) to frame 1 \(row 2\)"),
        ([(0, 9)], "row 9 of 5 cells"),
        ([(-1, 2)], "row -1 of 5 cells"),
    ],
)
def test_what_is_no_forest_is_refused(links, message):
    with pytest.raises(SchemaError, match=message):
        label_lineages(np.array([0, 0, 1, 1, 1]), *table(links))


def test_columns_of_different_length_are_refused():
    with pytest.raises(SchemaError, match="differ in length"):
        label_lineages(np.array([0, 1]), np.array([0]), np.array([1, 1]))
