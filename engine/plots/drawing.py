"""What all plots share: which files they make, one style, and how a doubtful link looks."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ...errors import ConfigError
from ...storage.folders import appearing_file
from ..exports.base import require_place_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

FORMATS: Final = (".svg", ".png")
PLOTS: Final = ("reliability", "rejection", "tree", "overlay")
DOTS_PER_INCH: Final = 150
STYLE: Final = {"svg.hashsalt": "trackdb", "svg.fonttype": "path", "font.size": 9, "axes.spines.right": False}

DOUBTS: Final = (0.01, 0.1, 0.5)
"""Where the classes of error probabilities end; the last one is open."""
DOUBT_NAMES: Final = ("below 1 %", "1 to 10 %", "10 to 50 %", "above 50 %", "not known")
DOUBT_COLOURS: Final = ("#404040", "#0072B2", "#E69F00", "#D55E00", "#9A9A9A")
"""Of Okabe and Ito, who chose them for all kinds of eyes; a class is told by its width, too."""
DOUBT_WIDTHS: Final = (0.9, 1.5, 2.3, 3.2, 0.9)


def require_plottable(what: str, out: Path) -> None:
    """Raise ConfigError or FormatError where a plot cannot be made; costs nothing, so it can be asked first."""
    if what not in PLOTS:
        raise ConfigError(f"there is no plot {what!r}", known=", ".join(PLOTS))
    if out.suffix.lower() not in FORMATS:
        raise ConfigError(f"{out}: plots are SVG or PNG", expected="-o FILE.svg or FILE.png")
    require_place_for(out)
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise ConfigError(
            "plots are drawn by matplotlib, which is not installed", **{"try": "pip install 'trackdb[plot]'"}
        ) from None


@contextmanager
def figure_for(out: Path, width_in: float, height_in: float) -> Iterator[Any]:
    """Give a figure of so many inches, and write it whole when it is drawn; the same drawing gives the same file."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):  # type: ignore[arg-type, unused-ignore]  # its stubs list keys one by one
        figure = Figure(figsize=(width_in, height_in), layout="constrained")
        yield figure
        kind = out.suffix.lower().removeprefix(".")
        with appearing_file(out, new=True) as partial:
            figure.savefig(partial, format=kind, dpi=DOTS_PER_INCH, metadata={"Date": None} if kind == "svg" else None)


def entitle(axes: Any, title: str) -> None:
    """Give axes a title in which names may hold anything: nothing is a formula, and nothing steers a terminal."""
    axes.set_title("".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in title), parse_math=False)


def doubt_of(probability: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the class of each link by how likely it is wrong: 0 .. 3, and 4 where that is not known.

    Parameters
    ----------
    probability : (m,) float64
        That the link is right; NaN where nobody tells.
    """
    known = ~np.isnan(probability)
    doubt = np.full(len(probability), len(DOUBTS) + 1)
    doubt[known] = (probability[known][:, None] <= 1 - np.array(DOUBTS)).sum(axis=1)
    return doubt


def doubt_legend(axes: Any, doubt: NDArray[np.int64], colours: Sequence[str] = DOUBT_COLOURS, **look: Any) -> None:
    """Explain the classes that occur, each in its colour."""
    from matplotlib.lines import Line2D

    shown = [
        Line2D([], [], color=colours[k], linewidth=DOUBT_WIDTHS[k], label=DOUBT_NAMES[k]) for k in np.unique(doubt)
    ]
    axes.legend(handles=shown, title="link is wrong", fontsize=7, title_fontsize=7, **look)
    axes.get_legend().get_title().set_color(look.get("labelcolor", "black"))
