"""The other trackers, each in a process of its own that knows nothing of trackdb and nothing of the truth.

A table of points (id, t, [z,] y, x; ids are row numbers) and a cutoff come in, links go out as pairs of ids.

Run, inside the peers' environment: python trackers.py NAME POINTS.parquet CUTOFF LINKS.parquet
"""

from __future__ import annotations

import sys
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Links = Iterable[tuple[int, int]]

NEIGHBOURS = 10  # candidates of each cell where a tracker wants them limited, as many as trackdb takes
GAP = 1  # frames that a cell may be missing, for the trackers that close gaps by themselves
# Costs of the integer programmes, per link 1 - distance / cutoff: the preset that Trackastra ships for motile.
APPEAR, DISAPPEAR, DIVIDE = 0.25, 0.5, 0.25
LIMIT_S = 300.0  # of the integer programmes, by the clock
UNFINISHED = "unfinished"


def axes_of(points: pd.DataFrame) -> list[str]:
    """Return the axes that a table has."""
    return [axis for axis in "zyx" if axis in points]


def by_frame(points: pd.DataFrame) -> list[pd.DataFrame]:
    """Return the points of each frame, from 0 to the last."""
    groups = dict(iter(points.groupby("t")))
    empty = points.iloc[:0]
    return [groups.get(t, empty) for t in range(int(points["t"].max()) + 1)]


def laptrack(points: pd.DataFrame, cutoff: float, *, splitting: bool = True) -> Links:
    """Link in two steps as Jaqaman: frame to frame, then gaps and divisions."""
    from laptrack import LapTrack

    linker = LapTrack(
        cutoff=cutoff**2,
        gap_closing_cutoff=cutoff**2,
        gap_closing_max_frame_count=1 + GAP,  # it counts frames from end to beginning
        splitting_cutoff=cutoff**2 if splitting else False,
    )
    frames = by_frame(points)
    tree = linker.predict([frame[axes_of(points)].to_numpy() for frame in frames])
    ids = [frame["id"].to_numpy() for frame in frames]
    return [(ids[t][i], ids[u][j]) for (t, i), (u, j) in tree.edges]


def laptrack_nosplit(points: pd.DataFrame, cutoff: float) -> Links:
    """Link as `laptrack`, without divisions."""
    return laptrack(points, cutoff, splitting=False)


def scipy_lap(points: pd.DataFrame, cutoff: float) -> Links:
    """Assign from frame to frame; to stay without a partner costs as much as a link of the cutoff."""
    from scipy.sparse import coo_array, eye_array, hstack
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching
    from scipy.spatial import cKDTree

    frames, axes = by_frame(points), axes_of(points)
    for before, after in pairwise(frames):
        if before.empty or after.empty:
            continue
        near = cKDTree(before[axes].to_numpy()).sparse_distance_matrix(cKDTree(after[axes].to_numpy()), cutoff)
        near = coo_array(near)
        cost = coo_array((near.data**2 + 1e-9, near.coords), shape=near.shape)  # a stored zero would be no link
        alone = eye_array(len(before)) * cutoff**2
        rows, columns = min_weight_full_bipartite_matching(hstack([cost, alone]).tocsr())
        linked = columns < len(after)
        yield from zip(before["id"].iloc[rows[linked]], after["id"].iloc[columns[linked]], strict=True)


def trackpy(points: pd.DataFrame, cutoff: float) -> Links:
    """Link as Crocker and Grier; where its search range is too wide for it, it narrows it step by step by itself."""
    import trackpy as tp

    tp.quiet()
    linked = tp.link(
        points.rename(columns={"t": "frame"}),
        search_range=cutoff,
        pos_columns=axes_of(points),
        memory=GAP,
        adaptive_stop=cutoff / 10,
        adaptive_step=0.9,
    ).sort_values(["particle", "frame"])
    particle, ids = linked["particle"].to_numpy(), linked["id"].to_numpy()
    same = particle[1:] == particle[:-1]
    return zip(ids[:-1][same], ids[1:][same], strict=True)


