"""`trackdb diff`: what two solutions do not share."""

from typing import TYPE_CHECKING, Annotated

import typer

from ..storage.plain import as_table, plural
from .options import Dataset, Store, open_store
from .view import Face, command

if TYPE_CHECKING:
    from ..engine.diff import OnlyHere

SHOWN_LINKS = 40  # in a table for people; --json has all


def add_commands(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(app)(diff)


def diff(
    face: Face,
    store: Store,
    a: Annotated[
        str | None,
        typer.Argument(metavar="[A]", help="Name of a solution; by default the one before B.", show_default=False),
    ] = None,
    b: Annotated[
        str | None, typer.Argument(metavar="[B]", help="Name of another; by default the newest.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="Links that the table shows; --json has all.")] = SHOWN_LINKS,
    dataset: Dataset = None,
) -> None:
    """Compare two solutions: links that one of them has alone. The lineages that these touch are named.

    Without names it tells what the newest solve changed.

    Example: trackdb diff movie.trackdb

    Example: trackdb diff movie.trackdb ilp-1 ilp-2
    """
    from ..engine.diff import difference, to_compare

    opened = open_store(store, face.command)
    found = difference(opened, *to_compare(opened, dataset, a, b))
    sides = (found.only_a, found.only_b)
    rows = [row for side in sides for row in _rows(side)]
    more = f"... {len(rows) - limit:,} more; --limit {len(rows)} shows all" if len(rows) > limit else ""
    table = as_table(["only in", "source", "target", "kind"], rows[:limit]) if rows[:limit] else ""
    text = "\n".join(part for part in (table, more) if part)
    one, other = sides
    face.show(
        text,
        f"{found.shared:,} links of both, {len(one):,} only in {one.solution}, {len(other):,} only in "
        f"{other.solution}: {plural(len(one.lineage), 'lineage')} of {one.solution} touched, "
        f"{len(other.lineage):,} of {other.solution}",
        {
            "a": one.solution,
            "b": other.solution,
            "only_a": len(one),
            "only_b": len(other),
            "shared": found.shared,
            "lineages_touched": len(one.lineage),
            "lineages_touched_b": len(other.lineage),
            "links_only_a": one.links,
            "links_only_b": other.links,
            "lineages_a": one.lineage.tolist(),
            "lineages_b": other.lineage.tolist(),
            "cells_only_a": one.cell.tolist(),
            "cells_only_b": other.cell.tolist(),
        },
    )


def _rows(side: "OnlyHere") -> list[list[object]]:
    ends = zip(side.source.tolist(), side.target.tolist(), side.kind.tolist(), strict=True)
    return [[side.solution, *link] for link in ends]
