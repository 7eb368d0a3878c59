"""Errors as a page hears of them: a status, a code that programs read, and the words of the error."""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import JSONResponse

from ..errors import (
    ConfigError,
    ConflictError,
    FormatError,
    InfeasibleError,
    MissingRowsError,
    StaleError,
    StoreFullError,
    StoreLockedError,
    TrackdbError,
)
from .asked import TooLargeError

RETRY_MS: Final = 1000


def refusal(error: TrackdbError, *, missing: str = "unknown_cell", **more: Any) -> JSONResponse:
    """Return the reply to a request that raised an error.

    Parameters
    ----------
    error : TrackdbError
        The error.
    missing : str
        Code of what is not there.
    more
        Further keys of the reply.
    """
    status, code = _kind(error, missing)
    told: dict[str, Any] = {"code": code, "message": error.message, "details": error.details}
    headers = {}
    if code == "busy":
        told["retry_ms"] = RETRY_MS
        headers["Retry-After"] = str(RETRY_MS // 1000)
    if isinstance(error, ConflictError):
        more |= {"why": error.details.get("why"), "earlier": list(error.earlier), "choices": list(error.choices)}
    return JSONResponse({"error": told, **more}, status, headers)


def _kind(error: TrackdbError, missing: str) -> tuple[int, str]:
    """Return the status and the code of an error."""
    match error:
        case StaleError():
            return 409, "stale"
        case ConflictError():
            return 409, "excluded"
        case InfeasibleError():
            return 409, "no_candidate"
        case MissingRowsError():
            return (409 if missing.startswith("nothing") else 404), missing
        case StoreFullError():
            return 507, "disk_full"
        case StoreLockedError():
            return 423, "busy"
        case TooLargeError():
            return 413, "too_large"
        case ConfigError() | FormatError():
            return 400, "bad_request"
    return 500, "not_saved"