def btrack(points: pd.DataFrame, cutoff: float) -> Links:
    """Link by Kalman filters, then hypotheses: its published configuration for cells, searching within the cutoff."""
    import btrack as bt

    frame = points.sort_values("t")
    place = {axis: frame[axis].to_numpy(float) for axis in axes_of(points)}
    objects = [
        bt.btypes.PyTrackObject.from_dict({"ID": int(i), "t": int(t), "x": x, "y": y, "z": z, "label": 5})
        for i, t, x, y, z in zip(
            frame["id"], frame["t"], place["x"], place["y"], place.get("z", np.zeros(len(frame))), strict=True
        )
    ]
    with bt.BayesianTracker(verbose=False) as tracker:
        tracker.configure(_btrack_configuration(cutoff))
        tracker.max_search_radius = cutoff
        tracker.append(objects)
        low, high = frame[list(place)].min(), frame[list(place)].max()
        bounds = [(low.get(a, 0.0) - 1, high.get(a, 0.0) + 1) for a in "xyz"]
        tracker.volume = tuple((float(a), float(b)) for a, b in bounds)
        tracker.track(step_size=100)
        tracker.optimize(optimizer_options={"tm_lim": int(LIMIT_S * 1000)})
        tracks = tracker.tracks
    # it numbers the objects anew, in their order; negative references are points that it made up itself
    point = frame["id"].to_numpy()
    seen = {track.ID: [point[r] for r in track.refs if r >= 0] for track in tracks}
    for track in tracks:
        ids = seen[track.ID]
        yield from pairwise(ids)
        if track.parent not in (track.ID, 0) and ids and seen.get(track.parent):
            yield seen[track.parent][-1], ids[0]


def _btrack_configuration(cutoff: float) -> dict:
    """Return the configuration for cells that btrack publishes, distances beyond the cutoff apart."""
    motion = {
        "name": "cell_motion",
        "dt": 1.0,
        "measurements": 3,
        "states": 6,
        "accuracy": 7.5,
        "prob_not_assign": 0.1,
        "max_lost": GAP,
        "A": np.eye(6) + np.eye(6, k=3),
        "H": np.eye(3, 6),
        "P": 150.0 * np.diag([0.1, 0.1, 0.1, 1, 1, 1]),
        "G": 15.0 * np.array([[0.5, 0.5, 0.5, 1, 1, 1]]),
        "R": 5.0 * np.eye(3),
    }
    hypotheses = {
        "name": "cell_hypothesis",
        "hypotheses": ["P_FP", "P_init", "P_term", "P_link", "P_branch", "P_dead"],
        "lambda_time": 5.0,
        "lambda_dist": 3.0,
        "lambda_link": 10.0,
        "lambda_branch": 50.0,
        "eta": 1e-10,
        "theta_dist": 20.0,
        "theta_time": 5.0,
        "dist_thresh": cutoff,
        "time_thresh": GAP + 1,
        "apop_thresh": 5,
        "segmentation_miss_rate": 0.1,
        "apoptosis_rate": 0.001,
        "relax": True,
    }
    return {"motion_model": motion, "hypothesis_model": hypotheses}


def tracksdata_nearest(points: pd.DataFrame, cutoff: float) -> Links:
    """Take the shortest links first, up to two children each."""
    from tracksdata.solvers import NearestNeighborsSolver

    return _by_tracksdata(points, cutoff, NearestNeighborsSolver(edge_weight="distance", max_children=2))


def tracksdata_ilp(points: pd.DataFrame, cutoff: float) -> Links:
    """Solve an integer programme over the same candidates."""
    from tracksdata.attrs import EdgeAttr
    from tracksdata.solvers import ILPSolver

    solver = ILPSolver(
        edge_weight=EdgeAttr("distance") * (1 / cutoff) - 1,
        node_weight=-10.0,
        appearance_weight=APPEAR,
        disappearance_weight=DISAPPEAR,
        division_weight=DIVIDE,
        timeout=LIMIT_S,
        solver_preference="scip",
    )
    return _by_tracksdata(points, cutoff, solver)


