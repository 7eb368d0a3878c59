"""What a page is told and what becomes of what it sends: every address of the review, without a network."""

import json
import os
import shutil
import uuid
from dataclasses import replace

import numpy as np
import pytest

import trackdb
from trackdb.engine.ingest import ingest
from trackdb.engine.pipeline import solve
from trackdb.engine.review.agenda import LISTED
from trackdb.engine.review.material import Wanted
from trackdb.errors import ConfigError, MissingRowsError, StoreLockedError
from trackdb.server import serving
from trackdb.server.events import Events
from trackdb.storage import decision_log
from trackdb.storage.decision_log import write_lines
from trackdb.storage.decisions import CellPlace, DecisionKind
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.leases import lease

from .command_line import answer as command
from .movies import copied, jostling_cells, write_ctc, write_rows
from .reviews import SIMPLE, another, log_of, opened, tab_of

pytestmark = pytest.mark.usefixtures("own_home_and_log")


@pytest.fixture
def path(jostling, tmp_path):
    return copied(jostling, tmp_path / "movie.trackdb")


@pytest.fixture(scope="module")
def shown(jostling, tmp_path_factory):
    """A tab in which nothing is answered; for what is refused or only looked at."""
    return tab_of(opened(copied(jostling, tmp_path_factory.mktemp("shown") / "movie.trackdb")))


@pytest.fixture
def tab(path):
    return tab_of(opened(path))


def refused(reply, status, code):
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code), reply.text
    return reply.json()


def test_a_question_tells_what_a_cell_may_do_and_sums_to_one(shown):
    question = shown.question
    outcomes = question["outcomes"]
    assert all(
        len(pair["daughters"]) == 2 and pair["probability"] <= question["others"] + 1e-9 for pair in question["pairs"]
    )
    assert sum(o["probability"] for o in outcomes) + question["others"] == pytest.approx(1)
    assert [o["probability"] for o in outcomes] == sorted((o["probability"] for o in outcomes), reverse=True)
    assert [] in [o["daughters"] for o in outcomes]
    assert [o["daughters"] for o in outcomes if o["chosen"]] == [question["chosen"]]
    named = {cell for o in outcomes for cell in o["daughters"]}
    assert named <= {c["cell"] for c in question["candidates"]}
    assert all(c["frame"] == question["frame"] + 1 for c in question["candidates"])
    assert question["number"] == 1
    assert question["cell"] == shown.state["queue"][0]["cell"]
    assert question["cell"] not in shown.state["next"]
    rivals = {(r["cell"], link["target"]) for r in question["rivals"] for link in r["links"]}
    assert rivals
    assert all(cell != question["cell"] for cell, _ in rivals)


def test_pages_that_were_closed_leave_something_to_ask(tab):
    """A question is free again after some minutes; until then the pages that were opened hold more than is listed."""
    asked = [tab.get("/api/session", client=f"closed-{n}")["question"] for n in range(LISTED + 3)]
    assert None not in asked
    assert len({question["cell"] for question in asked}) == LISTED + 3


def test_an_answer_is_on_the_disk_pins_all_candidates_and_the_next_question_knows_it(tab, path):
    question, second = tab.question, tab.question["outcomes"][1]["daughters"]
    reply = tab.answer(second)
    [kept] = log_of(path)
    assert (kept.kind, kept.cell.id, [d.id for d in kept.daughters]) == ("choose", question["cell"], second)
    assert (kept.solution, kept.posterior, kept.blind, kept.ms) == ("ilp-1", "posterior-1", False, 5)
    assert kept.shown == [[o["daughters"], o["probability"]] for o in question["outcomes"]]
    assert reply.json()["saved"]["seq"] == tab.state["n_entries"] == 1
    assert tab.question["cell"] != question["cell"]
    assert reply.json()["touched"] > 0
    again = tab.get("/api/question", client="tab", cell=question["cell"])["question"]
    assert [o["daughters"] for o in again["outcomes"] if o["probability"] > 0.99] == [second]
    assert [c["probability"] > 0.99 for c in again["candidates"]] == [c["cell"] in second for c in again["candidates"]]
    assert [a["seq"] for a in again["answers"]] == [1]
    later = trackdb.open(path).solution().posterior().open()
    assert later.outcomes(question["cell"]) == {tuple(second): 1.0}
    for other in tab.state["queue"]:
        told = tab.get("/api/question", client="tab", cell=other["cell"])["question"]["outcomes"]
        fresh = later.outcomes(other["cell"])
        assert all(o["probability"] == pytest.approx(fresh.get(tuple(o["daughters"]), 0), abs=1e-4) for o in told)


def test_the_same_answer_sent_again_is_not_kept_again(tab, path):
    body = tab.body()
    first, again = tab.post("/api/decisions", body), tab.post("/api/decisions", body)
    assert (first.json()["repeated"], again.json()["repeated"]) == (False, True)
    assert again.json()["saved"] == first.json()["saved"]
    assert again.json()["progress"]["sitting"] == 1
    assert len(log_of(path)) == 1
    restarted = tab_of(opened(path))  # the reply was lost, and the server with it
    assert restarted.post("/api/decisions", body).json()["repeated"]
    assert len(log_of(path)) == 1


