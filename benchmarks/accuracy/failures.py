"""What trackdb gets wrong with its default costs: how often each kind of error is made, and pictures of some of them.

Run: python benchmarks/accuracy/failures.py [--only NAME ...] [--variants x1 P x4] [--svg FILE]

Every wrong or missing link belongs to the first of the kinds that fits. The picture shows the middle one of each kind,
in the order of time, so that nobody chose it; cells of the frames around it, truth in grey, ours in red.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1]))

import matplotlib
import numpy as np
import pandas as pd
from cases import VARIANTS, Case, cases
from matplotlib.figure import Figure
from measure import head, row
from running import by_trackdb

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    Links = NDArray[np.int64]

KINDS = ("swap", "false point", "gap", "division missed", "division made up", "end made up", "true end linked", "other")
STYLE = {"svg.hashsalt": "trackdb", "svg.fonttype": "none", "font.size": 7}
SHOWN_FRAMES = 2  # before and after the mother's
WIDTH_CUTOFFS = 2.5  # half a picture, in longest links


@dataclass(frozen=True, eq=False)
class Failures:
    """The wrong links and the missing ones of a case.

    Parameters
    ----------
    link : (k, 2) int64
        Rows of the case; links that are wrong, then true ones that were not found.
    missing : (k,) bool
        Which are true ones.
    kind : (k,) int64
        Index into `KINDS`.
    """

    link: Links
    missing: NDArray[np.bool_]
    kind: NDArray[np.int64]


def failures(case: Case, found: Links) -> Failures:
    """Sort the errors of the links that a tracker found by their kind."""
    n = len(case.frame)
    truth = case.link
    wrong, missed = _without(found, truth, n), _without(truth, found, n)
    link = np.r_[wrong, missed]
    missing = np.arange(len(link)) >= len(wrong)
    source, target = link.T
    divides, found_to = (np.bincount(some[:, 0], minlength=n) > 1 for some in (truth, found))
    # a swap: the true child of the mother and the true mother of the child are linked with others
    child, mother = _one(truth, n), _one(truth[:, ::-1], n)
    given, taken = _one(found[:, ::-1], n), _one(found, n)
    true_child, true_mother = child[source], mother[target]
    both = (true_child >= 0) & (true_mother >= 0) & ~missing
    swapped = both & (given[true_child] >= 0) & (taken[true_mother] >= 0)
    swapped |= missing & (given[target] >= 0) & (taken[source] >= 0)
    conditions = (
        swapped & ~divides[source] & ~found_to[source],
        case.false[link].any(axis=1),
        case.frame[target] - case.frame[source] > 1,
        missing & divides[source],
        ~missing & found_to[source] & (true_mother >= 0),
        missing & (given[target] < 0),
        ~missing & ((true_child < 0) | (true_mother < 0)),
    )
    kind = np.select(conditions, np.arange(len(conditions)), len(KINDS) - 1)
    return Failures(link, missing, kind)


def _one(links: Links, n: int) -> NDArray[np.int64]:
    """Return a partner of each of n rows, -1 without one."""
    partner = np.full(n, -1)
    partner[links[:, 0]] = links[:, 1]
    return partner


def _without(some: Links, others: Links, n: int) -> Links:
    return some[~np.isin(some @ [n, 1], others @ [n, 1])]


def draw(panel: Any, case: Case, found: Links, link: Links) -> None:
    """Draw the surroundings of a link: the two axes in which the cells around it lie widest."""
    at, frame = case.position[link].mean(axis=0), case.frame[link[0]]
    near = np.abs(case.frame - frame - 0.5) <= SHOWN_FRAMES
    near &= (np.abs(case.position - at) <= WIDTH_CUTOFFS * case.cutoff).all(axis=1)
    axes = np.sort(np.argsort(np.ptp(case.position[near], axis=0))[-2:])
    place = case.position[:, axes[::-1]]
    for links, style in (
        (case.link, {"color": "0.75", "linewidth": 4}),
        (found, {"color": "C3", "linewidth": 1}),
    ):
        for source, target in links[near[links].any(axis=1)]:
            panel.plot(*place[[source, target]].T, solid_capstyle="round", **style)
    points = panel.scatter(*place[near].T, c=case.frame[near] - frame, cmap="viridis", s=10, zorder=3)
    false = near & case.false
    panel.scatter(*place[false].T, marker="x", color="k", s=24, linewidth=0.8, zorder=4)
    panel.set_xlim(at[axes[1]] + np.array([-1, 1]) * WIDTH_CUTOFFS * case.cutoff)
    panel.set_ylim(at[axes[0]] + np.array([1, -1]) * WIDTH_CUTOFFS * case.cutoff)
    panel.set_aspect("equal")
    panel.set_xticks([])
    panel.set_yticks([])
    panel.figure.colorbar(points, ax=panel, ticks=[-1, 0, 1, 2], shrink=0.6)


def main(given: argparse.Namespace) -> None:
    """Count and draw."""
    head("case", "wrong links", "missing", *KINDS)
    seen: list[tuple[Case, Links, Failures]] = []
    for case in cases(given.only, given.variants, 1):
        with tempfile.TemporaryDirectory() as folder:
            points, out = Path(folder) / "points.parquet", Path(folder) / "links.parquet"
            case.write(points)
            spent = by_trackdb(given.ours, case, points, out)[-1]
            if spent.code:
                raise SystemExit(f"{case.name}: trackdb returned {spent.code}\n{spent.err}")
            found = pd.read_parquet(out)[["source", "target"]].to_numpy(np.int64)
        made = failures(case, found)
        counts = np.bincount(made.kind, minlength=len(KINDS))
        row(case.name, np.count_nonzero(~made.missing), np.count_nonzero(made.missing), *counts)
        seen.append((case, found, made))
    if given.svg:
        _picture(seen, given.svg)


def _picture(seen: list[tuple[Case, Links, Failures]], file: Path) -> None:
    """Draw one failure a case, of the kind that is most frequent in it."""
    with matplotlib.rc_context(STYLE):
        columns = min(len(seen), 3)
        rows = -(-len(seen) // columns)
        figure = Figure(figsize=(2.6 * columns, 2.3 * rows), layout="constrained")
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for panel in panels[len(seen) :]:
            panel.set_visible(False)
        for panel, (case, found, made) in zip(panels, seen, strict=False):
            if not len(made.kind):
                panel.set_title(f"{case.name}: no error")
                continue
            kind = np.bincount(made.kind, minlength=len(KINDS))[:-1].argmax()  # what has a name
            rows_of_kind = np.flatnonzero(made.kind == kind)
            in_time = rows_of_kind[np.argsort(case.frame[made.link[rows_of_kind, 0]], kind="stable")]
            draw(panel, case, found, made.link[in_time[len(in_time) // 2]])
            panel.set_title(f"{case.name}: {KINDS[kind]}")
        figure.savefig(file, metadata={"Date": None})


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", nargs="*", default=[], help="parts of the names of movies")
    options.add_argument("--variants", nargs="*", default=["x1", "P"], choices=VARIANTS)
    options.add_argument("--ours", default="trackdb")
    options.add_argument("--svg", type=Path, help="file for the pictures")
    main(options.parse_args())
