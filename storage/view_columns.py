"""What the views and macros of the SQL interface say, column by column: docs/reference/schema.md is made of it."""

from __future__ import annotations

from typing import Final

_DATASET: Final = "name of the movie"
_DETECTIONS: Final = "name of the detection set"
_SOLUTION: Final = "name of the solution"
_FRAME: Final = "frame"
_TIME: Final = "seconds; NULL where the interval is not known"
_HOW: Final = "exact, pruned, belief or sampled"
_ERROR: Final = "pruned: an estimate of the probability left out, no bound; sampled: the standard error; else NULL"
_PLACE: Final = {
    "z": "micrometres, else pixels; NULL in 2D",
    "y": "micrometres, else pixels",
    "x": "micrometres, else pixels",
}

ROWS: Final[dict[str, str]] = {
    "datasets": "a movie",
    "cells": "a cell that was found in a frame",
    "intensities": "the brightness of a cell in a channel",
    "properties": "what else the source told of a cell",
    "candidates": "a link that a solver may choose",
    "scores": "what a score run says of a candidate",
    "solutions": "a tracking, solved or imported",
    "links": "a link of a solution",
    "probabilities": "a candidate that a posterior knows",
    "outcomes": "one thing that a cell may do next; those of a cell sum to 1",
    "tracked": "a cell that is part of a solution",
    "tracks": "a path without division",
    "divisions": "a cell that divides",
    "annotations": "an entry of the decision log, what was said a moment ago included",
}
"""What a row of each view is."""

COLUMNS: Final[dict[str, dict[str, str]]] = {
    "datasets": {
        "dataset": _DATASET,
        "n_frames": "frames 0 to n_frames - 1",
        "ndim": "2 or 3 space axes",
        "unit": "of positions and distances: um or px",
        "scale_z": "micrometres a voxel along z",
        "scale_y": "micrometres a pixel along y",
        "scale_x": "micrometres a pixel along x",
        "frame_interval_s": "seconds from frame to frame",
        "shape": "pixels of a mask, [z,] y, x; NULL for points",
        "source": "where it came from",
    },
    "cells": {
        "dataset": _DATASET,
        "detections": _DETECTIONS,
        "cell": "its number, unique in the store",
        "t": _FRAME,
        "time_s": _TIME,
        **_PLACE,
        "label": "in the mask, or the id in a table",
        "area": "pixels or voxels; NULL for points",
        "equivalent_diameter": "pixels, of a disc (3D: a ball) of the same area",
        "border": "pixels to the nearest border of the image along its last two axes; 0 touches",
        "intensity_mean": "of the first channel",
        "bbox_z0": "first plane of the box; NULL in 2D",
        "bbox_y0": "first row of the box",
        "bbox_x0": "first column of the box",
        "bbox_z1": "plane after the box; NULL in 2D",
        "bbox_y1": "row after the box",
        "bbox_x1": "column after the box",
    },
    "intensities": {
        "dataset": _DATASET,
        "detections": _DETECTIONS,
        "cell": "the cell",
        "channel": "name of the channel",
        "mean": "over the pixels of the mask; NULL where one is no number",
        "min": "darkest pixel",
        "max": "brightest pixel",
    },
    "properties": {
        "dataset": _DATASET,
        "detections": _DETECTIONS,
        "cell": "the cell",
        "name": "of the property",
        "value": "a number; NULL for a text",
        "text": "a text; NULL for a number",
    },
    "candidates": {
        "dataset": _DATASET,
        "detections": _DETECTIONS,
        "source": "the earlier cell",
        "target": "the later cell",
        "t": "frame of the source",
        "dt": "frames that it leads over",
        "distance": "micrometres, else pixels",
    },
    "scores": {
        "scores": "name of the score run",
        "source": "the earlier cell",
        "target": "the later cell",
        "score": "on the scale of the run",
    },
    "solutions": {
        "dataset": _DATASET,
        "detections": _DETECTIONS,
        "solution": "its name, unique in the dataset",
        "linker": "what chose the links, or imported them",
        "objective": "its cost; NULL for an imported tracking",
        "lower_bound": "no solution is cheaper",
        "proven": "whether the two meet",
        "finished": "UTC",
        "params": "settings and what was estimated, as JSON",
    },
    "links": {
        "dataset": _DATASET,
        "solution": _SOLUTION,
        "source": "the earlier cell",
        "target": "the later cell",
        "t": "frame of the source",
        "kind": "continue, divide or merge",
        "probability": "that of the solution's newest posterior; NULL without one",
    },
    "probabilities": {
        "posterior": "name of the posterior",
        "source": "the earlier cell",
        "target": "the later cell",
        "probability": "0 to 1",
        "how": _HOW,
        "error": _ERROR,
    },
    "outcomes": {
        "posterior": "name of the posterior",
        "cell": "the cell; those of the last frame have no row",
        "rank": "1 is the likeliest",
        "daughters": "JSON: [] it ends, [9] it goes on, [9, 12] it divides",
        "probability": "0 to 1",
        "how": _HOW,
        "error": _ERROR,
    },
    "tracked": {
        "dataset": _DATASET,
        "solution": _SOLUTION,
        "cell": "the cell",
        "track": "its track",
        "lineage": "first track of its tree",
        "t": _FRAME,
        "time_s": _TIME,
        **_PLACE,
        "area": "pixels or voxels; NULL for points",
    },
    "tracks": {
        "dataset": _DATASET,
        "solution": _SOLUTION,
        "track": "its number, unique in the solution",
        "parent": "track of its mother; NULL at the top of a tree",
        "lineage": "first track of its tree",
        "first_t": "first frame",
        "last_t": "last frame",
        "generation": "divisions since the top of the tree",
        "n_children": "daughters",
    },
    "divisions": {
        "dataset": _DATASET,
        "solution": _SOLUTION,
        "track": "track of the mother",
        "cell": "the mother in her last frame",
        "t": _FRAME,
        "time_s": _TIME,
        "daughters": "list of the numbers of the daughters",
    },
    "annotations": {
        "dataset": _DATASET,
        "cell": "the cell; NULL for an undo",
        "kind": "choose, reject, begins, not_a_cell, segmentation, unsure, flag, undo",
        "who": "who said it",
        "at": "UTC",
        "daughters": "JSON: the cells that it becomes, each with number, frame and place",
        "shown": "JSON: what was on the screen",
        "solution": "solution that was shown",
        "posterior": "posterior that was shown",
        "blind": "whether the answer of the solver was hidden",
        "ms": "milliseconds from question to answer",
        "seq": "place in the order of all entries",
        "key": "of the entry, unique for ever",
        "undo_of": "key of the entry that this one takes back",
        "note": "what was added in words",
        "model": "what scored the links that were shown",
        "undone": "whether it was taken back",
    },
}
"""What each column of a view says."""

MACROS: Final[dict[str, str]] = {
    "descendants(solution, cell)": "cell, track, t: the cell and all that came of it",
    "ancestors(solution, cell)": "cell, track, t: the cell and all that it came from",
    "subtree(solution, cell, t0, t1)": "cell, track, t: the descendants in frames t0 to t1",
    "mrca(solution, a, b)": "cell, track, t: the most recent common ancestor of two cells; no row where there is none",
    "clone_size(solution, cell, t)": "cells: how many descendants live in frame t",
}
"""Table macros, and the rows that each returns."""
