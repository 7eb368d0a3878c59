"""The parts of a review: outlines, turns, scenes in three dimensions, what pages are told of others."""

import asyncio
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from trackdb.engine.review.choosing import Drawn
from trackdb.engine.review.order import Order
from trackdb.engine.review.outlines import outlines
from trackdb.engine.review.queue import ERROR_REDUCTION
from trackdb.engine.review.resolved import Resolved
from trackdb.engine.review.saying import Heard, Told
from trackdb.engine.review.scene import MOST_SHOWN, Scenes
from trackdb.engine.review.turns import LEASE_S, Turns
from trackdb.errors import StoreLockedError
from trackdb.server import serving
from trackdb.server.events import Events
from trackdb.storage.arrays import ArrayRef
from trackdb.storage.catalogue import now
from trackdb.storage.decisions import CellPlace, Decision, DecisionKind
from trackdb.storage.schema import Detections


def area(loop):
    """Return what a loop encloses, negative where it runs around a hole."""
    y, x = np.array(loop).T
    return float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)) / 2)


@given(arrays(np.uint16, st.tuples(st.integers(1, 7), st.integers(1, 7)), elements=st.integers(0, 3)))
def test_loops_enclose_as_many_pixels_as_a_label_has_and_turn_at_every_corner(mask):
    found = outlines(mask)
    assert set(found) == set(np.unique(mask).tolist()) - {0}
    for label, loops in found.items():
        assert sum(map(area, loops)) == np.count_nonzero(mask == label)
        for loop in loops:
            corners = np.array(loop)
            steps = np.roll(corners, -1, axis=0) - corners
            assert np.all((steps != 0).sum(axis=1) == 1)  # along one axis
            assert np.all((steps != 0)[:, 0] != np.roll(steps != 0, 1, axis=0)[:, 0])  # and then along the other


def test_a_ring_has_a_loop_around_its_hole():
    mask = np.ones((3, 3), dtype=np.uint8)
    mask[1, 1] = 0
    assert sorted(map(area, outlines(mask)[1])) == [-1, 9]


def test_a_question_is_asked_of_one_at_a_time_and_is_free_after_three_minutes():
    time = [0.0]
    turns = Turns(lambda: time[0])
    drawn = Drawn(17, blind=True, audit=True)
    turns.take("a", drawn)
    assert turns.taken("b") == {17}
    assert turns.taken("a") == set()
    turns.take("a", Drawn(18))  # a page that asks something else frees the last
    assert turns.taken("b") == {18}
    assert (turns.last(17), turns.last(18), turns.last(19)) == (drawn, Drawn(18), None)
    time[0] = LEASE_S + 1
    assert turns.taken("b") == set()


@pytest.fixture
def volume(tmp_path, monkeypatch):
    """Two frames of 4 x 9 x 300; cell 5 is a bar in slice 2, cell 6 lies over it in slice 0 and drifts."""
    image, mask = np.zeros((2, 2, 4, 9, 300), dtype=np.float32)
    for t in (0, 1):
        mask[t, 2, 3:6, 100:110] = 7
        mask[t, 0, 4, 104 + t] = 8
    image[:] = mask * 0.5 - 1
    held = {"images": image, "masks": mask.astype(np.uint16)}
    monkeypatch.setattr("trackdb.engine.review.scene.read_window", lambda _, ref, t, part: held[ref.kind][(t, *part)])
    cells = Detections(
        id=np.array([5, 6, 15, 16]),
        frame=np.array([0, 0, 1, 1]),
        position_px=np.array([[2, 4, 104.5], [0, 4, 104], [2, 4, 104.5], [0, 4, 105]]),
        label=np.array([7, 8, 7, 8]),
        area=np.array([30.0, 1, 30, 1]),
    )
    refs = [ArrayRef(kind, kind[:2], "", "", (2, 4, 9, 300), str(held[kind].dtype), 0) for kind in ("images", "masks")]
    return Scenes(tmp_path, cells, refs)


def test_three_dimensions_are_seen_from_above_or_in_the_slice_of_the_cell(volume):
    scene = volume.scene(0, [2, 3])
    window = scene.window
    assert (window.y0, window.height) == (4 - 32, 64)  # beyond the rim of a flat movie
    above, slice_ = (volume.mask(0, 0, window, view) for view in ("max", "slice"))
    assert (above.z, slice_.z) == (None, 2)
    assert np.count_nonzero(above.pixels == 1 + above.cells.index(5)) == 29  # one pixel lies under cell 6
    assert slice_.cells == (5,)
    assert np.count_nonzero(slice_.pixels) == 30
    [seen] = [c for c in scene.frames[0][1] if c.cell == 6]
    assert seen.outline == [[(3.5, 103.5), (3.5, 104.5), (4.5, 104.5), (4.5, 103.5)]]
    assert seen.position_px == (0, 4, 104)


def test_images_that_are_no_whole_numbers_are_scaled_and_the_way_back_is_told(volume):
    window = volume.window(0, [2])
    crops = volume.images("im", 0, window, "slice")
    assert sorted(crops) == [0, 1]
    crop = crops[0]
    inside = (3 - window.y0, 105 - window.x0)
    assert crop.pixels[inside] * crop.gain + crop.offset == pytest.approx(7 * 0.5 - 1, abs=1e-3)
    assert crop.pixels.dtype == np.uint16
    assert crop.range[0] <= crop.range[1]