def test_a_second_tab_is_asked_something_else_and_a_stale_one_is_told_to_reload(tab, path):
    other = another(tab, "other")
    assert other.question["cell"] != tab.question["cell"]
    other.state = other.get("/api/question", client="other", cell=tab.question["cell"])
    body = other.body()
    assert tab.answer().status_code == 200
    told = refused(other.post("/api/decisions", body), 409, "stale")
    assert "reload" in told["error"]["message"]
    assert told["question"]["cell"] == body["cell"]
    assert len(told["question"]["answers"]) == 1
    assert told["n_entries"] == 1
    assert len(log_of(path)) == 1
    refused(tab.answer(revision="ilp-0/posterior-0/1-1"), 409, "stale")
    assert len(log_of(path)) == 1


def test_a_question_whose_cell_is_gone_since_is_stale_and_comes_with_the_next_one(tab):
    cell = tab.question["cell"]
    told = refused(tab.answer(cell=10**6, revision="ilp-0/posterior-0/1-1"), 409, "stale")
    assert told["question"]["cell"] == cell


def test_a_tab_whose_question_an_answer_touched_is_stale(tab, path):
    question, second = tab.question, tab.question["outcomes"][1]["daughters"]
    asked = {"client": "tab", "cell": question["cell"], "kind": "choose", "daughters": second}
    near = tab.post("/api/preview", asked).json()["changes"][0]["cell"]
    other = another(tab, "other")
    other.state = other.get("/api/question", client="other", cell=near)
    assert tab.answer(second).status_code == 200
    told = refused(other.answer(), 409, "stale")
    assert told["error"]["details"]["since"] == "#1 of ana"
    assert (told["question"]["cell"], len(log_of(path))) == (near, 1)


def test_an_answer_elsewhere_makes_no_tab_stale(tab, path):
    far_away = [item for item in tab.state["queue"] if abs(item["frame"] - tab.question["frame"]) > 1]
    other = another(tab, "other")
    other.state = other.get("/api/question", client="other", cell=far_away[0]["cell"])
    assert tab.answer().status_code == 200
    assert other.answer().status_code == 200
    assert [d.seq for d in log_of(path)] == [1, 2]


def excluded(tab):
    """Return a tab that shows a question whose answer an earlier one excludes, and what it sends."""
    question = tab.question
    daughter = question["outcomes"][0]["daughters"][0]
    rival = next(r["cell"] for r in question["rivals"] if daughter in [link["target"] for link in r["links"]])
    assert tab.answer([daughter]).status_code == 200
    tab.state = tab.get("/api/question", client="tab", cell=rival)
    return tab.body([daughter])


def test_what_an_earlier_answer_excludes_is_refused_with_three_choices_and_none_is_dropped(tab, path):
    body = excluded(tab)
    told = refused(tab.post("/api/decisions", body), 409, "excluded")
    assert [e["seq"] for e in told["earlier"]] == [1]
    assert told["choices"] == ["replace", "keep", "unsure"]
    assert len(log_of(path)) == 1


def standing(path):
    return [(d.kind.value, d.cell.id, [x.id for x in d.daughters or ()]) for d in trackdb_live(path)]


def trackdb_live(path):
    from trackdb.storage.decisions import live

    return live(log_of(path))


def test_the_earlier_answer_may_be_replaced(tab, path):
    body = excluded(tab)
    reply = tab.post("/api/decisions", body | {"resolve": "replace"})
    assert [r["seq"] for r in reply.json()["replaced"]] == [1]
    assert not reply.json()["progress"]["can_redo"]  # what was replaced was not taken back by itself
    assert standing(path) == [("choose", body["cell"], body["daughters"])]


def test_the_earlier_answer_may_be_kept_and_what_was_meant_is_in_the_log(tab, path):
    body = excluded(tab)
    kept = standing(path)
    reply = tab.post("/api/decisions", body | {"resolve": "keep"})
    assert reply.status_code == 200
    flag = trackdb_live(path)[-1]
    assert standing(path)[:-1] == kept
    assert (flag.kind, flag.cell.id) == (DecisionKind.FLAG, body["cell"])
    assert f"continues as {body['daughters'][0]}" in flag.note
    assert tab.question["cell"] != body["cell"]


def test_both_may_be_left_open(tab, path):
    body = excluded(tab)
    first = log_of(path)[0].cell.id
    assert tab.post("/api/decisions", body | {"resolve": "unsure"}).status_code == 200
    assert sorted(standing(path)) == sorted([("unsure", body["cell"], []), ("unsure", first, [])])
    asked = {item["cell"] for item in tab.get("/api/queue", top=500)["items"]}
    assert not {body["cell"], first} & asked


@pytest.mark.parametrize("kind", ["segmentation", "unsure", "not_a_cell"])
def test_a_cell_that_was_answered_otherwise_is_not_asked_again(tab, path, kind):
    cell = tab.question["cell"]
    assert tab.post("/api/decisions", tab.body() | {"kind": kind, "daughters": None}).status_code == 200
    assert [d.kind for d in log_of(path)] == [kind]
    assert cell not in {item["cell"] for item in tab.get("/api/queue", top=500)["items"]}


def test_none_of_these_rejects_every_candidate(tab, path):
    question = tab.question
    body = tab.body() | {"kind": "reject", "daughters": None}
    assert tab.post("/api/decisions", body).status_code == 200
    assert {d.id for d in log_of(path)[0].daughters} == {c["cell"] for c in question["candidates"]}
    told = tab.get("/api/question", client="tab", cell=question["cell"])["question"]["outcomes"]
    assert {tuple(o["daughters"]) for o in told if o["probability"] > 0} == {()}


