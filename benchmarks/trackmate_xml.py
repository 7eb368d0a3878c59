"""What a TrackMate file costs to read: time and peak memory of a process of its own, by size of the file.

Run: python benchmarks/trackmate_xml.py [MB ...]     default 25 50 100; spots with and without polygons
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from measure import Spent, head, row, run

N_CELLS = 400  # in each frame
N_CORNERS = 40  # of a polygon
CHANNELS = ("MEAN", "MEDIAN", "MIN", "MAX", "TOTAL", "STD")
FEATURES = [
    "QUALITY", "POSITION_X", "POSITION_Y", "RADIUS", "AREA", "PERIMETER", "CIRCULARITY", "SOLIDITY", "ELLIPSE_MAJOR",
    "ELLIPSE_MINOR", "ELLIPSE_THETA", *(f"{name}_INTENSITY_CH{c}" for c in (1, 2) for name in CHANNELS), "SNR_CH1",
    "SNR_CH2", "CONTRAST_CH1", "CONTRAST_CH2",
]  # fmt: skip
"""What TrackMate 7 writes for two channels."""


def write(path: Path, megabytes: int, *, polygons: bool, seed: int = 0) -> Path:
    """Write a movie of random cells as TrackMate would, each of them one track, until the file is large enough."""
    rng = np.random.default_rng(seed)
    spot = " ".join(f'{name}="%r"' for name in FEATURES)
    spot = f'<Spot ID="%d" name="ID%d" FRAME="%d" POSITION_T="%.1f" POSITION_Z="0.0" VISIBILITY="1" {spot}'
    corners = " ".join(["%r"] * (2 * N_CORNERS))
    n_frames = 0
    with path.open("w", encoding="utf-8") as file:
        file.write('<?xml version="1.0" encoding="UTF-8"?>\n<TrackMate version="7.10.2">\n')
        file.write('<Model spatialunits="micron" timeunits="min">\n<AllSpots>\n')
        while n_frames < 2 or file.tell() < megabytes * 1e6:
            t = n_frames
            file.write(f'<SpotsInFrame frame="{t}">\n')
            values = (1000 * rng.random((N_CELLS, len(FEATURES)))).tolist()
            outlines = rng.normal(0, 5, (N_CELLS, 2 * N_CORNERS)).tolist() if polygons else [()] * N_CELLS
            for k, (told, outline) in enumerate(zip(values, outlines, strict=True)):
                number = t * N_CELLS + k
                file.write(spot % (number, number, t, t, *told))
                file.write(f' ROI_N_POINTS="{N_CORNERS}">{corners % tuple(outline)}</Spot>\n' if polygons else " />\n")
            file.write("</SpotsInFrame>\n")
            n_frames += 1
        file.write("</AllSpots>\n<AllTracks>\n")
        for k in range(N_CELLS):
            file.write(f'<Track name="Track_{k}" TRACK_ID="{k}">\n')
            for t in range(n_frames - 1):
                ends = f'SPOT_SOURCE_ID="{t * N_CELLS + k}" SPOT_TARGET_ID="{(t + 1) * N_CELLS + k}"'
                file.write(f'<Edge {ends} LINK_COST="0.25" />\n')
            file.write("</Track>\n")
        file.write("</AllTracks>\n<FilteredTracks>\n")
        file.writelines(f'<TrackID TRACK_ID="{k}" />\n' for k in range(N_CELLS))
        file.write(
            '</FilteredTracks>\n</Model>\n<Settings>\n<ImageData nslices="1" pixelwidth="0.5" pixelheight="0.5" '
        )
        file.write('voxeldepth="1.0" timeinterval="5.0" />\n</Settings>\n</TrackMate>\n')
    return path


def read(path: Path) -> dict[str, float]:
    """Open a file and read all its frames; return what it holds."""
    from trackdb.storage.formats import open_source

    started = time.perf_counter()
    source = open_source(path)
    n_spots = sum(len(batch.points.label) for batch in source.frames() if batch.points is not None)
    n_links = sum(len(lineage.source) for lineage in source.lineages)
    n_properties = len(next(source.frames()).points.properties) if n_spots else 0
    return {"spots": n_spots, "links": n_links, "properties": n_properties, "seconds": time.perf_counter() - started}


def build_tree(path: Path) -> dict[str, float]:
    """Read a file the other way, for comparison: the whole tree at once."""
    started = time.perf_counter()
    n_spots = sum(1 for _ in ElementTree.parse(path).getroot().iter("Spot"))  # of our own making
    return {"spots": n_spots, "seconds": time.perf_counter() - started}


def in_a_process_of_its_own(what: str, path: Path) -> Spent:
    """Run one of the two above in a process of its own."""
    spent = run(sys.executable, __file__, what, str(path))
    if spent.code:
        raise SystemExit(spent.err)
    return spent


def main(sizes: list[int]) -> None:
    """Print a line for each size, with and without polygons."""
    head(
        "file",
        "spots",
        "links",
        "properties",
        "read s",
        "CPU s",
        "peak MB",
        "beyond an empty file",
        "peak MB of a tree",
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "movie.xml"
        path.write_text("<TrackMate><Model/></TrackMate>")
        empty = in_a_process_of_its_own("read", path).peak_mb
        for polygons in (False, True):
            for size in sizes:
                write(path, size, polygons=polygons)
                ours, tree = in_a_process_of_its_own("read", path), in_a_process_of_its_own("tree", path)
                told = ours.report
                row(
                    f"{path.stat().st_size / 1e6:.0f} MB{', polygons' if polygons else ''}",
                    *(f"{told[key]:,}" for key in ("spots", "links", "properties")),
                    *(f"{value:.1f}" for value in (told["seconds"], ours.cpu_s)),
                    *(f"{value:.0f}" for value in (ours.peak_mb, ours.peak_mb - empty, tree.peak_mb)),
                )


if __name__ == "__main__":
    words = sys.argv[1:]
    if words[:1] in (["read"], ["tree"]):
        print(json.dumps((read if words[0] == "read" else build_tree)(Path(words[1]))))
    else:
        main([int(word) for word in words] or [25, 50, 100])
