"""What a known lineage taught, as it is carried to other movies and kept with a run: parameters, and nothing of cells.

Drift, velocities, the speed of each frame and waves of divisions belong to a movie, so they are not among these.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .bell import Bell
from .daughters import Daughters
from .hazard import RANKS
from .looks import Looks
from .motion import COLUMNS, PATTERNS, Motion
from .rates import LearnedRates
from .traits import CLASSES, Inheritance

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
        """Return what `as_dict` gave.

        Raises
        ------
        KeyError, TypeError, ValueError
            If something is missing, is no number, or has another shape.
        """
        motion, rates, outlines = kept["motion"], kept["rates"], kept["outlines"]
        prior = np.array(motion["prior"], dtype=np.float64)
        ndim = len(prior) if prior.ndim else 0
        return cls(
            Motion(
                coefficient=_shaped(motion["coefficient"], PATTERNS, COLUMNS),
                scale=_shaped(motion["scale"], PATTERNS, ndim, ndim),
                freedom=float(motion["freedom"]),
                frame_scale=np.ones(1),
                growth=float(motion["growth"]),
                prior=_shaped(prior, ndim, ndim),
            ),
            Daughters(**_floats(kept["daughters"])),
            LearnedRates(
                division=float(rates["division"]),
                false=float(rates["false"]),
                miss=float(rates["miss"]),
                again=float(rates["again"]),
                appear=_shaped(rates["appear"], 2),
                disappear=_shaped(rates["disappear"], 2),
            ),
            _shaped(kept["by_age"], None),
            {name: _trait_from(trait) for name, trait in kept["traits"].items()},
            None if outlines is None else TaughtOutlines(**{name: _bell(bell) for name, bell in outlines.items()}),
            bool(kept["knows_errors"]),
            int(kept["mothers"]),
            int(kept["divisions"]),
        )


def _trait_from(kept: Mapping[str, Any]) -> TaughtTrait:
    kept_share, deviation = kept["told"] or (float("nan"), float("nan"))
    if len(kept["child"]) != CLASSES:
        raise ValueError(f"children of {len(kept['child'])} classes, expected {CLASSES}")
    inherited = Inheritance(
        child=tuple(map(_bell, kept["child"])),
        usual_child=_bell(kept["usual_child"]),
        together=_bell(kept["together"]),
        apart=_bell(kept["apart"]),
        kept=float(kept_share),
        deviation=float(deviation),
    )
    return TaughtTrait(inherited, _shaped(kept["dividing"], RANKS), _shaped(kept["ending"], RANKS))


def _bell(kept: Mapping[str, Any]) -> Bell:
    return Bell(**_floats(kept))


def _floats(kept: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in kept.items()}


def _shaped(kept: object, *shape: int | None) -> NDArray[np.float64]:
    """Return numbers as an array; None among the lengths is any length but none."""
    array = np.array(kept, dtype=np.float64)
    if array.ndim != len(shape) or any(
        got != wanted if wanted is not None else not got for got, wanted in zip(array.shape, shape, strict=True)
    ):
        raise ValueError(f"an array of shape {array.shape}, expected {shape}")
    return array
