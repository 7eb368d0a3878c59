"""The stage that scores by an association transformer: cells of a store go in, links with probabilities come out.

A window that is judged is kept until all are, so a killed scoring goes on where it stopped. What the network says of
links to the next frame is kept as it is; a link over missing frames gets the share of its probability that links from
nearer frames leave, for a cell that was seen in between is no parent but a grandparent.
"""

from __future__ import annotations

import hashlib
import logging
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from ..errors import ConfigError
from ..storage.arrays import ArrayWriter, sweep
from ..storage.unfinished import FinishedParts, forget
from .by_models import hardly_taught, scored_before
from .candidates import edges_of
from .models.installed import require_torch
from .models.registry import KNOWN, find
from .names import done, free_score_name
from .pixels import pixels_of
from .remarks import without_score
from .scorers.base import Scores, ScoreScale

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from ..storage.catalogue import DetectionSet
    from ..storage.duckdb_store import DuckDBStore
    from ..storage.schema import Detections
    from .models.cells import Cells
    from .models.checkpoint import ModelCard
    from .models.windows import Judged
    from .network_config import NetworkConfig
    from .progress import Progress

log = logging.getLogger(__name__)

WINDOWS_VERSION = 1  # of what is kept of a window: raise it with the meaning
_MEANS: Final[dict[str, Literal["above_threshold", "all"]]] = {"above_threshold": "above_threshold", "all": "all"}
ON_CUDA = 4  # windows at once, as the authors have it
REACH = 2  # frames less than the window that a link may leap over


@dataclass(frozen=True, slots=True)
class NetworkScored:
    """What came of scoring by a network.

    Parameters
    ----------
    name : str
        Of the scores.
    edges, new : int
        Links with a probability, and how many of them were no candidates before.
    windows, kept : int
        Windows of the movie, and how many of them an earlier process had judged.
    device : str
        What judged.
    seconds : float
        How long it took.
    """

    name: str
    edges: int
    new: int
    windows: int
    kept: int
    device: str
    seconds: float


def names_a_model(by: str) -> bool:
    """Tell whether scores are asked for by a model, its folder or its name, not by a scorer or a table."""
    return Path(by).is_dir() or by in KNOWN


