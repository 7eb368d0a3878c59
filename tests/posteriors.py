"""Posteriors drawn by hand, and random ones that keep all promises."""

import numpy as np

from trackdb.storage.posteriors import CellOutcomes, HowKnown, LinkProbabilities, PosteriorInfo, add_posterior

EXACT, PRUNED, BELIEF, SAMPLED = (int(how) for how in HowKnown)


def outcomes_of(cells):
    """Return outcomes from {cell: {daughters: probability}}, the likeliest first, all exact."""
    rows = [
        (cell, *(*daughters, -1, -1)[:2], p)
        for cell in sorted(cells)
        for daughters, p in sorted(cells[cell].items(), key=lambda outcome: -outcome[1])
    ]
    cell, a, b, p = (np.array(column) for column in zip(*rows, strict=True))
    return CellOutcomes(cell, a, b, p.astype(float), np.zeros(len(p), np.uint8), np.full(len(p), np.nan))


def links_of(cells, edges):
    """Return the probabilities of candidates {(source, target): edge} that outcomes {cell: ...} tell."""
    edge = np.array(sorted(edges.values()))
    ends = {number: link for link, number in edges.items()}
    p = np.array(
        [sum(q for d, q in cells.get(ends[e][0], {}).items() if ends[e][1] in d) for e in edge.tolist()], dtype=float
    )
    return LinkProbabilities(edge, p, np.zeros(len(p), np.uint8), np.full(len(p), np.nan))


def candidates(store):
    """Return the candidates of a store as {(source, target): edge}."""
    chosen = store.detection_set()
    detections = store.detections(chosen)
    edges = store.candidate_edges(chosen, detections)
    ends = zip(detections.id[edges.source].tolist(), detections.id[edges.target].tolist(), strict=True)
    return dict(zip(ends, edges.id.tolist(), strict=True))


def keep(store, links, outcomes, *, name="drawn-1", method="exact", solution=None, temperature=1.0, calibrated=False):
    """Keep a posterior of a solution, as the stage does."""
    chosen, info = store.find_solution(name=solution)
    with store.running("posterior", name, {"pins": 0}, chosen=chosen) as run:
        made = PosteriorInfo(0, chosen.id, info.id, run.id, name, method, temperature, calibrated)
        add_posterior(store, run, made, links, outcomes, {})
    return made


def random_outcomes(edges, rng):
    """Return outcomes {cell: {daughters: probability}} of all cells with candidates {(source, target): edge}.

    They are drawn cell by cell; each cell ends so often that no daughter has more than one mother in all.
    """
    targets = {}
    for source, target in edges:
        targets.setdefault(source, []).append(target)
    cells = {}
    for source, daughters in targets.items():
        options = [*((d,) for d in daughters), *((a, b) for a in daughters for b in daughters if a < b)]
        some = rng.permutation(len(options))[: rng.integers(len(options) + 1)]
        shares = rng.dirichlet(np.ones(len(some) + 1)) / len(targets)
        cells[source] = {options[k]: float(p) for k, p in zip(some, shares[1:], strict=True)}
        cells[source][()] = 1 - sum(cells[source].values())
    return cells


class ByTryingAll:
    """All selections of a small problem that keeps every cell, and how likely each is.

    Attributes
    ----------
    links : (s, m) bool
        Links of each.
    probability : (s,) float64
    """

    def __init__(self, problem, temperature=1.0):
        m, n = problem.n_edges, problem.n_nodes
        links = (np.arange(2**m)[:, None] >> np.arange(m)) & 1 == 1
        parents = links.astype(int) @ (problem.target[:, None] == np.arange(n)).astype(int)
        children = links.astype(int) @ (problem.source[:, None] == np.arange(n)).astype(int)
        kept = (parents <= 1).all(axis=1) & (children <= 2).all(axis=1)
        links, parents, children = links[kept], parents[kept], children[kept]
        cost = links @ problem.edge_cost + (parents == 0) @ problem.appear_cost
        cost = cost + (children == 0) @ problem.disappear_cost + (children == 2) @ problem.division_cost
        weight = np.exp(-(cost - cost.min()) / temperature)
        self.problem, self.links, self.parents = problem, links, parents
        self.probability = weight / weight.sum()

    @property
    def link(self):
        """(m,) Probability of each link."""
        return self.probability @ self.links

    @property
    def new(self):
        """(n,) Probability of each cell to have no parent."""
        return self.probability @ (self.parents == 0)

    def outcomes(self):
        """Return {row of a cell: {rows of its daughters: probability}} of the cells that have candidates."""
        found = {}
        for row in np.unique(self.problem.source).tolist():
            own = np.flatnonzero(self.problem.source == row)
            cell = found.setdefault(row, {})
            for links, p in zip(self.links[:, own], self.probability, strict=True):
                daughters = tuple(np.sort(self.problem.target[own[links]]).tolist())
                cell[daughters] = cell.get(daughters, 0.0) + p
        return found

    def errors(self, given=None):
        """Return the daughters expected to have another mother than their likeliest, given {mother: daughters}."""
        p = self.probability
        for mother, daughters in (given or {}).items():
            own = np.flatnonzero(self.problem.source == mother)
            wanted = np.isin(self.problem.target[own], daughters)
            p = p * (self.links[:, own] == wanted).all(axis=1)
        p = p / p.sum()
        best = p @ (self.parents == 0)
        np.maximum.at(best, self.problem.target, p @ self.links)
        return float((1 - best).sum())
