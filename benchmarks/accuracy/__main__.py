"""How well trackdb and others find links and divisions of real movies: one line for each tracker and case.

Run: python benchmarks/accuracy [--only NAME ...] [--variants x1 P x2 x4 P2] [--trackers NAME ...] [--seeds 1 2 3]
[--csv FILE]. Lines that the file has already are not run again, so that hours can be done in pieces.

Every tracker gets the same shuffled points and the same cutoff, in a process that does not know the truth; no setting
is chosen by looking at it. P: 2 % missed, 2 % false, moved by 10 % of the spacing, seeded. P2: the same in runs of
frames, and 2 % merged, as `noise` tells. Only these have several seeds. x2: every second frame.
trackdb_masks alone is told areas, where masks or a table know them; noisy cases have none.
The folder of the movies is named by TRACKDB_DATA, as in `truth`; the peers run in an environment of their own.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # what all benchmarks share stands one folder up

import numpy as np
import pandas as pd
from cases import NOISE, VARIANTS, Case, cases
from judging import COLUMNS, Verdict, judge
from measure import head, row
from running import ABLATION, MASKS, OTHERS, OURS, STOP_AFTER_S, by_another, by_trackdb

HEAD = ("case", "role", "seed", "tracker", *COLUMNS, "CPU s", "peak MB")
KEY = slice(4)  # what names a line


def figures(name: str, case: Case, folder: Path, env: Path | None) -> tuple[Verdict | None, list[str]]:
    """Run a tracker on a case; return the verdict, None if it failed, and what it cost or why it failed."""
    points, out = folder / "points.parquet", folder / f"{name}.parquet"
    case.write(points, areas=name == MASKS)
    spent = by_trackdb(name, case, points, out) if name in OURS else by_another(name, case, points, out, env)
    if spent[-1].code:
        last = (spent[-1].err.strip().splitlines() or ["killed"])[-1]
        why = f"stopped after {STOP_AFTER_S:.0f} s" if spent[-1].code == -9 else last[:80]
        return None, [why, "-"]
    links = pd.read_parquet(out)[["source", "target"]].to_numpy(np.int64)
    stopped = " (stopped at its time limit)" if "unfinished" in spent[-1].out.split() else ""
    return judge(case, links), [f"{sum(s.cpu_s for s in spent):.1f}{stopped}", f"{max(s.peak_mb for s in spent):.0f}"]


def lines_of(file: Path | None) -> list[list[str]]:
    """Return the lines of an earlier run, none without one."""
    if file is None or not file.exists():
        return []
    with file.open(newline="") as opened:
        first, *lines = csv.reader(opened)
    if tuple(first) != HEAD:
        raise SystemExit(f"{file} has other columns than this version writes; take another file")
    return lines


def main(given: argparse.Namespace) -> None:
    """Print the table, and write it as CSV if asked."""
    lines = lines_of(given.csv)
    done = {tuple(line[KEY]) for line in lines}
    head(*HEAD)
    for line in lines:
        row(*line)
    for seed in given.seeds:
        variants = [variant for variant in given.variants if variant in NOISE or seed == given.seeds[0]]
        for case in cases(given.only, variants, seed):
            for name in given.trackers:
                key = (case.name, case.role, str(seed), name)
                if key in done or (name == MASKS and not case.has_areas):
                    continue
                with tempfile.TemporaryDirectory() as folder:
                    verdict, cost = figures(name, case, Path(folder), given.env)
                shown = ["failed"] * len(COLUMNS) if verdict is None else verdict.shown()
                lines.append([*key, *shown, *cost])
                row(*lines[-1])
                if given.csv:  # after every line: a long run that is stopped has its results
                    with given.csv.open("w", newline="") as file:
                        csv.writer(file).writerows([HEAD, *lines])


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", nargs="*", default=[], help="parts of the names of movies")
    options.add_argument("--variants", nargs="*", default=[*VARIANTS], choices=VARIANTS)
    options.add_argument(
        "--trackers",
        nargs="*",
        default=[name for name in (*OURS, *OTHERS) if name not in ABLATION],
        choices=[*OURS, *OTHERS],
    )
    options.add_argument("--seeds", nargs="+", type=int, default=[1])
    options.add_argument("--csv", type=Path, help="file for the table")
    options.add_argument("--env", type=Path, help="folder of the peers' environment")
    main(options.parse_args())
