"""A tissue in which as many cells leave as divide between two frames: a lineage without either explains it, wrongly."""

import numpy as np
import pytest

from trackdb.engine.candidates import link_nearest
from trackdb.engine.costs.learned import schedule
from trackdb.engine.costs.learned.rates import LearnedRates
from trackdb.engine.costs.learned.traits import Trait
from trackdb.engine.metrics.edges import compare_divisions
from trackdb.testing.movies import cells

from .learned_movies import SPACING, Sheet, f1, sheet, tracked


def tissue(seed, *, turnover, n_frames=6, side=14, step=2.5, part=4.5):
    """Cells on a jittered grid; from each frame to the next some leave, and as many others divide."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(np.arange(side), np.arange(side), indexing="ij"), axis=-1).reshape(-1, 2)
    place = SPACING * (grid + rng.uniform(-0.25, 0.25, grid.shape))
    rows, frame, link, before = [place], [0] * len(place), [], 0
    for t in range(1, n_frames):
        few = int(turnover * len(place))
        order = rng.permutation(len(place))
        mother, stays = order[few : 2 * few], np.sort(order[few:])
        axis = np.zeros_like(place)
        direction = rng.normal(size=(few, 2))
        axis[mother] = part * direction / np.linalg.norm(direction, axis=1)[:, None]
        parent = np.concatenate([stays, mother])
        place = np.concatenate([(place + axis)[stays], (place - axis)[mother]])
        place = place + rng.normal(0, step, place.shape)
        link.append(np.c_[before + parent, len(frame) + np.arange(len(place))])
        before = len(frame)
        rows.append(place)
        frame += [t] * len(place)
    return Sheet(cells(frame, np.concatenate(rows), (1.0, 1.0)), np.concatenate(link), np.ones(len(frame), bool))


def divisions_f1(movie, edges, found):
    return compare_divisions(*movie.link.T, edges.source[found.edge], edges.target[found.edge]).f1


@pytest.mark.parametrize("seed", [1, 2])
def test_cells_that_divide_and_leave_often_are_seen_to(seed, monkeypatch):
    movie = tissue(seed, turnover=0.25)
    learned, edges, found = tracked(movie.detections)
    rates = learned.model.rates
    assert 0.18 < rates.division < 0.3
    assert rates.disappear[0] > 0.12
    monkeypatch.setattr(schedule, "_busy", lambda *_: False)
    calm, _, otherwise = tracked(movie.detections)
    assert calm.model.rates.division < 0.15
    assert f1(movie, edges, found) > f1(movie, edges, otherwise) + 0.03
    assert divisions_f1(movie, edges, found) > divisions_f1(movie, edges, otherwise) + 0.08


def test_where_few_divide_the_busy_start_is_not_taken(monkeypatch):
    """Else it is: both starts are tried, and the rates that each has at first tell which one went on."""
    started = []
    learn_from = schedule.learn_from

    def watched(around, edges, spans, lineage, drift, before):
        started.append((len(around), before.rates.division))
        return learn_from(around, edges, spans, lineage, drift, before)

    monkeypatch.setattr(schedule, "learn_from", watched)
    for movie, rate in ((sheet(3, division=0.005), LearnedRates.unlearned().division), (tissue(1, turnover=0.25), 0.2)):
        started.clear()
        tracked(movie.detections)
        assert [division for _, division in started[: 2 * schedule.TRIED : schedule.TRIED]] == [0.02, 0.2]
        assert started[2 * schedule.TRIED] == (len(movie.detections), rate)


def test_starts_are_compared_on_some_frames_of_a_long_movie(monkeypatch):
    monkeypatch.setattr(schedule, "COMPARED", 800)
    sizes = []
    round_ = schedule._round

    def watched(around, *rest, **options):
        sizes.append(len(around))
        return round_(around, *rest, **options)

    monkeypatch.setattr(schedule, "_round", watched)
    movie = sheet(3, division=0.005, n_frames=30).detections
    tracked(movie)
    assert all(size <= 800 for size in sizes[: 2 * schedule.TRIED])
    assert all(size == len(movie) for size in sizes[2 * schedule.TRIED :])


def test_starts_are_compared_later_where_looks_are_learned_too(monkeypatch):
    """Lines of areas need a lineage with divisions, so that they tell the starts apart only after some rounds."""
    rounds = []
    round_ = schedule._round

    def watched(*given, **options):
        rounds.append(options["divisions"])
        return round_(*given, **options)

    monkeypatch.setattr(schedule, "_round", watched)
    movie = sheet(3, division=0.005, n_frames=6).detections
    area = np.exp(np.random.default_rng(1).normal(4, 0.3, len(movie)))
    for traits, tried in (([], schedule.TRIED), ([Trait.of("area", area, adds_up=True)], schedule.TRIED_WITH_LOOKS)):
        rounds.clear()
        schedule._busy(movie, link_nearest(movie, max_gap=1), schedule.LearnedConfig(), traits)
        assert rounds == [False, *[True] * (tried - 1), *[True] * tried]


def test_cells_that_are_said_not_to_divide_get_no_busy_start(monkeypatch):
    monkeypatch.setattr(schedule, "_busy", lambda *_: pytest.fail("was asked"))
    movie = sheet(2, n_frames=5).detections
    tracked(movie, read=schedule.LearnedConfig(divisions=False))


@pytest.mark.parametrize("runs", [True, False])
def test_a_busy_start_too_looks_over_several_frames_where_misses_come_in_runs_alone(runs, monkeypatch):
    monkeypatch.setattr(schedule, "_busy", lambda *_: True)
    movie = sheet(2, n_frames=20, step=1.5, missed=0.0 if runs else 0.03)
    old = movie.detections
    hidden = np.isin(old.frame, [7, 8, 9]) & (np.arange(len(old)) % 64 % 9 == 0) & runs
    left = cells(old.frame[~hidden], old.position_px[~hidden], old.scale_um)
    learned, edges, found = tracked(left, max_gap=3)
    assert learned.spans.reach == (3 if runs else 1)
    assert (edges.frames[found.edge].max() == 4) == runs
