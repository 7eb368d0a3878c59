"""Cycle length as sure as links are: question 18 of docs/cookbook.md and its naive forms, beside the known truth.

Run: python benchmarks/cycle_length.py [--seeds 5] [--first 0] [--trust 0.9] [NAME ...]

A simulated cell is grown some frames after its birth, the more the smaller it was born, and divides from then on with
the same chance in each frame. So the law of every cell's cycle is known, and the true median is that of all cells born
in the movie, had nobody cut it off. Positions alone are given, with 2 % missed and 2 % false, to `link` and
`score --by distance`, the exact solution and its posterior, with candidates to the next frame and over a missed one.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import trackdb
from trackdb.engine.config import Config, LinkConfig, SolveConfig
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
BY_THRESHOLD = """
with followed as (  -- links that leave each track: where the first doubtful one is, and whether its division is trusted
    select c.dataset, c.track, min(l.t) filter (coalesce(l.probability, 0) < 0.9) as doubt_t,
        bool_and(coalesce(l.probability, 0) >= 0.9) filter (l.kind = 'divide') as divides
    from links l join tracked c on c.dataset = l.dataset and c.solution = l.solution and c.cell = l.source
    where l.solution = 'ilp-1' group by c.dataset, c.track
), cycles as (  -- tracks that a trusted division brought, as far as they can be followed
    select coalesce(f.doubt_t, k.last_t) - k.first_t + 1 as frames,
        coalesce(f.divides and f.doubt_t is null, false) as complete
    from tracks k join followed m on m.dataset = k.dataset and m.track = k.parent
        left join followed f on f.dataset = k.dataset and f.track = k.track
    where k.solution = 'ilp-1' and m.divides
), leaving as (
    select frames - (not complete)::int as age, count(*) filter (complete) as divided, count(*) as gone
    from cycles group by age
), at_risk as (
    select age, divided, sum(gone) over (order by age desc) as cells from leaving
), survival as (
    select age, product(1 - divided / cells) over (order by age) as undivided from at_risk
)
select (select min(age) from survival where round(undivided, 9) <= 0.5) as by_threshold
"""
"""Kaplan-Meier with each cell followed to its first doubtful link: what question 18 is compared with."""

COLUMNS = ("kaplan_meier", "by_threshold", "complete_only", "all_as_complete", "true_links")


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


def figures(folder: Path, settings: Simulation, max_gap: int, trust: float) -> dict[str, float]:
    """Track a movie and return its true median, and what is found."""
    movie = lived(settings)
    table = folder / "movie.csv"
    table.write_text("t,y,x,id,parent\n" + "".join(",".join(map(str, row)) + "\n" for row in movie.rows))
    store = DuckDBStore(folder / "movie.trackdb")
    ingest(table, store)
    chosen = store.detection_set()
    solve(store, chosen, Config(link=LinkConfig(max_gap=max_gap), solve=SolveConfig(cost="density")))
    db = trackdb.open(store.path, write=True)
    db.posterior("ilp-1")
    query = question(18)
    [found] = ask(store.path, query).rows.to_pylist()
    [by_threshold] = ask(store.path, BY_THRESHOLD.replace(" 0.9", f" {trust}")).rows.to_pylist()
    of_truth = query.replace("'ilp-1'", "'truth'").replace("coalesce(l.probability, 0)", "1")
    [truth] = ask(store.path, of_truth).rows.to_pylist()
    [links] = ask(store.path, OF_LINKS).rows.to_pylist()
    return {"true": movie.true_median, **found, **by_threshold, "true_links": truth["kaplan_meier"], **links}


def main(given: argparse.Namespace) -> None:
    """Print the table."""
    print(" | ".join(("movie", "gap", "seed", "truth", *COLUMNS, *LINKS)))
    print("|".join(["---"] * (4 + len(COLUMNS) + len(LINKS))))
    for name, max_gap in product(given.movies or MOVIES, (0, 1)):
        off = defaultdict(list)
        for seed in range(given.first, given.first + given.seeds):
            with tempfile.TemporaryDirectory() as folder:
                found = figures(Path(folder), Simulation(seed=seed, **EVERY, **MOVIES[name]), max_gap, given.trust)
            for column in COLUMNS:
                off[column].append(np.nan if found[column] is None else found[column] - found["true"])
            shown = ["not reached" if found[c] is None else found[c] for c in ("true", *COLUMNS)]
            shares = [f"{found[c]:.1%}" for c in LINKS]
            print(" | ".join(map(str, (name, max_gap, seed, *shown, *shares))), flush=True)
        print(" | ".join((f"**{name}**, off by", str(max_gap), "", "", *map(spread, off.values()))), flush=True)


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
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--trust", type=float, default=0.9, help="least probability of a link that is not doubted")
    main(parser.parse_args())
