"""What a person who is asked blind does not get to know: not by going back, and not from what others said."""

import shutil
import uuid
from dataclasses import replace

import pytest

from trackdb.storage.decision_log import write_lines

from .reviews import another, jostling_store, log_of, opened, tab_of

pytestmark = pytest.mark.usefixtures("own_home_and_log")


@pytest.fixture(scope="module")
def jostling(tmp_path_factory):
    return jostling_store(tmp_path_factory.mktemp("jostling"))


@pytest.fixture
def path(jostling, tmp_path):
    return shutil.copytree(jostling, tmp_path / "movie.trackdb")


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
