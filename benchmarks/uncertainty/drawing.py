"""The figures of the page, as SVG that the same results give again, byte by byte."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import matplotlib
import numpy as np
from comparing import judged, means, named
from figures import REJECTED
from matplotlib.figure import Figure
from methods import METHODS

if TYPE_CHECKING:
    from pathlib import Path

    from experiment import Results
    from figures import Row

STYLE: Final = {
    "svg.hashsalt": "trackdb",
    "svg.fonttype": "none",
    "font.size": 8,
    "axes.spines.right": False,
    "axes.spines.top": False,
}
COLOUR: Final = dict(zip(METHODS, ("C0", "C1", "C2", "C3", "k"), strict=True))
REFERENCE: Final = "0.75"


def draw(results: Results, out: Path) -> list[Path]:
    """Draw ECE by resolution, what rejecting gains, and reliability curves; return the files."""
    made = []
    with matplotlib.rc_context(STYLE):
        for name, figure in (
            ("ece.svg", ece_by_resolution(results.rows)),
            ("gain.svg", gain_by_rejection(results.rows)),
            ("reliability.svg", reliability_curves(results.curves.as_list())),
        ):
            figure.savefig(out / name, metadata={"Date": None})
            made.append(out / name)
    return made


def _panels(keys: list[tuple[str, str]], **shared: bool) -> tuple[Figure, list[Any]]:
    """Return a figure with a panel for each kind of movie and base tracker."""
    columns = min(len(keys), 4)
    rows = -(-len(keys) // columns)
    figure = Figure(figsize=(2.4 * columns + 0.6, 2.4 * rows + 0.6), layout="constrained")
    axes = np.atleast_1d(figure.subplots(rows, columns, squeeze=False, **shared)).ravel().tolist()
    for panel, (kind, tracker) in zip(axes, keys, strict=False):
        panel.set_title(f"{kind}, {tracker}", fontsize=8)
    for panel in axes[len(keys) :]:
        panel.set_visible(False)
    return figure, axes


def _legend(figure: Figure, axes: list[Any]) -> None:
    """Name the lines beside the panels, as the panel with most of them has them."""
    handles = max((panel.get_legend_handles_labels() for panel in axes), key=lambda found: len(found[1]))
    figure.legend(*handles, loc="outside right center", frameon=False, fontsize=7)


def ece_by_resolution(rows: list[Row]) -> Figure:
    """Draw mean ECE and its standard error over movies by temporal resolution; dashed with temperature scaling."""
    ece, floor = means(rows, "ECE"), means(rows, "floor")
    keys = [key for key in dict.fromkeys(k[:2] for k in ece) if len({k[2] for k in ece if k[:2] == key}) > 1]
    figure, axes = _panels(keys or list(dict.fromkeys(k[:2] for k in ece)), sharey=True)
    for panel, key in zip(axes, keys, strict=False):
        steps = sorted({k[2] for k in ece if k[:2] == key})
        for method in METHODS:
            for ts, line in (("", "-"), ("+TS", "--")):
                here = [s for s in steps if (*key, s, method + ts) in ece]
                if here:
                    found = [ece[(*key, s, method + ts)] for s in here]
                    error = np.nan_to_num([m.error for m in found])
                    x = np.arange(len(steps))[[steps.index(s) for s in here]] + 0.04 * METHODS.index(method)
                    panel.errorbar(
                        x, [m.value for m in found], error, color=COLOUR[method], linestyle=line, marker=".",
                        linewidth=1, elinewidth=0.6, label=method + ts,
                    )  # fmt: skip
        chance = [floor[(*key, s, "auto")].value for s in steps if (*key, s, "auto") in floor]
        panel.plot(np.arange(len(chance)), chance, color=REFERENCE, linestyle=":", label="chance (auto)")
        panel.set_xticks(np.arange(len(steps)), [f"x{s}" for s in steps])
    axes[0].set_ylabel("ECE")
    _legend(figure, axes)
    return figure


def gain_by_rejection(rows: list[Row]) -> Figure:
    """Draw the mean accuracy gained by the share that is rejected, by entropy and, dotted, by confidence; no TS."""
    kept = [row for row in judged(rows) if not row.scaled]
    keys = list(dict.fromkeys((row.kind, row.tracker) for row in kept))
    figure, axes = _panels(keys)
    for panel, key in zip(axes, keys, strict=False):
        for method in METHODS:
            mine = [row for row in kept if (row.kind, row.tracker) == key and named(row) == method]
            if mine:
                by_entropy = 100 * np.mean([row.gain_entropy for row in mine], axis=0)
                by_confidence = 100 * np.mean([row.gain_confidence for row in mine], axis=0)
                panel.plot(REJECTED, by_entropy, color=COLOUR[method], marker=".", linewidth=1, label=method)
                panel.plot(REJECTED, by_confidence, color=COLOUR[method], linestyle=":", linewidth=1)
        panel.axhline(0, color=REFERENCE, linewidth=0.6)
        panel.set_xlabel("rejected, %")
    axes[0].set_ylabel("accuracy gained, points")
    _legend(figure, axes)
    return figure


def reliability_curves(curves: list[dict[str, Any]]) -> Figure:
    """Draw how often confidences were right, all judge movies and resolutions together; dashed with TS."""
    keys = list(dict.fromkeys((curve["kind"], curve["tracker"]) for curve in curves))
    figure, axes = _panels(keys, sharex=True, sharey=True)
    for panel, key in zip(axes, keys, strict=False):
        panel.plot([0, 1], [0, 1], color=REFERENCE, linewidth=0.8)
        for curve in curves:
            if (curve["kind"], curve["tracker"]) == key:
                enough = np.array(curve["daughters"]) >= 10
                panel.plot(
                    np.array(curve["confidence"])[enough], np.array(curve["accuracy"])[enough],
                    color=COLOUR[curve["method"]], linestyle="--" if curve["scaled"] else "-", marker=".",
                    markersize=3, linewidth=1, label=curve["method"] + "+TS" * curve["scaled"],
                )  # fmt: skip
        panel.set_xlabel("confidence")
    axes[0].set_ylabel("share that is right")
    _legend(figure, axes)
    return figure
