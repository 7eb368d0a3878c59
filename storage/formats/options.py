"""Options that a format has no use for are refused, not passed over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from .base import SourceOptions


def refuse_options(path: Path, what: str, options: SourceOptions, *fields: str) -> None:
    """Raise ConfigError if one of these options is given.

    Parameters
    ----------
    path : Path
        The source.
    what : str
        What the source is, with its article.
    options : SourceOptions
        What the user says.
    fields : str
        Names of options that say nothing about such a source.
    """
    for name in fields:
        if getattr(options, name):
            raise ConfigError(f"--{name} says nothing about {what}", got=str(path))
