"""Write the pages of reference that follow from the code: `python docs/reference/generate.py`.

``commands.md`` comes from the commands themselves, ``schema.md`` from the tables, the views and what is said of their
columns. tests/test_references.py holds both pages to what this makes.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from trackdb.cli.main import app
from trackdb.storage import tables
from trackdb.storage.view_columns import COLUMNS, MACROS, ROWS

if TYPE_CHECKING:
    import sqlalchemy as sa

HERE = Path(__file__).parent
MADE = "<!-- made by `python docs/reference/generate.py`; what is changed here by hand is lost -->"
EVERYWHERE = ("--json", "--quiet", "--verbose", "--debug")
"""Options that every command has."""


def commands_page() -> str:
    """Return the reference of the command line, from the commands themselves."""
    commands: dict[str, Any] = typer.main.get_command(app).commands
    options = {name: option for command in commands.values() for option in command.params for name in option.opts}
    common = [_parameter(options[name]) for name in EVERYWHERE]
    index = [f"- [`{name}`](#{name}): {_first_sentence(command)}" for name, command in commands.items()]
    parts = [
        "# Commands",
        MADE,
        "`trackdb COMMAND STORE [options]`; a store is a folder `NAME.trackdb`. stdout carries data, stderr everything "
        "else. What each is for, with examples: [README](../../README.md).",
        "\n".join(index),
        "Every command has these options:",
        _table(("option", "what it does"), common),
        "Exit codes: 0 done, 1 bad input, 2 usage, 3 store (missing, taken, locked, newer, damaged, or it does not "
        "hold what was asked for), 4 no solution, 5 a check failed, 130 interrupted.",
        *(_command(name, command) for name, command in commands.items()),
    ]
    return "\n\n".join(parts) + "\n"


def _command(name: str, command: Any) -> str:
    """Return the section of a command."""
    told, examples = _told(command)
    own = [p for p in command.params if p.opts[0] not in EVERYWHERE and p.name != "help"]
    words = [_taken(p) for p in own if p.param_type_name == "argument"]
    usage = " ".join(["trackdb", name, *words, *(["[options]"] if len(own) > len(words) else [])])
    rows = [_parameter(p) for p in own]
    return "\n\n".join(
        [
            f"## {name}",
            f"`{usage}`",
            *told,
            *([_table(("option", "what it does"), rows)] if rows else []),
            "\n".join(f"- `{example}`" for example in examples),
        ]
    )


def _told(command: Any) -> tuple[list[str], list[str]]:
    """Return the paragraphs of a command's help, and its examples."""
    paragraphs = [" ".join(part.split()) for part in inspect.cleandoc(command.help or "").split("\n\n")]
    told = [_escaped(part) for part in paragraphs if not part.startswith("Example: ")]
    return told, [part.removeprefix("Example: ") for part in paragraphs if part.startswith("Example: ")]


def _first_sentence(command: Any) -> str:
    return _told(command)[0][0]


def _parameter(parameter: Any) -> tuple[str, str]:
    """Return an argument or option with what it takes, and its help with the default where that tells something."""
    if parameter.param_type_name == "argument":
        name = f"`{_taken(parameter)}`"
    else:
        takes = "" if parameter.is_flag or parameter.count else f" {_taken(parameter)}"
        name = " ".join(f"`{opt}{takes}`" for opt in sorted(parameter.opts, key=len, reverse=True))
    told = [_escaped(parameter.help or "")]
    if parameter.required and parameter.param_type_name == "option":
        told.append("Required.")
    tells = isinstance(parameter.default, str | int | float | Path) and not isinstance(parameter.default, bool)
    if tells and str(parameter.default) and not getattr(parameter, "count", False):
        told.append(f"Default: `{parameter.default}`.")
    return name, " ".join(told)


def _taken(parameter: Any) -> str:
    """Return what a parameter takes, in capitals."""
    if parameter.metavar:
        return str(parameter.metavar)
    if parameter.param_type_name == "argument":
        return str(parameter.name).strip("_").upper()
    kind = parameter.bare_type().removeprefix("list[").removesuffix("]").lower()
    return {"str": "TEXT", "text": "TEXT", "path": "PATH"}.get(kind, "NUMBER")


def schema_page() -> str:
    """Return the reference of views, macros and tables."""
    views = [_section(f"`{view}`", ROWS[view], columns) for view, columns in COLUMNS.items()]
    own = [_table_section(table) for table in tables.metadata.sorted_tables]
    parts = [
        "# Schema",
        MADE,
        "How to ask, with examples: [SQL over lineages](../sql.md), [cookbook](../cookbook.md). Views and macros are a "
        "promise; the tables below them may change with the schema version, and `trackdb` brings older stores up "
        f"to date. This is schema version {tables.SCHEMA_VERSION}; whoever reads {tables.OLDEST_READER} reads it, too.",
        "## Views",
        *views,
        "## Macros",
        _table(("macro", "rows"), [(f"`{macro}`", _escaped(rows)) for macro, rows in MACROS.items()]),
        "## Tables",
        "What the views are made of. Big tables carry no keys: they are ordered as is said.",
        *sorted(own),
    ]
    return "\n\n".join(parts) + "\n"


def _section(title: str, row: str, columns: dict[str, str]) -> str:
    rows = [(f"`{name}`", _escaped(said)) for name, said in columns.items()]
    return f"### {title}\n\nA row is {row}.\n\n{_table(('column', 'what it holds'), rows)}"


def _table_section(table: sa.Table) -> str:
    """Return the section of a table: each column with its type."""
    rows = [(f"`{column.name}`", str(column.type).lower(), _escaped(column.doc or "")) for column in table.columns]
    told = _table(("column", "type", "what it holds"), rows)
    return f"### Table `{table.name}`\n\nA row is {_escaped(table.info['row'])}.\n\n{told}"


def _table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [columns, ("---",) * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _escaped(text: str) -> str:
    """Return text that Markdown leaves as it is."""
    for sign in "\\|<*":
        text = text.replace(sign, f"\\{sign}")
    return text


PAGES = {"commands.md": commands_page, "schema.md": schema_page}


if __name__ == "__main__":
    for name, make in PAGES.items():
        (HERE / name).write_text(make(), encoding="utf-8")
