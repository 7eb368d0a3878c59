"""Probabilities by adding up the weight of every selection, and small problems on which that is possible."""

from dataclasses import dataclass

import numpy as np

from trackdb.solvers.problem import TrackingProblem


@dataclass(frozen=True)
class Weighed:
    """Probabilities of links and cells, of what mothers do (one dict a cell, by links a, b), and of being one clone."""

    link: np.ndarray
    new: np.ndarray
    present: np.ndarray
    outcomes: list
    same_clone: np.ndarray


def coupled_problem(seed, *, gaps=False, n_frames=3, per_frame=3, most_links=12):
    """Return nine detections on a line, some of them optional, with costs that leave most questions open."""
    rng = np.random.default_rng(seed)
    frame = np.repeat(np.arange(n_frames), per_frame)
    n = len(frame)
    frames = frame[None] - frame[:, None]
    while True:
        steps = np.cumsum(rng.normal(0, 0.4, (n_frames, per_frame)), axis=0)
        place = (rng.random(per_frame) * per_frame * 0.8 + steps).ravel()
        near = np.abs(place[None] - place[:, None]) < 1.5
        source, target = np.nonzero(((frames == 1) | (gaps & (frames == 2))) & near)
        if 6 <= len(source) <= most_links:
            break
    distance = np.abs(place[target] - place[source])
    return TrackingProblem(
        frame=frame,
        source=source,
        target=target,
        edge_cost=(distance / 0.4) ** 2 / 2
        - 0.2
        + 1.5 * (frames[source, target] - 1)
        + rng.normal(0, 0.3, len(source)),
        node_cost=rng.normal(-1.0, 1.2, n),
        appear_cost=np.where(frame == 0, 0.5, 2.5),
        disappear_cost=np.where(frame == n_frames - 1, 0.3, 2.0),
        division_cost=np.full(n, 2.0),
        pinned_node=np.where(rng.random(n) < 0.6, 0, 1).astype(np.int8),
    )


def weigh_all(problem, temperature=1.0):
    """Weigh all 2^m sets of links, each with every set of the cells that are not linked; no pairs, no conflicts."""
    m, n = problem.n_edges, problem.n_nodes
    links = (np.arange(2**m)[:, None] >> np.arange(m)) & 1 == 1  # (2^m, m)
    parents = links.astype(int) @ (problem.target[:, None] == np.arange(n)).astype(int)  # (2^m, n)
    children = links.astype(int) @ (problem.source[:, None] == np.arange(n)).astype(int)
    linked = (parents > 0) | (children > 0)
    allowed = ((parents <= 1) & (children <= 2) & ~(linked & (problem.pinned_node == -1))).all(axis=1)
    links, parents, children, linked = (a[allowed] for a in (links, parents, children, linked))
    alone = np.exp(-(problem.node_cost + problem.appear_cost + problem.disappear_cost) / temperature)
    cost = (
        links @ problem.edge_cost
        + (children == 2) @ problem.division_cost
        + linked @ problem.node_cost
        + (linked & (parents == 0)) @ problem.appear_cost
        + (linked & (children == 0)) @ problem.disappear_cost
    )
    of_lonely = np.choose(problem.pinned_node + 1, [np.ones(n), 1 + alone, alone])
    weight = np.exp(-cost / temperature) * np.where(linked, 1.0, of_lonely).prod(axis=1)
    weight /= weight.sum()
    lonely_cell = np.choose(problem.pinned_node + 1, [np.zeros(n), alone / (1 + alone), np.ones(n)])
    cell = np.where(linked, 1.0, lonely_cell)
    outcomes: list = [{} for _ in range(n)]
    for v in range(n):
        rows = np.flatnonzero(problem.source == v)
        for chosen in np.unique(links[:, rows], axis=0):
            a, b = [*rows[chosen], -1, -1][:2]
            outcomes[v][(int(a), int(b))] = weight[(links[:, rows] == chosen).all(axis=1)].sum()
    founder = np.tile(np.arange(n), (len(links), 1))
    for e in np.argsort(problem.frame[problem.target], kind="stable"):
        taken = links[:, e]
        founder[taken, problem.target[e]] = founder[taken, problem.source[e]]
    same = np.einsum("s,sij->ij", weight, (founder[:, :, None] == founder[:, None, :]) * np.minimum(
        cell[:, :, None], cell[:, None, :]
    ))  # fmt: skip
    return Weighed(weight @ links, weight @ (cell * (parents == 0)), weight @ cell, outcomes, same)


