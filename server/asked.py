"""What a page sends, read field by field: anything else than what was agreed is refused by name."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, get_args

from ..engine.review.saying import Resolve, Said
from ..errors import ConfigError, FormatError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

MOST_BYTES: Final = 64 << 10
CLIENT: Final = re.compile(r"[A-Za-z0-9-]{1,40}")
KEY: Final = re.compile(r"[A-Za-z0-9-]{8,64}")
LARGEST: Final = 2**63


class TooLargeError(FormatError):
    """A request that is larger than any answer."""


async def sent(request: Request) -> dict[str, Any]:
    """Return the object that a request carries.

    Raises
    ------
    TooLargeError
        If it is larger than any answer.
    FormatError
        If it is no JSON object.
    """
    content = bytearray()
    async for piece in request.stream():
        content += piece
        if len(content) > MOST_BYTES:
            raise TooLargeError(f"a request of more than {MOST_BYTES >> 10} KB")
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise FormatError("the request is no JSON", reason=str(error)) from error
    if not isinstance(found, dict):
        raise FormatError("the request is no JSON object")
    return found


def answer_in(body: Mapping[str, Any]) -> Said:
    """Return the answer that a page sends."""
    return Said(
        client=client_in(body),
        key=key_in(body),
        cell=number_in(body, "cell"),
        kind=kind_in(body),
        daughters=daughters_in(body),
        seen=number_in(body, "n_seen"),
        revision=_required(body, "revision", str),
        blind=bool(_optional(body, "blind", bool)),
        shown=_optional(body, "shown", list),
        ms=None if body.get("ms") is None else min(number_in(body, "ms"), 2**31 - 1),
        note=_optional(body, "note", str),
        resolve=_resolve_in(body),
    )


def _resolve_in(body: Mapping[str, Any]) -> Resolve | None:
    found = _optional(body, "resolve", str)
    if found is not None and found not in get_args(Resolve):
        raise ConfigError("resolve is one of three", known=", ".join(get_args(Resolve)))
    return found  # type: ignore[no-any-return]  # one of the three


def client_in(body: Mapping[str, Any]) -> str:
    """Return which page asks."""
    return _matching(body, "client", CLIENT)


def key_in(body: Mapping[str, Any]) -> str:
    """Return what tells a request from all others."""
    return _matching(body, "key", KEY)


def kind_in(body: Mapping[str, Any]) -> str:
    """Return what is said."""
    kind: str = _required(body, "kind", str)
    return kind


def daughters_in(body: Mapping[str, Any]) -> tuple[int, ...] | None:
    """Return the cells that an answer names."""
    named = _optional(body, "daughters", list)
    return None if named is None else tuple(_whole(value, "daughters") for value in named)


def number_in(body: Mapping[str, Any], name: str) -> int:
    """Return a whole number, from 0."""
    if name not in body:
        raise ConfigError(f"the request lacks {name}")
    return _whole(body[name], name)


def _whole(value: object, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < LARGEST:
        raise ConfigError(f"{name} is a whole number", got=repr(value)[:60])
    return value


def _matching(body: Mapping[str, Any], name: str, pattern: re.Pattern[str]) -> str:
    value: str = _required(body, name, str)
    if not pattern.fullmatch(value):
        raise ConfigError(f"{name} is made of letters, digits and dashes", got=repr(value)[:60])
    return value


def _required(body: Mapping[str, Any], name: str, kind: type) -> Any:
    found = _optional(body, name, kind)
    if found is None:
        raise ConfigError(f"the request lacks {name}")
    return found


def _optional(body: Mapping[str, Any], name: str, kind: type) -> Any:
    value = body.get(name)
    if value is not None and not isinstance(value, kind):
        raise ConfigError(f"{name} is of another type", expected=kind.__name__, got=repr(value)[:60])
    return value
