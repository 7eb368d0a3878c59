"""The lineage tree as a picture: time runs down, what is doubtful stands out, what people said has a dot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ...errors import MissingRowsError
from .drawing import DOUBT_COLOURS, DOUBT_WIDTHS, doubt_legend, doubt_of, entitle, figure_for, require_plottable

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from ...storage.schema import Tracks
    from ..exports.tracking import Tracking

LINEAGES: Final = 12
INCHES_A_TIP: Final = 0.16
WIDTH_IN: Final = (4.0, 40.0)
HEIGHT_IN: Final = (3.5, 14.0)
INCHES_A_FRAME: Final = 0.09
ENDS: Final[dict[str, dict[str, Any]]] = {
    "movie ends": {"marker": "o", "color": "#404040", "markerfacecolor": "white", "markersize": 3, "linestyle": ""},
    "lost": {"marker": "_", "color": "#404040", "markersize": 5, "linestyle": ""},
    "people said so": {"marker": "o", "color": "black", "markersize": 3, "linestyle": ""},
}
"""How ends of tracks and answers of people are marked."""


@dataclass(frozen=True, slots=True)
class DrawnTree:
    """What a picture of trees shows.

    Parameters
    ----------
    lineages, of_lineages : int
        Lineages that are drawn, and those of the solution.
    tracks, links, pinned, doubtful : int
        Tracklets and links that are drawn; links that people said, and links that are wrong with 10 % or more.
    """

    lineages: int
    of_lineages: int
    tracks: int
    links: int
    pinned: int
    doubtful: int


def plot_tree(tracking: Tracking, out: Path, *, cell: int | None = None, lineages: int = LINEAGES) -> DrawnTree:
    """Draw lineages of a solution.

    A line runs down from the first frame of a track to its last; daughters hang from a bar. Colour and width tell how
    likely a link is wrong, a dot that people said it, an open ring that a track is cut off by the end of the movie.

    Parameters
    ----------
    tracking : Tracking
        The solution.
    out : Path
        A file ending in .svg or .png that is not there yet.
    cell : int or None
        Draw the lineage of this cell, and mark it.
    lineages : int
        Without a cell: the lineages of most tracks and then of most cells, so many of them.

    Raises
    ------
    MissingRowsError
        If the cell is not part of the solution, or the solution is empty.
    ConfigError
        If the file has another ending, or matplotlib is not installed.
    FormatError
        If the file is there already, or its folder is not.
    """
    require_plottable("tree", out)
    marked = _row_of(tracking, cell)
    chosen = _largest(tracking, lineages) if marked is None else tracking.lineage[[marked]]
    of_tracks = np.isin(tracking.tracks.lineage, chosen)
    column = dict(
        zip(tracking.tracks.id[of_tracks].tolist(), tip_columns(tracking.tracks, of_tracks).tolist(), strict=True)
    )
    members = np.isin(tracking.lineage, chosen)
    x = np.zeros(len(tracking.cells))
    x[members] = [column[track] for track in tracking.track[members].tolist()]
    links = np.flatnonzero(members[tracking.source] & members[tracking.target] & ~tracking.is_merge)
    doubt = doubt_of(tracking.evidence.probability[links])
    pinned = links[tracking.evidence.pinned_by[links] != ""]
    frames = tracking.cells.frame[members]
    width = np.clip(INCHES_A_TIP * (x.max() + 2) + 1.5, *WIDTH_IN)
    height = np.clip(INCHES_A_FRAME * (np.ptp(frames) + 1) + 1, *HEIGHT_IN)
    with figure_for(out, float(width), float(height)) as figure:
        axes = figure.subplots()
        _draw_links(axes, tracking, x, links, doubt)
        _draw_ends(axes, tracking, x, members)
        target = tracking.target[pinned]
        axes.plot(x[target], tracking.cells.frame[target], **ENDS["people said so"], zorder=3)
        if marked is not None:
            axes.annotate(f"{cell}", (x[marked], tracking.cells.frame[marked]), (4, 0), textcoords="offset points")
            axes.plot(x[marked], tracking.cells.frame[marked], "D", color="#CC79A7", markersize=5, zorder=4)
        doubt_legend(axes, doubt, loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
        _explain_marks(axes)
        _dress(axes, tracking)
    n_doubtful = int(np.isin(doubt, (2, 3)).sum())
    n_lineages = len(np.unique(chosen))
    n_all = len(np.unique(tracking.tracks.lineage))
    return DrawnTree(n_lineages, n_all, int(of_tracks.sum()), len(links), len(pinned), n_doubtful)


def tip_columns(tracks: Tracks, shown: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return where each track stands: tracks without daughters side by side, a mother in the middle of her daughters.

    Parameters
    ----------
    tracks : Tracks
        k tracklets in the order of the walk.
    shown : (k,) bool
        Those that are drawn: whole lineages.

    Returns
    -------
    column : (shown,) float64
        Of each; neighbours are 1 apart.
    """
    order = np.flatnonzero(shown)
    number, parent, generation = tracks.id[order], tracks.parent[order], tracks.generation[order]
    rows = np.argsort(number)
    mother = np.full(len(order), -1)
    born = np.flatnonzero(np.isin(parent, number))
    mother[born] = rows[np.searchsorted(number[rows], parent[born])]
    is_tip = np.bincount(mother[born], minlength=len(order)) == 0
    column = np.where(is_tip, np.cumsum(is_tip) - 1.0, 0.0)
    for depth in range(int(generation.max(initial=0)), 0, -1):
        daughters = born[generation[born] == depth]
        mothers, count = np.unique(mother[daughters], return_counts=True)
        column[mothers] = np.bincount(mother[daughters], column[daughters], len(order))[mothers] / count
    return column


