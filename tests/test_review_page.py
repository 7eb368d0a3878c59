"""The review page in Chromium: a key is an answer, nothing moves on before it is on disk, none is lost or doubled."""

import json
import resource

import pytest

from trackdb.storage.decision_log import LEASE
from trackdb.storage.leases import lease

from .browsers import chromium, numbers_in, tab
from .command_line import run
from .movies import copied
from .reviews import review_server

ANA = ("--as", "ana", "--audit", "0")
EVIL = "<img src=x onerror=document.body.dataset.harmed=1>"


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def weighed(tmp_path_factory, browser):
    """A store with images, masks, a solution and its posterior; its dataset has a name that a page must not read."""
    folder = tmp_path_factory.mktemp("review")
    words = ["--frames", 6, "--cells", 24, "--motion", 0.4, "--seed", 2]
    run("simulate", "-o", folder / "movie", *words)
    run("ingest", folder / "movie", "-o", folder / "movie.trackdb", "--name", EVIL)
    run("solve", folder / "movie.trackdb", "--simple")
    run("posterior", folder / "movie.trackdb")
    return folder / "movie.trackdb"


@pytest.fixture
def store(weighed, tmp_path):
    """A copy of the store that a test may answer in."""
    return copied(weighed, tmp_path / "movie.trackdb")


@pytest.fixture(scope="module")
def served(weighed, tmp_path_factory):
    """A server without blind questions; what tests say adds up, so each compares with what was before."""
    store = copied(weighed, tmp_path_factory.mktemp("served") / "movie.trackdb")
    with review_server(store, *ANA) as running:
        running.store = store
        yield running


@pytest.fixture(scope="module")
def blind(served):
    """A server of the same store for another person, of whom all questions are blind."""
    with review_server(served.store, "--as", "ben", "--audit", "1") as running:
        yield running


@pytest.fixture
def screen(browser, served):
    with tab(browser, served) as found:
        yield found.open()


def pick(question, n):
    """Return the question's outcomes with n daughters."""
    return [outcome["daughters"] for outcome in question["outcomes"] if len(outcome["daughters"]) == n]


def test_each_key_is_one_answer_and_the_page_moves_on(screen):
    keys = [
        ("Enter", "choose", lambda q: q["chosen"]),
        ("a", "choose", lambda q: q["chosen"]),
        ("1", "choose", lambda q: q["outcomes"][0]["daughters"]),
        ("2", "choose", lambda q: q["outcomes"][1]["daughters"]),
        ("e", "choose", lambda q: []),
        ("x", "reject", None),
        ("k", "not_a_cell", lambda q: None),
        ("s", "segmentation", lambda q: None),
        ("Space", "unsure", lambda q: None),
    ]
    for place, (key, kind, daughters) in enumerate(keys):
        asked = screen.question
        screen.answer(key)
        said = screen.said()
        assert len(said) == place + 1
        assert (said[0]["kind"], said[0]["cell"], said[0]["who"]) == (kind, asked["cell"], "ana"), key
        if daughters is not None:
            assert said[0]["daughters"] == daughters(asked), key
        assert screen.text("#saved").startswith(f"✓ saved #{said[0]['seq']}")
        assert screen.cell != asked["cell"]


def test_nine_numbers_choose_among_nine_and_one_that_stands_for_nothing_does_nothing(screen):
    before = screen.cell
    screen.press("9") if len(screen.outcomes()) < 9 else None
    screen.page.wait_for_timeout(100)
    assert (screen.cell, screen.phase, screen.said()) == (before, "ready", [])


def test_d_takes_the_only_likely_pair_or_opens_a_picker(screen):
    for _ in range(8):
        question = screen.question
        pairs = pick(question, 2)
        if len(question["candidates"]) > 1:
            break
        screen.answer("n")
    if len(pairs) == 1:
        screen.answer("d")
        assert screen.said()[0]["daughters"] == pairs[0]
        return
    screen.press("d")
    assert screen.page.is_visible("#dialog")
    shown = screen.page.inner_text("#dialog button[data-place='1']")
    screen.answer("1")
    said = screen.said()[0]
    assert len(said["daughters"]) == 2
    assert all(str(cell) in shown for cell in said["daughters"])


