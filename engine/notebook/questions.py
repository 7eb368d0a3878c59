"""The review list in a notebook: each question with its outcomes, the first ones with pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ...errors import TrackdbError
from ...storage.html import Markup, fitting, html_card, html_line, html_table
from ..pixels import pixels_of
from ..plots.crops import likely, pictures_of, told
from ..review.queue import PARENTS, ReviewList

if TYPE_CHECKING:
    from ...storage.catalogue import DetectionSet
    from ...storage.duckdb_store import DuckDBStore
    from ...storage.schema import Detections
    from ..pixels import Pixels
    from ..review.queue import Question

PICTURES: Final = 8  # questions that have some
SIDE: Final = 130
FINEST_PX: Final = 64
COLUMNS: Final = ("rank", "cell", "frame", "pictures", "what may be", "bits", "errors fewer", "how")


@dataclass(frozen=True, slots=True, repr=False)
class PicturedList(ReviewList):
    """A review list that knows where its cells are seen.

    Parameters
    ----------
    store : DuckDBStore
        The store.
    chosen : DetectionSet
        Its detections that are asked about.
    """

    store: DuckDBStore
    chosen: DetectionSet

    def _repr_html_(self) -> str:
        """Return the questions for a notebook, with pictures of the first where there are masks or images."""
        pixels = pixels_of(self.store, self.chosen)
        detections = self.store.detections(self.chosen)
        seen = bool(pixels.channels) or pixels.has_masks
        pictures = [_pictures(item, detections, pixels) for item in self.items[: PICTURES if seen else 0]]
        rows = [_row(item) for item in self.items]

        def made(shown: int) -> str:
            """Return all rows with so many pictures; where not even rows alone are few enough, the first of them."""
            pictured = pictures[: max(0, shown - len(rows))]
            few = [[*row[:3], pictured[i] if i < len(pictured) else "", *row[3:]] for i, row in enumerate(rows[:shown])]
            left_out = [html_line(f"the first {shown} are shown")] if shown < len(rows) else []
            return html_card(self.title, html_table(COLUMNS, few), *left_out)

        return fitting(made, len(rows) + len(pictures))


def pictured(asked: ReviewList, store: DuckDBStore, chosen: DetectionSet) -> PicturedList:
    """Return a review list that shows pictures in a notebook."""
    return PicturedList(asked.posterior, asked.solution, asked.by, asked.items, asked.open, store, chosen)


def _pictures(item: Question, detections: Detections, pixels: Pixels) -> Markup:
    """Return the two frames of a question side by side; in words why there are none, where they cannot be read."""
    try:
        found = pictures_of(item, detections, pixels, side=SIDE, finest_px=FINEST_PX)
    except TrackdbError as error:
        return html_line(error.message)
    return Markup(f'<div style="display:flex;gap:4px">{"".join(found)}</div>')


def _row(item: Question) -> list[object]:
    nobody = "new" if item.view == PARENTS else "ends"
    lines = [f"{100 * outcome.probability:.1f} % {told(outcome.cells, item)}" for outcome in likely(item)]
    chosen = "not part of it" if item.chosen is None else " + ".join(map(str, item.chosen)) or nobody
    what = Markup("".join(map(html_line, [*lines, f"in the solution: {chosen}"])))
    worth = None if item.expected_error_reduction is None else f"{item.expected_error_reduction:.3f}"
    return [item.rank, item.cell, item.frame, what, f"{item.entropy_bits:.2f}", worth, item.how]
