"""The lineage of one cell: drawn by hand, and the same as walking the links."""

import subprocess
import sys
from itertools import product

import networkx as nx
import numpy as np
import pytest

from trackdb.engine.family import as_newick, as_text, family_of
from trackdb.engine.family_tree import tree_of
from trackdb.engine.handoff import to_networkx
from trackdb.engine.ingest import ingest
from trackdb.engine.plots.tree import tip_columns
from trackdb.errors import MissingRowsError, StoreDamagedError
from trackdb.storage import connection
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.evidence import link_evidence

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
        return family_of(store, store.find_solution()[1], cell[label], **ways)

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


@pytest.mark.parametrize("missing", [0, -1, 99, 1.5, float("nan")])
def test_a_cell_that_is_not_there_is_refused_with_a_way_to_find_one(store, missing):
    with pytest.raises(MissingRowsError, match=f"cell {missing} is not part of solution truth.*trackdb sql"):
        family_of(store, store.find_solution()[1], missing)


@pytest.mark.parametrize("harm", ["delete from track where track_id = 4", "update track set t_first = 9, t_last = 9"])
def test_a_track_that_is_lost_is_damage_and_no_family_without_it(store, cell, harm):
    with store.writing() as opened:
        opened.exec_driver_sql(harm)
    info = store.find_solution()[1]
    for label in (4, 6):  # the mother of what is lost, and a cell of it
        with pytest.raises(StoreDamagedError, match=r"in tracks that are not there.*--repair"):
            family_of(store, info, cell[label])


def test_every_family_is_what_walking_the_links_finds(tmp_path):
    store = DuckDBStore(tmp_path / "dividing.trackdb")
    ingest(write_rows(tmp_path / "dividing.csv", dividing_cells(n_frames=6, side=2), header=DIVIDING), store)
    chosen, info = store.find_solution()
    graph = to_networkx(store.solution(info), store.detections(chosen), *store.link_ends(info))
    for node in sorted(graph)[::4]:
        up, down = nx.ancestors(graph, node) | {node}, nx.descendants(graph, node) | {node}
        assert set(family_of(store, info, node, down=False).id.tolist()) == up
        assert set(family_of(store, info, node, up=False).id.tolist()) == down
        whole = family_of(store, info, node)
        ends = set(zip(whole.source.tolist(), whole.target.tolist(), strict=True))
        assert set(whole.id.tolist()) == up | down
        assert ends == set(graph.subgraph(up | down).edges)
        assert np.all(np.diff(whole.branch) > 0)


def kept_of(table, frame, cell, *, up, down):
    """Return which cells of a solution are of the family of one, from mother to mother over all of it."""
    mother = dict(zip(table.tracks.id.tolist(), table.tracks.parent.tolist(), strict=True))

    def line(track):
        return [track, *line(mother[track])] if track in mother else []

    place = table.node.tolist().index(cell)
    own, born = int(table.track_id[place]), int(frame[place])
    kept = []
    for number, track, t in zip(table.node.tolist(), table.track_id.tolist(), frame.tolist(), strict=True):
        above = (track != own and track in line(own)) or (track == own and t < born)
        below = (track != own and own in line(track)) or (track == own and t > born)
        kept.append(number == cell or (up and above) or (down and below))
    return np.array(kept)


@pytest.mark.parametrize("name", ["truth", "merged", "ilp-1"])
def test_a_family_read_alone_is_that_of_the_whole_solution(rich, name):
    """With merges, links over a frame, posteriors older, newer and unfinished, and cells of other families."""
    chosen, info = rich.find_solution(name=name)
    table, (source, target), detections = rich.solution(info), rich.link_ends(info), rich.detections(chosen)
    frame, tracks = detections.frame[detections.row_of(table.node)], table.tracks
    probability = link_evidence(rich, info, table.edge, source, target, ()).probability
    assert np.isnan(probability).all() == (name != "truth")
    for cell, up, down in product(table.node.tolist(), (True, False), (True, False)):
        found = tree_of(rich, chosen, info, cell, up=up, down=down)
        family, kept = found.family, kept_of(table, frame, cell, up=up, down=down)
        order = np.lexsort((frame[kept], table.pre[kept]))
        for mine, whole in ((family.id, table.node), (family.frame, frame), (family.track, table.track_id)):
            assert mine.tolist() == whole[kept][order].tolist()
        inside = np.isin(source, family.id) & np.isin(target, family.id)
        assert family.source.tolist() == source[inside].tolist()
        assert family.target.tolist() == target[inside].tolist()
        np.testing.assert_array_equal(found.probability, probability[inside])
        shown = np.isin(tracks.id, family.track)
        assert family.branch.tolist() == tracks.id[shown].tolist()
        assert family.parent.tolist() == tracks.parent[shown].tolist()
        assert family.depth.tolist() == (tracks.generation[shown] - tracks.generation[shown][0]).tolist()
        assert found.column.tolist() == tip_columns(tracks, shown).tolist()


def test_a_lineage_opens_the_database_once(rich, monkeypatch):
    """Who would write waits for each opening, and each opening for who waits to write."""
    times = []
    opened = connection.opened
    monkeypatch.setattr(connection, "opened", lambda file, **ways: times.append(file) or opened(file, **ways))
    chosen, info = rich.find_solution(name="truth")
    times.clear()
    assert len(tree_of(rich, chosen, info, 1, up=True, down=True)) > 1
    assert len(times) == 1


def test_a_first_lineage_loads_no_pandas(rich):
    program = (
        "import sys, trackdb; family = trackdb.open(sys.argv[1]).solution('truth').lineage(2)\n"
        "assert len(family) == 5; print('pandas' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", program, rich.path], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"