def test_the_picker_of_pairs_tells_probability_and_later_frames_beside_the_picture(screen):
    def widened(route):
        found = route.fetch().json()
        question = found["question"]
        t = question["frame"]
        candidate = {"probability": 0.3, "distance": 1.0}
        question["candidates"] = [
            candidate | {"cell": cell, "frame": frame} for cell, frame in [(5, t + 1), (6, t + 1), (7, t + 2)]
        ]
        question["outcomes"] = [
            {"daughters": [6, 7], "probability": 0.2, "chosen": False, "text": "divides"},
            {"daughters": [5], "probability": 0.5, "chosen": True, "text": "continues"},
        ]
        question["pairs"] = [{"daughters": [5, 7], "probability": 0.25}]
        # two pairs are likely, else D takes the only one
        question["outcomes"].append({"daughters": [5, 6], "probability": 0.0001, "chosen": False, "text": "divides"})
        route.fulfill(json=found)

    screen.page.route("**/api/question*", widened)
    t = screen.answer("n").question["frame"]
    screen.press("d")
    buttons = [b.inner_text() for b in screen.page.query_selector_all("#dialog button[data-place]")]
    later = f"7 (t {t + 2})"
    assert buttons == [f"1 5 + {later} · 25 %", f"2 6 + {later} · 20 %", "3 5 + 6 · <0.1 %"]
    dialog, stage = (screen.page.query_selector(name).bounding_box() for name in ("#dialog", "#stage"))
    assert dialog["x"] >= stage["x"] + stage["width"]
    screen.press("Escape", "g")
    assert screen.page.query_selector("#dialog").bounding_box()["x"] < stage["x"] + stage["width"]


def test_the_picker_of_pairs_of_a_blind_question_tells_no_probability(screen):
    def hidden(route):
        found = route.fetch().json()
        question = found["question"]
        t = question["frame"]
        question |= {"blind": True, "outcomes": [{"daughters": [5], "probability": None, "chosen": False, "text": "5"}]}
        question["pairs"] = [{"daughters": [5, 7], "probability": 0.25}]  # the server tells none
        question["candidates"] = [
            {"cell": cell, "frame": t + 1, "probability": None, "distance": 1.0} for cell in (5, 6, 7)
        ]
        route.fulfill(json=found)

    screen.page.route("**/api/question*", hidden)
    assert "at first ★" in screen.text("#legend")
    screen.answer("n")
    assert "at first none" in screen.text("#legend")  # of each question anew
    screen.press("d")
    buttons = [b.inner_text() for b in screen.page.query_selector_all("#dialog button[data-place]")]
    assert buttons == ["1 5 + 6", "2 5 + 7", "3 6 + 7"]


def test_what_a_solve_changed_is_told_for_one_link_for_many_cells_and_for_other_detections(screen):
    screen.press("r")
    screen.until(lambda: "the store was not solved again" in screen.text("#saved"))
    assert not screen.page.is_visible("#dialog")
    told = {"before": "ilp-1", "after": "ilp-2", "gone": 1, "new": 2, "comparable": True, "more": 3}
    told["cells"] = [{"cell": 5, "frame": 1, "gone": [8], "new": [9], "text": EVIL}]
    screen.page.route("**/api/changes", lambda route: route.fulfill(json=told))
    screen.press("r")
    screen.page.wait_for_selector("#dialog .changes")
    said = screen.text("#dialog")
    for words in ("1 link is gone, 2 are new", f"cell 5 · t1: {EVIL}", "3 more cells: trackdb diff STORE ilp-1 ilp-2"):
        assert words in said
    told |= {"comparable": False, "more": 0}
    screen.press("Escape", "r")
    screen.until(lambda: "cannot be compared link by link" in screen.text("#dialog"))
    assert "more cells" not in screen.text("#dialog")


