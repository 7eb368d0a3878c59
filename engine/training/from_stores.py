"""Train from Python: stores by their paths, settings by their names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...storage.catalogue import TRUTH
from ...storage.duckdb_store import DuckDBStore
from ..models.installed import require_torch
from ..train_config import TrainConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...storage.catalogue import DetectionSet
    from ..progress import Progress
    from .association.stage import TrainReport


def train_association(
    stores: Sequence[str | Path],
    out: str | Path,
    *,
    validation: Sequence[str | Path] = (),
    init: str | Path | None = None,
    truth: str = TRUTH,
    overwrite: bool = False,
    tensorboard: bool = False,
    progress: Progress | None = None,
    **settings: str | int | float | bool,
) -> TrainReport:
    """Train an association transformer on stores with truth, as ``trackdb train association`` does.

    Parameters
    ----------
    stores : sequence of str or Path
        Their folders; all of their datasets are learned from.
    out : str or Path
        Folder of the model.
    validation : sequence of str or Path
        Stores to choose the best network on; by default the last frames of those that are learned from.
    init : str, Path or None
        Model whose weights are gone on with.
    truth : str
        Name of the truth in each store, or a file that tells of it.
    overwrite, tensorboard : bool
        Whether what the folder holds is given up; whether figures are written for TensorBoard.
    progress : Progress
        Who is told how far it is.
    **settings
        As `TrainConfig` takes them.

    Raises
    ------
    TrackdbError
        As `engine.training.association.stage.train_association`.

    Examples
    --------
    >>> trackdb.train_association(["a.trackdb"], "mine", size="small").best.val_f1  # doctest: +SKIP
    """
    require_torch()
    from .association.stage import train_association as train

    return train(
        sources_of(stores),
        Path(out),
        config=TrainConfig(**settings),  # type: ignore[arg-type]  # each is looked at there
        validation=sources_of(validation),
        init=None if init is None else Path(init),
        truth=truth,
        overwrite=overwrite,
        tensorboard=tensorboard,
        progress=progress,
    )


def sources_of(stores: Sequence[str | Path], command: str = "python") -> list[tuple[DuckDBStore, DetectionSet]]:
    """Open stores, and return the newest detections of each of their datasets."""
    found = []
    for path in stores:
        store = DuckDBStore(Path(path), command=command)
        store.check_version()
        newest = {chosen.movie.name: chosen for chosen in store.detection_sets()}
        found += [(store, chosen) for chosen in newest.values()]
    return found
