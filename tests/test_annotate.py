r"""What people say of cells: checked when they say it, kept by every solve, never lost and never silently dropped.

The movie of `movies`, by number of the cell; all links up to 53 px are candidates, so 2 -> 7 over a frame is none::

    frame 0     frame 1     frame 2
    . 1 . 2     . 3 . 4     . 6 . 7
    . . . .     . . . 5     . . . 8
    . . . .     . . . .     9 . . .
"""

import re
from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

import trackdb
from trackdb.engine.annotations.answered import Asked
from trackdb.engine.annotations.answers import Annotator, undo
from trackdb.engine.annotations.pins import attached
from trackdb.engine.annotations.records import entries, export_log, import_log, work
from trackdb.engine.annotations.words import told
from trackdb.engine.check import check
from trackdb.engine.config import Config, ScoreConfig, SolveConfig
from trackdb.engine.exports.geff import export_geff
from trackdb.engine.ingest import ingest
from trackdb.engine.pipeline import link, score, solve
from trackdb.engine.progress import Silent
from trackdb.errors import ConfigError, ConflictError, FormatError, InfeasibleError, MissingRowsError
from trackdb.storage.decision_log import write_lines
from trackdb.storage.decisions import CellPlace, Decision, DecisionKind, live
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.schema import Detections

from .exported import tracking
from .movies import copied, write_ctc


class Notes(Silent):
    def __init__(self):
        self.told = []

    def note(self, text):
        self.told.append(text)


@pytest.fixture(scope="module")
def drawn_store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    store = DuckDBStore(folder / "movie.trackdb")
    ingest(write_ctc(folder / "movie"), store)
    solve(store, store.detection_set())
    return store


@pytest.fixture
def store(drawn_store, tmp_path):
    return DuckDBStore(copied(drawn_store.path, tmp_path / "movie.trackdb"))


@pytest.fixture
def say(store):
    annotator = Annotator(store, store.detection_set())

    def answer(kind, cell, daughters=None, *, who="ana", **options):
        return annotator.answer(kind, cell, daughters, who=who, **options)

    return answer


CHOICE = Decision(1, "k", datetime(2026, 1, 31), "ana", DecisionKind.CHOOSE, "movie")


def solved(store, linker="ilp", **options):
    """Solve, and return the report, the links and the cells."""
    if linker == "motile":
        pytest.importorskip("motile")
    exact = linker in ("highs", "motile")
    config = Config(solve=SolveConfig(linker="ilp" if exact else linker, backend=linker if exact else "matching"))
    if "window" in options:
        config = replace(config, solve=replace(config.solve, window=options.pop("window")))
    if "by" in options:
        config = replace(config, solve=replace(config.solve, by=options.pop("by")))
    report = solve(store, store.detection_set(), config, **options)
    _, info = store.find_solution(name=report.solution)
    links = {*zip(*(ends.tolist() for ends in store.link_ends(info)), strict=True)}
    return report, links, set(store.solution(info).node.tolist())


PLAIN = {(1, 3), (2, 4), (3, 6), (4, 7), (5, 8)}

SAID = {
    "a link forced in": (("choose", 3, [9]), {(3, 9)}, {(3, 6)}),
    "a division": (("choose", 2, [4, 5]), {(2, 4), (2, 5)}, set()),
    "an end": (("choose", 3, []), set(), {(3, 6), (3, 9)}),
    "a beginning": (("begins", 7), set(), {(4, 7), (3, 7), (5, 7)}),
    "a link forced out": (("reject", 4, [7]), set(), {(4, 7)}),
}
LINKERS = [("ilp", None), ("highs", None), ("motile", None), ("greedy", None), ("lap", "distance"), ("lap", "cost")]


@pytest.mark.parametrize(("words", "there", "gone"), SAID.values(), ids=SAID)
@pytest.mark.parametrize(("linker", "by"), LINKERS)
def test_every_linker_keeps_what_was_said(store, say, linker, by, words, there, gone):
    say(*words)
    report, links, cells = solved(store, linker, **({"by": by} if by else {}))
    assert there <= links
    assert not gone & links
    assert len(cells) == 9
    assert report.pins == 1
    assert report.proven == (linker in ("ilp", "highs", "motile"))
    assert check(store) == []