def test_where_nothing_is_left_to_ask_what_a_solve_changed_can_be_looked_at(screen):
    def last(route):
        route.fulfill(json=route.fetch().json() | {"question": None, "why": "limit"})

    screen.page.route("**/api/question*", last)
    screen.press("n").wait("end")
    assert "as many answers as you asked for" in screen.text("#rest")
    screen.press("1", "e", "d", "r")
    screen.until(lambda: "the store was not solved again" in screen.text("#saved"))
    assert screen.said() == []


def test_up_and_down_highlight_and_enter_takes_what_is_highlighted(screen):
    question = screen.question
    star = [outcome["chosen"] for outcome in question["outcomes"]].index(True)
    assert screen.highlighted == star + 1
    assert "Enter take the highlighted, at first ★" in screen.text("#legend")
    screen.press("ArrowUp", "ArrowUp", "ArrowUp", "ArrowUp")
    assert screen.highlighted == 1
    screen.press("ArrowDown")
    assert screen.highlighted == 2
    screen.until(lambda: screen.text("#effect-title").lower() == "effect of choosing 2" and screen.text("#effect"))
    screen.answer("Enter")
    assert screen.said()[0]["daughters"] == question["outcomes"][1]["daughters"]


def test_answers_are_taken_back_and_given_again(screen):
    first = screen.cell
    screen.answer("1")
    second = screen.cell
    screen.answer("2").answer("z")
    assert screen.cell == second
    screen.answer("Control+z")
    assert screen.cell == first
    assert screen.text("#saved").startswith("✓ undone")
    assert [record["undone"] for record in screen.said()] == [True, True]
    struck = screen.page.query_selector_all("#queue li.said:has(s)")[:2]
    for entry, record in zip(struck, screen.said(), strict=True):
        assert entry.inner_text().startswith(f"undone: #{record['seq']} cell {record['cell']}")
    screen.page.evaluate("() => { document.getElementById('queue').style.inlineSize = '110px'; }")  # nothing is cut
    parts = screen.page.query_selector_all("#queue li.said span")
    assert all(part.evaluate("(e) => e.scrollWidth <= e.clientWidth") for part in parts)
    before = numbers_in(screen.text("#count"))[0]
    screen.answer("Shift+Z")
    assert screen.text("#saved").startswith("✓ given again")
    assert numbers_in(screen.text("#count"))[0] == before + 1
    assert [record["undone"] for record in screen.said()] == [True, False]
    screen.answer("Backspace")
    assert numbers_in(screen.text("#count"))[0] == before
    assert [record["undone"] for record in screen.said()] == [True, True]


def test_next_and_previous_move_without_an_answer_and_go_finds_a_cell(screen):
    first = screen.cell
    second = screen.answer("n").cell
    third = screen.answer("n").cell
    assert len({first, second, third}) == 3
    assert screen.answer("p").cell == second
    assert screen.answer("p").cell == first
    screen.press("g", *str(third))
    screen.answer("Enter")
    assert screen.cell == third
    screen.press("g", *"999999")
    screen.press("Enter")
    screen.page.wait_for_selector("#saved[data-tone=bad]")
    assert screen.cell == third
    assert screen.said() == []


def test_a_flag_carries_a_note_and_the_question_stays(screen):
    before = screen.cell
    screen.press("f", *"odd <b>one</b>")
    screen.answer("Enter")
    said = screen.said()[0]
    assert (said["kind"], said["cell"], said["note"]) == ("flag", before, "odd <b>one</b>")
    assert screen.cell == before


def test_a_held_key_is_one_answer_and_input_is_frozen_until_it_is_on_the_disk(screen):
    waiting = []
    screen.page.route("**/api/decisions", lambda route: waiting.append(route))
    screen.page.keyboard.down("1")
    screen.page.keyboard.down("1")
    screen.wait("saving")
    before = screen.cell
    screen.press("2", "e", "n", "z")
    assert (screen.phase, screen.cell) == ("saving", before)
    while not waiting:
        screen.page.wait_for_timeout(20)
    waiting.pop().continue_()
    screen.wait()
    screen.page.unroute("**/api/decisions")
    assert [record["cell"] for record in screen.said()] == [before]