def score_by_network(
    store: DuckDBStore, chosen: DetectionSet, by: str, config: NetworkConfig, name: str | None, progress: Progress
) -> NetworkScored:
    """Score links by a model and keep the scores; links that are no candidates yet become candidates.

    Parameters
    ----------
    store : DuckDBStore
        The store.
    chosen : DetectionSet
        Detections that are scored.
    by : str
        Model folder, or the name of a known model.
    config : NetworkConfig
        How it judges.
    name : str or None
        Name of the scores; by default that of the model.
    progress : Progress
        Who is told how far it is.

    Raises
    ------
    ConfigError
        If PyTorch is not installed, or there is no such device or channel.
    ModelError
        If a known model is not on this machine.
    FormatError
        If the folder is no model, or one of other axes.
    MissingRowsError
        If the store does not tell of cells what the model looks at.
    StoreExistsError
        If there are scores of that name.
    """
    started = time.perf_counter()
    require_torch()
    from .models.checkpoint import load_model
    from .models.windows import Links, Sliding, associate
    from .training.precision import Precision

    model, card = load_model(find(by), device=config.device)
    name = free_score_name(store, chosen, name, card.name)
    device = next(model.parameters()).device.type
    params = {"by": by, **asdict(config), "device": device, "model": card.as_dict()}
    there = done(store, chosen, "score")
    for note in (hardly_taught(card.name, card.training), scored_before(name, card.as_dict(), there)):
        if note:
            progress.note(note)
    with store.running("score", name, params, chosen=chosen, model_digest=card.digest) as run:
        detections = store.detections(chosen)
        channel = _channel(store, chosen, config, card, progress)
        cells = _cells(store, chosen, detections, channel, card, progress)
        _warn(progress, card, chosen, config)
        sliding = Sliding(
            chosen.movie.n_frames, config.max_gap, config.least, _MEANS[config.window_mean], config.embeddings
        )
        windows = sliding.starts(card.settings.window)
        _forget_finished(store, chosen)
        parts = FinishedParts(store.path, _work(chosen, name), _key(cells, card, params))
        kept = _Kept(parts, progress)
        progress.start("windows", len(windows))
        if not config.embeddings:
            sweep(store.path, _work(chosen, name))  # a killed scoring may have begun some
        found, embeddings = [], _embeddings(store, chosen, name, cells, card) if config.embeddings else None
        batch = config.batch or ON_CUDA if device == "cuda" else max(config.batch, 1)
        precision = Precision(next(model.parameters()).device, config.precision)
        told = associate(model, cells, sliding, look=kept.look, batch=batch, precision=precision)
        for frame, judged in enumerate(told):
            found.append(
                judged.links.nearest(
                    cells.frame, cells.places[:, 1:], most=config.neighbors, within=config.max_distance_px
                )
            )
            if embeddings is not None and judged.embedding is not None:
                _put(embeddings, frame, judged.embedding)
        links = Links.concatenate(found)
        edges = edges_of(detections, links.source, links.target)
        value = left_by_nearer_frames(edges.target, edges.frames, links.probability, len(detections))
        scores = Scores(value, ScoreScale.PROBABILITY)
        progress.start("saving")
        before = store.count_candidates(chosen)
        facts: dict[str, Any] = {"scale": scores.scale.value, "estimates": {}, "channel": channel}
        array = None if embeddings is None else embeddings.seal()
        store.add_scored_pairs(run, chosen, detections, edges, scores.value, facts, array=array)
        after = store.count_candidates(chosen)
    parts.forget()
    if after > len(edges):
        progress.note(without_score(after - len(edges), after, name))
    log.info("scored: %d links by %s on %s", len(edges), card.name, device)
    seconds = time.perf_counter() - started
    return NetworkScored(name, len(edges), after - before, len(windows), kept.known, device, seconds)


def _forget_finished(store: DuckDBStore, chosen: DetectionSet) -> None:
    """Remove windows of scores that were added by a process that died before it removed them."""
    for run in done(store, chosen, "score"):
        forget(store.path, _work(chosen, run.name))


def _embeddings(store: DuckDBStore, chosen: DetectionSet, name: str, cells: Cells, card: ModelCard) -> ArrayWriter:
    """Begin the array of embeddings: frame, cell of the frame in the order of ids, number."""
    most = int(np.bincount(cells.frame, minlength=1).max())
    shape = (chosen.movie.n_frames, max(most, 1), card.settings.d_model)
    return ArrayWriter(
        store.path, _work(chosen, name), kind="embeddings", channel=name, shape=shape, dtype=np.dtype(np.float32)
    )


def _put(embeddings: ArrayWriter, frame: int, embedding: NDArray[np.float32]) -> None:
    """Write the embeddings of a frame; rows of cells that it does not have are 0."""
    padded = np.zeros(embeddings.shape[1:], np.float32)
    padded[: len(embedding)] = embedding
    embeddings.write(frame, padded)


def left_by_nearer_frames(
    target: NDArray[np.int64], frames: NDArray[np.int64], probability: NDArray[np.float64], n: int
) -> NDArray[np.float64]:
    """Return how likely each link is the one to the parent, given how likely its source is an ancestor.

    A link from the frame before stays as it is. One over missing frames gets what all nearer frames leave: with
    ``r_1 = 1`` and ``r_k+1 = r_k (1 - sum p)`` over the links from k frames before, it is ``r_k p``.

    Parameters
    ----------
    target, frames : (m,) int64
        Row of each target, and the frames that the link spans.
    probability : (m,) float64
        What the network says, for each number of frames by itself.
    n : int
        Number of cells.
    """
    left, given = np.ones(n), probability.copy()
    for span in np.unique(frames):
        rows = frames == span
        if span > 1:
            given[rows] *= left[target[rows]]
        left *= np.maximum(1 - np.bincount(target[rows], probability[rows], n), 0)
    return given


