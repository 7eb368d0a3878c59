"""What an association transformer is to say of each pair of cells, by drawn lineages and by walking up every one."""

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackdb.engine.lineages import label_lineages
from trackdb.engine.training.association.examples import (
    UNKNOWN,
    Example,
    associations,
    compared,
    weights,
    weights_by_mothers,
)
from trackdb.errors import SchemaError

# Five frames; a divides into b and c, c into d and e; f is alone, g is not known to the truth:
#
#   frame   0    1    2    3
#           a0---b1---b2---b3
#            \---c1---d2
#                 \---e2---e3
#           f4---f5   .----f6     f is missed in frame 2
#           g7
FRAME = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3])
NAMES = ["a0", "f0", "g0", "b1", "c1", "f1", "b2", "d2", "e2", "b3", "e3", "f3"]
LINKS = [
    ("a0", "b1"),
    ("a0", "c1"),
    ("b1", "b2"),
    ("b2", "b3"),
    ("c1", "d2"),
    ("c1", "e2"),
    ("e2", "e3"),
    ("f0", "f1"),
    ("f1", "f3"),
]
ROW = {name: row for row, name in enumerate(NAMES)}


def intervals(frame, links, unknown=()):
    """Return the place in the walk of each cell, and the last one below it."""
    source, target = np.array(links, dtype=np.int64).reshape(-1, 2).T
    labels = label_lineages(np.asarray(frame), source, target)
    pre, last = labels.pre.copy(), labels.tracks.last[labels.pre]
    pre[list(unknown)] = last[list(unknown)] = UNKNOWN
    return pre, last


@pytest.fixture
def drawn():
    pre, last = intervals(FRAME, [(ROW[a], ROW[b]) for a, b in LINKS], [ROW["g0"]])
    return associations(FRAME, pre, last)


def relatives(associated, name):
    return {NAMES[row] for row in np.flatnonzero(associated[ROW[name]])}


def test_ancestors_descendants_and_the_cell_itself_belong_together(drawn):
    assert relatives(drawn, "c1") == {"a0", "c1", "d2", "e2", "e3"}
    assert relatives(drawn, "a0") == {"a0", "b1", "b2", "b3", "c1", "d2", "e2", "e3"}
    assert relatives(drawn, "f3") == {"f0", "f1", "f3"}


def test_sisters_and_aunts_do_not(drawn):
    assert not drawn[ROW["b1"], ROW["c1"]]
    assert not drawn[ROW["b1"], ROW["e2"]]


def test_nothing_belongs_to_a_cell_that_the_truth_does_not_know(drawn):
    assert relatives(drawn, "g0") == set()


def test_links_of_divisions_weigh_most_and_pairs_out_of_reach_nothing(drawn):
    weight = weights(FRAME, drawn, div_upweight=2)

    def of(a, b):
        return weight[ROW[a], ROW[b]]

    assert (of("a0", "b1"), of("a0", "c1")) == (3, 3)  # two daughters and a mother
    assert of("b1", "b2") == of("f1", "f3") == 2
    assert (of("a0", "b2"), of("a0", "d2")) == (3, 3)  # two frames on there are three descendants
    assert of("a0", "f1") == of("g0", "b1") == 1
    assert of("a0", "b3") == 0  # three frames
    assert of("b1", "a0") == of("b1", "c1") == of("a0", "a0") == 0
    assert weights(FRAME, drawn, div_upweight=10)[ROW["a0"], ROW["b1"]] == 11


@st.composite
def forests(draw):
    """Draw cells in up to five frames in order, a mother in an earlier frame for some, and which are not known."""
    frame = sorted(draw(st.lists(st.integers(0, 4), min_size=1, max_size=14)))
    links = []
    for cell, t in enumerate(frame):
        earlier = [other for other in range(cell) if frame[other] < t]
        mother = draw(st.sampled_from([None, *earlier]))
        if mother is not None:
            links.append((mother, cell))
    unknown = draw(st.sets(st.sampled_from(range(len(frame))), max_size=3))
    return np.array(frame), links, unknown


@given(forests())
def test_targets_are_those_of_a_walk_up_every_lineage(forest):
    frame, links, unknown = forest
    graph = nx.DiGraph(links)
    graph.add_nodes_from(range(len(frame)))
    expected = np.zeros((len(frame),) * 2, dtype=bool)
    for cell in set(graph) - unknown:
        for other in {cell} | (nx.ancestors(graph, cell) - unknown):
            expected[cell, other] = expected[other, cell] = True
    found = associations(frame, *intervals(frame, links, unknown))
    assert np.array_equal(found, expected)


@given(forests(), st.sampled_from([0.0, 2.0, 10.0]))
def test_weights_are_those_of_counting_relatives_pair_by_pair(forest, div_upweight):
    frame, links, unknown = forest
    associated = associations(frame, *intervals(frame, links, unknown))
    expected = np.zeros(associated.shape)
    for i, t in enumerate(frame):
        for j, later in enumerate(frame):
            if not 0 < later - t <= 2:
                continue
            count = associated[i, frame == later].sum() + associated[frame == t, j].sum()
            expected[i, j] = 1
            if associated[i, j]:
                expected[i, j] = 1 + 1 * (count == 2) + div_upweight * (count > 2)
    found = weights(frame, associated, div_upweight=div_upweight)
    assert np.array_equal(found, expected)
    assert np.array_equal(found > 0, compared(frame))


def test_weights_by_mothers_do_not_look_at_who_belongs_together():
    frame, daughters = np.array([0, 0, 0, 1, 3]), np.array([0, 1, 2, 3, 0])
    weight = weights_by_mothers(frame, daughters, div_upweight=10)
    assert weight[:, 3].tolist() == [1, 2, 11, 0, 0]
    assert weight[:, 4].tolist() == [0, 0, 0, 11, 0]
    assert not weight[:, :3].any()


def test_an_example_tells_of_each_pair():
    one, nothing = np.zeros((2, 3), np.float32), np.zeros((2, 0), np.float32)
    with pytest.raises(SchemaError, match=r"2 cells.*\(2, 2\)"):
        Example(np.zeros(2, np.int64), one, nothing, np.zeros((2, 1), bool), np.zeros((2, 2), np.float32))
