"""What an answer would be worth: how many errors fewer are expected once it is known what a mother does.

Her piece is swept once as it is, then around her once for each group of options that set the same bits (`answers`): who
takes the same daughters leaves the same to the others. What else an outcome does is local: a daughter whom she takes
has no other mother, and who else may have a daughter whom she does not take is as likely as it was among themselves.
Links that were cut carry nothing further.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit

from ..inner import inner
from .answers import Kept, backward, onward
from .components import find_pieces
from .order import earlier_order
from .outcomes import LEAST
from .script import write_script
from .states import LOG_SUM, SUM, sweep_backward, sweep_forward

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .components import Cut
    from .graph import ChoiceGraph
    from .script import Script

    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]

LEAST_LEFT = 1e-6  # probability of a mother to leave a daughter to others: below it nobody knows who has her then


class _Links(NamedTuple):
    """What of a graph and a cut is read, with the probability of each option and each link, and where options begin."""

    first: NDArray[np.int64]
    target: NDArray[np.int64]
    source: NDArray[np.int64]
    into_first: NDArray[np.int64]
    into: NDArray[np.int64]
    pair_first: NDArray[np.int64]
    pair_a: NDArray[np.int32]
    pair_b: NDArray[np.int32]
    alive: NDArray[np.bool_]
    shared: NDArray[np.bool_]
    choice: NDArray[np.float64]
    link: NDArray[np.float64]


class _Steps(NamedTuple):
    """At which step each cell chooses; and of each step its mother, and where her options and her links begin.

    `group` and `share` are those of the options of all steps, as in `script.Options`.
    """

    of: NDArray[np.int64]
    mother: NDArray[np.int64]
    option: NDArray[np.int64]
    link: NDArray[np.int64]
    group: NDArray[np.int64]
    share: NDArray[np.float64]


def error_reductions(
    graph: ChoiceGraph, cut: Cut, choice: Floats, link: Floats, position: Ints, asked: Ints
) -> NDArray[np.float64]:
    """Return by how many errors the answer to each question lessens those that are expected, (q,); never negative.

    sum_d (sum_o P(o) max_i P(i | o) - max_i P(i)) over daughters d, outcomes o and parents i of d, "new" among them.

    Parameters
    ----------
    graph, cut
        What is weighed together; no cell is optional.
    choice : (n + m + q,) float64
        What each mother does, as in `frontier.Weighed`.
    link : (m,) float64
        Probability of each link, for those that were cut.
    position : (n,) int64
        Order in which the mothers of each piece are swept.
    asked : (q,) int64
        Mothers who are asked about.
    """
    mothers = asked[graph.first[asked] < graph.first[asked + 1]]
    pieces = find_pieces(graph, cut.alive, cut.tied, mothers)
    sweep = earlier_order(graph, cut, pieces, position)
    script, options, _ = write_script(graph, cut, pieces.first, sweep.mother)
    links = _Links(
        graph.first, graph.target, graph.source, graph.into_first, graph.into, graph.pair_first, graph.pair_a,
        graph.pair_b, cut.alive, cut.shared, choice, link,
    )  # fmt: skip
    n_links = graph.first[sweep.mother + 1] - graph.first[sweep.mother]
    n_options = 1 + n_links + graph.pair_first[sweep.mother + 1] - graph.pair_first[sweep.mother]
    of = np.zeros(graph.n_cells, np.int64)
    of[sweep.mother] = np.arange(len(sweep.mother))
    steps = _Steps(
        of, sweep.mother, np.cumsum(n_options) - n_options, np.append(0, np.cumsum(n_links)), options.group,
        options.share,
    )  # fmt: skip
    at = script.kept_at()
    kept = Kept(at, np.empty(at[-1]), np.empty(at[-1]), np.empty(len(script.weight)))
    found = np.zeros(len(asked))
    found[graph.first[asked] < graph.first[asked + 1]] = _reductions(
        links, script, steps, kept, mothers, int(sweep.width.max(initial=0))
    )
    return found


class _Answers(NamedTuple):
    """What may be answered: links that are real then, -1 for none, how likely that is, and as which lane it is swept.

    All answers of a lane take the same daughters from the others; `group` is what the mother does in each.
    """

    a: NDArray[np.int64]
    b: NDArray[np.int64]
    probability: NDArray[np.float64]
    lane: NDArray[np.int64]
    group: NDArray[np.int64]


@njit(cache=True, nogil=True)
def _reductions(links: _Links, script: Script, steps: _Steps, kept: Kept, asked: Ints, most: int) -> Floats:
    found = np.zeros(len(asked))
    swept = np.zeros(len(script.first) - 1, np.int64)  # 1 more than the mode in which each piece was swept
    sure = np.zeros(len(swept), np.bool_)
    log_z = np.empty(len(swept))
    base = np.empty(steps.link[len(steps.mother)])
    mass = np.empty(len(kept.mass))
    seen = np.zeros(len(links.into_first), np.bool_)
    room = np.empty(2 << most), np.empty(2 << most), np.empty(2 << most)
    piece = np.empty(1, np.int64)
    p = 0
    for i in range(len(asked)):
        t = steps.of[asked[i]]
        if not script.first[p] <= t < script.first[p + 1]:
            p = np.searchsorted(script.first, t, side="right") - 1
        piece[0] = p
        answers = _answers(links, steps, asked[i])
        for mode in range(max(swept[p] - 1, SUM), LOG_SUM + 1):
            if swept[p] != mode + 1:
                swept[p] = mode + 1
                sweep_forward(script, piece, kept.at, kept.before, log_z, sure, most, mode)
                if sure[p]:
                    sweep_backward(script, piece, kept.at, kept.before, kept.after, kept.mass, sure, most, mode)
                    _write_links(links, steps, kept.mass, script.first[p], script.first[p + 1], base, 0)
            if not sure[p]:
                continue
            found[i], whether = _reduction(links, script, steps, kept, p, t, answers, base, mass, seen, room, mode)
            if whether:
                break
    return found


@inner
def _answers(links: _Links, steps: _Steps, u: int) -> _Answers:
    """Return what a mother may do, all but what is less likely than `LEAST`."""
    begin, end = links.first[u], links.first[u + 1]
    at = u + begin + links.pair_first[u]
    n = 1 + end - begin + links.pair_first[u + 1] - links.pair_first[u]
    a, b, lane = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
    probability, group = np.empty(n), np.empty(n, np.int64)
    k, n_lanes = 0, 0
    total = 0.0
    for o in range(n):
        if links.choice[at + o] < LEAST:
            continue
        a[k], b[k], probability[k] = -1, -1, links.choice[at + o]
        total += probability[k]
        if o > end - begin:
            q = links.pair_first[u] + o - 1 - (end - begin)
            a[k], b[k] = links.pair_a[q], links.pair_b[q]
        elif o > 0:
            a[k] = begin + o - 1
        own = steps.group[steps.option[steps.of[u]] + o]
        lane[k] = 0
        while lane[k] < n_lanes and group[lane[k]] != own:
            lane[k] += 1
        if lane[k] == n_lanes:
            group[n_lanes] = own
            n_lanes += 1
        k += 1
    for o in range(k):
        probability[o] /= total
    return _Answers(a[:k], b[:k], probability[:k], lane[:k], group[:n_lanes])


@inner
def _reduction(
    links: _Links, script: Script, steps: _Steps, kept: Kept, p: int, t: int, answers: _Answers, base: Floats,
    mass: Floats, seen: Bools, room: tuple[Floats, Floats, Floats], mode: int,
) -> tuple[float, bool]:  # fmt: skip
    """Return what the answer about the mother of a step is worth, and whether plain sums can be trusted."""
    if len(answers.a) < 2:
        return 0.0, True
    lanes, low, high, sure = _sweep_lanes(links, script, steps, kept, p, t, answers, base, mass, room, mode)
    if not sure:
        return 0.0, False
    fewer = 0.0
    for s in range(low, high):
        for e in range(links.first[steps.mother[s]], links.first[steps.mother[s] + 1]):
            d = links.target[e]
            if not seen[d] and (links.alive[e] or s == t):
                seen[d] = True
                fewer += _one_daughter(links, steps, d, t, script.first[p], script.first[p + 1], answers, lanes)
    for s in range(low, high):
        for e in range(links.first[steps.mother[s]], links.first[steps.mother[s] + 1]):
            seen[links.target[e]] = False
    return max(fewer, 0.0), True


@inner
def _sweep_lanes(
    links: _Links, script: Script, steps: _Steps, kept: Kept, p: int, t: int, answers: _Answers, base: Floats,
    mass: Floats, room: tuple[Floats, Floats, Floats], mode: int,
) -> tuple[Floats, int, int, bool]:  # fmt: skip
    """Return the links of a piece in each lane, the steps between which any differ, and whether sums can be trusted."""
    begin, end = script.first[p], script.first[p + 1]
    at = steps.link[begin]
    n = len(answers.group)
    lanes = np.empty((n, steps.link[end] - at))
    low, high = t, t + 1
    for k in range(n):
        g = answers.group[k]
        last, forth = onward(script, kept, t, end, g, room, mass, mode)
        first, back = backward(script, kept, t, begin, g, room, mass, mode)
        if not (forth and back):
            return lanes, low, high, False
        lanes[k] = base[at : steps.link[end]]
        _write_links(links, steps, mass, first, t, lanes[k], at)
        _write_links(links, steps, mass, t + 1, last, lanes[k], at)
        low, high = min(low, first), max(high, last)
    return lanes, low, high, True


@inner
def _write_links(links: _Links, steps: _Steps, mass: Floats, begin: int, end: int, into: Floats, at: int) -> None:
    """Write how often the mothers of some steps take each of their links: alone, and in pairs."""
    for s in range(begin, end):
        u = steps.mother[s]
        n = links.first[u + 1] - links.first[u]
        o = steps.option[s] + 1
        here = steps.link[s] - at
        for k in range(n):
            into[here + k] = mass[steps.group[o + k]] * steps.share[o + k]
        o += n
        for q in range(links.pair_first[u], links.pair_first[u + 1]):
            together = mass[steps.group[o]] * steps.share[o]
            into[here + links.pair_a[q] - links.first[u]] += together
            into[here + links.pair_b[q] - links.first[u]] += together
            o += 1


@inner
def _one_daughter(
    links: _Links, steps: _Steps, d: int, t: int, begin: int, end: int, answers: _Answers, lanes: Floats
) -> float:
    """Return how much likelier the likeliest parent of a daughter is on average once the answer is known."""
    near = links.into[links.into_first[d] : links.into_first[d + 1]]
    parents = np.empty((len(answers.group), len(near)))
    for lane in range(len(answers.group)):
        _parents_of(links, steps, near, t, begin, end, lanes[lane], parents[lane])
    now = np.zeros(len(near) + 1)  # no parent comes last
    later = 0.0
    for o in range(len(answers.a)):
        share = answers.probability[o]
        later += share * _after(answers.a[o], answers.b[o], share, near, parents[answers.lane[o]], now)
    best = 0.0
    for k in range(len(now)):
        best = max(best, now[k])
    return later - best


@inner
def _parents_of(
    links: _Links, steps: _Steps, near: Ints, t: int, begin: int, end: int, lane: Floats, into: Floats
) -> None:
    """Write the probability of each link into a daughter, given that the mother of the step t does not take her."""
    left = 1.0
    weighed = True
    for e in near:
        if links.source[e] == steps.mother[t]:
            left = max(1.0 - links.link[e], LEAST_LEFT)
            weighed = links.shared[e]
    for k in range(len(near)):
        e = near[k]
        u = links.source[e]
        s = steps.of[u]
        if s == t and steps.mother[s] == u:
            into[k] = 0.0
        elif links.alive[e] and begin <= s < end and steps.mother[s] == u:
            p = lane[steps.link[s] - steps.link[begin] + e - links.first[u]]
            into[k] = p if weighed else p / left
        else:
            into[k] = links.link[e] / left


@inner
def _after(a: int, b: int, share: float, near: Ints, parents: Floats, now: Floats) -> float:
    """Add an answer to the parents of a daughter, and return the probability of the likeliest after it."""
    total = 0.0
    for k in range(len(near)):
        if near[k] == a or near[k] == b:
            now[k] += share
            return 1.0
        total += parents[k]
    scale = 1.0 / max(total, 1.0)
    best = max(1.0 - total, 0.0)
    now[len(near)] += share * best
    for k in range(len(near)):
        now[k] += share * parents[k] * scale
        best = max(best, parents[k] * scale)
    return best
