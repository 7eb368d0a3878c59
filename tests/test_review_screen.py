"""What the review page shows: pictures, blind questions, keys of one's own; for all eyes, and for ears."""

import http.server
import threading

import pytest

from .browsers import CONTRASTS, chromium, tab
from .command_line import run
from .reviews import review_server

ANA = ("--as", "ana", "--audit", "0")
EVIL = "<img src=x onerror=document.body.dataset.harmed=1>"
SIZES = [(1280, 720), (1920, 1080), (1000, 640), (700, 900)]


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


def weighed(folder, *words, name="movie"):
    """Return a store with images, masks, a solution and its posterior."""
    run("simulate", "-o", folder / "movie", "--frames", 6, "--cells", 20, "--motion", 0.4, "--seed", 2, *words)
    run("ingest", folder / "movie", "-o", folder / "movie.trackdb", "--name", name)
    run("solve", folder / "movie.trackdb", "--simple")
    run("posterior", folder / "movie.trackdb")
    return folder / "movie.trackdb"


@pytest.fixture(scope="module")
def store(browser, tmp_path_factory):
    return weighed(tmp_path_factory.mktemp("screen"), name=EVIL)


@pytest.fixture(scope="module")
def served(store):
    with review_server(store, *ANA) as running:
        yield running


@pytest.fixture
def screen(browser, served):
    with tab(browser, served) as found:
        yield found.open()


def inked(screen, place):
    """Return how many pixels of a pane are not black."""
    script = """(place) => {
      const canvas = document.querySelectorAll("#stage canvas")[place];
      const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      let n = 0;
      for (let i = 0; i < data.length; i += 4) n += data[i] > 0;
      return n;
    }"""
    return screen.page.evaluate(script, place)


def test_two_frames_with_candidates_across_told_by_colour_dash_and_number(screen):
    question = screen.question
    t = question["frame"]
    assert screen.captions() == [f"t = {t}", f"t = {t + 1}"]
    assert inked(screen, 0) > 1000
    assert inked(screen, 1) > 1000
    links = screen.page.query_selector_all("#links path.candidate")
    named = {cell for outcome in question["outcomes"] for cell in outcome["daughters"]}
    drawn = [int(link.get_attribute("data-cell")) for link in links]
    assert set(drawn) <= named
    looks = [(link.get_attribute("stroke"), link.get_attribute("stroke-dasharray")) for link in links]
    assert len({colour for colour, _ in looks}) == len({dash for _, dash in looks}) == len(links) > 0
    likely = {candidate["cell"]: candidate["probability"] for candidate in question["candidates"]}
    widths = [float(link.get_attribute("stroke-width")) for link in links]
    assert widths == pytest.approx([1.2 + 6 * likely[cell] for cell in drawn])
    signs = [sign.text_content() for sign in screen.page.query_selector_all("#links .sign")]
    assert all(str(cell) in sign and "%" in sign for cell, sign in zip(drawn, signs, strict=True))
    assert f"cell {question['cell']}" in screen.page.get_attribute("#links", "aria-label")


def test_outcomes_are_listed_with_probability_key_and_star(screen):
    question = screen.question
    said = screen.outcomes()
    assert len(said) == len(question["outcomes"])
    for place, (text, outcome) in enumerate(zip(said, question["outcomes"], strict=True)):
        assert text.startswith(f"{place + 1}: ")
        assert "%" in text
        assert ("solver's answer" in text) == outcome["chosen"]
    assert screen.text("#outcomes").count("★") == 1


def test_what_is_near_is_told_with_a_sign_and_a_bound_without(browser, served):
    def approximate(route):
        found = route.fetch().json()
        found["question"]["approximate"] = True
        for outcome, p in zip(found["question"]["outcomes"], (0.9, 0.0001), strict=False):
            outcome["probability"] = p
        route.fulfill(json=found)

    with tab(browser, served) as screen:
        screen.page.route("**/api/session*", approximate)
        screen.open()
        told = [shown.inner_text() for shown in screen.page.query_selector_all("#outcomes .p")]
        assert told[:2] == ["≈ 90.0 %", "<0.1 %"]


