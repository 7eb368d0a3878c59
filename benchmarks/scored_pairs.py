"""What it costs to bring a million scores of one's own into a store.

Run: python benchmarks/scored_pairs.py

Two thousand cells move at random through 51 frames; their million candidates are written to a CSV file in random order,
each with a number, and read by `trackdb score --by FILE`. All is seeded.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from trackdb.engine.candidates import link_nearest
from trackdb.engine.config import ScoreConfig
from trackdb.engine.ingest import ingest
from trackdb.engine.scoring import score
from trackdb.storage.duckdb_store import DuckDBStore

CELLS, FRAMES, SIDE_PX, RADIUS_PX = 2000, 51, 300, 30


def main() -> None:
    """Print how many pairs came in, and what that took."""
    rng = np.random.default_rng(0)
    steps = np.cumsum(rng.normal(0, 0.3, (FRAMES, CELLS, 2)), axis=0)
    place = rng.uniform(0, SIDE_PX, (CELLS, 2))[None] + steps
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        frame = np.repeat(np.arange(FRAMES), CELLS)
        points = {"t": frame, "y": place[..., 0].ravel(), "x": place[..., 1].ravel()}
        pq.write_table(pa.table(points), folder / "points.parquet")
        store = DuckDBStore(folder / "large.trackdb")
        ingest(folder / "points.parquet", store)
        chosen = store.detection_set()
        detections = store.detections(chosen)
        edges = link_nearest(detections, max_distance=RADIUS_PX)
        order = rng.permutation(len(edges))
        pairs = {"source": detections.id[edges.source][order], "target": detections.id[edges.target][order]}
        pyarrow.csv.write_csv(pa.table({**pairs, "score": rng.normal(size=len(edges))}), folder / "net.csv")
        cpu, wall = time.process_time(), time.perf_counter()
        report = score(store, chosen, ScoreConfig(by=str(folder / "net.csv")))
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    print(json.dumps({"pairs": report.edges, "new": report.new, "cpu_s": round(cpu, 2), "wall_s": round(wall, 2)}))


if __name__ == "__main__":
    main()