def worth_by_trying_all(problem, cell):
    """Return how many errors fewer are expected once it is known what a cell does; that it is none is an outcome.

    An error is a detection whose mother is another than its likeliest, none being one. Answers are given one by one to
    all 2^m sets of links; no pairs, no conflicts.
    """
    links, weight, absent = _all_selections(problem)
    parents = np.stack([links[:, problem.target == v].sum(axis=1) == 0 for v in range(problem.n_nodes)], axis=1)

    def errors(weight):
        p = weight / weight.sum()
        best = p @ parents
        np.maximum.at(best, problem.target, p @ links)
        return (1 - best).sum()

    own = links[:, problem.source == cell]
    answers = [weight * (own == chosen).all(axis=1) * (1 - absent[:, cell]) for chosen in np.unique(own, axis=0)]
    answers.append(weight * absent[:, cell])
    later = sum(answer.sum() * errors(answer) for answer in answers if answer.sum() > 0)
    return errors(weight) - later


def _all_selections(problem):
    """Return all sets of links (s, m), how likely each is, and how likely each cell is absent given it (s, n)."""
    m, n = problem.n_edges, problem.n_nodes
    links = (np.arange(2**m)[:, None] >> np.arange(m)) & 1 == 1
    parents = links.astype(int) @ (problem.target[:, None] == np.arange(n)).astype(int)
    children = links.astype(int) @ (problem.source[:, None] == np.arange(n)).astype(int)
    linked = (parents > 0) | (children > 0)
    allowed = ((parents <= 1) & (children <= 2) & ~(linked & (problem.pinned_node == -1))).all(axis=1)
    links, parents, children, linked = (a[allowed] for a in (links, parents, children, linked))
    alone = np.exp(-(problem.node_cost + problem.appear_cost + problem.disappear_cost))
    cost = links @ problem.edge_cost + (children == 2) @ problem.division_cost + linked @ problem.node_cost
    cost = cost + (linked & (parents == 0)) @ problem.appear_cost + (linked & (children == 0)) @ problem.disappear_cost
    weight = np.exp(-cost) * np.where(linked, 1.0, np.choose(problem.pinned_node + 1, [1, 1 + alone, alone])).prod(1)
    absent = np.where(linked, 0.0, np.choose(problem.pinned_node + 1, [1.0, 1 / (1 + alone), 0.0]))
    return links, weight / weight.sum(), absent


def flipped_by_trying_all(problem):
    """Return the least cost of all selections, and of those without and with each link, new cell and cell.

    All 2^m sets of links, each with the lonely cells that pay; no conflicts. ``best`` is a number; ``link``, ``new``
    and ``present`` hold two arrays each.
    """
    m, n = problem.n_edges, problem.n_nodes
    links = (np.arange(2**m)[:, None] >> np.arange(m)) & 1 == 1
    parents = links.astype(int) @ (problem.target[:, None] == np.arange(n)).astype(int)
    children = links.astype(int) @ (problem.source[:, None] == np.arange(n)).astype(int)
    linked = (parents > 0) | (children > 0)
    allowed = ((parents <= 1) & (children <= 2) & ~(linked & (problem.pinned_node == -1))).all(axis=1)
    of_links = links @ problem.edge_cost
    if problem.pairs is None:
        of_links += (children == 2) @ problem.division_cost
    else:
        divisions = np.zeros(2**m, dtype=int)
        for a, b, cost in zip(problem.pairs.first, problem.pairs.second, problem.pairs.cost, strict=True):
            both = links[:, a] & links[:, b]
            of_links += both * (cost - problem.edge_cost[a] - problem.edge_cost[b])
            divisions += both
        allowed &= divisions == (children == 2).sum(axis=1)
    links, parents, linked, children, of_links = (a[allowed] for a in (links, parents, linked, children, of_links))
    of_cells = (
        linked @ problem.node_cost
        + (linked & (parents == 0)) @ problem.appear_cost
        + (linked & (children == 0)) @ problem.disappear_cost
    )
    alone = problem.node_cost + problem.appear_cost + problem.disappear_cost
    selected = np.where(problem.pinned_node >= 0, alone, np.inf)
    absent = np.where(problem.pinned_node <= 0, 0.0, np.inf)
    lonely = np.where(linked, 0.0, np.minimum(selected, absent))
    cost = of_links + of_cells + lonely.sum(axis=1)

    def least(of):
        return of.min(axis=0) if len(of) else np.full(of.shape[1:], np.inf)

    rest = cost[:, None] - lonely
    there, gone = rest + np.where(linked, 0.0, selected), np.where(linked, np.inf, rest + absent)
    with_parent, founder = np.where(parents > 0, there, np.inf), np.where(parents > 0, np.inf, there)
    return {
        "best": least(cost),
        "link": (least(np.where(links, np.inf, cost[:, None])), least(np.where(links, cost[:, None], np.inf))),
        "new": (np.minimum(least(gone), least(with_parent)), least(founder)),
        "present": (least(gone), least(there)),
    }
