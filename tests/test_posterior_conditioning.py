"""An open posterior after decisions is the posterior of all selections that honour them."""

from dataclasses import replace

import numpy as np
import pytest

from trackdb.errors import InfeasibleError, SchemaError
from trackdb.solvers.posterior import conditioning, trying
from trackdb.solvers.posterior.believing import Beliefs
from trackdb.solvers.posterior.conditioning import OpenPosterior
from trackdb.solvers.posterior.marginals import estimate
from trackdb.testing.frame_pairs import frame_pair
from trackdb.testing.problems import small_problem, with_every_pair

from .selections import weigh_all

TINY = 1e-9


def drawn_problem(seed):
    problem = small_problem(seed, n_frames=2 + seed % 3, per_frame=3)
    return with_every_pair(problem, seed) if seed % 2 else problem


SEEDS = [seed for seed in range(300) if 3 <= small_problem(seed, 2 + seed % 3, 3).n_edges <= 11]


class Decided:
    """Decisions on a problem, and the oracle that keeps only the selections that honour them."""

    def __init__(self, problem):
        self.problem, self.rules, self.pins = problem, [], problem.pinned_node.copy()

    def choose(self, cell, links):
        out = np.flatnonzero(self.problem.source == cell)
        wanted = np.isin(out, links)
        self.rules.append(lambda taken: (taken[:, out] == wanted).all(axis=1))
        self.pins[[cell, *self.problem.target[links]]] = 1

    def reject(self, link):
        self.rules.append(lambda taken: ~taken[:, link])

    def begins(self, cell):
        self.rules.append(lambda taken: ~taken[:, self.problem.target == cell].any(axis=1))
        self.pins[cell] = 1

    def not_a_cell(self, cell):
        self.pins[cell] = -1

    def truth(self):
        pinned = replace(self.problem, pinned_node=self.pins)
        return weigh_all(pinned, keep=lambda taken: np.all([rule(taken) for rule in self.rules], axis=0))


def some_decision(rng, problem, found):
    """Return a decision that is possible: what has a probability."""
    kind = rng.integers(4)
    if kind == 0:
        cell = int(rng.choice(np.flatnonzero(found.present > 0.01)))
        a, b, p = found.outcomes_of(cell)
        k = int(rng.choice(np.flatnonzero(p > 0.01)))
        return "choose", (cell, [int(x) for x in (a[k], b[k]) if x >= 0])
    if kind == 1:
        free = np.flatnonzero(found.link < 0.99)
        return "reject", (int(rng.choice(free)),) if len(free) else None
    if kind == 2:
        free = np.flatnonzero(found.new > 0.01)
        return "begins", (int(rng.choice(free)),) if len(free) else None
    free = np.flatnonzero((problem.pinned_node == 0) & (found.present < 0.99))
    return "not_a_cell", (int(rng.choice(free)),) if len(free) else None


def require_equal(found, true):
    assert np.abs(found.link - true.link).max(initial=0) <= TINY
    assert np.abs(found.new - true.new).max(initial=0) <= TINY
    assert np.abs(found.present - true.present).max(initial=0) <= TINY


@pytest.mark.parametrize("part", range(4))
def test_decisions_condition_all_selections(part):
    n_decisions = 0
    for seed in SEEDS[part::4]:
        problem = drawn_problem(seed)
        rng = np.random.default_rng(seed)
        found, oracle, history = OpenPosterior(problem), Decided(problem), []
        for _ in range(3):
            kind, what = some_decision(rng, problem, found)
            if what is None:
                continue
            before = found.link.copy(), found.new.copy(), found.present.copy()
            try:
                getattr(found, kind)(*what)
            except InfeasibleError:  # a pin of an earlier decision: nothing has changed
                assert all(
                    np.array_equal(x, y) for x, y in zip(before, (found.link, found.new, found.present), strict=True)
                )
                continue
            history.append(before)
            getattr(oracle, kind)(*what)
            true = oracle.truth()
            require_equal(found, true)
            whole = found.marginals()
            assert np.array_equal(whole.link, found.link)
            for u in range(problem.n_nodes):
                a, b, p = found.outcomes_of(u)
                for k in range(len(p)):
                    links = tuple(sorted(int(x) for x in (a[k], b[k]) if x >= 0))
                    assert p[k] == pytest.approx(true.outcomes[u].get(links, 0.0), abs=1e-5)
            n_decisions += 1
        for link, new, present in reversed(history):
            found.undo()
            assert np.array_equal(found.link, link)
            assert np.array_equal(found.new, new)
            assert np.array_equal(found.present, present)
        require_equal(found, weigh_all(problem))
    assert n_decisions > 50