@pytest.mark.parametrize(("linker", "by"), LINKERS)
def test_a_false_detection_is_no_cell_of_any_solution(store, say, linker, by):
    say("not_a_cell", 4)
    _, links, cells = solved(store, linker, **({"by": by} if by else {}))
    assert cells == {1, 2, 3, 5, 6, 7, 8, 9}
    assert not any(4 in ends for ends in links)


def test_pins_can_be_ignored_and_taken_back(store, say):
    said = say("choose", 3, [9])
    assert solved(store, ignore_pins=True)[1] == PLAIN
    assert (3, 9) in solved(store)[1]
    report = undo(store, said.decision.seq, who="bob")
    assert [d.seq for d in report.replaced] == [said.decision.seq]
    assert solved(store)[1] == PLAIN
    undo(store, report.decision.seq, who="bob")
    again, links, _ = solved(store)
    assert (3, 9) in links
    assert again.pins == 1


def test_the_cost_of_a_pin_is_in_the_objective(store, say):
    free = solved(store)[0]
    say("choose", 3, [9])
    pinned = solved(store)[0]
    assert pinned.objective > free.objective
    assert pinned.lower_bound == pinned.objective


@pytest.mark.parametrize("words", [("segmentation", 3), ("unsure", 3), ("flag", 3)])
def test_what_pins_nothing_is_kept_and_changes_nothing(store, say, words):
    assert say(*words).pins == 0
    report, links, _ = solved(store)
    assert (report.pins, links) == (0, PLAIN)
    assert [e.decision.kind.value for e in entries(store)] == [words[0]]


CONFLICTS = {
    "two parents": (("choose", 3, [7]), ("choose", 4, [7]), "a cell has one parent"),
    "two answers for one cell": (("choose", 3, [6]), ("choose", 3, [9]), "said to do something else"),
    "an end and a daughter": (("choose", 3, []), ("choose", 3, [6]), "said to do something else"),
    "a third child": (("choose", 3, [6, 7]), ("choose", 3, [9]), "said to do something else"),
    "in and out": (("choose", 3, [6]), ("reject", 3, [6]), "forced in and out"),
    "out and in": (("reject", 3, [6, 7]), ("choose", 3, [6]), "forced in and out"),
    "a parent and a beginning": (("choose", 3, [6]), ("begins", 6), "has no parent"),
    "a beginning and a parent": (("begins", 6), ("choose", 3, [6]), "has no parent"),
    "a daughter that is no cell": (("choose", 3, [6]), ("not_a_cell", 6), "no cell has no links"),
    "no cell that divides": (("not_a_cell", 3), ("choose", 3, [6]), "no cell has no links"),
    "no cell as a daughter": (("not_a_cell", 6), ("choose", 3, [6]), "no cell has no links"),
    "no cell that begins": (("not_a_cell", 3), ("begins", 3), "neither begins nor ends"),
}


@pytest.mark.parametrize(("first", "second", "why"), CONFLICTS.values(), ids=CONFLICTS)
def test_pins_that_exclude_each_other_are_refused_with_both_named(store, say, first, second, why):
    earlier = say(*first, who="ana").decision
    with pytest.raises(InfeasibleError, match="two pins exclude each other") as refused:
        say(*second, who="bob")
    assert f"cell {second[1]} " in refused.value.message
    assert "(#2 bob 20" in refused.value.message
    assert refused.value.details["against"].startswith(f"cell {earlier.cell.id} ")
    assert "(#1 ana 20" in refused.value.details["against"]
    assert why in refused.value.details["why"]
    assert refused.value.exit_code == 4
    assert store.decisions() == [earlier]
    report = say(*second, who="bob", on_conflict="replace")
    assert (report.replaced, report.pins) == ([earlier], 1)
    assert live(store.decisions()) == [report.decision]


def test_all_answers_that_exclude_a_new_one_are_named_and_taken_back(store, say):
    agreed = [say("choose", 3, [6], who=who).decision for who in ("ana", "bob")]
    with pytest.raises(InfeasibleError, match=r"#1 ana.*#2 bob"):
        say("not_a_cell", 6)
    report = say("not_a_cell", 6, on_conflict="replace")
    assert report.replaced == agreed
    assert solved(store)[0].pins == 1


