"""What the log says of the questions of a posterior: which are answered, and how much was said since it was made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from ...storage.decisions import DecisionKind, live
from ..annotations.pins import PINNING, attached, in_dispute, settled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ...storage.catalogue import DetectionSet
    from ...storage.decisions import Decision
    from ...storage.duckdb_store import DuckDBStore
    from ...storage.posteriors import PosteriorInfo
    from ...storage.schema import Detections
    from ..progress import Progress

ANSWERS: Final = (DecisionKind.CHOOSE, DecisionKind.NOT_A_CELL, DecisionKind.UNSURE, DecisionKind.SEGMENTATION)
"""What is said of a cell so that it is not asked about again."""


def answered_cells(store: DuckDBStore, chosen: DetectionSet) -> NDArray[np.int64]:
    """Return the numbers of the cells of which people said what they do, or that they cannot tell.

    Where they contradict each other nothing was said.
    """
    said = [d for d in store.decisions() if d.dataset == chosen.movie.name or d.kind is DecisionKind.UNDO]
    return answered_among(said, chosen.movie.name, store.detections(chosen)) if said else np.empty(0, dtype=np.int64)


def answered_among(said: Sequence[Decision], dataset: str, detections: Detections) -> NDArray[np.int64]:
    """Return the numbers of the cells of a movie that entries of the log answer; see `answered_cells`."""
    about = [d for d in live(said) if d.dataset == dataset and d.kind in (*ANSWERS, *PINNING)]
    answers, _ = attached(about, detections)
    disputed = in_dispute(settled(answers)[1])
    rows = [a.cell for a in answers if a.decision.kind in ANSWERS and a.decision.key not in disputed]
    return detections.id[np.array(rows, dtype=np.int64)]


def note_newer(store: DuckDBStore, chosen: DetectionSet, posterior: PosteriorInfo, progress: Progress) -> None:
    """Tell how many annotations are newer than a posterior."""
    newer = pins_since(store, chosen, posterior)
    if newer:
        several = "1 annotation" if newer == 1 else f"{newer} annotations"
        progress.note(f"{several} since {posterior.name}: trackdb posterior again conditions on them")


def pins_since(store: DuckDBStore, chosen: DetectionSet, posterior: PosteriorInfo) -> int:
    """Return how many pins of a movie were set or taken back after a posterior.

    0 for a posterior of an earlier trackdb, which did not keep how much of the log it had read.
    """
    heard = next(run for run in store.runs() if run.id == posterior.run_id).params.get("heard")
    if heard is None:
        return 0
    said = [d for d in store.decisions() if d.kind is DecisionKind.UNDO or d.dataset == chosen.movie.name]
    before = [d for d in said if d.seq <= heard]
    now, then = ({d.key for d in live(part) if d.kind in PINNING} for part in (said, before))
    return len(now ^ then)