@pytest.fixture
def clear():
    return frame_pair(300, 0.15, 3).problem


def test_a_decision_splits_its_piece_and_touches_no_other(clear):
    found = OpenPosterior(clear)
    before = estimate(clear)
    size = np.bincount(found.piece[found.piece >= 0])
    piece = int(size.argmax())
    mothers = np.flatnonzero(found.piece == piece)
    cell = int(mothers[0])
    a, b, _ = found.outcomes_of(cell)
    touched = found.choose(cell, [int(x) for x in (a[0], b[0]) if x >= 0])
    assert set(touched.mothers.tolist()) == set(mothers.tolist())
    others = ~np.isin(clear.source, mothers)
    assert np.array_equal(found.link[others], before.link[others])
    assert len(set(found.piece[mothers].tolist())) > 1
    assert found.marginals().how.max() == 0


def test_decisions_on_cut_pieces_stay_consistent():
    problem = frame_pair(300, 0.3, 1).problem
    found = OpenPosterior(problem)
    assert found.marginals().how.max() > 0
    rng = np.random.default_rng(0)
    for _ in range(20):
        kind, what = some_decision(rng, problem, found)
        if what is None:
            continue
        try:
            getattr(found, kind)(*what)
        except InfeasibleError:
            continue
        parents = np.bincount(problem.target, found.link, problem.n_nodes)
        assert parents + found.new == pytest.approx(found.present, abs=1e-12)
        found.marginals()  # its checks hold


def test_what_contradicts_is_refused_and_changes_nothing(clear):
    found = OpenPosterior(clear)
    link = int(found.link.argmax())
    cell, daughter = int(clear.source[link]), int(clear.target[link])
    found.choose(cell, [link])
    now = found.link.copy()
    rivals = np.flatnonzero((clear.target == daughter) & (clear.source != cell))
    for refused in (
        lambda: found.choose(cell, []),
        lambda: found.reject(link),
        lambda: found.begins(daughter),
        lambda: found.not_a_cell(daughter),
        *(lambda r=r: found.choose(int(clear.source[r]), [int(r)]) for r in rivals),
    ):
        with pytest.raises(InfeasibleError):
            refused()
    assert np.array_equal(found.link, now)
    with pytest.raises(SchemaError, match="do not all leave"):
        found.choose(int(clear.source[(clear.source != cell).argmax()]), [link])
    with pytest.raises(SchemaError, match="there is no link"):
        found.reject(clear.n_edges)
    with pytest.raises(SchemaError, match="there is no detection"):
        found.begins(-1)
    found.undo()
    with pytest.raises(SchemaError, match="no decision"):
        found.undo()


def test_no_decision_needs_more_memory_than_its_piece_did(monkeypatch):
    problem = frame_pair(600, 0.3, 1).problem
    found = OpenPosterior(problem)
    most = conditioning.cut_plan(Beliefs(found._graph), 1e-3, 14).sweep
    states = dict(zip(range(len(most.n_states)), most.n_states.tolist(), strict=True))
    seen = []

    def watched(graph, cut, pieces, sweep, *rest, **into):
        seen.append(int(sweep.n_states.sum()))
        return weigh_pieces(graph, cut, pieces, sweep, *rest, **into)

    weigh_pieces = conditioning.weigh_pieces
    monkeypatch.setattr(conditioning, "weigh_pieces", watched)
    large = np.argsort(-np.bincount(found.piece[found.piece >= 0]))[:6]
    for piece in large.tolist():
        for cell in np.flatnonzero(found.piece == piece)[::5].tolist():
            a, b, _ = found.outcomes_of(cell)
            touched = found.choose(cell, [int(link) for link in (a[0], b[0]) if link >= 0])
            found.undo()
            before = set(found.piece[touched.mothers].tolist())
            assert seen.pop() <= sum(states[p] for p in before)


@pytest.mark.parametrize("temperature", [0.05, 1.0, 2.0])
def test_an_answer_is_worth_what_giving_it_shows(temperature, monkeypatch):
    monkeypatch.setattr(trying, "LEAST_TRIED", 1e-6)
    found = OpenPosterior(frame_pair(400, 0.2, 3).problem, temperature=temperature)
    asked = found.outcomes(np.arange(400))
    several = np.flatnonzero(np.diff(asked.first) > 1)
    size = np.bincount(found.piece[found.piece >= 0])[found.piece[several]]
    cells = several[np.argsort(-size, kind="stable")][
        :25
    ]  # of the largest pieces, where an answer is soon of no effect
    by_trying = trying.reductions_by_trying(found, cells)
    assert found.error_reductions(cells) == pytest.approx(by_trying, abs=1e-4)
    assert by_trying.max() > 0.01
