"""`trackdb doctor`: what this machine has, what is missing, and who holds a store."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import CheckFailedError
from ..storage.plain import as_table, plural
from .view import Face, command

if TYPE_CHECKING:
    from ..engine.doctor import Machine
    from ..engine.holders import Holders


def add_commands(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(app)(doctor)


def doctor(
    face: Face,
    store: Annotated[Path | None, typer.Argument(metavar="[STORE]", help="Look who holds this store, too.")] = None,
) -> None:
    """Tell what this machine has for trackdb and what is missing. It says how to install that, and who holds a store.

    Example: trackdb doctor

    Example: trackdb doctor movie.trackdb
    """
    from ..engine.doctor import examined

    machine, holders = examined(store or Path.cwd()), None
    if store is not None:
        from ..engine.holders import holders_of

        holders = holders_of(store)
    missing = machine.missing()
    needed = [gap.what for gap in missing if gap.needed]
    trouble = [holders.trouble] if holders and holders.trouble else []
    blocks = [as_table(["what", "found"], _machine_rows(machine))]
    if holders:
        blocks.append(as_table(["store", str(holders.path)], _store_rows(holders)))
    if missing:
        blocks.append(as_table(["missing", "for", "try"], [[gap.what, gap.why, gap.remedy] for gap in missing]))
    lacks = f"{plural(len(needed), 'thing')} that it needs missing" if needed else "nothing that it needs is missing"
    line = f"trackdb {machine.trackdb}: {lacks}"
    payload = {**machine.as_dict(), "ok": not (needed or trouble), "store": holders.as_dict() if holders else None}
    face.show("\n\n".join(blocks), line, payload)
    if needed or trouble:
        raise CheckFailedError("; ".join([*(f"{what} is missing" for what in needed), *trouble]))


def _machine_rows(machine: "Machine") -> list[list[str]]:
    memory = "not told" if machine.memory_bytes is None else f"{machine.memory_bytes / 1e9:.1f} GB"
    if machine.memory_free_bytes is not None:
        memory += f", {machine.memory_free_bytes / 1e9:.1f} GB free"
    return [
        ["trackdb", f"{machine.trackdb}, {machine.code}"],
        ["python", machine.python],
        ["system", machine.system],
        ["cores", str(machine.cores)],
        ["memory", memory],
        ["GPU", "; ".join(machine.gpus) or "none found"],
        ["disk", f"{machine.disk_free_bytes / 1e9:.1f} GB free at {machine.place}"],
        ["kernels", machine.kernels or "nowhere to keep them"],
        *(["solver", f"{name}: {said}"] for name, said in machine.solvers.items()),
        *([package.name, package.found or ""] for package in machine.packages if package.found),
    ]


def _store_rows(holders: "Holders") -> list[list[str]]:
    version = "not read" if holders.schema_version is None else str(holders.schema_version)
    return [
        ["size", f"{holders.bytes / 1e6:.1f} MB"],
        ["schema version", version],
        ["may be written", "yes" if holders.writable else "no"],
        ["open in", holders.held_by or "no process"],
        *(["held", lease] for lease in holders.leases),
        *(["at work", run] for run in holders.at_work),
        *(["left behind", f"{run}: give its command again"] for run in holders.left_behind),
    ]