def test_a_flag_with_words_leaves_the_question_where_it_is(tab, path):
    cell = tab.question["cell"]
    assert (
        tab.post("/api/decisions", tab.body() | {"kind": "flag", "daughters": None, "note": "dim"}).status_code == 200
    )
    assert tab.question["cell"] == cell
    assert log_of(path)[0].note == "dim"
    assert tab.state["progress"]["sitting"] == 0
    assert tab.answer().status_code == 200


def outcomes_of(tab, cell):
    told = tab.get("/api/question", client="tab", cell=cell)["question"]
    return {tuple(o["daughters"]): o["probability"] for o in told["outcomes"]}


def test_undo_goes_back_step_by_step_over_sittings_and_redo_forward(tab, path):
    cells, before = [], {}
    for _ in range(3):
        cells.append(tab.question["cell"])
        before[cells[-1]] = outcomes_of(tab, cells[-1])
        tab.state = tab.get("/api/question", client="tab")
        tab.answer(tab.question["outcomes"][1]["daughters"])
    asked = tab.state["queue"]
    tab = tab_of(opened(path))  # the next day
    assert [item["cell"] for item in tab.state["queue"]] == [item["cell"] for item in asked]
    assert tab.state["progress"] | {"answered": 3, "sitting": 0, "can_undo": True} == tab.state["progress"]
    for cell in reversed(cells):
        reply = tab.post("/api/undo", {"key": str(uuid.uuid4()), "client": "tab"})
        assert reply.json()["undone"]["cell"] == tab.question["cell"] == cell
        now = outcomes_of(tab, cell)
        assert all(now[key] == pytest.approx(p, abs=1e-4) for key, p in before[cell].items())
    undo = {"key": str(uuid.uuid4()), "client": "tab"}
    refused(tab.post("/api/undo", undo), 409, "nothing_to_undo")
    assert not tab.state["progress"]["can_undo"]
    for cell in cells:
        assert tab.state["progress"]["can_redo"]
        reply = tab.post("/api/redo", {"key": str(uuid.uuid4()), "client": "tab"})
        assert reply.json()["redone"]["cell"] == cell
    refused(tab.post("/api/redo", {"key": str(uuid.uuid4()), "client": "tab"}), 409, "nothing_to_redo")
    assert len(log_of(path)) == 9  # nothing was erased
    assert [item["cell"] for item in tab.state["queue"]] == [item["cell"] for item in asked]


def test_a_preview_tells_what_the_answer_will_change_and_writes_nothing(tab, path):
    question, second = tab.question, tab.question["outcomes"][1]["daughters"]
    queue = tab.get("/api/queue", top=100)
    told = tab.post("/api/preview", {"client": "tab", "cell": question["cell"], "kind": "choose", "daughters": second})
    effect = told.json()
    assert effect["n_changed"] >= len(effect["changes"]) > 0
    assert effect["n_flips"] == sum(c["flips"] for c in effect["changes"]) > 0
    assert log_of(path) == []
    assert tab.get("/api/queue", top=100) == queue
    for change in effect["changes"]:
        assert outcomes_of(tab, change["cell"])[tuple(change["before"]["daughters"])] == pytest.approx(
            change["before"]["probability"], abs=1e-6
        )
    tab.state = tab.get("/api/question", client="tab", cell=question["cell"])
    tab.answer(second)
    for change in effect["changes"]:
        found = outcomes_of(tab, change["cell"])
        assert found[tuple(change["after"]["daughters"])] == pytest.approx(change["after"]["probability"], abs=1e-6)
        assert max(found.values()) == pytest.approx(change["after"]["probability"], abs=1e-6)


def test_a_preview_of_what_is_excluded_is_refused_and_leaves_all_as_it_was(tab):
    body = excluded(tab)
    queue = tab.get("/api/queue", top=100)
    asked = {key: body[key] for key in ("client", "cell", "kind", "daughters")}
    refused(tab.post("/api/preview", asked), 409, "no_candidate")
    assert tab.get("/api/queue", top=100) == queue


def test_questions_that_are_drawn_tell_neither_probabilities_nor_the_answer_of_the_solver(path):
    tab = tab_of(opened(path, audit=1.0))
    question = tab.question
    assert question["blind"]
    assert (question["chosen"], question["entropy_bits"], question["others"], question["how"]) == (None,) * 4
    assert question["pairs"] == []
    assert {(o["probability"], o["chosen"]) for o in question["outcomes"]} == {(None, None)}
    assert [o["daughters"] for o in question["outcomes"]] == sorted(o["daughters"] for o in question["outcomes"])
    assert {c["probability"] for c in question["candidates"]} == {None}
    asked = {"client": "tab", "cell": question["cell"], "kind": "choose", "daughters": []}
    assert (
        tab.post("/api/preview", asked).json() | {"blind": True, "changes": [], "errors": None}
        == tab.post("/api/preview", asked).json()
    )
    lineage = tab.get(f"/api/lineage/{question['cell']}")
    assert lineage["blind"]
    assert max(node["t"] for node in lineage["nodes"]) == question["frame"]
    assert {node["probability"] for node in lineage["nodes"]} == {None}
    assert tab_of(opened(path, audit=1.0)).question["cell"] == question["cell"]  # who comes back is asked the same
    daughters = question["candidates"][0]["cell"]
    tab.answer([daughters], blind=False)  # what the server knows, the page cannot deny
    assert log_of(path)[0].blind
    assert tab.question["blind"]
    assert tab.question["cell"] != question["cell"]