def test_a_key_before_the_pictures_are_there_is_refused_aloud(screen):
    held = []
    screen.page.route("**/api/scene/**", lambda route: held.append(route))
    screen.page.reload()
    screen.page.wait_for_selector("#outcomes .outcome")
    screen.wait("loading").press("2", "z")
    assert "key not taken" in screen.text("#saved")
    for route in held:
        route.continue_()
    screen.page.unroute("**/api/scene/**")
    screen.wait()
    assert screen.said() == []


def test_a_reload_a_server_that_dies_in_the_middle_and_the_next_sitting_lose_and_double_nothing(browser, store):
    with review_server(store, *ANA) as running, tab(browser, running) as screen:
        screen.open().answer("1").answer("1")
        cell, count = screen.cell, screen.text("#count")
        # the next answer will be written, and its reply get lost: the server is killed in between
        screen.page.route("**/api/decisions", lambda route: (route.fetch(), running.process.kill(), route.abort()))
        screen.page.reload()
        screen.wait()
        assert (screen.cell, screen.text("#count")) == (cell, count)
        assert "token" not in screen.page.url
        screen.press("1").wait("failed")
        assert screen.cell == cell
        assert "NOT SAVED" in screen.text("#notice")
        assert screen.text("#saved") == "NOT SAVED"
        screen.press("2", "n")
        assert (screen.phase, screen.cell) == ("failed", cell)
        screen.page.unroute("**/api/decisions")
        screen.page.click("text=Retry")
        screen.wait("failed")
        kept = screen.page.evaluate("() => Object.entries(localStorage).filter(([name]) => name.includes('pending'))")
        body = json.loads(kept[0][1])["body"]
        assert body["cell"] == cell
    with review_server(store, *ANA) as running, tab(browser, running) as screen:
        screen.open()
        assert screen.text("#count").startswith("3 answered")
        assert screen.ask("/api/decisions")["items"][0]["cell"] == cell
        assert screen.post("/api/decisions", body)["repeated"]
        assert len(screen.ask("/api/decisions")["items"]) == 3
        screen.answer("z").answer("z").answer("z").press("z")
        assert "nothing of yours to undo" in screen.text("#saved")


def test_an_answer_whose_reply_was_lost_is_sent_again_by_retry_and_written_once(screen):
    lost = []

    def lose(route):
        route.fetch()
        lost.append(1)
        route.abort()

    screen.page.route("**/api/decisions", lose, times=1)
    screen.press("1")
    screen.wait("failed")
    cell = screen.cell
    assert screen.page.evaluate("() => document.activeElement.textContent") == "Retry"
    screen.answer("Enter")
    assert lost == [1]
    assert [record["cell"] for record in screen.said()] == [cell]
    assert "once" in screen.text("#saved")


def test_an_answer_left_by_a_reload_is_offered_again(screen):
    screen.page.route("**/api/decisions", lambda route: route.abort(), times=1)
    screen.press("1")
    screen.wait("failed")
    cell = screen.cell
    screen.page.reload()
    screen.page.wait_for_selector("text=Send it again")
    assert f"cell {cell}" in screen.text("#notice")
    screen.answer("Enter")
    assert [record["cell"] for record in screen.said()] == [cell]
    screen.page.reload()
    screen.wait()
    assert not screen.page.is_visible("#notice")


@pytest.mark.parametrize(("status", "code"), [(507, "disk_full"), (500, "not_saved")])
def test_a_full_disk_keeps_the_answer_which_can_be_discarded(screen, status, code):
    body = json.dumps({"error": {"code": code, "message": "the disk is full", "details": {}}})
    refuse = {"status": status, "content_type": "application/json", "body": body}
    screen.page.route("**/api/decisions", lambda route: route.fulfill(**refuse), times=1)
    screen.press("1")
    screen.wait("failed")
    assert "the disk is full" in screen.text("#notice")
    screen.page.click("text=Discard the answer")
    screen.wait()
    assert not screen.page.is_visible("#notice")
    assert screen.said() == []
    assert screen.page.evaluate("() => Object.keys(localStorage).filter((name) => name.includes('pending'))") == []


