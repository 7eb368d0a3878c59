"""What a store tells in JSON, as settings of runs: whoever made the store may have written anything there."""

from __future__ import annotations

import json
from typing import Any, Final

from ..errors import StoreDamagedError

REMEDY: Final = "restore the store from a copy, or make anew what it belongs to"


class UntoldError(StoreDamagedError, KeyError):
    """A fact that a store has to tell is missing."""


class Facts(dict[str, Any]):
    """A JSON object of a store; to ask it for what it does not hold is damage of the store, not a bug."""

    def __missing__(self, key: str) -> Any:
        raise UntoldError(f"the store does not tell {key} where it has to", **{"try": REMEDY})


def facts_in(text: str) -> Any:
    """Return what a value of a JSON column holds.

    Raises
    ------
    StoreDamagedError
        If it is no JSON, or deeper than anything that trackdb writes.
    """
    try:
        return json.loads(text, object_hook=Facts)
    except (ValueError, TypeError, RecursionError) as error:
        raise StoreDamagedError(
            "the store holds a value that is no JSON", reason=str(error), **{"try": REMEDY}
        ) from None


def as_facts(value: object, of: str) -> Facts:
    """Return a value as an object, or raise StoreDamagedError: it is what is told of `of`."""
    if not isinstance(value, Facts):
        raise StoreDamagedError(f"what the store tells of {of} is no JSON object", **{"try": REMEDY})
    return value