AGREEING = [
    (("choose", 3, [6, 9]), ("choose", 3, [9, 6])),
    (("choose", 3, [6]), ("reject", 3, [7])),
    (("choose", 3, [6]), ("choose", 4, [7, 8])),
    (("begins", 6), ("choose", 3, [])),
    (("not_a_cell", 9), ("reject", 3, [9])),
]


@pytest.mark.parametrize(("first", "second"), AGREEING)
def test_answers_that_agree_go_together(store, say, first, second):
    say(*first)
    assert say(*second, who="bob").pins == 2
    assert solved(store)[0].pins == 2


REFUSED = {
    "three daughters": (("choose", 3, [6, 7, 8]), InfeasibleError, "at most two daughters, got 3: 6, 7, 8"),
    "a daughter before her mother": (("choose", 6, [3]), InfeasibleError, "cell 3 of frame 1 cannot come from cell 6"),
    "a daughter beside her mother": (("choose", 6, [7]), InfeasibleError, "expected: a later frame"),
    "no such cell": (("begins", 99), MissingRowsError, "has no cell 99"),
    "no such daughter": (("choose", 3, [0]), MissingRowsError, "has no cell 0"),
    "no such answer": (("dances", 3), ConfigError, "'dances' is no answer about a cell"),
    "an undoing of a cell": (("undo", 3), ConfigError, "no answer about a cell"),
    "no daughters": (("choose", 3), ConfigError, "choose needs daughters"),
    "daughters of a beginning": (("begins", 3, [6]), ConfigError, "begins names no daughters"),
    "a daughter twice": (("choose", 3, [6, 6]), ConfigError, "a cell is named twice; got: 6, 6"),
    "nothing rejected": (("reject", 3, []), ConfigError, "names the cells that it rejects"),
    "a pin on no candidate": (("choose", 2, [7]), InfeasibleError, "try: --add-candidate"),
    "nothing to forbid": (("reject", 2, [7]), InfeasibleError, "there is nothing to forbid"),
}