def test_looking_around_changes_the_pictures_and_nothing_else(screen):
    t, cell = screen.question["frame"], screen.cell
    assert screen.press("b").captions() == [f"t = {t + 1}", f"t = {t}"]
    assert screen.press("b").captions() == [f"t = {t}", f"t = {t + 1}"]
    assert screen.press("ArrowRight").captions()[0].startswith(f"t = {t + 1}")
    assert not screen.page.query_selector("#links path.candidate")
    assert screen.press("ArrowLeft", "ArrowLeft").captions()[1].startswith(f"t = {t}")
    screen.press("ArrowRight")
    outlines = len(screen.page.query_selector_all("#links > g:nth-of-type(1) > *"))
    screen.press("o")
    assert len(screen.page.query_selector_all("#links > g:nth-of-type(1) > *")) < outlines
    screen.press("o", "c")
    assert "contrast bright" in screen.captions()[0]
    screen.press("c", "c")
    assert "contrast" not in screen.captions()[0]
    width = lambda: screen.page.query_selector("#links g circle, #links g path").bounding_box()["width"]  # noqa: E731
    far = width()
    screen.press("+", "+")
    assert width() > 1.5 * far
    screen.press("-", "-")
    assert width() == pytest.approx(far)
    screen.press("v")
    assert "flat" in screen.text("#saved")
    screen.press("m")  # who wants no motion goes frame by frame
    assert screen.captions()[0].startswith(f"t = {t + 1}")
    screen.press("ArrowLeft", "t")
    assert screen.page.get_attribute("#lineage", "data-large") == "true"
    assert (screen.cell, screen.said()) == (cell, [])


def test_the_lineage_shows_the_link_in_question_dashed(screen):
    screen.until(lambda: screen.page.query_selector("#tree circle"))
    asked = screen.page.query_selector_all("#tree path[stroke-dasharray='6 4']")
    assert asked
    assert f"cell {screen.cell}" in screen.page.get_attribute("#tree", "aria-label")


def test_the_film_strip_marks_the_frames_on_the_stage(screen):
    t = screen.question["frame"]
    assert [f.get_attribute("data-t") for f in screen.page.query_selector_all("#strip [data-now=true]")] == [
        str(t),
        str(t + 1),
    ]
    assert len(screen.page.query_selector_all("#strip figure")) == 6


def test_keys_are_changed_kept_and_switched_off(screen):
    screen.press("?")
    screen.page.click("[data-key-of=ends]")
    screen.press("q")
    assert "Q" in screen.page.inner_text("[data-key-of=ends]")
    screen.page.click("[data-key-of=none]")
    screen.press("1")  # taken from the first outcome
    assert screen.page.inner_text("[data-key-of=outcome-1]") == "off"
    screen.press("Escape")
    assert not screen.page.is_visible("#dialog")
    screen.page.reload()
    screen.wait()
    assert "Q" in screen.text("[data-action=ends]")
    before = screen.cell
    screen.press("e")
    screen.page.wait_for_timeout(100)
    assert screen.cell == before
    screen.answer("q")
    assert screen.said()[0]["daughters"] == []
    screen.answer("z").press("?")
    screen.page.uncheck("#keys-on")
    screen.press("Escape", "2", "n", "?")
    assert not screen.page.is_visible("#dialog")
    assert [record["undone"] for record in screen.said()] == [True]
    screen.page.click("[data-action=help]")
    screen.page.click("text=Reset all keys")
    screen.press("Escape")
    screen.answer("e")


def test_names_are_text_whatever_they_hold(screen, browser, served):
    assert EVIL in screen.text("#about")

    def evil(route):
        found = route.fetch().json()
        found["who"] = EVIL
        found["recent"] = [
            {"seq": 1, "who": f"ben {EVIL}", "cell": 1, "frame": 0, "kind": EVIL, "daughters": None, "text": EVIL}
        ]
        found["question"]["outcomes"][0]["text"] = EVIL
        found["question"]["answers"] = found["recent"]
        route.fulfill(json=found)

    with tab(browser, served) as other:
        other.page.route("**/api/session*", evil)
        other.open()
        assert EVIL in other.text("#who")
        assert EVIL in other.text("#question")
        assert EVIL in other.text("#outcomes")
        assert other.text("#queue").count(EVIL) >= 2
        for one in (screen, other):
            assert not one.page.query_selector("img")
            assert one.page.get_attribute("body", "data-harmed") is None


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_all_of_it_is_readable_reachable_and_large_enough(browser, served, size):
    width, height = size
    with tab(browser, served, viewport={"width": width, "height": height}) as screen:
        screen.open()
        screen.page.evaluate("() => { document.getElementById('changes').hidden = false; }")
        screen.page.wait_for_timeout(300)
        poor = [(text, round(ratio, 1)) for text, ratio in screen.page.evaluate(CONTRASTS) if ratio < 4.5]
        assert poor == []
        assert screen.page.evaluate("() => document.documentElement.scrollWidth") <= width
        for button in screen.page.query_selector_all("button:visible, .outcome:visible"):
            assert button.bounding_box()["height"] >= 28, button.inner_text()
            assert button.get_attribute("aria-label") or button.inner_text().strip()
        for name in (
            "[data-action=changes]",
            "[data-action=undo]",
            "[data-action=help]",
            "#outcomes",
            "#stage",
            "#tree",
        ):
            box = screen.page.query_selector(name).bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width


