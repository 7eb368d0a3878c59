"""What the settings of a run may be: whoever made a store may have kept a text where a number belongs.

Only what trackdb reads again is looked at, once, where a run is read; past that door each reader may rely on it. What
is missing is told by whoever asks for it (`Facts`); what is not named here is shown as it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from ..errors import StoreDamagedError
from .facts import REMEDY, Facts, as_facts
from .pixels.frames import MAX_FRAMES

LARGEST: Final = 2**63 - 1
WIDEST_PIECE: Final = 24  # daughters that are open at once in what a posterior weighs exactly: 2 to this power


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of value: in words, and whether a value is of it."""

    words: str
    holds: Callable[[object], bool]


@dataclass(frozen=True, slots=True)
class Each:
    """An object whose values are all of one kind, whatever their names."""

    value: Spec


@dataclass(frozen=True, slots=True)
class Fields:
    """An object whose values are each of their own kind; if it is `closed` it has no others."""

    of: Mapping[str, Spec]
    closed: bool = False


Spec: TypeAlias = Kind | Each | Fields


def _whole(value: object, low: int = -LARGEST, high: int = LARGEST) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _number(value: object) -> bool:
    return isinstance(value, float) or _whole(value)


def _finite(value: object) -> bool:
    return _number(value) and math.isfinite(value)  # type: ignore[arg-type]  # it is a number


def _all_numbers(value: object) -> bool:
    """Return whether an object holds objects and lists of numbers, and nothing else."""
    left = [value]
    while left:
        item = left.pop()
        if isinstance(item, Mapping | list):
            left += item.values() if isinstance(item, Mapping) else item
        elif not (item is None or isinstance(item, bool) or _finite(item)):
            return False
    return isinstance(value, Mapping)


def _within(low: int, high: int) -> Kind:
    return Kind(f"a whole number within {low} .. {high}", lambda value: _whole(value, low, high))


def _one_of(*names: str) -> Kind:
    return Kind(f"one of {', '.join(names)}", lambda value: value in names)


TEXT: Final = Kind("a text", lambda value: isinstance(value, str))
TEXT_OR_NONE: Final = Kind("a text or null", lambda value: value is None or isinstance(value, str))
FLAG: Final = Kind("true or false", lambda value: isinstance(value, bool))
COUNT: Final = Kind("a whole number, 0 or more", lambda value: _whole(value, 0))
NUMBER: Final = Kind("a number", _finite)
ANY_NUMBER: Final = Kind("a number", _number)  # an estimate may be none, where there was nothing to estimate it from
DISTANCE: Final = Kind("a distance", lambda value: _finite(value) and value >= 0)  # type: ignore[operator]
NUMBERS: Final = Kind("an object of numbers", _all_numbers)
SHARE: Final = Kind("a probability", lambda value: _finite(value) and 0 < value < 1)  # type: ignore[operator]

_ESTIMATES: Final = Each(ANY_NUMBER)
_TRACKINGS: Final = Each(Each(COUNT))
_EVIDENCE: Final = (
    *("drift", "velocity", "divisions", "pairs", "gaps", "optional", "skip_divisions"),
    *("hazard", "areas", "intensity", "outlines"),
)
_WEIGHTS: Final = ("distance", "score", "bias", "division_bias", "appear", "disappear")
_TAUGHT: Final[dict[str, Spec]] = {
    **dict.fromkeys(("solution", "dataset", "project", "store"), TEXT),
    **dict.fromkeys(("links", "divisions", "cells", "first_frame", "last_frame"), COUNT),
    "parameters": NUMBERS,
}
_MODEL: Final[dict[str, Spec]] = {
    **dict.fromkeys(("name", "folder", "sha256"), TEXT),
    "training": Fields({}),
}

SETTINGS: Final[Mapping[str, Fields]] = {
    "ingest": Fields({"frames_done": COUNT, "trackings": _TRACKINGS}),
    "import": Fields({"trackings": _TRACKINGS}),
    "link": Fields({"max_distance": DISTANCE, "neighbors": _within(1, 2**31 - 1), "max_gap": _within(0, MAX_FRAMES)}),
    "score": Fields(
        {
            **dict.fromkeys(("by", "sha256"), TEXT),
            "channel": TEXT_OR_NONE,
            "scale": _one_of("log_density", "probability", "iou", "similarity"),
            "estimates": _ESTIMATES,
            "model": Fields(_MODEL),
        }
    ),
    "solve": Fields(
        {
            **dict.fromkeys(("linker", "cost", "by"), TEXT),
            **dict.fromkeys(("scores", "solver"), TEXT_OR_NONE),
            "window": COUNT,
            "learned": Fields(dict.fromkeys(_EVIDENCE, FLAG), closed=True),
            "two_distance": Fields(dict.fromkeys(_WEIGHTS, NUMBER), closed=True),
            "estimates": _ESTIMATES,
            "taught": Fields(_TAUGHT, closed=True),
            "trackings": _TRACKINGS,
        }
    ),
    "posterior": Fields(
        {
            **dict.fromkeys(("temperature", "sigma_px", "noise"), NUMBER),
            **dict.fromkeys(("k", "draws", "sweeps", "seed", "heard"), COUNT),
            **dict.fromkeys(("costs", "decided", "code"), TEXT),
            "prune": SHARE,
            "width": _within(1, WIDEST_PIECE),
        }
    ),
}
"""By the kind of a run: of what kind its settings are, as far as they are read again."""


def settings_of_run(value: object, run: int, kind: object, *, done: bool = True) -> Facts:
    """Return the settings that a store keeps of a run; one that is not done keeps what was asked for, as ``auto``.

    Raises
    ------
    StoreDamagedError
        If they are no JSON object, or one that is read again is not of its kind.
    """
    facts = as_facts(value, f"run {run}")
    for place, found, wanted in _strange(facts, SETTINGS.get(str(kind), Fields({}))):
        if place == "scale" and not done:
            continue
        shown = f"an object of {len(found)}" if isinstance(found, Mapping) else repr(found)
        raise StoreDamagedError(
            f"run {run} ({kind}) keeps {shown[:200]} as {place}", expected=wanted, **{"try": REMEDY}
        )
    return facts


def _strange(value: object, spec: Spec, place: str = "") -> Iterator[tuple[str, object, str]]:
    """Yield what is not of its kind: where it stands, what it is, and what belongs there."""
    if isinstance(spec, Kind):
        if not spec.holds(value):
            yield place, value, spec.words
        return
    if not isinstance(value, Mapping):
        yield place, value, "an object"
        return
    for name, held in value.items():
        where = f"{place}.{name}" if place else name
        if isinstance(spec, Each):
            yield from _strange(held, spec.value, where)
        elif name in spec.of:
            yield from _strange(held, spec.of[name], where)
        elif spec.closed:
            yield where, held, f"nothing but {', '.join(spec.of)}"