def test_after_a_restart_the_draw_tells_what_is_of_the_audit_and_not_the_page(path):
    before = tab_of(opened(path, audit=1.0))
    audit, told = before.question, before.body()
    effect = {"client": "tab", "cell": audit["cell"], "kind": "choose", "daughters": []}
    again = tab_of(opened(path, audit=1.0), "new")  # the tab of before has not asked it for anything
    assert again.post("/api/preview", effect).json()["blind"]
    assert session_lineage_is_blind(path, audit["cell"])
    assert again.post("/api/decisions", told).status_code == 200
    assert log_of(path)[0].blind
    other = next(item["cell"] for item in again.state["queue"] if item["cell"] != again.question["cell"])
    again.state = again.get("/api/question", client="new", cell=other)
    claimed = again.body(client="gone", blind=True)
    restarted = tab_of(opened(path, audit=1.0), "new")
    assert restarted.post("/api/decisions", claimed).status_code == 200
    assert (log_of(path)[1].cell.id, log_of(path)[1].blind) == (other, False)


@pytest.mark.parametrize("restart", [False, True])
def test_an_audit_that_was_taken_back_is_one_again(path, restart):
    tab = tab_of(opened(path, audit=1.0))
    cell = tab.question["cell"]
    tab.answer()
    tab.post("/api/undo", {"key": str(uuid.uuid4()), "client": "tab"})
    assert (tab.question["cell"], tab.question["blind"]) == (cell, True)
    now = tab_of(opened(path, audit=0.0), "new") if restart else tab
    assert now.post("/api/decisions", tab.body()).status_code == 200
    assert [(d.cell.id, d.blind) for d in trackdb_live(path)] == [(cell, True)]


@pytest.mark.parametrize("kind", ["choose", "reject"])
def test_what_was_taken_back_is_asked_first_after_a_reload_and_a_new_start(path, kind):
    tab = tab_of(opened(path))
    tab.state = tab.get("/api/question", client="tab", cell=tab.state["queue"][3]["cell"])
    cell, daughters = tab.question["cell"], tab.question["outcomes"][0]["daughters"]
    tab.answer() if kind == "choose" else tab.answer(kind=kind, daughters=None)
    assert tab.get("/api/question", client="tab")["question"]["cell"] != cell
    tab.post("/api/undo", {"key": str(uuid.uuid4()), "client": "tab"})
    left = tab.get("/api/question", client="tab", after=cell)  # who leaves it for later is asked another
    assert left["question"]["cell"] != cell
    assert another(tab, "reload").question["cell"] == cell
    assert another(tab, "second").question["cell"] != cell  # one at a time
    again = tab_of(opened(path))
    assert again.question["cell"] == cell
    assert tab_of(opened(path, "ben")).question["cell"] != cell  # it is nothing to others
    assert again.answer(daughters).status_code == 200
    assert again.question["cell"] != cell
    assert tab_of(opened(path)).question["cell"] == again.question["cell"]


def test_a_blind_question_that_is_asked_for_again_stays_blind_and_of_the_audit(path):
    tab = tab_of(opened(path, audit=1.0))
    tab.state = tab.get("/api/question", client="tab", cell=tab.question["cell"])
    assert tab.question["blind"]
    tab.answer(kind="flag", daughters=None)
    assert tab.question["blind"]
    tab.answer()
    assert [d.blind for d in log_of(path) if d.kind == "choose"] == [True]


def session_lineage_is_blind(path, cell):
    """Whether a server that was asked for no question yet keeps what comes after a cell to itself."""
    relatives, likely, blind = opened(path, audit=1.0).lineage(cell)
    return blind and set(likely) == {None} and not any(r.parent == cell for r in relatives)


def test_after_a_restart_a_second_opinion_is_none_of_the_audit(path):
    tab_of(opened(path, "ana")).answer()
    told = tab_of(opened(path, "ben", overlap=1.0)).body([d.id for d in log_of(path)[0].daughters])
    assert told["blind"]
    assert tab_of(opened(path, "ben", overlap=1.0), "new").post("/api/decisions", told).status_code == 200
    assert [(d.cell.id, d.blind) for d in log_of(path)] == [(told["cell"], False)] * 2


def test_a_few_questions_that_another_answered_are_asked_again_as_they_were_put_to_him(path):
    ana = tab_of(opened(path, "ana"))
    asked = [ana.question["cell"]]
    shown = [o["daughters"] for o in ana.question["outcomes"]]
    ana.answer()
    ben = tab_of(opened(path, "ben", overlap=1.0))
    assert ben.question["cell"] == asked[0]
    assert ben.question["blind"]
    assert sorted(o["daughters"] for o in ben.question["outcomes"]) == sorted(shown)
    assert ben.question["answers"] == []
    ben.answer(log_of(path)[0].daughters and [d.id for d in log_of(path)[0].daughters])
    assert not log_of(path)[1].blind  # not of the audit: nobody drew it
    people = {p["who"]: p for p in ben.get("/api/stats")["people"]}
    assert (people["ben"]["asked_too"], people["ben"]["agreed"]) == (1, 1)
    assert ben.question["cell"] != asked[0]


def test_what_another_was_asked_blind_is_nobodys_second_question(path):
    tab_of(opened(path, "ana", audit=1.0)).answer()
    assert not tab_of(opened(path, "ben", overlap=1.0)).question["blind"]


