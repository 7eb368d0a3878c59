"""Which windows are learned from, in which order: the same for a seed and an epoch, wherever a training goes on.

Windows are drawn with replacement, more often the more cells divide in them [1]_. What is drawn follows from the seed,
the epoch and the number of the draw alone, so batch 700 of an epoch is known without the 699 before it.

References
----------
.. [1] Gallusser & Weigert, "Trackastra", ECCV 2024; how often windows are drawn, crops and pools are those of its
   released code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from ....errors import CalibrationError, ConfigError
from ...candidates import spread
from ...train_config import WEIGHED
from .augment import LEVELS, augmented
from .crops import cropped
from .examples import DIV_UPWEIGHT, REACH, Example, associations, weights, weights_by_mothers
from .movies import require_window

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from .movies import LabelledMovie

ORDER: Final = 1  # the last word of seeds that order batches
MOST_VALIDATED: Final = 1024  # windows: an epoch of the paper has 50,000
VALIDATION: Final = 2  # that of seeds of windows to validate on


@dataclass(frozen=True, slots=True)
class Sampling:
    """How examples are drawn.

    Parameters
    ----------
    window : int
        Frames of an example.
    samples : int
        Examples of an epoch.
    batch : int
        Examples of a batch.
    pool : int
        Batches that are drawn together and sorted by size, so that little of a batch is padding.
    crop_px : float or None
        Longest side of an example along y and x, pixels; None for whole frames.
    max_tokens : int
        Most cells of an example; of more the nearest ones to a place stay.
    weigh : str
        What weighs more: ``links`` of divisions and of cells that go on, as in the released code (`weights`), or all
        pairs of ``mothers`` and of cells that go on, as in the paper (`weights_by_mothers`).
    div_upweight : float
        What divisions weigh more; the recipes have the same.
    augment : int
        How much examples are changed, 0 .. 3, see `augmented`; those to validate on never are.
    each_frame : bool
        Whether each frame is moved by itself, too, as the paper has it; not at level 0.
    sparse_truth : bool
        Whether cells that the truth does not know teach nothing. Else they teach that they belong to none.
    seed : int
        Of all draws.

    Raises
    ------
    ConfigError
        If a value is none that it can have.
    """

    window: int
    samples: int = 50_000
    batch: int = 8
    pool: int = 8
    crop_px: float | None = 256.0
    max_tokens: int = 2048
    weigh: str = "links"
    div_upweight: float = DIV_UPWEIGHT
    augment: int = 3
    each_frame: bool = False
    sparse_truth: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        _require(self.window >= 2, "window", self.window, "2 frames or more")
        for name in ("samples", "batch", "pool"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        _require(self.crop_px is None or self.crop_px > 0, "crop_px", self.crop_px, "more than 0 pixels")
        _require(self.max_tokens >= self.window, "max_tokens", self.max_tokens, "one cell for each frame, or more")
        _require(self.weigh in WEIGHED, "weigh", self.weigh, f"one of {', '.join(WEIGHED)}")
        _require(0 <= self.div_upweight < float("inf"), "div_upweight", self.div_upweight, "0 or more")
        _require(self.augment in LEVELS, "augment", self.augment, f"one of {', '.join(map(str, LEVELS))}")
        _require(self.augment > 0 or not self.each_frame, "each_frame", True, "False where augment is 0")
        _require(self.seed >= 0, "seed", self.seed, "0 or more")

    @property
    def batches(self) -> int:
        """Batches of an epoch; the last pool may have a smaller one."""
        return -(-self.samples // self.batch)


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """The windows that can be learned from, k of them.

    Parameters
    ----------
    movie, start : (k,) int64
        Number of the movie of each, and its first frame.
    divisions : (k,) int64
        Divisions whose mother and first daughter are in it.
    """

    movie: NDArray[np.int64]
    start: NDArray[np.int64]
    divisions: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.start)

    @property
    def share(self) -> NDArray[np.float64]:
        """(k,) How often each is drawn: as ``1 + sqrt(divisions)``; they sum to 1."""
        weight = 1 + np.sqrt(self.divisions)
        return np.asarray(weight / weight.sum())


@dataclass(frozen=True, slots=True, eq=False)
class Draw:
    """A window that was drawn, and those of its cells that are shown.

    Parameters
    ----------
    movie : LabelledMovie
        The movie.
    rows : (n,) int64
        Rows of the cells.
    rng : Generator
        What further chance comes from.
    """

    movie: LabelledMovie
    rows: NDArray[np.int64]
    rng: np.random.Generator


def windows_of(movies: Sequence[LabelledMovie], window: int) -> Windows:
    """Return all windows in which a true cell could belong to a cell of another frame.

    Raises
    ------
    ConfigError
        If a movie has fewer frames than a window.
    CalibrationError
        If there is none.
    """
    parts = []
    for number, movie in enumerate(movies):
        require_window(movie, window)
        start = np.arange(movie.first, movie.stop - window + 1)
        start = start[_teach(movie, start, window)]
        parts.append(Windows(np.full(len(start), number), start, _count_divisions(movie, start, window)))
    found = Windows(*(np.concatenate([getattr(part, name) for part in parts]) for name in Windows.__slots__))
    if not len(found):
        raise CalibrationError(
            f"no window of {window} frames of {', '.join(movie.name for movie in movies)} has a true cell that could "
            "belong to another one"
        )
    return found


def _teach(movie: LabelledMovie, start: NDArray[np.int64], window: int) -> NDArray[np.bool_]:
    """Tell which windows have true cells in two frames within reach of each other."""
    frames = np.unique(movie.cells.frame[movie.truth.known])
    near = np.flatnonzero(np.diff(frames) <= REACH)
    next_pair = np.append(frames[near + 1], np.iinfo(np.int64).max)[np.searchsorted(frames[near], start)]
    return np.asarray(next_pair < start + window)


def _count_divisions(movie: LabelledMovie, start: NDArray[np.int64], window: int) -> NDArray[np.int64]:
    """Count the divisions of each window, whose mother and first daughter are in it."""
    mother, daughter = movie.truth.divisions[np.diff(movie.truth.divisions, axis=1)[:, 0] < window].T
    # a division is in the windows that begin after daughter - window, and not after its mother
    begun = np.searchsorted(np.sort(daughter - window), start, side="left")
    over = np.searchsorted(np.sort(mother), start, side="left")
    return np.asarray(begun - over)


def batches_of_epoch(
    movies: Sequence[LabelledMovie], sampling: Sampling, epoch: int, *, first: int = 0
) -> Iterator[list[Example]]:
    """Yield the batches of an epoch, each a list of examples; from batch number `first` on.

    Parameters
    ----------
    movies : sequence of LabelledMovie
        What is learned from.
    sampling : Sampling
        How.
    epoch : int
        Number of the epoch, from 0.
    first : int
        Batches that were learned from already: an epoch that goes on has the very batches that it would have had.

    Yields
    ------
    examples : list of Example
        `Sampling.batch` of them.

    Raises
    ------
    ConfigError, CalibrationError
        As `windows_of`.
    """
    windows = windows_of(movies, sampling.window)
    upto = windows.share.cumsum()
    size = sampling.pool * sampling.batch
    for pool in range(first // sampling.pool, -(-sampling.samples // size)):
        numbers = range(pool * size, min((pool + 1) * size, sampling.samples))
        draws = [_draw(movies, windows, upto, sampling, [sampling.seed, epoch, number]) for number in numbers]
        draws.sort(key=lambda draw: len(draw.rows))
        batches = [draws[begin : begin + sampling.batch] for begin in range(0, len(draws), sampling.batch)]
        order = np.random.default_rng([sampling.seed, epoch, pool, ORDER]).permutation(len(batches))
        for batch in order[max(first - pool * sampling.pool, 0) :].tolist():
            yield [_learned_from(draw, sampling) for draw in batches[batch]]


def validation_batches(movies: Sequence[LabelledMovie], sampling: Sampling) -> Iterator[list[Example]]:
    """Yield windows, each once, cropped as in training, the same ones each time, by increasing size.

    Of more than `MOST_VALIDATED` windows, as many are looked at, spread evenly over all.

    Raises
    ------
    ConfigError, CalibrationError
        As `windows_of`.
    """
    windows = windows_of(movies, sampling.window)
    draws = []
    some = spread(len(windows), MOST_VALIDATED)
    for number, start in zip(windows.movie[some].tolist(), windows.start[some].tolist(), strict=True):
        rng = np.random.default_rng([sampling.seed, number, start, VALIDATION])
        draws.append(_draw_of(movies[number], start, sampling, rng))
    draws.sort(key=lambda draw: len(draw.rows))
    for begin in range(0, len(draws), sampling.batch):
        yield [example_of(draw, sampling) for draw in draws[begin : begin + sampling.batch]]


def _draw(
    movies: Sequence[LabelledMovie],
    windows: Windows,
    upto: NDArray[np.float64],
    sampling: Sampling,
    seed: list[int],
) -> Draw:
    """Draw one window."""
    rng = np.random.default_rng(seed)
    which = min(int(np.searchsorted(upto, rng.random(), side="right")), len(windows) - 1)  # upto may end below 1
    return _draw_of(movies[windows.movie[which]], int(windows.start[which]), sampling, rng)


def _draw_of(movie: LabelledMovie, start: int, sampling: Sampling, rng: np.random.Generator) -> Draw:
    """Draw what is shown of a window."""
    window = movie.rows(start, start + sampling.window)
    kept = cropped(movie.cells.places[window], rng, crop_px=sampling.crop_px, most=sampling.max_tokens)
    return Draw(movie, window.start + kept, rng)


def _learned_from(draw: Draw, sampling: Sampling) -> Example:
    """Return what is shown of a window, changed at random."""
    return augmented(example_of(draw, sampling), draw.rng, sampling.augment, each_frame=sampling.each_frame)


def example_of(draw: Draw, sampling: Sampling) -> Example:
    """Return what is shown of a window, as it is, and what is true of it."""
    cells, truth, rows = draw.movie.cells, draw.movie.truth, draw.rows
    frame, pre = cells.frame[rows], truth.pre[rows]
    associated = associations(frame, pre, truth.last[rows])
    if sampling.weigh == "links":
        weight = weights(frame, associated, div_upweight=sampling.div_upweight)
    else:
        weight = weights_by_mothers(frame, truth.daughters[rows], div_upweight=sampling.div_upweight)
    if sampling.sparse_truth:
        known = truth.known[rows]
        weight[~(known[:, None] & known)] = 0
    return Example(frame, cells.places[rows], cells.features[rows], associated, weight)


def _require(holds: bool, name: str, got: object, wanted: str) -> None:
    if not holds:
        raise ConfigError(f"{name} is {got}, wanted {wanted}")
