"""What a known lineage taught, as it is carried to other movies and kept with a run: parameters, and nothing of cells.

Drift, velocities, the speed of each frame and waves of divisions belong to a movie, so they are not among these.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .bell import Bell
from .daughters import Daughters
from .looks import Looks
from .motion import Motion
from .rates import LearnedRates
from .traits import Inheritance

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from .outlines import Outlines
    from .traits import Trait


@dataclass(frozen=True, slots=True, eq=False)
class TaughtTrait:
    """What was taught of one trait.

    Parameters
    ----------
    inherited : Inheritance
        How children and daughters look.
    dividing, ending : (20,) float64
        How much likelier than on average cells of each rank are to divide, and to disappear.
    """

    inherited: Inheritance
    dividing: NDArray[np.float64]
    ending: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class TaughtOutlines:
    """What was taught of masks: `Outlines.child`, `daughter` and `other`."""

    child: Bell
    daughter: Bell
    other: Bell


@dataclass(frozen=True, slots=True, eq=False)
class Taught:
    """Parameters of a cost.

    Parameters
    ----------
    motion, daughters, rates : Motion, Daughters, LearnedRates
        Of all cells alike: no frame has a speed of its own, and no cell a rate.
    by_age : (a,) float64
        How much likelier than on average cells are to divide 0, 1, ... frames after their birth.
    traits : dict of str to TaughtTrait
        By name.
    outlines : TaughtOutlines or None
        Of masks, where there were any.
    knows_errors : bool
        Whether the lineage knew of a false detection or a missed cell. One that did not, as detections that were made
        of the truth itself, does not tell how often others are.
    mothers, divisions : int
        Cells of the lineage that have children, and those that divide: what its rate of divisions, and its daughters,
        count for.
    """

    motion: Motion
    daughters: Daughters
    rates: LearnedRates
    by_age: NDArray[np.float64]
    traits: dict[str, TaughtTrait]
    outlines: TaughtOutlines | None
    knows_errors: bool
    mothers: int
    divisions: int

    @property
    def ndim(self) -> int:
        """Number of space axes."""
        return len(self.motion.prior)

    def looks(self, traits: Sequence[Trait], outlines: Outlines | None) -> Looks:
        """Return how the cells of another movie look, as far as something was taught of it."""
        shared = [trait for trait in traits if trait.name in self.traits]
        known = None
        if outlines is not None and self.outlines is not None:
            bells = self.outlines
            known = replace(outlines, child=bells.child, daughter=bells.daughter, other=bells.other)
        return Looks(tuple(shared), tuple(self.traits[trait.name].inherited for trait in shared), known)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain numbers, lists and names."""
        motion, rates = self.motion, self.rates
        return {
            "motion": {
                "coefficient": motion.coefficient.tolist(),
                "scale": motion.scale.tolist(),
                "freedom": motion.freedom,
                "growth": motion.growth,
                "prior": motion.prior.tolist(),
            },
            "daughters": asdict(self.daughters),
            "rates": {
                "division": rates.division,
                "appear": rates.appear.tolist(),
                "disappear": rates.disappear.tolist(),
                "false": rates.false,
                "miss": rates.miss,
                "again": rates.again,
            },
            "by_age": self.by_age.tolist(),
            "traits": {
                name: {
                    "child": [asdict(bell) for bell in trait.inherited.child],
                    "usual_child": asdict(trait.inherited.usual_child),
                    "together": asdict(trait.inherited.together),
                    "apart": asdict(trait.inherited.apart),
                    "told": None
                    if np.isnan(trait.inherited.kept)
                    else [trait.inherited.kept, trait.inherited.deviation],
                    "dividing": trait.dividing.tolist(),
                    "ending": trait.ending.tolist(),
                }
                for name, trait in self.traits.items()
            },
            "outlines": None if self.outlines is None else asdict(self.outlines),
            "knows_errors": self.knows_errors,
            "mothers": self.mothers,
            "divisions": self.divisions,
        }

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> Taught:
        """Return what `as_dict` gave."""
        motion, rates, outlines = kept["motion"], kept["rates"], kept["outlines"]
        return cls(
            Motion(
                coefficient=np.array(motion["coefficient"]),
                scale=np.array(motion["scale"]),
                freedom=motion["freedom"],
                frame_scale=np.ones(1),
                growth=motion["growth"],
                prior=np.array(motion["prior"]),
            ),
            Daughters(**kept["daughters"]),
            LearnedRates(**{**rates, "appear": np.array(rates["appear"]), "disappear": np.array(rates["disappear"])}),
            np.array(kept["by_age"]),
            {name: _trait_from(trait) for name, trait in kept["traits"].items()},
            None if outlines is None else TaughtOutlines(**{name: Bell(**bell) for name, bell in outlines.items()}),
            kept["knows_errors"],
            kept["mothers"],
            kept["divisions"],
        )


def _trait_from(kept: Mapping[str, Any]) -> TaughtTrait:
    kept_share, deviation = kept["told"] or (float("nan"), float("nan"))
    inherited = Inheritance(
        child=tuple(Bell(**bell) for bell in kept["child"]),
        usual_child=Bell(**kept["usual_child"]),
        together=Bell(**kept["together"]),
        apart=Bell(**kept["apart"]),
        kept=kept_share,
        deviation=deviation,
    )
    return TaughtTrait(inherited, np.array(kept["dividing"]), np.array(kept["ending"]))
