"""The lessons of an association transformer: what it learns from, and what it is examined on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ....errors import ConfigError, TrainingError
from ...train_config import AS_SIZE
from .movies import labelled_movies, split
from .sampling import Sampling, batches_of_epoch, validation_batches, windows_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ....storage.catalogue import DetectionSet
    from ....storage.duckdb_store import DuckDBStore
    from ...models.settings import TransformerSettings
    from ...progress import Progress
    from ...train_config import Recipe, TrainConfig
    from .examples import Example
    from .movies import LabelledMovie

    Source = tuple[DuckDBStore, DetectionSet]


@dataclass(frozen=True, slots=True, eq=False)
class MovieLessons:
    """Windows of movies with truth.

    Parameters
    ----------
    training, validation_on : list of LabelledMovie
        What is learned from, and what is examined on.
    sampling : Sampling
        How windows of both are drawn; those to examine on are never changed.
    """

    training: list[LabelledMovie]
    validation_on: list[LabelledMovie]
    sampling: Sampling

    def batches(self, epoch: int, begin: int) -> Iterator[Sequence[Example]]:
        """Yield the examples of each step of an epoch, from step `begin` on."""
        return batches_of_epoch(self.training, self.sampling, epoch, first=begin)

    def validation(self) -> Iterator[Sequence[Example]]:
        """Yield the examples that nothing is learned from."""
        return validation_batches(self.validation_on, self.sampling)


def lessons_of(
    training: Sequence[Source],
    validation: Sequence[Source],
    settings: TransformerSettings,
    config: TrainConfig,
    recipe: Recipe,
    *,
    truth: str,
    progress: Progress,
) -> MovieLessons:
    """Read movies with truth, and keep some for validation.

    Parameters
    ----------
    training, validation : sequence of DuckDBStore and DetectionSet
        Movies to learn from, and to examine on; without the latter the last frames of the former are kept for that.
    settings : TransformerSettings
        Of the network.
    config, recipe : TrainConfig, Recipe
        How it is taught.
    truth : str
        Name of the truth in each store, or a file that tells of it.
    progress : Progress
        Who is told what is read.

    Raises
    ------
    MissingRowsError
        If a store has no truth, or does not tell of cells what the network looks at.
    CalibrationError, ConfigError
        If a movie is too short, or has too little truth.
    TrainingError
        If a movie stands for both.
    """
    progress.start("movies", len(training) + len(validation))

    def read(sources: Sequence[Source]) -> list[LabelledMovie]:
        movies = []
        threshold = None if config.match_threshold == AS_SIZE else config.match_threshold
        for store, chosen in sources:
            movies += labelled_movies(
                store,
                chosen,
                settings,
                truth=truth,
                match_threshold=threshold,
                channel=config.channel,
                progress=progress,
            )
            progress.advance()
        return movies

    if not training:
        raise ConfigError("there is no movie to learn from")
    learned, examined = read(training), read(validation)
    if not validation:
        learned, examined = split(learned, settings.window, config.validation_share)
        progress.note(f"validation is on the last {100 * config.validation_share:.0f} % of the frames of each movie")
    both = {digest_of([movie]) for movie in learned} & {digest_of([movie]) for movie in examined}
    if both:
        raise TrainingError("a movie is to be learned from and examined on", **{"try": "another --validation store"})
    sampling = Sampling(
        window=settings.window,
        samples=recipe.samples_per_epoch,
        batch=recipe.batch,
        crop_px=float(recipe.crop),
        max_tokens=recipe.max_tokens,
        weigh=config.weigh,
        div_upweight=recipe.div_upweight,
        augment=recipe.augment,
        each_frame=config.each_frame,
        sparse_truth=config.sparse_truth,
        seed=config.seed,
    )
    for movies in (learned, examined):
        windows_of(movies, settings.window)  # what has too little truth is told before any work
    return MovieLessons(learned, examined, sampling)


def digest_of(movies: Sequence[LabelledMovie]) -> str:
    """Return a digest of all that is learned from movies, whatever they are called."""
    digest = hashlib.sha256()
    for movie in movies:
        digest.update(f"{movie.first} {movie.stop} {movie.cells.places.shape} {movie.cells.features.shape}".encode())
        for column in (movie.cells.frame, movie.cells.places, movie.cells.features, movie.truth.pre, movie.truth.last):
            digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()[:24]
