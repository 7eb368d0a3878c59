"""Running a tracker on the points of a case: trackdb by its commands, the others in an environment of their own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from measure import BIN, Spent, run
from peers import BTRACK, PINNED, environment

if TYPE_CHECKING:
    from collections.abc import Callable

    from cases import Case

TRACKERS = Path(__file__).with_name("trackers.py")
OTHERS = (
    "laptrack", "laptrack_nosplit", "tracksdata_nearest", "tracksdata_ilp", "motile", "btrack", "trackpy", "scipy_lap",
)  # fmt: skip
MASKS = "trackdb_masks"  # told the areas of masks, too; for cases that have them alone
# with no option at all, as a user begins; and the plain cost with the cutoff of the others, and with gaps as they have
# them; what linking and what solving is told, the former None where it is left to solving
OURS: dict[str, Callable[[float], tuple[list[object] | None, list[object]]]] = {
    "trackdb": lambda _: (None, []),
    "trackdb_simple": lambda cutoff: (["--max-distance", cutoff], ["--simple"]),
    "trackdb_simple_gaps": lambda cutoff: (["--max-distance", cutoff, "--max-gap", 1], ["--simple"]),
}
OURS[MASKS] = OURS["trackdb"]
# the learned cost without one kind of evidence each, for the ablation; and without what only it has
EVIDENCE = ("drift,velocity", "drift", "velocity", "pairs", "optional", "gaps", "skip_divisions", "hazard", "divisions")


def _blinded(without: str) -> Callable[[float], tuple[list[object] | None, list[object]]]:
    """Return how trackdb is called without a kind of evidence."""
    return lambda _: (None, ["--without", without])


ABLATION = {f"trackdb_without_{left_out.replace(',', '_')}": _blinded(left_out) for left_out in EVIDENCE}
OURS |= ABLATION
LINKS = """
    select a.label as source, b.label as target from links l
    join cells a on a.cell = l.source join cells b on b.cell = l.target where l.solution = 'ilp-1'
"""
STOP_AFTER_S = 900.0


def by_trackdb(name: str, case: Case, points: Path, out: Path) -> list[Spent]:
    """Track the points by the command line; stop at the first command that fails."""
    store = out.with_suffix(".trackdb")
    axes = "zyx"[-case.position.shape[1] :]
    columns = ",".join(f"{axis}={axis}" for axis in ("id", "t", *axes, *(["area"] if name == MASKS else [])))
    linking, solving = OURS[name](case.cutoff)
    commands = (
        ["ingest", points, "-o", store, "--columns", columns],
        *([] if linking is None else [["link", store, *linking]]),
        ["solve", store, "--ilp", *solving],
        ["sql", store, LINKS, "--parquet", out],
    )
    spent: list[Spent] = []
    for words in commands:
        spent.append(run(BIN / "trackdb", *map(str, words), "-q", stop_after_s=STOP_AFTER_S))
        if spent[-1].code:
            break
    return spent


def by_another(name: str, case: Case, points: Path, out: Path, env: Path | None) -> list[Spent]:
    """Track the points by another tracker."""
    python = environment(env, pinned=BTRACK if name == "btrack" else PINNED)
    words = [python, TRACKERS, name, points, str(case.cutoff), out]
    return [run(*words, env={"OMP_NUM_THREADS": "1"}, stop_after_s=STOP_AFTER_S)]
