"""Other solvers and judges in an environment of their own: a problem comes in as a file, figures go out as JSON.

`environment` makes it; run as a script, inside it, this file is the runner, which imports nothing of trackdb.

Run: python benchmarks/peers.py NAME FILE ...     NAME: motile, tracksdata, ortools, laptrack, ctcmetrics
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib
import json
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    Problem = dict[str, NDArray[np.generic]]

PINNED = (
    "motile==1.0.1",
    "ilpy==0.6.0",
    "pyscipopt==6.3.0",
    "tracksdata==0.1.0rc12",
    "laptrack==0.17.1",
    "trackpy==0.7",
    "py-ctcmetrics==1.3.3",
    "ortools==9.15.6755",
)
# in an environment apart: it wants an older pydantic, and the library of 0.7.0 needs a newer libstdc++ than many have
BTRACK = ("btrack==0.6.5", "numpy==2.2.6", "pandas==3.1.1", "pyarrow==26.0.1", "scipy==1.17.1")
HOME = Path.home() / ".cache" / "trackdb-benchmarks"


def environment(folder: Path | None = None, *, pinned: tuple[str, ...] = PINNED) -> Path:
    """Return the Python of the peers' environment; the first time it is made, which takes a minute.

    Its folder is named after the versions, and one process makes it while others wait: benchmarks of two versions of
    trackdb that run side by side do not clear each other's.
    """
    folder = folder or HOME / "env"
    folder = folder.with_name(f"{folder.name}-{hashlib.sha256(' '.join(pinned).encode()).hexdigest()[:8]}")
    python, ready = folder / "bin" / "python", folder / "ready.txt"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.is_file():
            venv.create(folder, with_pip=True, clear=True)
            pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *pinned]
            subprocess.run(pip, check=True, stdout=sys.stderr)
            ready.write_text("\n".join(pinned))
    return python


def runner(name: str, *words: object, env: Path | None = None) -> list[str]:
    """Return the command that runs a peer."""
    return [str(environment(env)), __file__, name, *map(str, words)]


# -- what runs inside it ----------------------------------------------------------------------------------------------


USED = {
    "motile": ("motile.constraints", "motile.costs", "motile.variables"),
    "tracksdata": ("polars", "tracksdata.graph", "tracksdata.solvers"),
    "ortools": ("ortools.graph.python.min_cost_flow",),
}
SCALE = 1_000_000  # whole numbers for a flow: costs lie on this grid


def timed_backend() -> dict[str, float]:
    """Let ilpy tell the CPU seconds that SCIP itself takes, model building apart."""
    from ilpy.solver_backends import _scip

    spent = {"solver_s": 0.0}
    solve = _scip.ScipSolver.solve

    def timed(self: _scip.ScipSolver) -> object:
        start = time.process_time()
        solution = solve(self)
        spent["solver_s"] += time.process_time() - start
        spent["optimal"] = float(solution.status.name == "OPTIMAL")
        return solution

    _scip.ScipSolver.solve = timed
    return spent


def motile(p: Problem, limit_s: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Build and solve a problem with motile and SCIP."""
    import ilpy
    import numpy as np
    from motile import Solver, TrackGraph
    from motile.constraints import MaxChildren, MaxParents
    from motile.costs import EdgeSelectedCost, NodeAppearCost, NodeDisappearCost, NodeSelectedCost, NodeSplitCost
    from motile.variables import EdgeSelected, NodeSelected

    names = {"t": "frame", "cost": "node_cost", "appear": "appear_cost", "disappear": "disappear_cost"}
    names["split"] = "division_cost"
    graph = TrackGraph()
    for i, values in enumerate(zip(*(p[n].tolist() for n in names.values()), strict=True)):
        graph.add_node(i, dict(zip(names, values, strict=True)))
    edges = list(zip(p["source"].tolist(), p["target"].tolist(), strict=True))
    for edge, cost in zip(edges, p["edge_cost"].tolist(), strict=True):
        graph.add_edge(edge, {"cost": cost})

    solver = Solver(graph)
    solver.add_cost(NodeSelectedCost(attribute="cost"))
    solver.add_cost(EdgeSelectedCost(attribute="cost"))
    solver.add_cost(NodeAppearCost(attribute="appear"))
    solver.add_cost(NodeDisappearCost(attribute="disappear"))
    solver.add_cost(NodeSplitCost(attribute="split"))
    solver.add_constraint(MaxParents(1))
    solver.add_constraint(MaxChildren(2))
    values = np.asarray(solver.solve(timeout=limit_s, backend=ilpy.Preference.Scip))
    edge_at, node_at = solver.get_variables(EdgeSelected), solver.get_variables(NodeSelected)
    chosen = np.array([values[edge_at[e]] > 0.5 for e in edges])
    return chosen, np.array([values[node_at[i]] > 0.5 for i in range(len(p["frame"]))])