@pytest.mark.parametrize(("words", "error", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_is_refused_and_not_kept(store, say, words, error, message):
    with pytest.raises(error, match=message):
        say(*words)
    assert store.decisions() == []


def test_a_candidate_that_was_added_survives_linking_and_scoring(store, say):
    report = say("choose", 2, [7], add_candidate=True)
    assert report.added == 1
    assert say("choose", 2, [7], add_candidate=True).added == 0
    chosen = store.detection_set()
    for _ in range(2):
        _, links, _ = solved(store)
        assert (2, 7) in links
        link(store, chosen)
    assert [run.params["targets"] for run in store.runs() if run.kind == "annotate"] == [[7]]
    undo(store, who="ana")
    undo(store, who="ana")
    assert (2, 7) not in solved(store)[1]
    edges = store.candidate_edges(chosen, store.detections(chosen))
    assert (1, 6) in {*zip(edges.source.tolist(), edges.target.tolist(), strict=True)}  # rows of cells 2 and 7


def test_a_forced_link_that_scores_of_ones_own_do_not_know_is_not_dropped(store, say, tmp_path):
    table = tmp_path / "own.csv"
    table.write_text("source,target,score\n1,3,0.9\n2,4,0.8\n3,6,0.9\n4,7,0.7\n5,8,0.6\n")
    score(store, store.detection_set(), ScoreConfig(by=str(table)))
    say("choose", 3, [9])
    notes = Notes()
    report, links, _ = solved(store, scores="own", progress=notes)
    assert (3, 9) in links
    assert report.pins == 1
    assert "annotated links without a score in own: 1, priced as its worst" in notes.told


def test_pins_that_exclude_each_other_pin_nothing_until_one_is_taken_back_and_are_named(store, say):
    first = say("choose", 3, [9]).decision
    say("begins", 7, who="cy")
    write_lines(store.path, [replace(first, seq=3, key="other", who="bob", daughters=())])
    for options in ({}, {"window": 2}):
        notes = Notes()
        report, links, _ = solved(store, progress=notes, **options)
        assert (report.pins, (3, 6) in links, (4, 7) in links) == (1, True, False)
        [note] = [note for note in notes.told if "exclude each other" in note]
        assert re.search(r"nothing until one is taken back: 2, as cell 3 continues as 9 \(#1 ana.* ends \(#3 bob", note)
        assert note.endswith(f"trackdb annotations conflicts {store.path}")
    assert [(e.decision.who, e.disputed) for e in entries(store)] == [("ana", True), ("cy", False), ("bob", True)]
    undo(store, 3, who="bob")
    assert [e.disputed for e in entries(store)] == [False] * 4
    assert (solved(store)[0].pins, (3, 9) in solved(store)[1]) == (2, True)


def test_a_link_that_is_no_candidate_and_came_past_the_check_stops_a_solve(store, say):
    first = say("choose", 3, [6]).decision
    write_lines(store.path, [replace(first, seq=4, key="far", cell=CellPlace(2), daughters=(CellPlace(8),))])
    with pytest.raises(InfeasibleError, match=r"no candidate: cell 2 continues as 8 \(#4 ana"):
        solved(store)


def test_a_conflict_elsewhere_keeps_nobody_from_answering(store, say):
    first = say("choose", 3, [6]).decision
    write_lines(store.path, [replace(first, seq=2, key="other", who="bob", daughters=(CellPlace(9),))])
    assert say("choose", 5, [8]).pins == 1
    report = say("choose", 3, [6, 9], on_conflict="replace")
    assert report.pins == 2
    assert {d.who for d in report.replaced} == {"ana", "bob"}
    assert solved(store)[0].pins == 2


def test_a_kill_between_a_new_answer_and_what_it_takes_back_leaves_a_conflict_that_is_told(store, say):
    say("choose", 3, [6], who="ana")
    say("choose", 3, [9], who="bob", on_conflict="replace")
    [file] = (store.path / "annotations").glob("bob-*")
    whole = file.read_bytes()
    file.write_bytes(whole[: whole.index(b"\n") + 30])  # the undoing was never finished
    assert (solved(store)[0].pins, solved(store)[1]) == (0, PLAIN)
    assert undo(store, 1, who="bob").pins == 1
    assert (3, 9) in solved(store)[1]


def test_an_answer_that_is_sent_again_is_taken_once(store, say):
    asked = Asked(shown=[[[6], 0.75]], solution="ilp-1", blind=True, ms=900)
    first = say("choose", 3, [6], key="abc", asked=asked)
    assert say("choose", 3, [6], key="abc", asked=asked).decision == first.decision
    [kept] = store.decisions()
    assert kept == first.decision
    assert (kept.shown, kept.solution, kept.blind, kept.ms) == ([[[6], 0.75]], "ilp-1", True, 900)


def test_undoing_says_what_it_cannot_do(store, say):
    with pytest.raises(MissingRowsError, match="ana has said nothing"):
        undo(store, who="ana")
    first = say("choose", 3, [6]).decision
    back = undo(store, first.key[:8], who="ana").decision
    with pytest.raises(ConfigError, match="taken back already: cell 3 continues as 6"):
        undo(store, 1, who="ana")
    say("choose", 3, [9], who="bob")
    with pytest.raises(InfeasibleError, match="two pins exclude each other"):
        undo(store, back.seq, who="ana")
    with pytest.raises(MissingRowsError, match="no annotation 77"):
        undo(store, 77, who="ana")


def test_an_undoing_names_one_annotation(store, say):
    for cell in (3, 4):
        say("choose", cell, [], key=f"key-{cell}")
    with pytest.raises(ConfigError, match="'key' tells no annotation from others; known: key-3, key-4"):
        undo(store, "key", who="ana")
    with pytest.raises(ConfigError, match=r"undo of which annotation\?"):
        undo(store, " ", who="ana")
    assert len(store.decisions()) == 2


def test_the_log_never_runs_back_in_time(store, say, monkeypatch):
    first = say("choose", 3, [6]).decision
    monkeypatch.setattr("trackdb.engine.annotations.undoing.now", lambda: first.at.replace(year=2000))
    assert undo(store, who="ana").decision.at == first.at
    assert live(store.decisions()) == []


def test_cells_with_new_numbers_are_found_by_their_place():
    cells = Detections(
        id=np.array([11, 12, 13, 14]),
        frame=np.array([0, 0, 1, 1]),
        position_px=np.array([[10.0, 10], [10, 30], [10, 11], [10, 40]]),
        label=np.arange(4),
        area=np.array([25.0, 25.0, np.nan, np.nan]),
    )
    near, far = CellPlace(1, 0, (11.0, 11.0)), CellPlace(2, 0, (15.0, 20.0))
    point, gone = CellPlace(3, 1, (10.0, 25.0)), CellPlace(4, 7, (10.0, 25.0))
    said = [
        replace(CHOICE, key=str(cell.id), cell=cell, daughters=(point,)) for cell in (near, far, gone, CellPlace(12))
    ]
    answers, lost = attached(said, cells)
    assert [(a.cell, a.daughters) for a in answers] == [(0, (2,)), (1, (2,))]
    assert [d.cell for d in lost] == [far, gone]


def test_answers_about_cells_that_are_gone_are_told_not_dropped(store, say):
    say("choose", 3, [6])
    other = store.decisions()[0]
    write_lines(store.path, [replace(other, seq=2, key="b", cell=CellPlace(77, 1, (300.0, 300.0)))])
    notes = Notes()
    report = solved(store, progress=notes)[0]
    assert report.pins == 1
    assert any(
        note.startswith("annotations of cells that are not among these detections: 1, as cell 77")
        for note in notes.told
    )
    assert [e.attached for e in entries(store)] == [True, False]


def test_a_log_goes_to_another_store_and_comes_back(store, say, drawn_store, tmp_path):
    say("choose", 3, [9], who="ana")
    say("begins", 8, who="bob")
    undo(store, who="bob")
    file = tmp_path / "said.jsonl"
    assert export_log(store, file) == 3
    with pytest.raises(FormatError, match="exists"):
        export_log(store, file)
    other = DuckDBStore(copied(drawn_store.path, tmp_path / "other.trackdb"))
    Annotator(other, other.detection_set()).answer("unsure", 5, who="cy")
    assert len(import_log(other, file).new) == 3
    assert import_log(other, file).new == []
    assert {(d.who, d.cell.id) for d in live(other.decisions())} == {("ana", 3), ("cy", 5)}
    assert sorted(d.seq for d in other.decisions()) == [1, 2, 3, 4]
    assert (3, 9) in solved(other)[1]


def test_a_log_that_excludes_what_was_said_here_is_taken_in_whole_and_the_conflicts_are_told(
    store, say, drawn_store, tmp_path
):
    say("begins", 8)
    say("choose", 3, [9])
    say("reject", 4, [7])
    far = replace(store.decisions()[0], seq=4, key="far", cell=CellPlace(77, 1, (300.0, 300.0)))
    write_lines(store.path, [far])
    export_log(store, tmp_path / "said.jsonl")
    other = DuckDBStore(copied(drawn_store.path, tmp_path / "other.trackdb"))
    annotator = Annotator(other, other.detection_set())
    annotator.answer("choose", 3, [], who="bob")
    annotator.answer("choose", 4, [7], who="bob")
    undo(other, 2, who="cy")
    brought = import_log(other, tmp_path / "said.jsonl")
    [apart] = brought.conflicts
    assert ({apart.earlier.who, apart.later.who}, apart.earlier.cell.id, apart.open) == ({"ana", "bob"}, 3, True)
    assert [d.key for d in brought.lost] == ["far"]
    said = {d.key for d in store.decisions()}
    assert {d.key for d in brought.new} == said < {d.key for d in other.decisions()}
    report, links, _ = solved(other)
    assert (report.pins, {(3, 6), (4, 7)} & links) == (2, {(3, 6)})
    assert import_log(other, tmp_path / "said.jsonl").conflicts == []
    undo(other, next(d.key for d in other.decisions() if d.who == "bob"), who="bob")
    assert (3, 9) in solved(other)[1]
    (tmp_path / "bad.jsonl").write_text("{}\n")
    with pytest.raises(FormatError, match=r"^[^;]*bad\.jsonl line 1 is no decision; reason: KeyError"):
        import_log(other, tmp_path / "bad.jsonl")


def test_the_work_of_each_person_is_counted(store, say):
    say("choose", 3, [6], who="ana", asked=Asked(ms=1000))
    say("choose", 3, [6], who="bob", asked=Asked(ms=3000))
    say("choose", 4, [7], who="bob", asked=Asked(ms=2000))
    say("reject", 4, [8], who="cy")
    say("unsure", 5, who="cy")
    undo(store, who="cy")
    ana, bob, cy = work(store)
    assert (ana.who, ana.answers, ana.pins, ana.median_ms, ana.asked_too, ana.agreed) == ("ana", 1, 1, 1000, 1, 1)
    assert (bob.answers, bob.pins, bob.median_ms, bob.asked_too, bob.agreed) == (2, 2, 2500, 2, 1)
    assert (cy.answers, cy.undone, cy.pins, cy.median_ms, cy.kinds) == (
        2,
        1,
        1,
        None,
        {"reject": 1, "unsure": 1, "undo": 1},
    )


def test_an_export_carries_the_pins_of_the_log(store, say):
    say("choose", 3, [9], who="bob")
    report, _, _ = solved(store)
    found = tracking(store, report.solution)
    pinned = {
        (int(found.cells.id[a]), int(found.cells.id[b])): who
        for a, b, who in zip(found.source, found.target, found.evidence.pinned_by.tolist(), strict=True)
        if who
    }
    assert pinned == {(3, 9): "bob"}


def test_an_export_finds_what_was_said_of_older_detections_by_place_and_tells_what_it_cannot_find(
    store, say, drawn_store, tmp_path
):
    say("choose", 3, [9], who="bob")
    say("choose", 8, [], who="cy")
    said = store.decisions()
    wanted = tracking(store, solved(store)[0].solution).evidence
    other = DuckDBStore(copied(drawn_store.path, tmp_path / "other.trackdb"))

    def older(place):
        return replace(place, id=place.id + 1000)

    moved = [replace(d, cell=older(d.cell), daughters=tuple(map(older, d.daughters))) for d in said]
    far = replace(said[0], seq=3, key="far", cell=CellPlace(77, 1, (300.0, 300.0)))
    one = replace(said[0], seq=4, key="one", cell=CellPlace(5), daughters=())
    two = replace(one, seq=5, key="two", daughters=(CellPlace(8),))
    write_lines(other.path, [*moved, far, one, two])
    chosen, info = other.find_solution(name=solved(other)[0].solution)
    found = tracking(other, info.name).evidence
    assert (found.pinned_by.tolist(), found.decided) == (wanted.pinned_by.tolist(), wanted.decided)
    assert ("bob" in found.pinned_by, found.decided) == (True, {8: ("ends", "cy")})
    notes = export_geff(other, chosen, info, tmp_path / "out.geff").notes
    assert f"left out annotations of cells that are not among these detections: {told(far)}" in notes
    assert f"left out annotations that exclude each other: {told(one)} and {told(two)}" in notes


def test_from_python_an_answer_changes_the_next_solution(store):
    db = trackdb.open(store.path, write=True)
    before = db.solution("ilp-1")
    report = db.annotate(3, daughters=[9], who="ana")
    after = db.solve()
    assert after.diff(before).only_a.links == [[3, 9]]
    assert after.diff(before).only_b.links == [[3, 6]]
    db.undo(report.decision.seq, who="ana")
    assert db.solve().diff(before).shared == 5
    with pytest.raises(ConfigError, match="read-only"):
        trackdb.open(store.path).annotate(3, daughters=[], who="ana")


def test_from_python_a_conflict_has_the_same_three_ways_out(store):
    db = trackdb.open(store.path, write=True)
    db.annotate(3, daughters=[9], who="ana")
    with pytest.raises(ConflictError) as refused:
        db.annotate(3, daughters=[], who="bob")
    assert refused.value.as_dict()["choices"] == ["replace", "keep", "unsure"]
    assert db.annotate(3, daughters=[], who="bob", on_conflict="keep").decision.kind is DecisionKind.FLAG
    assert db.annotate(3, daughters=[6], who="bob", on_conflict="replace").replaced[0].who == "ana"
    assert db.annotate(3, daughters=[], who="cy", on_conflict="unsure").decision.kind is DecisionKind.UNSURE
    assert [d.kind.value for d in live(store.decisions())] == ["flag", "unsure"]
