"""`trackdb simulate` and `trackdb demo`: a movie with known truth, and the way from there to a queried lineage."""

import typer


def add_commands(app: typer.Typer) -> None:
    """Add this file's commands."""
