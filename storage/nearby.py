"""What a mistyped path may have meant: names beside it that are like its own."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MOST = 3  # names that are told
LOOKED_AT = 10_000  # in a folder; of more no name is compared, which would take long


def names_like(path: Path) -> dict[str, str]:
    """Return ``{"known": names}`` of what lies beside a path that is not there and is named like it; {} without any.

    Examples
    --------
    >>> names_like(Path("movie.trakcdb"))  # doctest: +SKIP
    {'known': 'movie.trackdb'}
    """
    try:
        names = [] if path.exists() else [there.name for there in path.parent.iterdir() if there.name[:1] != "."]
    except OSError:  # there is no such folder, or nobody may look into it
        return {}
    if len(names) > LOOKED_AT:
        return {}
    like = get_close_matches(path.name, names, n=MOST)
    return {"known": ", ".join(str(path.parent / name) for name in like)} if like else {}