@pytest.mark.parametrize(("status", "code"), [(423, "busy"), (503, "reloading")])
def test_a_busy_store_is_told_calmly_and_the_answer_sent_again_by_itself(screen, status, code):
    body = json.dumps({"error": {"code": code, "message": "a solve runs", "details": {}, "retry_ms": 1200}})
    keys = []

    def refuse(route):
        keys.append(route.request.post_data_json["key"])
        if len(keys) < 2:
            route.fulfill(status=status, content_type="application/json", body=body)
        else:
            route.continue_()

    screen.page.route("**/api/decisions", refuse)
    before = screen.turn
    screen.press("1")
    screen.wait("busy")
    assert "a solve runs" in screen.text("#notice")
    assert "NOT SAVED" not in screen.text("body")
    screen.page.wait_for_selector(f"body[data-phase=ready]:not([data-turn='{before}'])")
    assert len(keys) == 2
    assert len(set(keys)) == 1
    assert len(screen.said()) == 1


def test_a_tab_that_missed_an_answer_is_told_to_reload(browser, served):
    with tab(browser, served) as other, tab(browser, served) as screen:
        other.open()
        screen.page.route("**/api/events", lambda route: route.abort())  # it hears nothing of others
        screen.open().answer("g", *str(other.cell), "Enter")
        assert screen.cell == other.cell
        other.answer("1")
        screen.press("2").wait("stale")
        assert "reload" in screen.text("#notice")
        assert "again" not in screen.text("#notice")
        assert len(other.said()) == 1
        screen.answer("Enter")
        assert not screen.page.is_visible("#notice")


def test_an_answer_that_an_earlier_one_excludes_gives_three_choices(screen):
    earlier = {"seq": 7, "who": EVIL, "text": f"cell 3 goes on as 9 {EVIL}"}
    error = {"code": "excluded", "message": "cell 9 has a mother already.", "details": {}}
    body = json.dumps({"error": error, "earlier": [earlier], "choices": ["replace", "keep", "unsure"]})
    sent = []

    def refuse(route):
        sent.append(route.request.post_data_json)
        if len(sent) == 1:
            route.fulfill(status=409, content_type="application/json", body=body)
        else:
            route.continue_()

    screen.page.route("**/api/decisions", refuse)
    screen.press("1")
    screen.wait("excluded")
    assert "#7" in screen.text("#notice")
    assert EVIL in screen.text("#notice")
    buttons = [button.inner_text() for button in screen.page.query_selector_all("#notice button")]
    assert buttons[:3] == ["Replace the earlier answer", "Keep the earlier answer", "Mark both unsure"]
    screen.page.click("text=Mark both unsure")
    screen.until(lambda: len(sent) == 2)
    assert sent[1]["resolve"] == "unsure"
    assert sent[1]["key"] != sent[0]["key"]


def test_the_server_refuses_what_an_earlier_answer_excludes_and_the_page_keeps_or_replaces_it(screen):
    listed = [item["cell"] for item in screen.ask("/api/queue?top=50")["items"]]
    asked = (screen.ask(f"/api/question?client=test&cell={cell}")["question"] for cell in listed)
    cell = next(question["cell"] for question in asked if question["chosen"])  # one that does not end
    screen.answer("g", *str(cell), "Enter")
    screen.answer("a")
    earlier = screen.said()[0]
    daughter = earlier["daughters"][0]
    screen.answer("g", *str(daughter), "Enter")
    screen.press("k").wait("excluded")
    what = earlier["text"].removeprefix(f"cell {earlier['cell']} ")
    assert f"#{earlier['seq']} of ana: {what}" in screen.text("#notice")
    before = screen.turn
    screen.page.click("text=Keep the earlier answer")
    screen.page.wait_for_selector(f"body[data-phase=ready]:not([data-turn='{before}'])")
    flag, kept = screen.said()
    assert (flag["kind"], flag["cell"], kept["undone"]) == ("flag", daughter, False)
    assert "meant: is no cell" in flag["note"]
    screen.answer("g", *str(daughter), "Enter")
    screen.press("k").wait("excluded")
    before = screen.turn
    screen.page.click("text=Replace the earlier answer")
    screen.page.wait_for_selector(f"body[data-phase=ready]:not([data-turn='{before}'])")
    assert [(r["kind"], r["undone"]) for r in screen.said()] == [
        ("not_a_cell", False),
        ("flag", False),
        ("choose", True),
    ]


