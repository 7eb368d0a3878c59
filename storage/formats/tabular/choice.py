"""What to read of a table of points: the column for each of our names, what else to keep, and the table of links."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ....errors import ConfigError, FormatError
from .columns import column_names
from .guess import dialect_columns, guess_column, map_columns, path_columns, require_keys

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ..base import SourceOptions

OPTIONAL = ("z", "id", "parent", "label", "track", "area", "parent_track", "parent_frame", "sequence")
NAMING = ("id", "parent", "label", "track")  # what a known program names otherwise than the rest of the world
SIBLINGS = {
    "spots": ("links", "edges"), "spot": ("link", "edge"), "nodes": ("edges", "links"), "points": ("links",),
    "objects": ("links",), "cells": ("links",),
}  # fmt: skip
ALL = "all"  # keeps every column that is not read as something else


@dataclass(frozen=True, slots=True)
class Choice:
    """Columns to read.

    Parameters
    ----------
    names : dict of str to str
        Column of each of our names.
    kept : tuple of str
        Columns to keep as properties.
    links : Path or None
        The table of links.
    notes : list of str
        What was guessed, and what is left out.
    """

    names: dict[str, str]
    kept: tuple[str, ...]
    links: Path | None
    notes: list[str]


def choose(path: Path, options: SourceOptions) -> Choice:
    """Choose by the user's word, then by what well known programs write, then by well known names.

    Raises
    ------
    FormatError
        If a column that is needed, or that the user names, is not there.
    ConfigError
        If the options do not fit each other.
    """
    there = column_names(path)
    require_keys(options.columns)
    program, dialect = dialect_columns(there)
    asked = dialect | options.columns
    if "t" not in asked and guess_column("t", there) is None and _links_in(there):
        raise FormatError(
            f"{path} is a table of links, which tells no places",
            expected="a table of cells",
            **{"try": f"to ingest that one, with --links {path}"},
        )
    by_position = "position" in asked or (
        guess_column("position", there) is not None and not {"y", "x"} & set(asked) and guess_column("y", there) is None
    )
    points = ("t", "position") if by_position else ("t", "y", "x")
    needs_id = options.links is not None or ("parent" in asked and "parent_frame" not in asked)
    needs = [*points, *(["id"] if needs_id else []), *(["track"] if options.truth is not None else [])]
    # a label that the user names is the label, even if the table has ids too
    welcome = [
        key
        for key in OPTIONAL
        if key not in needs
        and (key != "id" or "label" not in asked)
        and (key != "z" or not by_position)
        and not (program and key in NAMING and key not in asked)
    ]
    names, note = map_columns(path, there, asked, needed=needs, welcome=welcome)
    notes = [f"{path.name} is read as a table of {program}"] if program else []
    notes += [note] if note else []
    notes += _drop_lone_parents(names, options)
    links = options.links or _sibling(path, names, options)
    if links is not None and options.links is None:
        notes.append(f"links come from {links.name} beside {path.name}")
    notes += _one_lineage(names, links, options)
    return Choice(names, choose_kept(path, names, options.keep), links, notes)


def _drop_lone_parents(names: dict[str, str], options: SourceOptions) -> list[str]:
    """Forget parents that were guessed and that nothing else makes sense of; return notes on them."""
    notes = []
    if "parent_frame" in names and not {"parent", "label"} <= names.keys():
        del names["parent_frame"]
    chosen = "track" in names and "track" in options.columns
    if "parent" in names and "parent" not in options.columns:
        lone = "id" not in names and "parent_frame" not in names
        if lone or chosen:
            parent = names.pop("parent")
            if lone and "track" in names and "parent_track" not in names:
                notes.append(
                    f"column {parent} is not read: cells have no numbers in this table that it could name; "
                    f"if it names tracks: --columns parent_track={parent}"
                )
            names.pop("parent_frame", None)
    if "parent_track" in names and "track" not in names:
        del names["parent_track"]
    return notes


def _one_lineage(names: dict[str, str], links: Path | None, options: SourceOptions) -> list[str]:
    """Leave the columns of one lineage alone in `names`; return notes on those that are not read."""
    told = ["links"] if links is not None else []
    told += [key for key in ("parent", "track") if key in names]
    if options.truth is not None and told[0] != "track":
        raise ConfigError("--truth of a table tells the parents of its tracks", got=f"a lineage by {told[0]} as well")
    notes = [f"column {names.pop(key)} is not read: the lineage comes from {told[0]}" for key in told[1:]]
    if "track" not in names:
        names.pop("parent_track", None)
    if "parent" not in names:
        names.pop("parent_frame", None)
    if "parent_track" in names and options.truth is not None:
        notes.append(f"column {names.pop('parent_track')} is not read: the parents of tracks come from --truth")
    return notes


def _sibling(path: Path, names: dict[str, str], options: SourceOptions) -> Path | None:
    """Return the table of links beside a table of spots, as Mastodon and TrackMate name it; None if there is none."""
    if "id" not in names or "parent" in names or options.truth is not None or "track" in options.columns:
        return None
    for points, others in SIBLINGS.items():
        begin, found, end = _rsplit(path.name, points)
        for other in others if found else ():
            links = path.with_name(begin + (other.capitalize() if found[0].isupper() else other) + end)
            if links.is_file() and _links_in(column_names(links)):
                return links
    return None


def _links_in(there: Sequence[str]) -> bool:
    """Tell whether a table has the columns of links."""
    return path_columns(there) is not None or all(guess_column(key, there) for key in ("source", "target"))


def _rsplit(name: str, word: str) -> tuple[str, str, str]:
    """Return what stands before a word, the word as it is spelled, and what stands behind: all empty without it."""
    match = re.fullmatch(rf"(.*[^a-zA-Z]|)({word})((?![a-zA-Z]).*)", name, re.IGNORECASE)
    return (match[1], match[2], match[3]) if match else ("", "", "")


def choose_kept(path: Path, names: dict[str, str], keep: Sequence[str]) -> tuple[str, ...]:
    """Return the columns to keep: those named, or all that have a name of their own and are not read otherwise.

    Raises
    ------
    FormatError
        If one that is named is not there.
    """
    there = column_names(path)
    if tuple(keep) == (ALL,) and ALL not in there:
        return tuple(name for name in there if name and there.count(name) == 1 and name not in names.values())
    for name in keep:
        if name not in there:
            raise FormatError(f"{path} has no column {name} to keep", got=f"columns {', '.join(there)}")
    return tuple(dict.fromkeys(keep))
