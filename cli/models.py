"""`trackdb models`: networks that are known by name, here or to be fetched."""

from typing import Annotated

import typer

from ..errors import ConfigError
from ..storage.plain import as_table, plural
from .view import Face, command

ACTIONS = ("list", "pull")


def add_commands(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(app)(models)


def models(
    face: Face,
    action: Annotated[str, typer.Argument(metavar="ACTION", help="list (default), pull.")] = "list",
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="pull: the model to fetch.")] = None,
    sha256: Annotated[str | None, typer.Option(help="pull: digest that the zip must have.")] = None,
) -> None:
    """List the models that are known by name, or fetch one. Nothing else ever fetches anything.

    Example: trackdb models pull general_2d
    """
    from ..engine.models.registry import KNOWN, is_here, place, pull

    if action not in ACTIONS:
        raise ConfigError(f"models cannot {action!r}", known=", ".join(ACTIONS))
    if action == "pull":
        if name is None:
            raise ConfigError("pull which model?", known=", ".join(KNOWN))
        with face.progress() as progress:
            folder = pull(name, progress, sha256=sha256 or "")
        face.close(f"{name} is in {folder}", {"name": name, "folder": str(folder)})
        return
    if name is not None or sha256 is not None:
        raise ConfigError("models list takes nothing else", **{"try": "trackdb models pull NAME"})
    rows = [[known.name, "here" if is_here(known.name) else "to be pulled", known.about] for known in KNOWN.values()]
    found = [
        {
            "name": known.name,
            "here": is_here(known.name),
            "about": known.about,
            "url": known.url,
            "sha256": known.sha256,
        }
        for known in KNOWN.values()
    ]
    line = f"{plural(len(found), 'model')} known, {sum(is_here(n) for n in KNOWN):,} in {place()}"
    face.show(as_table(["name", "where", "for"], rows), line, {"models": found, "place": str(place())})
