"""A window that slides over a movie: each pair of cells is judged in every window that holds both, and gets the mean.

Memory grows with the cells of a window, never with the movie: what a window says of links is kept sparse, and links
from a frame are handed out as soon as the last window that holds the frame has been looked at.
"""

from __future__ import annotations

from collections import deque
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import torch

from ...errors import ConfigError, SchemaError
from .parental import frame_blocks, parental
from .transformer import CROWDED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from ..training.precision import Precision
    from .cells import Cells
    from .transformer import AssociationTransformer, Seen

LEAST: Final = 0.05
"""Least probability of a link in one window that counts, and least mean that is told, as in the authors' code."""

WORTH_A_MEAN: Final = 1e-4  # where all windows count: less than this adds nothing that a mean of `LEAST` would show


@dataclass(frozen=True, slots=True, eq=False)
class Links:
    """What was found of some links.

    Parameters
    ----------
    source, target : (m,) int64
        Rows of the cells.
    probability : (m,) float64
        That the source is the target, or its mother, in an earlier frame.
    """

    source: NDArray[np.int64]
    target: NDArray[np.int64]
    probability: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.source)

    @classmethod
    def concatenate(cls, parts: list[Links]) -> Links:
        """Return all rows of the parts."""
        if not parts:
            return cls(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
        return cls(
            np.concatenate([part.source for part in parts]),
            np.concatenate([part.target for part in parts]),
            np.concatenate([part.probability for part in parts]),
        )

    def nearest(self, frame: NDArray[np.int64], position: NDArray[np.floating], *, most: int, within: float) -> Links:
        """Return for each source and frame of targets the `most` nearest of the links, none longer than `within`.

        Parameters
        ----------
        frame : (n,) int64
            Frame of each cell.
        position : (n, ndim) float
            Its place, in the unit of `within`.
        most : int
            Links that stay.
        within : float
            Their longest length.
        """
        length = np.linalg.norm(position[self.target].astype(np.float64) - position[self.source], axis=1)
        later = frame[self.target]
        order = np.lexsort((length, later, self.source))
        rank = np.empty(len(order), np.int64)
        new = np.flatnonzero(np.diff(self.source[order], prepend=-1) | np.diff(later[order], prepend=-1))
        rank[order] = np.arange(len(order)) - np.repeat(new, np.diff(new, append=len(order)))
        return self.take((rank < most) & (length <= within))

    def take(self, rows: NDArray[np.bool_]) -> Links:
        """Return some of the links."""
        return Links(self.source[rows], self.target[rows], self.probability[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """What was found of the cells of a window, or from one frame on.

    Parameters
    ----------
    links : Links
        Links among them, or from them.
    embedding : (k, D) float32 or None
        What the encoder made of each; None unless it was asked for.
    """

    links: Links
    embedding: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True)
class Sliding:
    """How windows are put together.

    Parameters
    ----------
    n_frames : int
        Of the movie; a shorter one than the window is looked at as a whole.
    max_gap : int
        Frames that a link may leap over; those beyond the window are never seen.
    least : float
        Least probability.
    mean : str
        ``above_threshold``: over the windows in which a link has the least probability, as the authors' code does;
        ``all``: over all windows that hold both cells, as their Eq. (8) says.
    embeddings : bool
        Whether embeddings are asked for.
    """

    n_frames: int
    max_gap: int = 0
    least: float = LEAST
    mean: Literal["above_threshold", "all"] = "above_threshold"
    embeddings: bool = False

    def __post_init__(self) -> None:
        if self.n_frames < 1 or self.max_gap < 0 or not 0 < self.least <= 1:
            raise SchemaError("windows need a frame, no negative gap, and a least probability in 0 .. 1")

    def starts(self, window: int) -> range:
        """Return the first frame of every window."""
        return range(max(self.n_frames - window, 0) + 1)


def associate(
    model: AssociationTransformer,
    cells: Cells,
    sliding: Sliding,
    *,
    look: Callable[[int, Callable[[], Judged]], Judged] | None = None,
    batch: int = 1,
    precision: Precision | None = None,
) -> Iterator[Judged]:
    """Yield the links from each frame in turn, with the mean of what windows say of them.

    Parameters
    ----------
    model : AssociationTransformer
        On the device that it shall work on.
    cells : Cells
        n cells.
    sliding : Sliding
        How windows are put together.
    look : callable or None
        Called with the first frame of a window and with what looks at it; may know already what would be found.
    batch : int
        Windows that the model looks at together; crowded ones one by one all the same.
    precision : Precision or None
        Of the products of matrices in the model; None for single.

    Yields
    ------
    judged : Judged
        Links from one frame, ordered by source and target, and the embeddings of its cells.
    """
    window = model.settings.window
    starts = sliding.starts(window)
    seen: deque[tuple[int, Judged]] = deque(maxlen=window)
    fresh = _Fresh(model, cells, sliding, batch, precision)
    for start in starts:
        look_here = partial(fresh.at, start)
        seen.append((start, look_here() if look is None else look(start, look_here)))
        last = start == starts[-1]
        for frame in range(start, sliding.n_frames) if last else (start,):
            yield Judged(
                _mean_from(frame, seen, cells, sliding, window),
                _mean_embedding(frame, seen, cells) if sliding.embeddings else None,
            )


class _Fresh:
    """Looks at windows, at some that follow together with the one that is asked for."""

    def __init__(
        self, model: AssociationTransformer, cells: Cells, sliding: Sliding, batch: int, precision: Precision | None
    ) -> None:
        self._model, self._cells, self._sliding, self._precision = model, cells, sliding, precision
        self._batch = batch
        self._ahead: dict[int, Judged] = {}

    def at(self, start: int) -> Judged:
        """Return what the model says of the window that begins at a frame."""
        if start in self._ahead:
            return self._ahead.pop(start)
        together = self._together(start)
        if len(together) == 1:
            return look_at(self._model, self._cells, start, self._sliding, self._precision)
        found = look_at_all(self._model, self._cells, together, self._sliding, self._precision)
        self._ahead = dict(zip(together, found, strict=True))
        return self._ahead.pop(start)

    def _together(self, start: int) -> range:
        """Return the windows that are looked at with one: memory is of the square of the longest."""
        window = self._model.settings.window
        some = self._sliding.starts(window)[start : start + self._batch]
        first, stop = (np.searchsorted(self._cells.frame, np.array(some) + shift) for shift in (0, window))
        return some if (stop - first).max() < CROWDED else some[:1]


def look_at(
    model: AssociationTransformer, cells: Cells, start: int, sliding: Sliding, precision: Precision | None = None
) -> Judged:
    """Return what a model says of one window: links that it finds worth to be told, and embeddings if asked for."""
    return look_at_all(model, cells, range(start, start + 1), sliding, precision)[0]


def look_at_all(
    model: AssociationTransformer, cells: Cells, starts: range, sliding: Sliding, precision: Precision | None = None
) -> list[Judged]:
    """Return what a model says of some windows, looked at together; what comes of each is handed over at once.

    Raises
    ------
    ConfigError
        If a window does not fit into the memory of the device.
    """
    ends = np.array(starts)[:, None] + np.array([0, model.settings.window])
    bounds = [(int(first), int(stop)) for first, stop in np.searchsorted(cells.frame, ends)]
    blocks = [list(frame_blocks(torch.from_numpy(cells.frame[first:stop]), sliding.max_gap)) for first, stop in bounds]
    nothing = not any(blocks) and not (sliding.embeddings and any(stop > first for first, stop in bounds))
    if nothing:
        none = _no_embedding(model) if sliding.embeddings else None
        return [Judged(Links.concatenate([]), none) for _ in starts]
    device = next(model.parameters()).device
    size = np.array([stop - first for first, stop in bounds])
    absent = torch.from_numpy(np.arange(size.max()) >= size[:, None]).to(device)
    places, features = (_stacked(column, bounds).to(device) for column in (cells.places, cells.features))
    with torch.inference_mode():
        try:
            with nullcontext() if precision is None else precision.autocast():
                seen = model.look(places, features, absent if (size < size.max()).any() else None)
            return [
                _judged(model, seen, number, first, stop - first, blocks[number], sliding)
                for number, (first, stop) in enumerate(bounds)
            ]
        except torch.OutOfMemoryError as error:
            raise ConfigError(
                f"{size.max():,} cells in a window, {len(bounds)} windows at once: the memory of {device} is too small",
                **{"try": "[network] batch = 1, or --device cpu"},
            ) from error


def _stacked(column: NDArray[np.float32], bounds: list[tuple[int, int]]) -> torch.Tensor:
    """Return the rows of each window, (B, n, c); zeros stand where a window has fewer."""
    stacked = np.zeros((len(bounds), max(stop - first for first, stop in bounds), column.shape[1]), np.float32)
    for window, (first, stop) in zip(stacked, bounds, strict=True):
        window[: stop - first] = column[first:stop]
    return torch.from_numpy(stacked)


def _judged(
    model: AssociationTransformer,
    seen: Seen,
    number: int,
    first: int,
    size: int,
    blocks: list[tuple[slice, slice]],
    sliding: Sliding,
) -> Judged:
    """Return what is worth to be told of one of the windows, of `size` cells from row `first` on."""
    settings = model.settings
    floor = sliding.least if sliding.mean == "above_threshold" else min(WORTH_A_MEAN, sliding.least)
    parent, child = seen.parent[number].float(), seen.child[number].float()  # a logit adds up many small products
    found = []
    for rows, columns in blocks:
        invalid = seen.apart(rows, columns, number) > settings.spatial_pos_cutoff
        probability = parental(parent[rows] @ child[columns].T, invalid, settings.causal_norm)
        source, target = torch.nonzero(probability >= floor, as_tuple=True)
        # rows are exact in double precision, so that all of a window can be handed over in one piece
        ends = (source + rows.start).double(), (target + columns.start).double()
        found.append(torch.stack([*ends, probability[source, target].double()]))
    links = Links.concatenate([])
    if found:
        told = torch.cat(found, dim=1).cpu().numpy()
        links = Links(told[0].astype(np.int64) + first, told[1].astype(np.int64) + first, told[2].copy())
    embedding = seen.encoded[number, :size].float().cpu().numpy() if sliding.embeddings else None
    return Judged(links, embedding)


def _no_embedding(model: AssociationTransformer) -> NDArray[np.float32]:
    return np.empty((0, model.settings.d_model), np.float32)


def _mean_from(frame: int, seen: deque[tuple[int, Judged]], cells: Cells, sliding: Sliding, window: int) -> Links:
    """Return the mean, over windows, of what was said of links from one frame."""
    first, stop = np.searchsorted(cells.frame, [frame, frame + 1])
    told = Links.concatenate(
        [judged.links.take((judged.links.source >= first) & (judged.links.source < stop)) for _, judged in seen]
    )
    n = len(cells.frame)
    pair, place = np.unique(told.source * n + told.target, return_inverse=True)
    total = np.bincount(place, told.probability, len(pair))
    source, target = pair // max(n, 1), pair % max(n, 1)
    if sliding.mean == "above_threshold":
        count = np.bincount(place, minlength=len(pair)).astype(np.float64)
    else:
        starts = np.array([start for start, _ in seen])
        until = cells.frame[target]
        count = ((starts <= frame) & (until[:, None] < starts + window)).sum(axis=1).astype(np.float64)
    mean = total / np.maximum(count, 1)
    return Links(source, target, mean).take(mean >= sliding.least)


def _mean_embedding(frame: int, seen: deque[tuple[int, Judged]], cells: Cells) -> NDArray[np.float32]:
    """Return the mean, over windows, of the embeddings of the cells of one frame."""
    first, stop = np.searchsorted(cells.frame, [frame, frame + 1]).tolist()
    parts = []
    for start, judged in seen:
        begin = int(np.searchsorted(cells.frame, start))
        if judged.embedding is not None and begin <= first and stop - begin <= len(judged.embedding):
            parts.append(judged.embedding[first - begin : stop - begin])
    mean: NDArray[np.float32] = np.mean(parts, axis=0, dtype=np.float32)
    return mean
