"""The kinds of evidence that the learned cost reads, each of which can be left out to see what it gives."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

from ..errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class LearnedConfig:
    """What the learned cost looks at; all of it by default.

    Parameters
    ----------
    drift : bool
        How the neighbours move. Without it each cell is taken to stay where it is, or to go on as it does itself.
    velocity : bool
        How a cell moves before and after a link.
    divisions : bool
        Whether cells divide at all.
    pairs : bool
        Where two daughters lie to each other and to their mother; without it their steps are two of any cell.
    gaps : bool
        Links over missed frames.
    optional : bool
        Whether a detection may be no cell.
    skip_divisions : bool
        Daughters that are missed in their first frame.
    hazard : bool
        Waves of divisions, and how long ago a cell last divided.
    areas : bool
        Areas or volumes, where masks or a table tell them.
    intensity : bool
        Mean brightness in each channel, where there are masks and images.
    outlines : bool
        How much of a cell's mask lay where its parent was.
    """

    drift: bool = True
    velocity: bool = True
    divisions: bool = True
    pairs: bool = True
    gaps: bool = True
    optional: bool = True
    skip_divisions: bool = True
    hazard: bool = True
    areas: bool = True
    intensity: bool = True
    outlines: bool = True

    @property
    def left_out(self) -> tuple[str, ...]:
        """Names of what it does not look at."""
        return tuple(name for name, read in asdict(self).items() if not read)


EVERYTHING = LearnedConfig()
KINDS = tuple(kind.name for kind in fields(LearnedConfig))


def without(kinds: Sequence[str]) -> dict[str, bool]:
    """Return the settings that leave kinds of evidence out.

    Parameters
    ----------
    kinds : sequence of str
        Names; a dash stands for an underscore.

    Raises
    ------
    ConfigError
        If there is no such kind.
    """
    names = [kind.strip().replace("-", "_") for kind in kinds]
    for name in names:
        if name not in KINDS:
            raise ConfigError(f"the learned cost knows no evidence {name!r}", known=", ".join(KINDS))
    return dict.fromkeys(names, False)
