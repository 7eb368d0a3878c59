"""Answers pin nothing exactly where no selection honours two of them, and what pins holds in every solution."""

import itertools
from datetime import datetime

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from trackdb.engine.annotations.pins import Answer, decided, in_dispute, settled
from trackdb.solvers import open_solver
from trackdb.solvers.problem import TrackingProblem, objective
from trackdb.storage.decisions import CellPlace, Decision, DecisionKind
from trackdb.storage.schema import CandidateEdges

# 0 and 1 in frame 0, 2 to 4 in frame 1, 5 in frame 2: every link from a frame to the next is a candidate
FRAME = np.array([0, 0, 1, 1, 1, 2])
LINKS = [(u, v) for u in range(6) for v in range(6) if FRAME[v] == FRAME[u] + 1]
SOURCE, TARGET = np.array(LINKS).T.copy()


def edges():
    m = len(LINKS)
    return CandidateEdges(np.arange(m), SOURCE, TARGET, np.ones(m, dtype=np.int64), np.ones(m))


@st.composite
def answers(draw):
    """Draw a few answers about these cells, each possible by itself."""
    drawn = []
    for number in range(draw(st.integers(0, 4))):
        kind = draw(st.sampled_from(["choose", "choose", "reject", "begins", "not_a_cell", "unsure"]))
        cell = draw(st.integers(0, 5))
        later = [v for u, v in LINKS if u == cell]
        named = ()
        if kind in ("choose", "reject"):
            least = 1 if kind == "reject" else 0
            if len(later) < least:
                continue
            named = tuple(
                draw(st.lists(st.sampled_from(later), unique=True, min_size=least, max_size=2)) if later else []
            )
        places = tuple(map(CellPlace, named))
        said = Decision(
            number, f"k{number}", datetime(2026, 1, 1), "ana", DecisionKind(kind), "m", CellPlace(cell), places
        )
        drawn.append(Answer(said, cell, named))
    return drawn


def honours(answer, edge, node):
    """Whether a selection does what an answer says."""
    out = {int(TARGET[e]) for e in np.flatnonzero(edge) if SOURCE[e] == answer.cell}
    match answer.decision.kind:
        case DecisionKind.CHOOSE:
            return node[answer.cell] and out == set(answer.daughters)
        case DecisionKind.REJECT:
            return not out & set(answer.daughters)
        case DecisionKind.BEGINS:
            return node[answer.cell] and not edge[answer.cell == TARGET].any()
        case DecisionKind.NOT_A_CELL:
            return not node[answer.cell]
    return True


def feasible_selections():
    """Yield every selection of these links in which the cells that are not linked are there, or are not."""
    for chosen in itertools.product((False, True), repeat=len(LINKS)):
        edge = np.array(chosen)
        if np.bincount(TARGET[edge], minlength=6).max() < 2 and np.bincount(SOURCE[edge], minlength=6).max() < 3:
            linked = np.isin(np.arange(6), [*SOURCE[edge], *TARGET[edge]])
            for rest in itertools.product((False, True), repeat=int((~linked).sum())):
                node = linked.copy()
                node[~linked] = rest
                yield edge, node


FEASIBLE = list(feasible_selections())


def problem(cost):
    free = np.zeros(6)
    return TrackingProblem(
        frame=FRAME,
        source=SOURCE,
        target=TARGET,
        edge_cost=np.array(cost, dtype=np.float64),
        node_cost=free,
        appear_cost=np.full(6, 1.5),
        disappear_cost=np.full(6, 1.0),
        division_cost=np.full(6, 0.5),
        pinned_node=np.ones(6, dtype=np.int8),
    )


@settings(deadline=None)
@given(answers(), st.lists(st.integers(-4, 4), min_size=len(LINKS), max_size=len(LINKS)))
def test_answers_pin_exactly_where_nothing_else_excludes_them_and_hold_then(said, cost):
    def agree(*some):
        return any(all(honours(a, edge, node) for a in some) for edge, node in FEASIBLE)

    pins, disputes = settled(said)
    apart = {
        a.decision.key for one, other in itertools.combinations(said, 2) if not agree(one, other) for a in (one, other)
    }
    assert in_dispute(disputes) == apart
    assert bool(apart) == (not agree(*said))
    held = [a for a in said if a.decision.key not in apart]
    assert pins.answers == held
    assert in_dispute(settled(said[::-1])[1]) == apart
    asked = problem(cost)
    left = decided(asked, pins.for_edges(edges(), 6))
    selection = left.whole(open_solver("ilp").solve(left.problem))
    assert all(honours(a, selection.edge, selection.node) for a in held)
    # all cells are kept but those that somebody called false
    false = {a.cell for a in held if a.decision.kind is DecisionKind.NOT_A_CELL}
    possible = [(edge, node) for edge, node in FEASIBLE if all(honours(a, edge, node) for a in held)]
    kept = [(edge, node) for edge, node in possible if set(np.flatnonzero(~node).tolist()) == false]
    best = min(objective(left.asked, edge, node) for edge, node in kept)
    assert selection.objective == best == selection.lower_bound