def test_answers_of_another_server_are_picked_up_and_told(path):
    ana, ben = opened(path, "ana"), opened(path, "ben")
    one, two = tab_of(ana), tab_of(ben)
    cell = two.question["cell"]
    body = two.body()
    one.answer()
    heard = ben.hear()
    assert [(h.told.decision.who, cell in h.touched) for h in heard] == [("ana", True)]
    assert ben.hear() == []
    refused(two.post("/api/decisions", body), 409, "stale")
    for _ in range(3):  # turn by turn, both know all
        two.state = two.get("/api/question", client="tab")
        assert two.answer().status_code == 200
        one.state = one.get("/api/question", client="tab")
        assert one.answer().status_code == 200
    assert [d.seq for d in log_of(path)] == list(range(1, 8))
    assert [t.get("/api/question", client="x")["n_entries"] for t in (one, two)] == [7, 7]
    tables = [t.get("/api/queue", top=100)["items"] for t in (one, two)]
    assert [item["cell"] for item in tables[0]] == [item["cell"] for item in tables[1]]


def test_a_page_lists_what_anybody_said_last_but_of_a_cell_that_is_asked_blind(path):
    ana, ben = tab_of(opened(path, "ana")), tab_of(opened(path, "ben"))
    first = ana.question["cell"]
    ana.answer()
    ben.state = ben.get("/api/question", client="tab")
    assert [(r["who"], r["cell"]) for r in ben.state["recent"]] == [("ana", first)]
    assert ben.get("/api/decisions", top=5)["items"] == []  # what there is to undo is of one's own
    assert not ben.state["progress"]["can_undo"]
    ben.answer()
    ana.state = ana.get("/api/question", client="tab")
    assert [r["who"] for r in ana.state["recent"]] == ["ben", "ana"]
    ana.post("/api/undo", {"key": str(uuid.uuid4()), "client": "tab"})
    ben.state = ben.get("/api/question", client="tab")
    assert [(r["who"], r["undone"]) for r in ben.state["recent"]] == [("ben", False), ("ana", True)]
    cat = tab_of(opened(path, "cat", overlap=1.0))
    assert (cat.question["blind"], cat.question["cell"]) == (True, ben.state["recent"][0]["cell"])
    assert [r["cell"] for r in cat.state["recent"]] == [first]


def test_where_two_disagree_the_second_is_asked_and_both_are_listed(path):
    ana, ben = tab_of(opened(path, "ana")), tab_of(opened(path, "ben", overlap=1.0))
    first = ana.question["outcomes"][0]["daughters"]
    ana.answer(first)
    ben.state = ben.get("/api/question", client="tab")
    other = next(o["daughters"] for o in ben.question["outcomes"] if o["daughters"] != first)
    body = ben.body(other)
    refused(ben.post("/api/decisions", body), 409, "excluded")
    assert ben.post("/api/decisions", body | {"resolve": "replace"}).status_code == 200
    [apart] = ben.get("/api/stats")["disagreements"]
    assert [(r["who"], r["daughters"], r["undone"]) for r in apart["said"]] == [
        ("ana", first, True),
        ("ben", other, False),
    ]


def test_of_logs_that_contradict_each_other_neither_counts_and_the_cell_is_asked_again(path):
    tab = tab_of(opened(path))
    question, queue = tab.question, [item["cell"] for item in tab.state["queue"]]
    tab.answer(question["outcomes"][0]["daughters"])
    [ana] = log_of(path)
    other = question["outcomes"][1]["daughters"]
    ben = replace(ana, seq=2, key="ben", who="ben", daughters=tuple(map(CellPlace, other)))
    write_lines(path, [ben])
    for session in (tab_session(tab), opened(path)):
        tab = tab_of(session)
        assert [item["cell"] for item in tab.state["queue"]] == queue
        tab.state = tab.get("/api/question", client="tab", cell=question["cell"])
        assert [o["probability"] for o in tab.question["outcomes"]] == pytest.approx(
            [o["probability"] for o in question["outcomes"]], abs=1e-4
        )
        assert [a["who"] for a in tab.question["answers"]] == ["ana", "ben"]
    told = refused(tab.post("/api/decisions", tab.body(other)), 409, "excluded")
    assert [e["who"] for e in told["earlier"]] == ["ana"]
    assert tab.answer(other, resolve="replace").status_code == 200
    assert outcomes_of(tab, question["cell"])[tuple(other)] == pytest.approx(1)
    assert question["cell"] not in {item["cell"] for item in tab.get("/api/queue", top=500)["items"]}


def test_what_was_said_of_older_detections_is_known_by_place_and_what_has_none_is_told(path):
    tab = tab_of(opened(path))
    cell = tab.question["cell"]
    assert tab.post("/api/decisions", tab.body() | {"kind": "unsure", "daughters": None}).status_code == 200
    [unsure] = log_of(path)
    shutil.rmtree(path / "annotations")
    write_lines(path, [replace(unsure, cell=replace(unsure.cell, id=9000))])
    far = replace(unsure, seq=2, key="far", cell=CellPlace(9001, 1, (-500.0, -500.0)))
    write_lines(path, [far])
    session = opened(path)
    assert session.unattached == [far]
    assert cell not in {item["cell"] for item in tab_of(session).get("/api/queue", top=500)["items"]}