class _Kept:
    """Windows that are judged once, whoever judged them."""

    def __init__(self, parts: FinishedParts, progress: Progress) -> None:
        self._parts, self._progress = parts, progress
        self.known = 0

    def look(self, start: int, fresh: Callable[[], Judged]) -> Judged:
        """Return what was found in a window, and keep it if it is found now."""
        from .models.windows import Judged, Links

        there = self._parts.read(start)
        if there is not None:
            self.known += 1
            judged = Judged(Links(there["source"], there["target"], there["probability"]), there.get("embedding"))
        else:
            judged = fresh()
            arrays = {name: getattr(judged.links, name) for name in ("source", "target", "probability")}
            self._parts.keep(start, arrays | ({} if judged.embedding is None else {"embedding": judged.embedding}))
        self._progress.advance()
        return judged


def _channel(
    store: DuckDBStore, chosen: DetectionSet, config: NetworkConfig, card: ModelCard, progress: Progress
) -> str | None:
    """Return the images that tell how bright cells are; None where there are none, or the model does not ask."""
    channels = [ref.channel for ref in store.arrays(chosen) if ref.kind == "images"]
    if config.channel and config.channel not in channels:
        raise ConfigError(f"there are no images of channel {config.channel}", known=", ".join(channels) or "none")
    if not card.settings.feat_dim or not card.knows_brightness or not channels:
        return None
    if len(channels) > 1 and not config.channel:
        progress.note(f"of {', '.join(channels)} the model sees {channels[0]}; --channel NAME shows it another")
    return config.channel or channels[0]


def _cells(
    store: DuckDBStore,
    chosen: DetectionSet,
    detections: Detections,
    channel: str | None,
    card: ModelCard,
    progress: Progress,
) -> Cells:
    """Return the cells of a store as a model sees them."""
    from .models.brightness import Brightness, brightness_of
    from .models.cells import NO_IMAGES, cells_for, equally_bright

    features = store.features(chosen, detections) if card.settings.feat_dim else None
    if features is not None and not card.knows_brightness:
        features = equally_bright(features)
        return cells_for(card.settings, detections, features, NO_IMAGES, Brightness(0, 1), model=card.name)
    brightness = None
    if channel is not None:
        pixels = pixels_of(store, chosen, progress)
        brightness = brightness_of(lambda: (pixels.image(channel, t) for t in range(chosen.movie.n_frames)))
    return cells_for(card.settings, detections, features, channel, brightness, model=card.name)


def _warn(progress: Progress, card: ModelCard, chosen: DetectionSet, config: NetworkConfig) -> None:
    """Tell where a model cannot do what it was asked for, or was not made for the movie."""
    window = card.settings.window
    if config.max_gap > window - REACH:
        progress.note(
            f"{card.name} sees {window} frames at once: no link leaps over more than {max(window - REACH, 0)}"
        )
    if chosen.movie.n_frames < window:
        frames = "1 frame" if chosen.movie.n_frames == 1 else f"{chosen.movie.n_frames} frames"
        progress.note(f"the movie has {frames}, fewer than the {window} that {card.name} expects")


def _work(chosen: DetectionSet, name: str) -> str:
    return "score-" + hashlib.sha256(f"{chosen.id}/{name}".encode()).hexdigest()[:12]


def _key(cells: Cells, card: ModelCard, params: Mapping[str, object]) -> str:
    """Return a digest of all that the links of a window follow from."""
    key = hashlib.sha256(f"{card.digest} {WINDOWS_VERSION}".encode())
    for name in ("least", "window_mean", "max_gap", "embeddings", "device", "precision"):
        key.update(f" {name}={params[name]}".encode())
    for column in (cells.frame, cells.places, cells.features):
        key.update(np.ascontiguousarray(column).tobytes())
    return key.hexdigest()[:24]
