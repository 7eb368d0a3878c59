"""Real movies with known lineages, as detections and true links; every benchmark that needs truth reads them here.

The folder is named by the environment variable TRACKDB_DATA (default: ../shared/data beside this repository).
"""

from __future__ import annotations

import os
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import tifffile

from trackdb.engine.measure import measure
from trackdb.storage.schema import Detections

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

DATA = Path(os.environ.get("TRACKDB_DATA", Path(__file__).parents[1] / ".." / "shared" / "data")).resolve()

# planes 0.5 um apart, 0.087 um a pixel: assumed, the tables do not say it; an embryo is then as long and thick as known
EMBRYO_UM = (0.5, 0.087, 0.087)
FOUNDERS = {
    "AB": "P0", "P1": "P0", "EMS": "P1", "P2": "P1", "MS": "EMS", "E": "EMS", "C": "P2", "P3": "P2", "D": "P3",
    "P4": "P3", "Z2": "P4", "Z3": "P4",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class TrueMovie:
    """A movie with truth.

    Parameters
    ----------
    name, role : str
        Its name; ``design`` where figures may be chosen by looking at it, ``judge`` where it only judges.
    detections : Detections
        n cells.
    link : (l, 2) int64
        True links, mother or same cell to cell one frame later, rows of the detections.
    """

    name: str
    role: str
    detections: Detections
    link: NDArray[np.int64]

    def every(self, step: int) -> TrueMovie:
        """Return the movie as if only every `step`-th frame had been taken; links follow the cell through."""
        if step == 1:
            return self
        parent = np.full(len(self.detections), -1)
        parent[self.link[:, 1]] = self.link[:, 0]
        hops = np.arange(len(parent))
        for _ in range(step):
            hops = np.where(hops < 0, -1, parent[hops])
        kept = self.detections.frame % step == 0
        row = np.cumsum(kept) - 1
        target = np.flatnonzero(kept & (hops >= 0))
        link = np.c_[row[hops[target]], row[target]]
        old = self.detections
        new = detections_of(old.frame[kept] // step, old.position_px[kept], old.scale_um, old.area[kept])
        return TrueMovie(f"{self.name} x{step}", self.role, new, link)


def detections_of(
    frame: NDArray[np.int64],
    position_px: NDArray[np.float64],
    scale_um: tuple[float, ...] | None,
    area: NDArray[np.float64] | None = None,
) -> Detections:
    """Make detections of rows that are in the order of their frames, points where no areas are given."""
    n = np.arange(len(frame), dtype=np.int64)
    area = np.full(len(n), np.nan) if area is None else area.astype(float)
    return Detections(n, frame.astype(np.int64), position_px.astype(float), n + 1, area, scale_um)


def from_tracks(
    table: pd.DataFrame, parent: dict[object, object], axes: list[str], scale_um: tuple[float, ...] | None = None
) -> tuple[Detections, NDArray[np.int64]]:
    """Tie the rows of each track, and each track's first row to its mother's last, where one frame lies between."""
    table = table.sort_values(["frame", "track"]).reset_index(drop=True)
    links = []
    ends: dict[object, tuple[int, int]] = {}
    for track, rows in table.groupby("track").indices.items():
        links.append(np.c_[rows[:-1], rows[1:]])
        ends[track] = (int(rows[0]), int(rows[-1]))
    born = [(ends[p][1], ends[t][0]) for t, p in parent.items() if t in ends and p in ends]
    link = np.concatenate([*links, np.array(born, dtype=np.int64).reshape(-1, 2)])
    frame = table["frame"].to_numpy(np.int64)
    link = link[frame[link[:, 1]] - frame[link[:, 0]] == 1]
    area = table["area"].to_numpy(float) if "area" in table else None
    return detections_of(frame, table[axes].to_numpy(float), scale_um, area), link


def ctc_table(folder: Path, csv: str, axes: list[str]) -> tuple[Detections, NDArray[np.int64]]:
    """Read a table of automatic detections with their true track; rows without one are left out.

    Areas are those of the table, or of the masks of the true tracks where every frame has one.
    """
    table = pd.read_csv(folder / csv).dropna(subset=["track"]).astype({"track": int, "frame": int})
    table = table.drop_duplicates(["frame", "track"])
    truth = folder / "02_GT" / "TRA"
    tracks = np.loadtxt(truth / "man_track.txt", dtype=int, ndmin=2)
    masks = {int(file.stem.removeprefix("man_track")): file for file in truth.glob("man_track*.tif")}
    if "area" not in table and set(table["frame"]) <= set(masks):
        regions = {frame: measure(tifffile.imread(file)) for frame, file in masks.items()}
        area = {(frame, label): a for frame, r in regions.items() for label, a in zip(r.label, r.area, strict=True)}
        table["area"] = [area.get(key, np.nan) for key in zip(table["frame"], table["track"], strict=True)]
    return from_tracks(table, {t: p for t, _, _, p in tracks.tolist() if p}, axes)


def astec(folder: Path, name: str) -> tuple[Detections, NDArray[np.int64]]:
    """Read the spots and links of an ascidian embryo."""
    spots = pd.read_csv(folder / f"{name}_spots.csv.gz").sort_values(["t", "id"], kind="stable")
    links = pd.read_csv(folder / f"{name}_links.csv.gz").to_numpy(np.int64)
    row = pd.Series(np.arange(len(spots)), index=spots["id"])
    frame = spots["t"].to_numpy(np.int64)
    link = np.c_[row[links[:, 0]].to_numpy(), row[links[:, 1]].to_numpy()]
    link = np.where((frame[link[:, 0]] < frame[link[:, 1]])[:, None], link, link[:, ::-1])
    link = link[frame[link[:, 1]] - frame[link[:, 0]] == 1]
    return detections_of(frame, spots[["z", "y", "x"]].to_numpy(float), None), link


def celegans(file: Path) -> tuple[Detections, NDArray[np.int64]]:
    """Read one embryo in Sulston's names; a mother is her daughter's name without its last letter."""
    table = pd.read_csv(file).rename(columns={"time": "frame", "cell": "track"})
    table = table.drop_duplicates(["frame", "track"])
    parent = {c: FOUNDERS.get(c, c[:-1]) for c in table["track"].unique()}
    return from_tracks(table, parent, ["z", "y", "x"], EMBRYO_UM)


def organoid(file: Path) -> tuple[Detections, NDArray[np.int64]]:
    """Read the spots and edges of a MaMuT file (micrometres)."""
    root = ET.parse(file).getroot()
    spots = [
        (int(s.attrib["FRAME"]) if "FRAME" in s.attrib else int(float(s.attrib["POSITION_T"])), s.attrib)
        for s in root.iter("Spot")
    ]
    spots.sort(key=lambda s: s[0])
    row = {s[1]["ID"]: i for i, s in enumerate(spots)}
    frame = np.array([s[0] for s in spots])
    position = np.array([[float(s[1][f"POSITION_{a}"]) for a in "ZYX"] for s in spots])
    link = np.array([(row[e.attrib["SPOT_SOURCE_ID"]], row[e.attrib["SPOT_TARGET_ID"]]) for e in root.iter("Edge")])
    link = np.where((frame[link[:, 0]] < frame[link[:, 1]])[:, None], link, link[:, ::-1])
    return detections_of(frame, position, (1.0, 1.0, 1.0)), link[frame[link[:, 1]] - frame[link[:, 0]] == 1]


def movies(data: Path = DATA) -> Iterator[TrueMovie]:
    """Read all movies with truth, one at a time; of each family with several movies, half design and half judge."""
    yield TrueMovie("cellmigration", "design", *ctc_table(
        data / "cellmigration_ccby", "regionprops.csv.gz", ["centroid-0", "centroid-1"]))  # fmt: skip
    yield TrueMovie("epidermis", "design", *ctc_table(
        data / "mouse_epidermis_area1_apache", "regionprops.csv", ["centroid-0", "centroid-1"]))  # fmt: skip
    for name, role in (("Sparse5", "design"), ("BMP2", "judge")):
        yield TrueMovie(f"c2c12 {name}", role, *ctc_table(
            data / "c2c12_ker2018_ccby" / name, "regionprops.csv.gz", ["y", "x"]))  # fmt: skip
    for name, role in (("Pm03", "design"), ("Pm04", "judge"), ("Pm07", "design"), ("Pm09", "judge")):
        yield TrueMovie(f"astec {name}", role, *astec(data / "astec_ascidian_ccby", name))
    for file in sorted((data / "celegans_live_mit").glob("CD*.csv.gz")):
        short = re.sub(r"^CD(\d+).*_(L\d)\.csv\.gz$", r"\1 \2", file.name)
        role = "design" if short.startswith(("20120621", "20240930")) else "judge"
        yield TrueMovie(f"celegans {short}", role, *celegans(file))
    yield TrueMovie("organoid", "judge", *organoid(data / "lstree_organoid_mit/002-Budding/mamut_deconv.xml"))