def _row_of(tracking: Tracking, cell: int | None) -> int | None:
    """Return the row of a cell that was asked for."""
    if not len(tracking.cells):
        raise MissingRowsError(f"solution {tracking.about['solution']} has no cell to draw")
    if cell is None:
        return None
    rows = np.flatnonzero(tracking.cells.id == cell)
    if not len(rows):
        raise MissingRowsError(
            f"cell {cell} is not part of solution {tracking.about['solution']}",
            **{"try": f'trackdb sql {tracking.path} "select cell, t, y, x from tracked limit 10"'},
        )
    return int(rows[0])


def _largest(tracking: Tracking, most: int) -> NDArray[np.int64]:
    """Return the lineages of most tracks, of these those of most cells."""
    number, n_tracks = np.unique(tracking.tracks.lineage, return_counts=True)
    n_cells = np.bincount(np.searchsorted(number, tracking.lineage), minlength=len(number))
    best: NDArray[np.int64] = number[np.lexsort((number, -n_cells, -n_tracks))[:most]]
    return best


def _draw_links(
    axes: Any, tracking: Tracking, x: NDArray[np.float64], links: NDArray[np.int64], doubt: NDArray[np.int64]
) -> None:
    """Draw each link as a bar at the frame of its source and a line down to its target."""
    from matplotlib.collections import LineCollection

    source, target, frame = tracking.source[links], tracking.target[links], tracking.cells.frame
    corners = [(x[source], frame[source]), (x[target], frame[source]), (x[target], frame[target])]
    lines = np.stack([np.column_stack(corner) for corner in corners], axis=1)
    classes = [DOUBT_COLOURS[k] for k in doubt.tolist()]
    widths = [DOUBT_WIDTHS[k] for k in doubt.tolist()]
    axes.add_collection(LineCollection(list(lines), colors=classes, linewidths=widths, capstyle="butt"))


def _draw_ends(axes: Any, tracking: Tracking, x: NDArray[np.float64], members: NDArray[np.bool_]) -> None:
    """Mark where tracks end: an open ring in the last frame, where the movie ends; a bar where they are lost before."""
    frame = tracking.cells.frame
    ends = members & (np.bincount(tracking.source, minlength=len(frame)) == 0)
    last = tracking.movie.n_frames - 1
    cut, lost = ends & (frame == last), ends & (frame < last)
    axes.plot(x[cut], frame[cut], **ENDS["movie ends"], zorder=3)
    axes.plot(x[lost], frame[lost], **ENDS["lost"], zorder=3)


def _explain_marks(axes: Any) -> None:
    from matplotlib.lines import Line2D

    marks = [Line2D([], [], **look, label=name) for name, look in ENDS.items()]
    axes.add_artist(axes.get_legend())
    axes.legend(handles=marks, fontsize=7, loc="lower left", bbox_to_anchor=(1, 0), frameon=False)


def _dress(axes: Any, tracking: Tracking) -> None:
    axes.autoscale_view()
    axes.invert_yaxis()
    axes.set(xticks=[], ylabel="frame")
    entitle(axes, f"{tracking.about['dataset']}: {tracking.about['solution']}")
    for side in ("top", "bottom", "right"):
        axes.spines[side].set_visible(False)
