"""All traits of the cells of a movie with what is learned of each, and what cells that look so are about to do.

Large cells divide, small ones leave a tissue: how often, is counted by the rank of each trait as the hazard is by age.
Traits are taken one after the other, each counting what is left to explain.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from .hazard import at_rank, ratios_by_rank
from .traits import Inheritance, Trait

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .lineage import Lineage
    from .outlines import Outlines
    from .rates import LearnedRates
    from .surroundings import Surroundings

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]


WEIGHT: Final = 0.5
"""What the log densities of all traits together are multiplied by (design 24): segmentations err for reasons that no
density here knows, and in all traits of a cell at once."""


@dataclass(frozen=True, slots=True)
class Looks:
    """How n cells look.

    Parameters
    ----------
    traits : tuple of Trait
        Of the cells.
    inherited : tuple of Inheritance
        What is learned of each.
    outlines : Outlines or None
        Their masks.
    """

    traits: tuple[Trait, ...] = ()
    inherited: tuple[Inheritance, ...] = ()
    outlines: Outlines | None = None

    @classmethod
    def unlearned(cls, traits: Sequence[Trait], outlines: Outlines | None = None) -> Looks:
        """Return what to start from."""
        return cls(tuple(traits), tuple(Inheritance.unlearned(trait) for trait in traits), outlines)

    def log_child(self, rows: Ints | slice, parent: Ints, child: Ints) -> Floats:
        """Return the evidence of k links in nats; beside their ends stand their rows among the candidates."""
        total = np.zeros(len(parent)) if self.outlines is None else self.outlines.log_child(rows)
        for trait, inherited in zip(self.traits, self.inherited, strict=True):
            total += self.weight * inherited.log_child(trait, parent, child)
        return total

    def log_daughters(self, rows: tuple[Ints, Ints], mother: Ints, one: Ints, other: Ints) -> Floats:
        """Return the evidence of k pairs of daughters in nats; `rows` are those of both among the candidates."""
        total = np.zeros(len(mother))
        if self.outlines is not None:
            total += self.outlines.log_daughter(rows[0]) + self.outlines.log_daughter(rows[1])
        for trait, inherited in zip(self.traits, self.inherited, strict=True):
            total += self.weight * inherited.log_daughters(trait, mother, one, other)
        return total

    def with_links(self, parent: Ints, child: Ints) -> Looks:
        """Return what k links without a division tell."""
        both = zip(self.traits, self.inherited, strict=True)
        return replace(self, inherited=tuple(known.with_links(trait, parent, child) for trait, known in both))

    def with_daughters(self, rows: tuple[Ints, Ints], mother: Ints, one: Ints, other: Ints, share: Floats) -> Looks:
        """Return what k pairs tell of which each is a pair of daughters with some probability."""
        both = zip(self.traits, self.inherited, strict=True)
        learned = tuple(known.with_daughters(trait, mother, one, other, share) for trait, known in both)
        outlines = self.outlines
        if outlines is not None:
            outlines = outlines.with_daughters(np.concatenate(rows), np.concatenate([share, share]))
        return replace(self, inherited=learned, outlines=outlines)

    def ending(self, around: Surroundings, lineage: Lineage, rates: LearnedRates) -> Floats:
        """Return how much likelier than on average each cell is to disappear; the last two frames tell nothing."""
        return self.at_ranks(self.ratios_of_ending(around, lineage, rates))

    def ratios_of_ending(self, around: Surroundings, lineage: Lineage, rates: LearnedRates) -> list[Floats]:
        """Return the same by the rank of each trait, (20,) each."""
        counted = lineage.cell & (around.order < around.n_frames - 2)
        ended = (counted & ~lineage.has_child).astype(np.float64)
        return self._ratios(counted, ended, rates.disappear[around.border.astype(np.int64)])

    def dividing(self, lineage: Lineage, divisions: Floats, rate: float) -> Floats:
        """Return how much likelier than at the `rate` each cell is to divide, `divisions` of each being expected."""
        return self.at_ranks(self.ratios_of_dividing(lineage, divisions, rate))

    def ratios_of_dividing(self, lineage: Lineage, divisions: Floats, rate: float) -> list[Floats]:
        """Return the same by the rank of each trait, (20,) each."""
        return self._ratios(lineage.has_child, divisions, np.full(len(divisions), rate))

    def at_ranks(self, ratios: Sequence[Floats]) -> Floats:
        """Return the product of the ratios that each cell has by the ranks of its traits; (1,) without traits."""
        product = np.ones(1)
        for trait, ratio in zip(self.traits, ratios, strict=True):
            product = product * at_rank(trait.value, ratio)
        return product

    def _ratios(self, counted: NDArray[np.bool_], seen: Floats, expected: Floats) -> list[Floats]:
        found: list[Floats] = []
        for trait in self.traits:
            found.append(ratios_by_rank(trait.value, counted, seen, expected))
            expected = expected * at_rank(trait.value, found[-1])
        return found

    @property
    def weight(self) -> float:
        """What the log density of each trait is multiplied by."""
        return WEIGHT / max(len(self.traits), 1)

    @property
    def tables(self) -> tuple[Floats, Floats, NDArray[np.bool_], Floats]:
        """Values and their log densities (k, n), which add up (k,), and bells (k, 2, 5), for the kernel of pairs."""
        none = np.empty((0, 0))
        return (
            np.array([trait.value for trait in self.traits]) if self.traits else none,
            np.array([trait.log_any for trait in self.traits]) if self.traits else none,
            np.array([trait.adds_up for trait in self.traits], dtype=bool),
            np.array([known.rows for known in self.inherited]).reshape(-1, 2, 5),
        )


NO_LOOKS: Final = Looks()
