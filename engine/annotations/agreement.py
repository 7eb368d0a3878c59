"""Where people agree and where not: Cohen's kappa of each two, and the answers that exclude each other.

What counts here is what somebody said and did not take back himself: that another replaced it changes no opinion.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Final

from ...storage.decisions import DecisionKind, counting
from .pins import PINNING, PinSet, attached

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ...storage.decisions import Decision
    from ...storage.duckdb_store import DuckDBStore

ABOUT_THE_CELL: Final = (
    DecisionKind.CHOOSE,
    DecisionKind.NOT_A_CELL,
    DecisionKind.UNSURE,
    DecisionKind.SEGMENTATION,
)
Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two people agree on the cells that both answered.

    Parameters
    ----------
    a, b : str
        The two, by name.
    cells, agreed : int
        Cells that both answered, and those about which they said the same.
    kappa : float or None
        Cohen's kappa: 1 where they always agree, 0 where they agree as often as chance would have it; None where
        neither ever said anything but one thing.

    References
    ----------
    .. [1] Cohen, "A coefficient of agreement for nominal scales", Educ. Psychol. Meas. 1960.
    """

    a: str
    b: str
    cells: int
    agreed: int
    kappa: float | None


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two answers that exclude each other.

    Parameters
    ----------
    earlier, later : Decision
        The two.
    why : str
        Why both cannot be.
    open : bool
        Whether both count, so that neither pins anything; else one was taken back by somebody else than its author.
    """

    earlier: Decision
    later: Decision
    why: str
    open: bool


def opinions(said: Sequence[Decision]) -> list[Decision]:
    """Return what people said and did not take back themselves, oldest first."""
    by_key = {d.key: d for d in said}
    own = [d for d in said if d.undo_of is None or _author(by_key, d) == d.who]
    kept = counting(own)
    return [d for d in said if d.key in kept and d.kind is not DecisionKind.UNDO]


def _author(by_key: dict[str, Decision], undoing: Decision) -> str | None:
    """Return who said what an undoing takes back in the end: an answer, or the undoing of one, and so on."""
    of = by_key.get(undoing.undo_of or "")
    while of is not None and of.undo_of is not None:
        of = by_key.get(of.undo_of)
    return None if of is None else of.who


def agreements(said: Sequence[Decision]) -> list[Agreement]:
    """Return how far each two people agree who answered about the same cells, by name."""
    newest: dict[str, dict[Place, Decision]] = {}
    for decision in opinions(said):
        if decision.kind in ABOUT_THE_CELL and decision.cell is not None:
            newest.setdefault(decision.who, {})[decision.dataset, decision.cell.id] = decision
    found = []
    for a, b in combinations(sorted(newest), 2):
        pairs = [_categories(newest[a][place], newest[b][place]) for place in newest[a] if place in newest[b]]
        if pairs:
            found.append(Agreement(a, b, len(pairs), sum(x == y for x, y in pairs), kappa(pairs)))
    return found


def _categories(one: Decision, other: Decision) -> tuple[str, str]:
    """Return what two people said of a cell, in words that are the same for all cells: "continues 1", "ends".

    The number is the place of the daughters among all that were on the screen or were named, so that two who chose
    different ones did not say the same.
    """
    named: dict[frozenset[int], None] = {}
    for decision in (one, other):
        named |= dict.fromkeys(map(frozenset, _shown(decision)))
    named |= dict.fromkeys(sorted((_daughters(d) for d in (one, other)), key=sorted))
    order = {size: [n for n in named if len(n) == size] for size in (0, 1, 2)}

    def category(decision: Decision) -> str:
        if decision.kind is not DecisionKind.CHOOSE:
            return decision.kind.value
        daughters = _daughters(decision)
        way = ("ends", "continues", "divides")[len(daughters)]
        return f"{way} {1 + order[len(daughters)].index(daughters)}"

    return category(one), category(other)


def _daughters(decision: Decision) -> frozenset[int]:
    return frozenset(daughter.id for daughter in decision.daughters or ())


def _shown(decision: Decision) -> Iterable[list[int]]:
    """Yield the daughters of each outcome that was on the screen, the likeliest first."""
    pairs = [pair for pair in decision.shown or () if isinstance(pair, list) and len(pair) == 2]
    told = [p for p in pairs if isinstance(p[0], list) and all(isinstance(d, int) for d in p[0])]
    return (daughters for daughters, _ in sorted(told, key=lambda p: -p[1] if isinstance(p[1], int | float) else 0.0))


def kappa(pairs: Sequence[tuple[str, str]]) -> float | None:
    """Return Cohen's kappa of what two people said of the same things, None where it is not defined."""
    n = len(pairs)
    one, other = (Counter(said) for said in zip(*pairs, strict=True))
    by_chance = sum(one[category] * other[category] for category in one) / n**2
    if by_chance == 1:
        return None
    return (sum(x == y for x, y in pairs) / n - by_chance) / (1 - by_chance)


def conflicts(store: DuckDBStore, said: Sequence[Decision]) -> list[Conflict]:
    """Return all pairs of answers that exclude each other, of the newest detections of each dataset, oldest first."""
    keys = counting(said)
    meant = [d for d in opinions(said) if d.kind in PINNING]
    newest = {chosen.movie.name: chosen for chosen in store.detection_sets()}
    found = []
    for dataset in dict.fromkeys(d.dataset for d in meant):
        if dataset not in newest:
            continue
        pins = PinSet()
        for answer in attached([d for d in meant if d.dataset == dataset], store.detections(newest[dataset]))[0]:
            for earlier, later, why in pins.disputes(answer):
                both = earlier.key in keys and later.key in keys
                if both or earlier.who != later.who:  # who changed his mind has no conflict with himself
                    found.append(Conflict(earlier, later, why, both))
            pins.add(answer)
    return found
