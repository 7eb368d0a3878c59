"""What a review tells of answers, and what it keeps from a person who is asked blind: also when he goes back."""

import asyncio
import shutil
import uuid
from dataclasses import replace

import pytest

from trackdb.server import serving
from trackdb.server.events import Events
from trackdb.storage.decision_log import write_lines

from .movies import copied
from .reviews import another, log_of, opened, tab_of

pytestmark = pytest.mark.usefixtures("own_home_and_log")


@pytest.fixture
def path(jostling, tmp_path):
    return copied(jostling, tmp_path / "movie.trackdb")


def go(tab, **query):
    """Go to a question as the page does, and return it."""
    tab.state = tab.get("/api/question", client=tab.client, **query)
    return tab.question


def undo(tab):
    return tab.post("/api/undo", {"key": str(uuid.uuid4()), "client": tab.client})


def drawn(path, **options):
    """Return a tab that asks blind now, and would not after the next answer."""
    tab = tab_of(opened(path, audit=0.2, **options))
    while not tab.question["blind"]:
        assert tab.answer().status_code == 200
    return tab


@pytest.mark.parametrize("between", ["leaves it for later", "answers another", "opens a second tab"])
def test_a_blind_question_is_blind_when_a_person_comes_back_to_it(path, between):
    tab = drawn(path)
    cell = tab.question["cell"]
    match between:
        case "leaves it for later":
            assert not go(tab, after=cell)["blind"]
        case "answers another":
            go(tab, cell=next(item["cell"] for item in tab.state["queue"] if item["cell"] != cell))
            tab.answer()
            assert not tab.question["blind"]
        case _:
            tab = another(tab, "second")
    question = go(tab, cell=cell)
    assert question["blind"]
    assert {o["probability"] for o in question["outcomes"]} == {None}
    assert tab.get(f"/api/lineage/{cell}")["blind"]
    body = {"client": tab.client, "cell": cell, "kind": "choose", "daughters": []}
    assert tab.post("/api/preview", body).json()["blind"]
    tab.answer()
    assert [d.blind for d in log_of(path) if d.cell.id == cell] == [True]
    assert not go(tab, cell=cell)["blind"]  # what is answered need not be hidden


def test_a_second_opinion_that_is_taken_back_is_put_as_before(path):
    tab_of(opened(path, "ana")).answer()
    ben = tab_of(opened(path, "ben", overlap=1.0))
    first = ben.question
    assert go(ben, after=first["cell"])["cell"] != first["cell"]
    assert go(ben, cell=first["cell"]) == first
    ben.answer()
    undo(ben)
    assert ben.question["blind"]
    assert (ben.question["outcomes"], ben.question["answers"]) == (first["outcomes"], [])


def test_who_looked_at_the_posterior_after_a_blind_answer_is_asked_again_with_it(path):
    tab = drawn(path)
    cell = tab.question["cell"]
    tab.answer()
    assert not go(tab, cell=cell)["blind"]
    undo(tab)
    assert (tab.question["cell"], tab.question["blind"]) == (cell, False)
    tab.answer()
    assert [d.blind for d in log_of(path) if d.cell is not None and d.cell.id == cell] == [True, False]


def test_what_was_said_of_older_detections_is_taken_back_to_the_question_of_that_place(path):
    tab = tab_of(opened(path))
    cell = tab.question["cell"]
    tab.post("/api/decisions", tab.body() | {"kind": "unsure", "daughters": None})
    [unsure] = log_of(path)
    shutil.rmtree(path / "annotations")
    write_lines(path, [replace(unsure, cell=replace(unsure.cell, id=9000))])
    again = tab_of(opened(path))
    assert undo(again).status_code == 200
    assert again.question["cell"] == cell


def heard(session, path):
    """Return what the pages of a review are told of what others wrote: the event, what was said, and more."""
    told, events = [], Events()
    events.tell = lambda name, data: told.append((name, data["record"], data))
    asyncio.run(serving.Watch(session, path, events).look())
    return told