def test_a_limit_ends_the_sitting_and_not_the_work(path):
    tab = tab_of(opened(path, limit=2))
    tab.answer()
    tab.answer()
    assert (tab.question, tab.state["why"]) == (None, "limit")
    assert tab.state["open"] > 0
    assert tab.get("/api/question", client="tab", cell=1)["question"]["cell"] == 1


def test_when_all_is_answered_nothing_is_asked(tab):
    for _ in range(200):
        if tab.question is None:
            break
        assert tab.answer().status_code == 200
    assert tab.state["why"] == "done"
    assert tab.state["open"] == 0
    assert tab.state["progress"]["stop_offered"] == (tab.state["progress"]["answered"] >= 30)


def test_next_leaves_a_question_for_later_and_comes_round(tab):
    first = tab.question["cell"]
    after = tab.get("/api/question", client="tab", after=first)["question"]["cell"]
    assert after == tab.state["queue"][1]["cell"]
    last = tab.state["queue"][-1]["cell"]
    assert tab.get("/api/question", client="tab", after=last)["question"]["cell"] == first
    assert tab.get("/api/question", client="tab")["question"]["cell"] == first


def test_a_store_that_was_solved_again_is_read_again(path):
    session = opened(path)
    tab = tab_of(session)
    body = tab.body()
    tab.answer(tab.question["outcomes"][1]["daughters"])
    assert not session.reload()
    assert session.solved_again() is None
    assert tab.get("/api/changes")["after"] is None
    command("solve", path, "--simple")
    found = session.solved_again()
    assert not session.reload()  # there is no posterior of it yet
    assert (found.before, found.after, session.solved_again()) == ("ilp-1", "ilp-2", None)
    told, diff = tab.get("/api/changes"), command("diff", path, "ilp-1", "ilp-2")
    assert [[c["cell"], d] for c in told["cells"] for d in c["gone"]] == diff["links_only_a"]
    assert [[c["cell"], d] for c in told["cells"] for d in c["new"]] == diff["links_only_b"]
    assert (told["gone"], told["new"], told["more"]) == (diff["only_a"], diff["only_b"], 0)
    pinned = next(c for c in told["cells"] if c["cell"] == body["cell"])
    assert (pinned["gone"], pinned["new"]) == (body["daughters"], log_daughters(path))
    assert pinned["text"] == f"no longer {pinned['gone'][0]}, now {pinned['new'][0]}"
    assert [tab.get("/api/question", client="tab", cell=c["cell"])["question"]["frame"] for c in told["cells"]] == [
        c["frame"] for c in told["cells"]
    ]
    command("posterior", path)
    assert session.reload()
    assert tab.get("/api/changes") == told
    assert session.revision.startswith("ilp-2/posterior-2/")
    refused(tab.post("/api/decisions", body | {"key": str(uuid.uuid4())}), 409, "stale")
    tab.state = tab.get("/api/session", client="tab")
    assert tab.state["solution"] == "ilp-2"
    assert tab.state["progress"]["answered"] == 1
    assert tab.answer().status_code == 200


def test_answers_are_taken_while_another_process_writes_the_tables(path, monkeypatch):
    session = opened(path)
    tab = tab_of(session)
    with DuckDBStore(path).writing():
        assert tab.answer().status_code == 200
        assert tab.get(f"/api/scene/{tab.question['cell']}")["frames"]
        assert tab.get(f"/api/lineage/{tab.question['cell']}")["nodes"]
    assert command("sql", path, "select count(*) from annotations")["rows"] == [[1]]

    def locked(*_):
        raise StoreLockedError("movie is open in another process", **{"held by": "pid 1 (trackdb solve)"})

    monkeypatch.setattr("trackdb.engine.review.session.revision_of", locked)
    with pytest.raises(StoreLockedError):
        session.reload()
    assert tab.answer().status_code == 200


@pytest.mark.parametrize(("fails", "code", "status"), [(28, "disk_full", 507), (5, "not_saved", 500)])
def test_what_cannot_be_written_is_not_acknowledged_and_may_be_sent_again(tab, path, monkeypatch, fails, code, status):
    body, cell = tab.body(), tab.question["cell"]

    def failing(_):
        raise OSError(fails, os.strerror(fails))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", failing)
        refused(tab.post("/api/decisions", body), status, code)
    assert log_of(path) == []
    assert tab.get("/api/question", client="tab")["question"]["cell"] == cell
    assert tab.post("/api/decisions", body).status_code == 200
    assert [d.seq for d in log_of(path)] == [1]


def test_a_log_that_another_holds_is_busy(tab, path, monkeypatch):
    monkeypatch.setattr(decision_log, "WAIT_S", 0.1)
    body = tab.body()
    with lease(path, decision_log.LEASE, holder="a test"):
        reply = tab.post("/api/decisions", body)
        told = refused(reply, 423, "busy")
        assert told["error"]["details"]["held by"] == "another answer"
        assert told["error"]["retry_ms"] > 0
        assert int(reply.headers["retry-after"]) > 0
        refused(tab.post("/api/undo", {"key": str(uuid.uuid4()), "client": "tab"}), 423, "busy")
    assert log_of(path) == []
    assert tab.post("/api/decisions", body).status_code == 200


def log_daughters(path):
    return [d.id for d in log_of(path)[0].daughters]


def tab_session(tab):
    return tab.http.app._app.router.routes[0].endpoint.__self__._session


