"""The settings of the cost of Trackastra, the table ``[association]`` of a settings file."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

from ..errors import ConfigError

HEAVIEST: Final = 1e3  # weight; the sum of all costs has to stay exact
OWN: Final = "own"


@dataclass(frozen=True, slots=True)
class AssociationCosts:
    """What a probability is worth, and what each thing that a cell does costs [1]_.

    Parameters
    ----------
    detection : float
        To take a detection; far below 0 keeps all.
    link, per_probability : float
        To take a link, and for each unit of its probability.
    appear, disappear, division : float
        Of a cell, at the first and the last frame too.

    References
    ----------
    .. [1] Gallusser & Weigert, "Trackastra", ECCV 2024, section 1.4; the numbers are those of its released code
       (``gt``).
    """

    detection: float = -10.0
    link: float = 0.0
    per_probability: float = -1.0
    appear: float = 0.25
    disappear: float = 0.5
    division: float = 0.25

    @property
    def keeps_all(self) -> bool:
        """Whether every optimum takes every detection, since one that stands alone pays already."""
        return self.detection + max(self.appear, 0.0) + max(self.disappear, 0.0) < 0


PRESETS: Final = {
    "gt": AssociationCosts(),
    "rare-divisions": AssociationCosts(division=1.0),
    "rare-beginnings": AssociationCosts(appear=0.5),
    "res-tuned": AssociationCosts(0.25, -0.25, -1.0, 0.25, 0.25, 1.0),
}
"""Those of the released code; its names are ``gt`` and ``res-tuned``, the others are what they change of ``gt``."""


@dataclass(frozen=True, slots=True)
class AssociationConfig:
    """Which numbers the cost of Trackastra takes.

    Parameters
    ----------
    preset : str
        ``gt``, ``rare-divisions``, ``rare-beginnings`` or ``res-tuned``; ``own`` for the numbers that follow.
    detection, link, per_probability, appear, disappear, division : float
        As in `AssociationCosts`; for ``own``.
    """

    preset: str = "gt"
    detection: float = -10.0
    link: float = 0.0
    per_probability: float = -1.0
    appear: float = 0.25
    disappear: float = 0.5
    division: float = 0.25

    def __post_init__(self) -> None:
        known = (*PRESETS, OWN)
        if self.preset not in known:
            raise ConfigError(f"association.preset is {self.preset!r}, wanted one of {', '.join(known)}")
        for setting in fields(AssociationCosts):
            value = getattr(self, setting.name)
            if not abs(value) < HEAVIEST:
                raise ConfigError(f"association.{setting.name} is {value!r}, wanted a number within +-{HEAVIEST:g}")
            if self.preset != OWN and value != setting.default:
                why = f"association.{setting.name} is for preset = {OWN}, and {self.preset} has numbers of its own"
                raise ConfigError(why, **{"try": f'preset = "{OWN}"'})

    def costs(self) -> AssociationCosts:
        """Return the numbers that are meant."""
        if self.preset != OWN:
            return PRESETS[self.preset]
        return AssociationCosts(**{setting.name: getattr(self, setting.name) for setting in fields(AssociationCosts)})