def test_what_another_said_of_a_cell_is_not_told_before_one_has_answered_it(path):
    ana, session = tab_of(opened(path, "ana")), opened(path, "ben", overlap=0.05)
    ben, question = tab_of(session), ana.question
    ana.answer()
    [(name, record, _)] = heard(session, path)
    assert (name, record["who"], record["kind"], record["text"]) == (
        "answered",
        "ana",
        "answered",
        f"cell {question['cell']}",
    )
    assert record["daughters"] is None
    go(ben, after=question["cell"])
    assert ben.state["recent"] == [record]
    undo(ana)
    assert [(name, record["text"]) for name, record, _ in heard(session, path)] == [("undone", record["text"])]
    ana.answer()
    go(ben, cell=question["cell"])
    ben.answer()
    told = {r["who"]: r["daughters"] for r in ben.state["recent"] if not r["undone"]}
    assert told["ana"] == told["ben"] == question["outcomes"][0]["daughters"]


def test_where_nothing_is_asked_blind_what_others_say_and_take_back_is_told(path):
    ana, session = tab_of(opened(path, "ana")), opened(path, "ben")
    ana.answer()
    [(name, record, _)] = heard(session, path)
    assert (name, record["kind"], record["daughters"]) == (
        "answered",
        "choose",
        [d.id for d in log_of(path)[0].daughters],
    )
    undo(ana)
    [(name, again, _)] = heard(session, path)
    assert (name, again["text"], again["undone"]) == ("undone", record["text"], True)
    ana.post("/api/redo", {"key": str(uuid.uuid4()), "client": "tab"})
    [(name, again, _)] = heard(session, path)
    assert (name, again["text"], again["undone"]) == ("answered", record["text"], False)


def test_a_log_that_is_copied_into_the_store_makes_what_it_touches_stale_and_is_told(path, tmp_path):
    elsewhere = copied(path, tmp_path / "elsewhere.trackdb")
    session = opened(path, "ana")
    tab = tab_of(session)
    for _ in range(3):
        tab.answer()
    ben = tab_of(opened(elsewhere, "ben"))
    go(ben, cell=tab.question["cell"])
    ben.answer()
    [log] = (elsewhere / "annotations").iterdir()
    shutil.copy(log, path / "annotations")
    assert [d.seq for d in log_of(path) if d.who == "ben"] == [1]  # it has a number that is taken here
    refused = tab.answer()
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "stale")
    [(_, record, data)] = heard(session, path)
    assert record["who"] == "ben"
    assert data["n_entries"] > tab.state["n_entries"]  # so that pages take it for news


def test_a_second_tab_takes_an_undoing_for_news(path):
    told, events = [], Events()
    events.tell = lambda name, data: told.append((name, data))
    tab = tab_of(opened(path), events=events)
    cell = tab.question["cell"]
    tab.answer()
    second = another(tab, "second")
    undo(tab)
    name, data = told[-1]
    assert (name, data["record"]["cell"]) == ("undone", cell)
    assert data["n_entries"] > second.state["n_entries"]
    assert cell in data["touched"]


def test_what_was_said_of_another_movie_is_none_of_the_last_answers(path):
    tab = tab_of(opened(path))
    tab.answer()
    [said] = log_of(path)
    write_lines(path, [replace(said, seq=2, key="elsewhere", dataset="another")])
    go(tab, after=tab.question["cell"])
    assert [r["key"] for r in tab.state["recent"]] == [said.key]


def test_last_answers_about_older_detections_name_the_cells_of_now(path):
    tab = tab_of(opened(path))
    tab.answer()
    [said] = log_of(path)
    shutil.rmtree(path / "annotations")
    write_lines(path, [replace(said, cell=replace(said.cell, id=9000))])
    assert [r["cell"] for r in tab_of(opened(path)).state["recent"]] == [said.cell.id]