def test_a_disk_that_is_full_keeps_the_answer_until_there_is_room(screen, served):
    pid, cell = served.process.pid, screen.cell
    soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (100, hard))  # a line is longer
    try:
        screen.press("1")
        screen.wait("failed")
        assert "NOT SAVED" in screen.text("body")
        assert "could not be written" in screen.text("#notice")
        assert screen.said() == []
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))
    before = screen.turn
    screen.page.click("text=Retry")
    screen.page.wait_for_selector(f"body[data-phase=ready]:not([data-turn='{before}'])")
    assert [record["cell"] for record in screen.said()] == [cell]


def test_a_log_that_somebody_else_holds_is_waited_for(screen, served):
    cell, before = screen.cell, screen.turn
    with lease(served.store, LEASE, holder="a test"):
        screen.press("1")
        screen.wait("busy")
        assert "NOT SAVED" not in screen.text("body")
        assert screen.said() == []
    screen.page.wait_for_selector(f"body[data-phase=ready]:not([data-turn='{before}'])")
    assert [record["cell"] for record in screen.said()] == [cell]


def test_what_a_newer_solve_changed_is_listed_and_leads_to_the_cells(browser, store):
    with review_server(store, *ANA) as running, tab(browser, running) as screen:
        screen.open()
        assert not screen.page.is_visible("#changes")
        cell = screen.cell
        screen.answer("2")
        run("solve", store, "--simple")
        screen.page.wait_for_selector("#changes")
        assert "solved again as ilp-2" in screen.text("#saved")
        screen.press("r")
        entry = screen.page.wait_for_selector(f"#dialog .changes button[data-cell='{cell}']")
        assert "no longer" in entry.inner_text()
        entry.click()
        screen.until(lambda: screen.cell == cell)
        assert not screen.page.is_visible("#dialog")
        screen.page.reload()
        screen.page.wait_for_selector("#changes")


def test_two_people_hear_of_each_other(browser, served, blind):
    with tab(browser, served) as ana, tab(browser, blind) as ben:
        ana.open()
        ben.open()
        ben.answer("1")
        assert ben.said()[0]["who"] == "ben"
        ana.until(lambda: "ben" in ana.text("#saved"))
        newest = ana.page.query_selector("#queue li.said").inner_text()
        assert f"cell {ben.said()[0]['cell']}" in newest
        assert "ben" in newest
        ana.wait().answer("1")
        assert ana.said()[0]["seq"] > ben.said()[0]["seq"]
        assert ana.said()[0]["cell"] != ben.said()[0]["cell"]


def test_blind_questions_show_neither_star_nor_percentages_and_follow_no_order(browser, blind):
    with tab(browser, blind) as screen:
        screen.open()
        screen.page.wait_for_timeout(500)
        assert "blind" in screen.text("#question")
        for selector in ("#outcomes", "#effect", "#rest"):
            assert not {"%", "★"} & set(screen.text(selector))
        assert "%" not in "".join(
            screen.page.eval_on_selector_all("#links text", "all => all.map((t) => t.textContent)")
        )
        assert (
            len({p.get_attribute("stroke-width") for p in screen.page.query_selector_all("#links path.candidate")}) <= 1
        )
        assert not screen.page.query_selector("#outcomes .bar")
        listed = screen.page.query_selector_all("#outcomes .outcome")
        named = [[int(cell) for cell in outcome.get_attribute("data-daughters").split()] for outcome in listed]
        assert named == sorted(named)
        assert screen.highlighted is None
        assert "Enter take the highlighted, at first none" in screen.text("#legend")
        screen.press("Enter", "a")
        assert "by number" in screen.text("#saved")
        cell = screen.cell
        screen.answer("1")
        assert (screen.said()[0]["cell"], screen.said()[0]["blind"]) == (cell, True)