def test_a_large_window_is_shown_with_fewer_pixels(volume):
    far = volume.window(0, [2])
    assert far.step == 1
    volume._radius[:] = 60
    window = volume.window(0, [2])
    assert window.step == 2
    assert max(volume.images("im", 0, window, "max")[0].pixels.shape) <= MOST_SHOWN


def said(seq):
    return Decision(seq, f"key-{seq}", now(), "ben", DecisionKind.CHOOSE, "m", CellPlace(3, 1), (CellPlace(9),))


class Watched:
    """A session that hears, is solved again, or cannot be read, as a test wants it."""

    revision = "ilp-2/posterior-2/7-1"

    def __init__(self):
        self.heard, self.again, self.solved = [], [], None

    def hear(self):
        heard, self.heard = self.heard, []
        return heard

    def solved_again(self):
        found, self.solved = self.solved, None
        return found

    def reload(self, progress):
        found = self.again.pop(0)
        if isinstance(found, Exception):
            raise found
        if found:
            progress.start("weighing")
        return found


def test_pages_are_told_of_others_of_a_busy_store_and_of_a_new_solution(tmp_path):
    graph = tmp_path / serving.GRAPH
    graph.write_text("1")
    session, events, told = Watched(), Events(), []
    events.tell = lambda name, data: told.append((name, data))
    watch = serving.Watch(session, tmp_path, events)

    def look():
        told.clear()
        asyncio.run(watch.look())
        return [name for name, _ in told]

    assert look() == []
    session.heard = [Heard(Told(said(4)), frozenset({3, 8}), 5)]
    assert look() == ["answered"]
    assert (told[0][1]["record"]["seq"], told[0][1]["touched"]) == (4, [3, 8])
    graph.write_text("22")  # somebody writes
    locked = StoreLockedError("m is open in another process", **{"held by": "pid 7 (trackdb solve)"})
    session.again = [locked, locked, True]
    assert look() == ["busy"]
    assert told[0][1]["by"] == "pid 7 (trackdb solve)"
    assert look() == []  # it is said once
    assert look() == ["busy", "free", "store"]
    assert told[0][1]["message"] == "the store was solved again: weighing; questions go on meanwhile"
    assert told[2][1]["revision"] == session.revision
    assert look() == []
    graph.write_text("333")
    session.again = [False]  # others wrote something that is none of our business
    assert look() == []
    graph.write_text("4444")
    session.again, session.solved = [False], Resolved("ilp-1", "ilp-2", 3, 2, [])
    assert look() == ["solved"]
    assert told[0][1]["message"] == "solved again as ilp-2: 3 links of ilp-1 are gone, 2 are new"
    graph.write_text("555555")
    session.again, session.solved = [False], Resolved("ilp-2", "ilp-3", 1, 1, [])
    assert look() == ["solved"]
    assert told[0][1]["message"] == "solved again as ilp-3: 1 link of ilp-2 is gone, 1 is new"
    graph.write_text("6666666")
    session.again, session.solved = [False], Resolved("ilp-1", "ilp-3", 0, 0, [], comparable=False)
    look()
    assert told[0][1]["message"] == "solved again as ilp-3, of other detections than ilp-1"


def test_pages_that_listen_hear_all_that_follows_and_are_let_go():
    async def heard():
        events, lines = Events(), []

        async def listen():
            async for line in events.listen("hello", {"n_entries": 1}):
                lines.append(line)

        pages = [asyncio.create_task(listen()) for _ in range(2)]
        await asyncio.sleep(0.01)
        events.tell("answered", {"record": {"text": "a\nb"}})
        events.close()
        await asyncio.wait_for(asyncio.gather(*pages), 5)
        return lines

    lines = asyncio.run(heard())
    assert len(lines) == 6
    assert lines.count(b'event: hello\ndata: {"n_entries": 1}\n\n') == 2
    told = [line for line in lines if line.startswith(b"event: answered")]
    assert json.loads(told[0].split(b"data: ")[1]) == {"record": {"text": "a\nb"}}
    assert told[0].count(b"\n") == 3  # a name cannot end a line


class Slow:
    """A review whose lists by error reduction take as long as is said, one after the other."""

    def __init__(self, *seconds, lists=1):
        self.now, self._seconds, self.asked, self._lists = 0.0, list(seconds), [], lists

    def uncertain(self, top, *, by, besides):
        self.asked.append(by)
        if by == ERROR_REDUCTION:
            self.now += self._seconds.pop(0)
            return [7] * self._lists
        return [8]


@pytest.mark.parametrize(
    ("seconds", "changes_after"),
    [
        ((9, 0.01, 0.05, 0.06, 0.05), None),  # the first list prepares, the others are quick, the last is slow once
        ((9, 2, 0.01), 2),
        ((9, 0.17, 0.17, 0.17, 0.01), 4),  # each a little too slow
        ((0.01, 0.3, 0.01, 0.01), None),
    ],
)
def test_a_review_whose_lists_are_slow_goes_on_by_entropy(seconds, changes_after):
    review = Slow(*seconds, 0.3)
    order = Order(lambda: review.now)
    for _ in range(len(seconds) + (changes_after is None)):
        order.listed(review, 5, set())
    by_entropy = [i for i, by in enumerate(review.asked) if by == "entropy"]
    assert by_entropy == ([] if changes_after is None else list(range(changes_after, len(seconds))))


def test_where_no_answer_takes_errors_away_those_in_doubt_are_asked():
    review = Slow(0.01, 0.01, lists=0)
    order = Order(lambda: review.now)
    assert order.listed(review, 5, set()) == [8]
    assert review.asked == [ERROR_REDUCTION, "entropy"]
    assert order.by == ERROR_REDUCTION
