"""What trust costs: to check a store of a million detections, to bring an old one up to date, to give space back.

Run: python benchmarks/reliability.py [check old compact flips ...]      default: all
     python benchmarks/reliability.py --store big.trackdb check         on a store that is there; it is copied
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from instances import SIZES
from measure import head, row, run, trackdb

if TYPE_CHECKING:
    from collections.abc import Callable

SCALE = Path(__file__).with_name("scale.py")
GRAPH = "graph.duckdb"
FLIPS = 60


def big_store(folder: Path, size: str = "1M") -> Path:
    """Make a store of so many detections with candidates, scores, a solution and its posterior."""
    table, store = folder / "points.parquet", folder / "big.trackdb"
    made = run(sys.executable, SCALE, "--part", "points", table, *map(str, SIZES[size]))
    if made.code:
        raise SystemExit(made.err)
    trackdb("ingest", table, "-o", store)
    trackdb("solve", store, "--simple")
    trackdb("posterior", store)
    return store


def check(store: Path, _folder: Path) -> None:
    """Check it, and check it once more where something is to be mended."""
    import duckdb

    line("check", store, "10 s", *timed("check", store))
    with duckdb.connect(store / GRAPH) as connection:
        connection.execute("update track set last = pre")
        connection.execute("insert into edge_score select * from edge_score limit 1000")
    line(
        "check --repair of all labels and 1,000 scores that stand twice", store, "", *timed("check", store, "--repair")
    )


def old(store: Path, _folder: Path) -> None:
    """Bring a store of schema version 1 up to date, boxes of all cells in it."""
    import duckdb

    with duckdb.connect(store / GRAPH) as connection:
        connection.execute(
            """insert into detection_feature (det_id, bbox_y0, bbox_x0, bbox_y1, bbox_x1, border_px)
                select det_id, y, x, y + 9, x + 9, least(x, y) from detection"""
        )
        views = connection.execute("select view_name from duckdb_views() where not internal").fetchall()
        for (view,) in views:
            connection.execute(f"drop view {view}")
        for statement in backward():
            connection.execute(statement)
    line("first opening of a store of version 1 (`log`)", store, "30 s", *timed("log", store))
    line("the next", store, "", *timed("log", store))


def backward() -> list[str]:
    """Return what leads from the tables of today to those of schema version 1."""
    from trackdb.storage.migrations import FEATURES_OF_2

    return [
        "drop table detection_intensity",
        "drop table detection_property",
        *(f"alter table detection_feature drop column {name}" for name in FEATURES_OF_2),
        "alter table annotation drop column note",
        "alter table annotation drop column model",
        "update meta set value = '1' where key in ('schema_version', 'oldest_reader')",
    ]


def compact(store: Path, _folder: Path) -> None:
    """Drop half of what it holds, and give the space back."""
    line("drop of the posterior", store, "", *timed("drop", store, "posterior", "posterior-1", "--yes"))
    line("drop of the solution", store, "", *timed("drop", store, "solution", "ilp-1", "--yes"))
    before = mb(store)
    wall, cpu, peak, _ = timed("compact", store)
    line("compact", store, "", wall, cpu, peak, f"{before:.0f} MB to {mb(store):.0f} MB")


def flips(_store: Path, folder: Path) -> None:
    """Flip one bit of the database of a small store at a time, at random: each is found, or every row is as it was."""
    from trackdb.engine.check import check as look
    from trackdb.errors import StoreError
    from trackdb.storage import tables
    from trackdb.storage.duckdb_store import DuckDBStore

    store = DuckDBStore(big_store(folder, "1k"))
    file, rng = store.path / GRAPH, random.Random(0)
    content = file.read_bytes()

    def rows() -> dict[str, str]:
        with store.reading() as connection:
            names = tables.metadata.tables
            return {n: repr(connection.exec_driver_sql(f"select * from {n} order by all").all()) for n in names}

    before, count = rows(), Counter[str]()
    for _ in range(FLIPS):
        changed = bytearray(content)
        changed[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        file.write_bytes(bytes(changed))
        try:
            problems = look(DuckDBStore(store.path))
            told = "found by check" if problems else "in no use" if rows() == before else "NOT FOUND"
        except StoreError:
            told = "refused when opened"
        count[told] += 1
    file.write_bytes(content)
    row(f"{FLIPS} flipped bits", *["-"] * 3, "none not found", ", ".join(f"{n} {told}" for told, n in count.items()))


PARTS: dict[str, Callable[[Path, Path], None]] = {"check": check, "old": old, "compact": compact, "flips": flips}
"""What is measured: each is given a store of its own, a copy of the big one, and an empty folder."""
SMALL = {"flips"}
"""Those that need no big store."""


def timed(*words: str | Path) -> tuple[str, str, str, str]:
    """Return wall and CPU seconds and peak memory of a command, and what it said last."""
    spent = trackdb(*words)
    said = (spent.out.strip() or spent.err.strip()).splitlines()[-1:]
    return f"{spent.wall_s:.1f}", f"{spent.cpu_s:.1f}", f"{spent.peak_mb:.0f}", *(said if len(said[0]) < 90 else [""])


def line(what: str, store: Path, bound: str, wall: str, cpu: str, peak: str, said: str) -> None:
    """Print a line of the table."""
    row(what, wall, cpu, peak, bound, said.replace(str(store), "STORE"))


def mb(store: Path) -> float:
    """Return the size of a store in megabytes."""
    return sum(file.stat().st_size for file in store.rglob("*") if file.is_file()) / 1e6


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], default=[])
    parser.add_argument("--store", type=Path, help="a store of a million detections with a posterior, to be copied")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        parts = asked.parts or list(PARTS)
        big = None if set(parts) <= SMALL else asked.store or big_store(folder)
        head("what", "wall s", "CPU s", "peak MB", "bound", "")
        for name in parts:
            work = folder / name / "work.trackdb"
            work.parent.mkdir()
            if big is not None and name not in SMALL:
                shutil.copytree(big, work)
            PARTS[name](work, work.parent)
            shutil.rmtree(work.parent)


if __name__ == "__main__":
    main()