def test_a_torn_line_is_taken_away_and_numbers_go_on(tab, path):
    for _ in range(2):
        tab.answer()
    [file] = (path / "annotations").glob("*.jsonl")
    with file.open("ab") as stream:
        stream.write(b'{"v":1,"seq":3,"key":"torn')
    tab = tab_of(opened(path))
    assert tab.state["progress"]["answered"] == 2
    assert tab.answer().status_code == 200
    lines = [line for file in (path / "annotations").glob("*.jsonl") for line in file.read_text().splitlines()]
    assert sorted(json.loads(line)["seq"] for line in lines) == [1, 2, 3]


BAD = {
    "no cell": {"cell": None},
    "a cell in words": {"cell": "17"},
    "a negative cell": {"cell": -1},
    "a key that is a path": {"key": "../../x"},
    "a short key": {"key": "x"},
    "an unknown kind": {"kind": "guess"},
    "daughters in words": {"daughters": ["a"]},
    "daughters as a number": {"daughters": 3},
    "a client that is a path": {"client": "../x"},
    "no revision": {"revision": None},
    "an unknown way out": {"resolve": "drop"},
    "a note that is none": {"note": 3},
    "true for a number": {"n_seen": True},
}


@pytest.mark.parametrize("wrong", BAD.values(), ids=BAD)
def test_a_request_that_says_something_else_is_refused_by_name(shown, wrong):
    told = refused(shown.post("/api/decisions", shown.body() | wrong), 400, "bad_request")
    assert told["error"]["message"]
    assert shown.get("/api/decisions")["items"] == []


@pytest.mark.parametrize("number", ["", "abc", "-1", "1e3", "1" * 19, "\u0663"])
def test_a_number_that_is_none_is_refused_by_name(shown, number):
    told = refused(shown.http.get("/api/question", {"client": "tab", "cell": number}), 400, "bad_request")
    assert told["error"]["message"] == "cell is a whole number"


def test_pages_are_told_of_an_answer_and_of_its_undoing_once(path):
    events, told = Events(), []
    events.tell = lambda name, data: told.append((name, data["record"]["seq"], data["client"]))
    tab = tab_of(opened(path), events=events)
    body, undo = tab.body(), {"key": str(uuid.uuid4()), "client": "tab"}
    for path_, sent in [("/api/decisions", body)] * 2 + [("/api/undo", undo)] * 2:
        assert tab.post(path_, sent).status_code == 200
    assert told == [("answered", 1, "tab"), ("undone", 1, "tab")]


def test_what_is_no_answer_at_all_is_refused(tab, path):
    for body in ([], "x", 3):
        refused(tab.http.post("/api/decisions", body), 400, "bad_request")
    refused(tab.http.post("/api/decisions", {"note": "x" * (64 << 10)}), 413, "too_large")
    refused(tab.post("/api/decisions", tab.body([10**9])), 404, "unknown_cell")
    refused(tab.post("/api/decisions", tab.body([1, 2, 3])), 409, "no_candidate")
    assert log_of(path) == []


@pytest.mark.parametrize(
    "path_",
    [
        "/static/..%2fguard.py",
        "/static/%2e%2e/guard.py",
        "/static/%2e%2e%2fguard.py",
        "/static//etc/passwd",
        "/static/%2fetc%2fpasswd",
        "/static/..\\guard.py",
        "/static/",
        "/static/index.html/..",
        "/static/nothing.js",
        "/api/crop/..%2f..%2fx/1",
        "/api/scene/1e3",
        "/api/nothing",
        "/../trackdb.toml",
    ],
)
def test_no_path_reaches_the_disk(shown, path_):
    reply = shown.http.get(path_)
    assert reply.status_code == 404
    assert reply.json()["error"]["code"] == "not_found"


def test_a_link_out_of_the_folder_of_the_page_is_not_followed(tmp_path, monkeypatch):
    from trackdb.server import page

    (tmp_path / "web").mkdir()
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "web" / "index.html").write_text("<p>")
    (tmp_path / "web" / "out.txt").symlink_to(tmp_path / "secret.txt")
    monkeypatch.setattr(page, "files", lambda _: tmp_path)
    assert set(page.page_files()) == {"index.html"}


def test_the_page_and_its_files_are_served_as_what_they_are(shown):
    assert shown.http.get("/").headers["content-type"] == "text/html; charset=utf-8"
    assert shown.http.get("/static/main.js").headers["content-type"] == "text/javascript; charset=utf-8"
    assert shown.http.get("/static/review.css").headers["content-type"] == "text/css; charset=utf-8"


def test_a_movie_of_points_has_scenes_without_pixels(shown):
    cell = shown.question["cell"]
    scene = shown.get(f"/api/scene/{cell}")
    assert (scene["images"], scene["masks"], scene["ndim"]) == (False, False, 2)
    assert [frame["t"] for frame in scene["frames"]] == [
        t for t in range(shown.question["frame"] - 2, shown.question["frame"] + 4) if 0 <= t <= 5
    ]
    seen_there = {seen["cell"]: seen for frame in scene["frames"] for seen in frame["cells"]}
    wanted = {cell, *(c["cell"] for c in shown.question["candidates"])}
    assert wanted <= set(seen_there)
    assert {seen["outline"] for seen in seen_there.values()} == {None}
    window = scene["window"]
    for seen in (seen_there[c] for c in wanted):
        assert window["y0"] <= seen["y"] <= window["y0"] + window["height"]
        assert window["x0"] <= seen["x"] <= window["x0"] + window["width"]
    refused(shown.http.get(f"/api/crop/{cell}/{scene['frame']}"), 404, "no_images")
    refused(shown.http.get(f"/api/mask/{cell}/{scene['frame']}"), 404, "no_masks")
    refused(shown.http.get("/api/scene/99999"), 404, "unknown_cell")
    refused(shown.http.get("/api/lineage/99999"), 404, "unknown_cell")


