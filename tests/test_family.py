"""The lineage of one cell: drawn by hand, and the same as walking the links."""

import networkx as nx
import numpy as np
import pytest

from trackdb.engine.family import as_newick, as_text, family_of
from trackdb.engine.handoff import to_networkx
from trackdb.engine.ingest import ingest
from trackdb.errors import MissingRowsError
from trackdb.storage.duckdb_store import DuckDBStore

from .movies import DIVIDING, dividing_cells, write_rows

# One family and one stranger; numbers are ids in the table, in brackets the tracks of the walk:
#
#   frame   0     1     2     3
#           1 --- 2 -+- 3 --- 5      1 2 [1]   3 5 [2]
#                    +- 4 -+- 6      4 [3]     6 [4]   7 [5]
#                          +- 7
#                       8 --- 9      8 9 [6]
FAMILY = [
    (0, 10, 10, 1, ""),
    (1, 10, 11, 2, 1),
    (2, 5, 12, 3, 2),
    (2, 15, 12, 4, 2),
    (3, 5, 13, 5, 3),
    (3, 13, 13, 6, 4),
    (3, 17, 13, 7, 4),
    (2, 80, 80, 8, ""),
    (3, 80, 81, 9, 8),
]


@pytest.fixture
def store(tmp_path):
    """A store that holds the drawn family as truth."""
    made = DuckDBStore(tmp_path / "family.trackdb")
    ingest(write_rows(tmp_path / "family.csv", FAMILY, header=DIVIDING), made)
    return made


@pytest.fixture
def cell(store):
    """Number of each cell in the store by its id in the table."""
    detections = store.detections(store.detection_set())
    return dict(zip(detections.label.tolist(), detections.id.tolist(), strict=True))


@pytest.fixture
def family(store, cell):
    """Ask for the family of a cell by its id in the table."""

    def ask(label, **ways):
        return family_of(store, *store.find_solution(), cell[label], **ways)

    return ask


@pytest.fixture
def names(cell):
    """Id in the table of each cell by its number in the store."""
    return {number: label for label, number in cell.items()}


@pytest.mark.parametrize(
    ("label", "up", "down", "members"),
    [
        (4, True, True, {1, 2, 4, 6, 7}),
        (4, True, False, {1, 2, 4}),
        (4, False, True, {4, 6, 7}),
        (4, False, False, {4}),
        (1, True, True, {1, 2, 3, 4, 5, 6, 7}),
        (2, False, True, {2, 3, 4, 5, 6, 7}),
        (2, True, False, {1, 2}),
        (5, True, True, {1, 2, 3, 5}),
        (9, True, True, {8, 9}),
    ],
)
def test_ancestors_and_descendants_are_as_drawn(family, names, label, up, down, members):
    found = family(label, up=up, down=down)
    assert {names[number] for number in found.id.tolist()} == members
    inside = [(a, b) for _, _, _, b, a in FAMILY if a in members and b in members]
    ends = zip(found.source.tolist(), found.target.tolist(), strict=True)
    assert sorted((names[a], names[b]) for a, b in ends) == sorted(inside)


def test_tracks_have_their_mother_and_depth(family):
    found = family(1)
    assert found.branch.tolist() == [1, 2, 3, 4, 5]
    assert found.parent.tolist() == [0, 1, 1, 3, 3]
    assert found.depth.tolist() == [0, 1, 1, 2, 2]
    assert family(4, up=False).depth.tolist() == [0, 1, 1]


def test_a_family_is_drawn_as_a_tree(family, cell):
    lines = as_text(family(4)).split("\n")
    assert lines == [
        f"track 1  t 0-1  2 cells, {cell[1]} to {cell[2]}",
        f"└─ track 3  t 2  cell {cell[4]}  <- cell {cell[4]}",
        f"   ├─ track 4  t 3  cell {cell[6]}",
        f"   └─ track 5  t 3  cell {cell[7]}",
    ]


def test_a_family_is_written_as_newick(family):
    assert as_newick(family(1)) == "(2:2,(4:1,5:1)3:1)1:2;"
    assert as_newick(family(2, up=False)) == "(2:2,(4:1,5:1)3:1)1:1;"
    assert as_newick(family(9)) == "6:2;"


@pytest.mark.parametrize("missing", [0, -1, 99])
def test_a_cell_that_is_not_there_is_refused_with_a_way_to_find_one(store, missing):
    with pytest.raises(MissingRowsError, match=f"cell {missing} is not part of solution truth.*trackdb sql"):
        family_of(store, *store.find_solution(), missing)


def test_every_family_is_what_walking_the_links_finds(tmp_path):
    store = DuckDBStore(tmp_path / "dividing.trackdb")
    ingest(write_rows(tmp_path / "dividing.csv", dividing_cells(n_frames=6, side=2), header=DIVIDING), store)
    chosen, info = store.find_solution()
    graph = to_networkx(store.solution(info), store.detections(chosen), *store.link_ends(info))
    for node in sorted(graph)[::4]:
        up, down = nx.ancestors(graph, node) | {node}, nx.descendants(graph, node) | {node}
        assert set(family_of(store, chosen, info, node, down=False).id.tolist()) == up
        assert set(family_of(store, chosen, info, node, up=False).id.tolist()) == down
        whole = family_of(store, chosen, info, node)
        ends = set(zip(whole.source.tolist(), whole.target.tolist(), strict=True))
        assert set(whole.id.tolist()) == up | down
        assert ends == set(graph.subgraph(up | down).edges)
        assert np.all(np.diff(whole.branch) > 0)