def test_roles_names_and_focus_tell_the_page_to_who_cannot_see_it(screen):
    page = screen.page
    assert page.get_attribute("html", "lang") == "en"
    assert page.get_attribute("#saved", "role") == "status"
    assert page.get_attribute("#saved", "aria-live") == "polite"
    for role in ("banner", "main", "navigation", "complementary", "listbox", "progressbar"):
        assert page.get_by_role(role).count() >= 1, role
    assert page.get_by_role("listbox").get_attribute("aria-labelledby") == "asked"
    assert page.get_by_role("option", selected=True).count() == 1
    assert page.evaluate("() => document.activeElement.id") == "outcomes"
    seen = []
    for key in ["Shift+Tab", "Shift+Tab", *["Tab"] * 40]:  # what comes before the outcomes, then all the rest
        page.keyboard.press(key)
        name, width = page.evaluate(
            """() => {
              const e = document.activeElement;
              return [e.id || e.dataset.action || e.dataset.cell || e.tagName, getComputedStyle(e).outlineWidth];
            }"""
        )
        if name in seen and name not in ("help", "undo", "outcomes"):
            break
        if name != "BODY":
            assert width == "3px", name
        seen.append(name)
    assert {"divides", "unsure", "next", "undo", "help"} <= set(seen)
    assert sum(name.isdigit() for name in seen) == 1  # the list of questions is one stop; arrows move within it
    screen.press("l")
    first = page.evaluate("() => document.activeElement.dataset.cell")
    screen.press("ArrowDown")
    second = page.evaluate("() => document.activeElement.dataset.cell")
    assert first != second
    screen.answer("Enter")
    assert screen.cell == int(second)


def test_the_policy_of_the_page_forbids_scripts_of_others(browser, served):
    with tab(browser, served, strict=False) as screen:
        screen.open()
        screen.page.evaluate(
            "() => { const s = document.createElement('script'); s.textContent = 'document.body.dataset.harmed = 1'; "
            "document.body.append(s); }"
        )
        screen.page.evaluate(
            "() => { document.body.insertAdjacentHTML('beforeend', '<p id=styled style=\"color: red\">x</p>'); }"
        )
        assert screen.page.get_attribute("body", "data-harmed") is None
        assert (
            screen.page.evaluate("() => getComputedStyle(document.getElementById('styled')).color") != "rgb(255, 0, 0)"
        )
        assert any("Content Security Policy" in complaint for complaint in screen.complaints)


class _Other(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<title>another site</title>")

    def log_message(self, *words):
        pass


def test_other_sites_and_other_names_of_the_server_get_nothing(browser, served, screen):
    cell = screen.cell
    port = screen.page.evaluate("() => location.port")
    origin = screen.page.evaluate("() => location.origin")
    page = screen.page.context.new_page()
    assert page.goto(f"http://evil.example:{port}/").status == 403
    assert page.goto(served.url.replace("127.0.0.1", "evil.example")).status == 403
    with http.server.HTTPServer(("127.0.0.1", 0), _Other) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        page.goto(f"http://127.0.0.1:{other.server_port}/")
        body = f'{{"key": "other-site-1", "client": "x", "cell": {cell}, "kind": "unsure"}}'
        sent = page.evaluate(
            """([url, body]) => fetch(url, {method: "POST", mode: "no-cors", credentials: "include", body})
              .then(() => "sent", () => "refused")""",
            [f"{origin}/api/decisions", body],
        )
        read = page.evaluate(
            "(url) => fetch(url, {credentials: 'include'}).then((reply) => reply.text(), () => 'refused')",
            f"{origin}/api/session?client=x",
        )
        other.shutdown()
    assert sent in ("sent", "refused")
    assert read == "refused"
    assert screen.said() == []


def test_without_images_and_masks_places_are_shown_alone(browser, served):
    def bare(route):
        found = route.fetch().json()
        for frame in found["frames"]:
            for cell in frame["cells"]:
                cell["outline"] = None
        route.fulfill(json=found | {"images": False, "masks": False, "channels": []})

    def poor(route):
        route.fulfill(json=route.fetch().json() | {"images": False, "masks": False, "channels": []})

    with tab(browser, served) as screen:
        screen.page.route("**/api/scene/*", bare)
        screen.page.route("**/api/session?*", poor)
        screen.open()
        assert "no images in this store: positions only" in screen.text("#question")
        assert inked(screen, 0) == 0
        assert len(screen.page.query_selector_all("#links circle")) > 2
        assert screen.page.query_selector("#links path.candidate")
        screen.answer("1")
        assert len(screen.said()) == 1
        screen.page.unroute_all(behavior="ignoreErrors")  # what the page asks for in advance may be on its way


def test_a_volume_is_projected_or_cut_by_v(browser, tmp_path):
    store = weighed(tmp_path, "--3d", "--frames", 3, "--cells", 8)
    with review_server(store, *ANA) as running, tab(browser, running) as screen:
        screen.open()
        assert "projection" in screen.captions()[0]
        before = inked(screen, 0)
        assert before > 0
        screen.press("v")
        screen.until(lambda: "z = " in screen.captions()[0])
        screen.press("v")
        screen.until(lambda: "projection" in screen.captions()[0])
        screen.answer("1")
