"""Cycle length by trusted links: question 18 of docs/cookbook.md and its naive forms, beside the known truth.

Run: python benchmarks/cycle_length.py [--seeds 5] [--trust 0.9] [NAME ...]

A simulated cell is grown some frames after its birth, the more the smaller it was born, and divides from then on with
the same chance in each frame. So the law of every cell's cycle is known, and the true median is that of all cells born
in the movie, had nobody cut it off. Positions alone are given, with 2 % missed and 2 % false, to `link` and
`score --by distance`, the exact solution and its posterior.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import trackdb
from trackdb.engine.ingest import ingest
from trackdb.engine.pipeline import solve
from trackdb.engine.simulation import Simulation
from trackdb.engine.simulation.life import GROWTH, live, room_of
from trackdb.engine.simulation.settings import GROWN, MEAN_VOLUME, ball
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.sandbox import ask

if TYPE_CHECKING:
    from numpy.typing import NDArray

RATE = 0.07
EVERY = {"cells": 40, "density": 0.03, "division_rate": RATE, "death_rate": 0.002, "missed": 0.02, "false": 0.02}
MOVIES = {
    "calm": {"frames": 40, "motion": 0.1},
    "lively": {"frames": 40, "motion": 0.25},
    "wild": {"frames": 40, "motion": 0.4},
    "short, lively": {"frames": 25, "motion": 0.25},
}
COOKBOOK = (Path(__file__).parents[1] / "docs" / "cookbook.md").read_text()
LINKS = ("wrong", "trusted", "wrong_of_trusted", "trusted_of_dividing")
OF_LINKS = """
select avg((t.target is null)::int) as wrong, avg((l.probability >= 0.9)::int) as trusted,
    avg((t.target is null)::int) filter (l.probability >= 0.9) as wrong_of_trusted,
    avg((l.probability >= 0.9)::int) filter (l.kind = 'divide' and t.target is not null) as trusted_of_dividing
from links l left join links t on t.solution = 'truth' and t.source = l.source and t.target = l.target
where l.solution = 'ilp-1'
"""
COLUMNS = ("kaplan_meier", "complete_only", "all_as_complete")


@dataclass
class LivedMovie:
    """Detections of a simulated movie, and what was to come of the cells born in it.

    Parameters
    ----------
    rows : list of tuple
        Frame, y, x, id and id of the parent (or "") of each detection.
    waits : list of int
        Of each cell born in the movie, the frames until it is grown.
    """

    rows: list[tuple[object, ...]] = field(default_factory=list)
    waits: list[int] = field(default_factory=list)

    @property
    def true_median(self) -> int:
        """Least age by which half of the cells born in the movie would have divided."""
        wait = np.array(self.waits)
        age = 0
        while np.mean((1 - RATE) ** np.maximum(0, age - wait)) > 0.5:
            age += 1
        return age


def lived(settings: Simulation) -> LivedMovie:
    """Let cells live, and detect them with misses and false detections."""
    movie, rng = LivedMovie(), np.random.default_rng([settings.seed, 99])
    newest: dict[int, int] = {}  # id of the last detection of each track
    room, each = room_of(settings), MEAN_VOLUME * ball(settings.ndim, settings.radius)
    for frame, scene in enumerate(live(settings)):
        if len(scene) * each > settings.crowded / 2 * room.volume:
            raise SystemExit("the movie is crowded: cells divide less often than they should")
        shown = np.flatnonzero(scene.track > 0)
        born = shown[[int(scene.track[i]) not in newest for i in shown]]
        movie.waits += [frames_until_grown(r, settings.radius) for r in scene.radius[born[scene.mother[born] > 0]]]
        for i in shown:
            track, mother = int(scene.track[i]), int(scene.mother[i])
            parent = newest.get(track) or newest.get(mother) or ""
            newest.setdefault(track, 0)
            if rng.random() >= settings.missed:
                add(movie, frame, scene.position[i], parent)
                newest[track] = len(movie.rows)
            elif parent:
                newest[track] = parent
        for _ in range(rng.poisson(settings.false * len(shown))):
            add(movie, frame, rng.random(settings.ndim) * settings.extent, "")
    return movie


def add(movie: LivedMovie, frame: int, position: NDArray[np.float64], parent: int | str) -> None:
    """Add a detection."""
    movie.rows.append((frame, *position.round(3).tolist(), len(movie.rows) + 1, parent))


def frames_until_grown(radius: float, full: float) -> int:
    """Return for how many steps a cell born with this radius cannot divide."""
    wait = 0
    while min(full, radius + GROWTH * full * wait) <= GROWN * full:
        wait += 1
    return wait


def question(number: int) -> str:
    """Return a query of the cookbook."""
    found = re.search(rf"^\*\*{number}\. .*?^```sql\n(.*?);\n```", COOKBOOK, flags=re.DOTALL | re.MULTILINE)
    if found is None:
        raise SystemExit(f"docs/cookbook.md has no question {number}")
    return found[1]


def figures(folder: Path, settings: Simulation, trust: float) -> dict[str, float]:
    """Track a movie and return its true median, and what is found."""
    movie = lived(settings)
    table = folder / "movie.csv"
    table.write_text("t,y,x,id,parent\n" + "".join(",".join(map(str, row)) + "\n" for row in movie.rows))
    store = DuckDBStore(folder / "movie.trackdb")
    ingest(table, store)
    chosen = store.detection_set()
    solve(store, chosen)
    db = trackdb.open(store.path, write=True)
    db.posterior("ilp-1")
    query = question(18).replace(" 0.9", f" {trust}")
    [found] = ask(store.path, query).rows.to_pylist()
    of_truth = query.replace("'ilp-1'", "'truth'").replace("coalesce(l.probability, 0)", "1")
    [truth] = ask(store.path, of_truth).rows.to_pylist()
    [links] = ask(store.path, OF_LINKS.replace(" 0.9", f" {trust}")).rows.to_pylist()
    return {"true": movie.true_median, **found, "movie_end": truth["kaplan_meier"], **links}


def main(given: argparse.Namespace) -> None:
    """Print the table."""
    print(" | ".join(("movie", "seed", "truth", *COLUMNS, "movie_end", "cells", "complete", *LINKS)))
    print("|".join(["---"] * (6 + len(COLUMNS) + len(LINKS))))
    for name in given.movies or MOVIES:
        off = defaultdict(list)
        for seed in range(given.seeds):
            with tempfile.TemporaryDirectory() as folder:
                found = figures(Path(folder), Simulation(seed=seed, **EVERY, **MOVIES[name]), given.trust)
            for column in (*COLUMNS, "movie_end"):
                off[column].append(np.nan if found[column] is None else found[column] - found["true"])
            shown = [
                "not reached" if found[c] is None else found[c]
                for c in ("true", *COLUMNS, "movie_end", "cells", "complete")
            ]
            shares = [f"{found[c]:.1%}" for c in LINKS]
            print(" | ".join(map(str, (name, seed, *shown, *shares))), flush=True)
        print(" | ".join((f"**{name}**, off by", "", "", *map(spread, off.values()))), flush=True)


def spread(off: list[float]) -> str:
    """Return mean and range of differences, and how many there are where some medians were not reached."""
    known = [d for d in off if not np.isnan(d)]
    if not known:
        return "never reached"
    missing = "" if len(known) == len(off) else f", {len(off) - len(known)} not reached"
    return f"{np.mean(known):+.1f} ({min(known):+.0f} to {max(known):+.0f}{missing})"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("movies", nargs="*", choices=[[], *MOVIES])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trust", type=float, default=0.9)
    main(parser.parse_args())
