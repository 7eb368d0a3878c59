"""What an answer would be worth where detections may be no cells: each answer is given, looked at, and taken back.

What a mother does then also changes what her daughters do and whether they are cells, so there is no short cut as in
`worth`: all pieces that the answer touches are weighed with it. That is exact where these pieces are; where links were
cut, what comes along them stays as it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from .conditioning import OpenPosterior, Touched

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]

LEAST_TRIED: Final = 1e-3
"""Answers that are less likely are not tried, as if they changed nothing: each hides at most that share of errors."""


class Parents(NamedTuple):
    """Who the parents of d daughters may be.

    Parameters
    ----------
    daughter : (d,) int64
        Their rows, increasing.
    first : (d,) int64
        Where the links into each begin; each has one at least.
    link : (l,) float64
        Probability of each of these links.
    """

    daughter: NDArray[np.int64]
    first: NDArray[np.int64]
    link: NDArray[np.float64]

    def likeliest(self) -> float:
        """Return the probability of the likeliest parent of each daughter, no parent being one, added up."""
        if not len(self.daughter):
            return 0.0
        none = 1.0 - np.add.reduceat(self.link, self.first)
        return float(np.maximum(np.maximum.reduceat(self.link, self.first), none).sum())


def reductions_by_trying(found: OpenPosterior, cells: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return of each cell how many errors fewer are expected once it is known what it does, (q,); never negative.

    sum_d (sum_o P(o) max_i P(i | o) - max_i P(i)) over daughters d, outcomes o and parents i of d, no parent being one.
    That the cell is none is an outcome of its own.

    Parameters
    ----------
    found : OpenPosterior
        Stands afterwards as it stood before.
    cells : (q,) int64
        Rows of the cells.
    """
    return np.array([_reduction(found, cell) for cell in cells.tolist()], dtype=np.float64)


def _reduction(found: OpenPosterior, cell: int) -> float:
    answers = list(_answers(found, cell))
    if len(answers) < 2:
        return 0.0
    now = found.parents_of(np.unique(np.concatenate([daughters.daughter for _, daughters in answers])))
    untried = 1.0 - sum(share for share, _ in answers)
    mean, later = untried * now.link, untried * now.likeliest()
    for share, after in answers:
        then = now._replace(link=_with(now, after))
        later += share * then.likeliest()
        mean += share * then.link
    return max(later - now._replace(link=mean).likeliest(), 0.0)


def _answers(found: OpenPosterior, cell: int) -> Iterator[tuple[float, Parents]]:
    """Yield how likely each answer is, and who would be parents after it of all daughters that it touches."""
    link_a, link_b, shares = (column.tolist() for column in found.outcomes_of(cell))
    childless = sum(share for a, share in zip(link_a, shares, strict=True) if a < 0)
    absent = min(1.0 - float(found.present[cell]), childless)
    for a, b, share in zip(link_a, link_b, shares, strict=True):
        links = [link for link in (a, b) if link >= 0]
        left = share if links else share - absent
        if LEAST_TRIED <= left < 1.0 - LEAST_TRIED:
            yield left, _after(found, found.choose(cell, links))
    if LEAST_TRIED <= absent < 1.0 - LEAST_TRIED:
        yield absent, _after(found, found.not_a_cell(cell))


def _after(found: OpenPosterior, touched: Touched) -> Parents:
    """Return who is a parent after an answer, and take the answer back."""
    parents = found.parents_of(touched.daughters)
    found.undo()
    return parents


def _with(now: Parents, after: Parents) -> Floats:
    """Return the links of all daughters with those that an answer changed."""
    link = now.link.copy()
    begin = now.first[np.searchsorted(now.daughter, after.daughter)]
    size = np.diff(np.append(after.first, len(after.link)))
    link[np.repeat(begin - after.first, size) + np.arange(len(after.link))] = after.link
    return link