def _by_tracksdata(points: pd.DataFrame, cutoff: float, solver: object) -> Links:
    import polars as pl
    from tracksdata.edges import DistanceEdges
    from tracksdata.graph import RustWorkXGraph

    axes = axes_of(points)
    graph = RustWorkXGraph()
    for axis in axes:
        graph.add_node_attr_key(axis, pl.Float64)
    ids = graph.bulk_add_nodes(points[["t", *axes]].to_dict("records"))
    DistanceEdges(distance_threshold=cutoff, n_neighbors=NEIGHBOURS, attr_keys=axes).add_edges(graph)
    solver.solve(graph)
    taken = graph.edge_attrs().filter(pl.col("solution"))
    point = dict(zip(ids, points["id"], strict=True))
    return [(point[a], point[b]) for a, b in zip(taken["source_id"], taken["target_id"], strict=True)]


def motile(points: pd.DataFrame, cutoff: float) -> Links:
    """Solve the same integer programme as a motile model."""
    import ilpy
    import networkx as nx
    from motile import Solver, TrackGraph
    from motile.constraints import MaxChildren, MaxParents
    from motile.costs import EdgeSelectedCost, NodeAppearCost, NodeDisappearCost, NodeSelectedCost, NodeSplitCost
    from scipy.spatial import cKDTree

    graph = nx.DiGraph()
    graph.add_nodes_from((i, {"t": t}) for i, t in zip(points["id"].tolist(), points["t"].tolist(), strict=True))
    frames, axes = by_frame(points), axes_of(points)
    for before, after in pairwise(frames):
        if before.empty or after.empty:
            continue
        k = np.arange(1, min(NEIGHBOURS, len(before)) + 1)
        tree = cKDTree(before[axes].to_numpy())
        distance, parent = tree.query(after[axes].to_numpy(), k=k, distance_upper_bound=cutoff)
        target, nth = np.nonzero(np.isfinite(distance))
        source, child = before["id"].to_numpy()[parent[target, nth]], after["id"].to_numpy()[target]
        cost = distance[target, nth] / cutoff - 1
        graph.add_edges_from(
            (a, b, {"cost": c}) for a, b, c in zip(source.tolist(), child.tolist(), cost.tolist(), strict=True)
        )
    solver = Solver(TrackGraph(graph))
    solver.add_cost(NodeSelectedCost(constant=-10.0))
    solver.add_cost(EdgeSelectedCost(attribute="cost"))
    solver.add_cost(NodeAppearCost(constant=APPEAR))
    solver.add_cost(NodeDisappearCost(constant=DISAPPEAR))
    solver.add_cost(NodeSplitCost(constant=DIVIDE))
    solver.add_constraint(MaxParents(1))
    solver.add_constraint(MaxChildren(2))
    solver.solve(timeout=LIMIT_S, backend=ilpy.Preference.Scip)
    return list(solver.get_selected_subgraph().edges)


def tell_unfinished() -> None:
    """Let ilpy say when an integer programme was stopped at its time limit."""
    from ilpy.solver_backends import _scip

    solve = _scip.ScipSolver.solve

    def solve_and_report(self: _scip.ScipSolver) -> object:
        solution = solve(self)
        if solution.status.name != "OPTIMAL":
            print(UNFINISHED, flush=True)
        return solution

    _scip.ScipSolver.solve = solve_and_report


TRACKERS: dict[str, Callable[[pd.DataFrame, float], Links]] = {
    "laptrack": laptrack,
    "laptrack_nosplit": laptrack_nosplit,
    "scipy_lap": scipy_lap,
    "trackpy": trackpy,
    "btrack": btrack,
    "tracksdata_nearest": tracksdata_nearest,
    "tracksdata_ilp": tracksdata_ilp,
    "motile": motile,
}


if __name__ == "__main__":
    name, file, radius, out = sys.argv[1:]
    if name in ("tracksdata_ilp", "motile"):
        tell_unfinished()
    links = np.array(list(TRACKERS[name](pd.read_parquet(file), float(radius))), dtype=np.int64).reshape(-1, 2)
    pd.DataFrame(links, columns=["source", "target"]).to_parquet(out)
