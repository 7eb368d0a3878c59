"""Outlines of cells in a label mask, as closed loops along the sides of its pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Loop = list[tuple[float, float]]


def outlines(mask: NDArray[np.integer]) -> dict[int, list[Loop]]:
    """Return the loops around each label of a mask, holes among them.

    Parameters
    ----------
    mask : (h, w) integer
        0 for background.

    Returns
    -------
    dict of int to list of list of (y, x)
        Corners of each loop in order, those on straight lines left out; the last is joined to the first. Pixel (r, c)
        is the square from ``r - .5`` to ``r + .5``, so that its centre is at whole numbers. A label lies to the right
        of its loop (as one walks in a picture with y downward): loops around holes run the other way round.
    """
    padded = np.pad(mask, 1)
    here = padded[1:-1, 1:-1]
    # each side of a pixel at which its label ends, as a step from corner to corner that keeps the label to the right
    sides = (
        (padded[:-2, 1:-1], (0, 0), (0, 1)),  # above: to the right
        (padded[1:-1, 2:], (0, 1), (1, 1)),  # right: down
        (padded[2:, 1:-1], (1, 1), (1, 0)),  # below: to the left
        (padded[1:-1, :-2], (1, 0), (0, 0)),  # left: up
    )
    steps: dict[int, dict[tuple[int, int], list[tuple[int, int]]]] = {}
    for beyond, begin, end in sides:
        row, column = np.nonzero((here != beyond) & (here != 0))
        for r, c, label in zip(row.tolist(), column.tolist(), here[row, column].tolist(), strict=True):
            of_label = steps.setdefault(label, {})
            of_label.setdefault((r + begin[0], c + begin[1]), []).append((r + end[0], c + end[1]))
    return {label: _loops(leaving) for label, leaving in sorted(steps.items())}


def _loops(leaving: dict[tuple[int, int], list[tuple[int, int]]]) -> list[Loop]:
    """Walk the steps of a label until none is left; where two pixels touch at a corner, turn to stay with the same."""
    loops = []
    while leaving:
        start = next(iter(leaving))
        corner, came, loop = start, (0, 0), []
        while True:
            ends = leaving[corner]
            towards = ends[0] if len(ends) == 1 else _right_turn(corner, came, ends)
            ends.remove(towards)
            if not ends:
                del leaving[corner]
            step = towards[0] - corner[0], towards[1] - corner[1]
            if step != came:
                loop.append((corner[0] - 0.5, corner[1] - 0.5))
            corner, came = towards, step
            if corner == start:
                break
        loops.append(loop)
    return loops


def _right_turn(corner: tuple[int, int], came: tuple[int, int], ends: list[tuple[int, int]]) -> tuple[int, int]:
    """Return the end to which a walker turns right, y downward."""
    right = corner[0] + came[1], corner[1] - came[0]
    return right if right in ends else ends[0]