def tracksdata(p: Problem, limit_s: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Build and solve a problem with tracksdata and SCIP."""
    import numpy as np
    import polars as pl
    from tracksdata.graph import RustWorkXGraph
    from tracksdata.solvers import ILPSolver

    graph = RustWorkXGraph()
    columns = ("node_cost", "appear_cost", "disappear_cost", "division_cost")
    for name in columns:
        graph.add_node_attr_key(name, pl.Float64)
    graph.add_edge_attr_key("edge_cost", pl.Float64)
    values = zip(p["frame"].tolist(), *(p[n].tolist() for n in columns), strict=True)
    ids = graph.bulk_add_nodes([dict(zip(("t", *columns), row, strict=True)) for row in values])
    ends = zip(p["source"].tolist(), p["target"].tolist(), p["edge_cost"].tolist(), strict=True)
    graph.bulk_add_edges([{"source_id": ids[a], "target_id": ids[b], "edge_cost": c} for a, b, c in ends])
    ILPSolver(
        edge_weight="edge_cost",
        node_weight="node_cost",
        appearance_weight="appear_cost",
        disappearance_weight="disappear_cost",
        division_weight="division_cost",
        timeout=limit_s,
        solver_preference="scip",
        return_solution=False,
    ).solve(graph)
    nodes, edges = graph.node_attrs(), graph.edge_attrs()
    row = {node: i for i, node in enumerate(ids)}
    taken = edges.filter(pl.col("solution"))
    pairs = {(row[a], row[b]) for a, b in zip(taken["source_id"], taken["target_id"], strict=True)}
    ends = zip(p["source"].tolist(), p["target"].tolist(), strict=True)
    selected = dict(zip(nodes["node_id"].to_list(), nodes["solution"].to_list(), strict=True))
    return np.array([pair in pairs for pair in ends]), np.array([selected[node] for node in ids])


def ortools(p: Problem, spent: dict[str, float]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Build and solve a problem without its couplings as a flow of least cost, by OR-tools.

    Each unit of flow is a lineage: it enters a cell by appearing, or its outlet by a division, and leaves it by a link
    or by disappearing. A cell that is left out may divide here, so the value is a lower bound, and a selection that
    does so is none.
    """
    import numpy as np
    from ortools.graph.python.min_cost_flow import SimpleMinCostFlow

    n = len(p["frame"])
    cell = np.arange(n)
    source, sink = np.full(n, 2 * n), np.full(n, 2 * n + 1)  # inlets are numbered before outlets
    arcs = (
        (source, cell, p["appear_cost"]),
        (cell, n + cell, p["node_cost"]),
        (n + cell, sink, p["disappear_cost"]),
        (source, n + cell, p["division_cost"]),
        (n + p["source"], p["target"], p["edge_cost"]),
        (source[:1], sink[:1], np.zeros(1)),
    )
    tail, head, cost = (np.concatenate(column) for column in zip(*arcs, strict=True))
    most = np.ones(len(tail), dtype=np.int64)
    most[-1] = 2 * n  # what is not needed goes past all cells
    flow = SimpleMinCostFlow()
    made = flow.add_arcs_with_capacity_and_unit_cost(tail, head, most, np.rint(cost * SCALE).astype(np.int64))
    flow.set_node_supply(2 * n, 2 * n)
    flow.set_node_supply(2 * n + 1, -2 * n)
    start = time.process_time()
    status = flow.solve()
    spent["solver_s"] = time.process_time() - start
    spent["optimal"] = float(status == flow.OPTIMAL)
    spent["bound"] = flow.optimal_cost() / SCALE
    taken = flow.flows(made) > 0
    return taken[4 * n : -1], taken[n : 2 * n]


def solve(work: Callable[..., tuple], file: str, limit_s: str) -> None:
    """Solve the problem of a file, write the selection beside it, and print what it cost."""
    import numpy as np

    for module in USED[work.__name__]:
        importlib.import_module(module)  # so that no figure holds the time that imports take
    spent = {} if work is ortools else timed_backend()
    problem = dict(np.load(file))
    start = time.process_time()
    edge, node = work(problem, spent if work is ortools else float(limit_s))
    total = time.process_time() - start
    np.savez(f"{file}.selection.npz", edge=edge, node=node)
    print(json.dumps({**spent, "total_s": total}))


def laptrack(file: str, radius: str, gap: str = "0", merging: str = "") -> None:
    """Link a table of points (columns t, axes) by laptrack with splitting, and print the links as rows.

    A cell may be missing for `gap` frames; with ``merging`` cells merge.
    """
    import pandas as pd
    from laptrack import LapTrack

    table = pd.read_parquet(file)
    axes = [a for a in "zyx" if a in table]
    cutoff = float(radius) ** 2
    start = time.process_time()
    linker = LapTrack(
        cutoff=cutoff,
        splitting_cutoff=cutoff,
        gap_closing_cutoff=cutoff if int(gap) else False,
        gap_closing_max_frame_count=1 + int(gap),  # it counts frames from end to beginning
        merging_cutoff=cutoff if merging else False,
    )
    tree = linker.predict([table.loc[table["t"] == t, axes].to_numpy() for t in range(int(table["t"].max()) + 1)])
    total = time.process_time() - start
    first = table.groupby("t").cumcount()
    row = {(t, i): r for r, (t, i) in enumerate(zip(table["t"], first, strict=True))}
    print(json.dumps({"total_s": total, "links": [(row[a], row[b]) for a, b in tree.edges]}))


def ctcmetrics(result: str, truth: str) -> None:
    """Validate a result in the layout of the Cell Tracking Challenge and measure it against its truth."""
    from ctc_metrics import evaluate_sequence

    with tempfile.TemporaryDirectory() as folder:
        masks = Path(folder) / "TRA"
        masks.mkdir()
        for file in (Path(truth) / "TRA").resolve().iterdir():
            number = file.stem.removeprefix("man_track")
            # it reads the masks in the order of their names, which have to be padded for that
            (masks / (f"man_track{int(number):04d}.tif" if number.isdigit() else file.name)).symlink_to(file)
        found = evaluate_sequence(result, folder, metrics=["Valid", "TRA", "LNK"])
    print(json.dumps({key: float(value) for key, value in found.items() if isinstance(value, (int, float))}))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["motile" | "tracksdata" | "ortools" as name, file, limit_s]:
            solve({"motile": motile, "tracksdata": tracksdata, "ortools": ortools}[name], file, limit_s)
        case ["laptrack", file, radius, *more]:
            laptrack(file, radius, *more)
        case ["ctcmetrics", result, truth]:
            ctcmetrics(result, truth)
        case _:
            raise SystemExit(__doc__)