@pytest.fixture(scope="module")
def imaged(tmp_path_factory):
    folder = tmp_path_factory.mktemp("imaged")
    store = DuckDBStore(folder / "movie.trackdb")
    ingest(write_ctc(folder / "movie", images=True), store)
    solve(store, store.detection_set(), SIMPLE)
    trackdb.open(store.path, write=True).posterior()
    return tab_of(opened(store.path))


def pixels(reply):
    rows, columns = map(int, reply.headers["x-shape"].split(","))
    return np.frombuffer(reply.content, "<u2").reshape(rows, columns)


def test_crops_masks_and_outlines_lie_over_each_other(imaged):
    scene = imaged.get("/api/scene/3")
    window, [seen] = scene["window"], [s for f in scene["frames"] for s in f["cells"] if s["cell"] == 3]
    assert (seen["y"], seen["x"]) == (10, 21)
    assert seen["outline"] == [
        [[7.5, 18.5], [7.5, 23.5], [12.5, 23.5], [12.5, 18.5]]
    ]  # five pixels, 8 to 12 and 19 to 23
    crop, mask = imaged.http.get("/api/crop/3/1"), imaged.http.get("/api/mask/3/1")
    image, places = pixels(crop), pixels(mask)
    assert image.shape == places.shape == (window["height"], window["width"])
    assert set(np.unique(image[places > 0])) == {200}
    assert set(np.unique(image[places == 0])) == {0}
    cells = list(map(int, mask.headers["x-cells"].split(",")))
    y, x = np.nonzero(places == 1 + cells.index(3))
    assert (y.min() + window["y0"], y.max() + window["y0"]) == (8, 12)
    assert (x.min() + window["x0"], x.max() + window["x0"]) == (19, 23)
    low, high = map(float, crop.headers["x-range"].split(","))
    assert (low, high) == (0, 200)
    refused(imaged.http.get("/api/crop/3/7"), 404, "unknown_frame")
    refused(imaged.http.get("/api/crop/3/1", {"channel": "red"}), 404, "no_images")
    refused(imaged.http.get("/api/crop/3/1", {"view": "side"}), 400, "bad_request")


def test_a_lineage_is_that_of_the_solution_and_of_what_people_say(path):
    session = opened(path)
    tab = tab_of(session)
    cell = tab.question["cell"]
    [solved] = tab.question["chosen"]

    def daughters():
        return {n["cell"]: n["pinned"] for n in tab.get(f"/api/lineage/{cell}")["nodes"] if n["parent"] == cell}

    assert daughters() == {solved: False}
    other = next(o["daughters"] for o in tab.question["outcomes"] if o["daughters"] not in ([], [solved]))
    tab.answer(other)
    assert daughters() == dict.fromkeys(other, True)
    tab.post("/api/undo", {"key": str(uuid.uuid4()), "client": "tab"})
    tab.answer([])
    assert daughters() == {}


def test_a_port_that_is_taken_is_refused_with_the_next_step(path):
    with serving._listening("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"port {port} .*another --port"):
            serving.serve(opened(path), path, port=port, opened=print)


def test_a_posterior_by_belief_is_reviewed_and_its_calibration_is_not_claimed(path):
    trackdb.open(path, write=True).posterior(method="belief")
    session = opened(path)
    assert session.revision.startswith("ilp-1/posterior-2/")
    tab = tab_of(session)
    assert tab.answer().status_code == 200
    for method, told in (("auto", True), ("belief", False)):
        agenda, revision = session._interview.agenda, session.material.revision
        posterior = replace(revision.posterior, method=method, calibrated=True)
        agenda.material = replace(session.material, revision=replace(revision, posterior=posterior))
        expected = tab.get("/api/question", client="tab")["progress"]["expected_wrong"]
        assert (expected is not None) == told


def test_a_posterior_that_no_review_can_follow_is_refused_with_the_command_for_one(tmp_path, jostling):
    path = copied(jostling, tmp_path / "movie.trackdb")
    trackdb.open(path, write=True).posterior(method="softmax", name="alone")
    assert opened(path).revision.startswith("ilp-1/posterior-1/")  # the newest that can be followed
    with pytest.raises(ConfigError, match=r"alone is by softmax.* auto, exact, belief, gibbs.*trackdb posterior"):
        opened(path, wanted=Wanted(posterior="alone"))


def test_without_a_posterior_there_is_nothing_to_review(tmp_path, jostling):
    store = DuckDBStore(tmp_path / "movie.trackdb")
    ingest(write_rows(tmp_path / "movie.csv", jostling_cells(n_frames=3, seed=3)), store)
    solve(store, store.detection_set(), SIMPLE)
    with pytest.raises(MissingRowsError, match="trackdb posterior"):
        opened(store.path)


def test_the_very_first_question_is_not_a_blind_one(path):
    """The movie draws an audit for one of its first turns at any share near 1; a person who is new sees all first."""
    tab = tab_of(opened(path, audit=0.99))
    assert not tab.question["blind"]
    drawn = tab.state["next"][0]
    tab.answer()
    assert tab.question["blind"]
    assert tab.question["cell"] == drawn  # the page has its pictures already
