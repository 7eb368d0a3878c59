"""Biotracks data packages: tables of objects and links that a ``dp.json`` names.

A link is a list of objects, one a frame; two links share the object in which a cell divides or two merge.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from ....errors import ConfigError, FormatError
from .reader import open_table

if TYPE_CHECKING:
    from pathlib import Path

    from ..base import Source, SourceOptions

PACKAGE = "dp.json"
TABLES = {"objects": "cmso_objects_table", "links": "cmso_links_table"}
LARGEST = 1 << 24  # bytes of a package: it names files


def open_biotracks(path: Path, options: SourceOptions) -> Source:
    """Open a data package, by its folder or its ``dp.json``.

    Raises
    ------
    FormatError
        If the package names no table of objects, or one outside its folder, or a table is wrong.
    ConfigError
        If links are given beside those of the package.
    """
    package = path / PACKAGE if path.is_dir() else path
    tables = _tables_of(package)
    if "objects" not in tables:
        raise FormatError(f"{package} names no table of objects", expected=f"a resource called {TABLES['objects']}")
    if options.links is not None:
        raise ConfigError("a data package names its own links", got=f"--links {options.links}")
    name = package.resolve().parent.name
    return open_table(tables["objects"], replace(options, links=tables.get("links")), name=name)


def is_biotracks(path: Path) -> bool:
    """Tell whether a path is a data package or the folder of one."""
    return path.name == PACKAGE or (path.is_dir() and (path / PACKAGE).is_file())


def _tables_of(package: Path) -> dict[str, Path]:
    """Return the tables that a package names, by our names."""
    try:
        if package.stat().st_size > LARGEST:
            raise FormatError(f"{package} is too large for a list of files", expected=f"{LARGEST:,} bytes at most")
        content = json.loads(package.read_text(encoding="utf-8-sig"))
        resources = {str(r["name"]): str(r["path"]) for r in content["resources"]}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise FormatError(f"{package} is no data package", expected="JSON with resources", got=repr(error)) from error
    found = {}
    for ours, theirs in TABLES.items():
        if theirs in resources:
            table = package.parent / resources[theirs]
            if not table.resolve().is_relative_to(package.parent.resolve()):
                raise FormatError(f"{package} names {resources[theirs]}", expected="a table in its own folder")
            if not table.is_file():
                raise FormatError(f"{package} names {resources[theirs]}, which is not there")
            found[ours] = table
    return found
