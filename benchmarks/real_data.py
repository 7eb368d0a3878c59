"""Real movies with truth through the command line alone, with no option but paths and columns.

Run: python benchmarks/real_data.py [--peers] [--env DIR] [NAME ...]     NAME: part of a movie's name

Each command runs in a fresh process: ingest, solve, evaluate, sql, export. With ``--peers`` laptrack links the same
points within the same radius (movies of up to 30,000 cells), and py-ctcmetrics reads the exported folders of those
movies that have truth masks. The folder of the movies is named by TRACKDB_DATA, as in `truth`.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
from measure import Spent, head, row, run, trackdb
from peers import runner
from truth import DATA

QUESTION = "select t, count(*) cells from tracked where solution = 'ilp-1' group by t order by t"
COMMANDS = ("ingest", "solve --simple", "evaluate", "sql", "export ctc")
MOST_FOR_LAPTRACK = 30_000


@dataclass(frozen=True)
class Movie:
    """A movie as the command line takes it.

    Parameters
    ----------
    name : str
        What the tables call it.
    source : str
        Path in the data folder.
    columns : str
        Columns of a table; empty for masks.
    truth, links : str
        Further paths; empty where there is none.
    observed : bool
        Whether interpolated points are left out first.
    """

    name: str
    source: str
    columns: str = ""
    truth: str = ""
    links: str = ""
    observed: bool = False

    def words(self, folder: Path) -> list[str | Path]:
        """Return the arguments of ingest; a table that has to be prepared is written into the folder."""
        source = DATA / self.source
        if self.observed:
            table = pd.read_csv(source)
            source = folder / "observed.csv"
            table[table["interpolation"] != "I"].to_csv(source)
        options = {"--columns": self.columns, "--truth": self.truth, "--links": self.links}
        paths = {name: value if name == "--columns" else DATA / value for name, value in options.items() if value}
        return [source, *(word for pair in paths.items() for word in pair)]


C2C12 = "t=frame,y=y,x=x,track=track"
MOVIES = (
    Movie("cellmigration, true masks", "cellmigration_ccby/02_GT"),
    Movie(
        "cellmigration, automatic",
        "cellmigration_ccby/regionprops.csv.gz",
        "t=frame,y=centroid-0,x=centroid-1,label=label,track=track",
        "cellmigration_ccby/02_GT",
    ),
    Movie("epidermis, true masks", "mouse_epidermis_area1_apache/02_GT"),
    Movie("C2C12 BMP2", "c2c12_ker2018_ccby/BMP2/regionprops.csv.gz", C2C12, "c2c12_ker2018_ccby/BMP2/02_GT"),
    Movie(
        "C2C12 BMP2, observed only",
        "c2c12_ker2018_ccby/BMP2/regionprops.csv.gz",
        C2C12,
        "c2c12_ker2018_ccby/BMP2/02_GT",
        observed=True,
    ),
    Movie("C2C12 Sparse5", "c2c12_ker2018_ccby/Sparse5/regionprops.csv.gz", C2C12, "c2c12_ker2018_ccby/Sparse5/02_GT"),
    Movie(
        "ASTEC Pm03 (3D)",
        "astec_ascidian_ccby/Pm03_spots.csv.gz",
        "t=t,z=z,y=y,x=x,id=id,source=source_idx,target=target_idx",
        links="astec_ascidian_ccby/Pm03_links.csv.gz",
    ),
)


def through(movie: Movie, folder: Path) -> list[Spent]:
    """Take a movie from its files to an exported solution; return what each command cost."""
    store = folder / "movie.trackdb"
    return [
        trackdb("ingest", *movie.words(folder), "-o", store, "--json"),
        trackdb("solve", store, "--simple", "--json"),
        trackdb("evaluate", store, "--json"),
        trackdb("sql", store, QUESTION, "--csv"),
        trackdb("export", "ctc", store, "-o", folder / "02_RES", "--json"),
    ]


def links_of(store: Path, query: str) -> set[tuple[int, int]]:
    """Return the pairs of cells that a query over a store answers."""
    file = store.with_suffix(".pairs.parquet")
    trackdb("sql", store, query, "--parquet", file)
    return set(zip(*pq.read_table(file).to_pydict().values(), strict=True))


def by_laptrack(store: Path, env: Path | None) -> tuple[float, float]:
    """Link the cells of a store by laptrack within our radius; return edge F1 and CPU seconds."""
    radius = trackdb("link", store, "--json").report["max_distance"]
    file = store.with_suffix(".cells.parquet")
    trackdb("sql", store, "select cell, t, z, y, x from cells order by t, cell", "--parquet", file)
    cells = pd.read_parquet(file).dropna(axis=1, how="all")
    cells.to_parquet(file)
    cell = cells["cell"].tolist()
    answer = run(*runner("laptrack", file, radius, env=env))
    if answer.code:
        raise SystemExit(answer.err)
    true = links_of(store, "select source, target from links where solution = 'truth'")
    known = {c for c, _ in links_of(store, "select cell, t from tracked where solution = 'truth'")}
    found = {(cell[a], cell[b]) for a, b in answer.report["links"]}
    found = {(a, b) for a, b in found if a in known or b in known}
    return 2 * len(found & true) / (len(found) + len(true)), answer.report["total_s"]


def main(given: argparse.Namespace) -> None:
    """Print the tables."""
    movies = [m for m in MOVIES if not given.names or any(n.lower() in m.name.lower() for n in given.names)]
    costs: list[list[object]] = []
    beside: list[list[object]] = []
    head("movie", "cells", "true links (skip frames)", "edges P", "R", "F1", "divisions F1", "+-1 frame", "state")
    for movie in movies:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            runs = through(movie, folder)
            ingested, solved, judged = (spent.report for spent in runs[:3])
            edges = judged["edges"]
            row(
                movie.name,
                f"{ingested['detections']:,}",
                f"{ingested['truth_edges']:,} ({judged['reference_gaps']:,})",
                *(f"{edges[m]:.4f}" for m in ("precision", "recall", "f1")),
                *(f"{judged[d]['f1']:.3f}" for d in ("divisions", "divisions_1")),
                "proven" if solved["proven"] else "open",
            )
            shown = [f"{s.cpu_s:.1f} s, {s.peak_mb:.0f} MB" for s in runs]
            costs.append(
                [movie.name, *shown, f"{sum(s.cpu_s for s in runs):.1f}", f"{sum(s.wall_s for s in runs):.1f}"]
            )
            if given.peers:
                peer = ["-", "-", "-", "-"]
                if ingested["detections"] <= MOST_FOR_LAPTRACK:
                    f1, cpu_s = by_laptrack(folder / "movie.trackdb", given.env)
                    peer[:2] = f"{f1:.4f}", f"{cpu_s:.1f}"
                if not movie.columns:
                    found = run(*runner("ctcmetrics", folder / "02_RES", DATA / movie.source, env=given.env))
                    peer[2:] = ctc_figures(found)
                beside.append([movie.name, f"{edges['f1']:.4f}", f"{sum(s.cpu_s for s in runs[:2]):.1f}", *peer])
    print()
    head("movie", *COMMANDS, "total CPU s", "wall s")
    for line in costs:
        row(*line)
    if beside:
        print()
        head("movie", "edge F1", "ingest and solve, CPU s", "laptrack edge F1", "CPU s", "py-ctcmetrics: valid", "TRA")
        for line in beside:
            row(*line)


def ctc_figures(found: Spent) -> tuple[str, str]:
    """Return what py-ctcmetrics says of a folder."""
    if found.code:
        return f"failed: {found.err.strip().splitlines()[-1]}", "-"
    return str(bool(found.report["Valid"])), f"{found.report['TRA']:.4f}"


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("names", nargs="*")
    options.add_argument("--peers", action="store_true", help="laptrack and py-ctcmetrics too")
    options.add_argument("--env", type=Path, help="folder of the peers' environment")
    main(options.parse_args())
