"""The stage that trains an association transformer: stores with truth go in, a model folder comes out."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch

from ....errors import ConfigError, FormatError, StoreExistsError
from ....storage.catalogue import TRUTH, code_version
from ...by_models import HARDLY_TAUGHT
from ...models.checkpoint import FEATURES_READ, NO_BRIGHTNESS, device_of, digest_of_model, load_model
from ...models.settings import FEATURES, TransformerSettings
from ...models.transformer import AssociationTransformer, shape_alone
from ...progress import Progress, Silent
from ...train_config import AS_SIZE, TrainConfig
from ..history import Board, Epoch, write_table
from ..model_folder import BOARD, TABLE, UNFINISHED, clear, finish, opened
from ..precision import Precision
from ..unfinished import Checkpoint
from .course import Course, Ended
from .lessons import digest_of, lessons_of
from .pupil import Pupil

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ....storage.catalogue import DetectionSet
    from ....storage.duckdb_store import DuckDBStore
    from ...train_config import Recipe
    from .lessons import MovieLessons

    Source = tuple[DuckDBStore, DetectionSet]

FEATURE_WAVES = 8
"""Fourier features of each feature, as the authors' models have them."""
OF_THE_SHAPE = ("window", "d_model", "layers", "heads", "dropout")  # of a recipe; a model to begin with has its own


@dataclass(frozen=True, slots=True)
class TrainReport:
    """What came of a training.

    Parameters
    ----------
    name, folder, digest : str
        Of the model.
    weights : int
        Numbers that were learned.
    epochs, steps : int
        That are done.
    ended : str
        Why it ended: ``epochs``, ``no better``, or ``time limit``: then it can be gone on with.
    best : Epoch
        The epoch whose network was taken.
    resumed : bool
        Whether it went on from an earlier command.
    device, precision : str
        What it was taught on.
    seconds, earlier_s : float
        Of all commands together, and of these before this one.
    """

    name: str
    folder: str
    digest: str
    weights: int
    epochs: int
    steps: int
    ended: str
    best: Epoch
    resumed: bool
    device: str
    precision: str
    seconds: float
    earlier_s: float

    def as_dict(self) -> dict[str, Any]:
        """Return it as the JSON of the command has it."""
        return {
            **{key: value for key, value in asdict(self).items() if key not in ("best", "digest")},
            "sha256": self.digest,
            "best_epoch": self.best.epoch,
            "validation_loss": self.best.val_loss,
            "edge_f1": self.best.val_f1,
            "accuracy": self.best.val_accuracy,
        }


def train_association(
    sources: Sequence[Source],
    out: Path,
    *,
    config: TrainConfig | None = None,
    validation: Sequence[Source] = (),
    init: Path | None = None,
    truth: str = TRUTH,
    overwrite: bool = False,
    tensorboard: bool = False,
    progress: Progress | None = None,
) -> TrainReport:
    """Train an association transformer on movies with truth; what is there of the same training is gone on with.

    Parameters
    ----------
    sources : sequence of DuckDBStore and DetectionSet
        Movies to learn from.
    out : Path
        Folder of the model.
    config : TrainConfig
        How.
    validation : sequence of DuckDBStore and DetectionSet
        Movies to choose the best network on; without them the last frames of those that are learned from.
    init : Path or None
        Model whose weights are gone on with; its shape is taken.
    truth : str
        Name of the truth in each store, or a file that tells of it.
    overwrite : bool
        Whether a model in the folder, or an unfinished training of another kind, is given up, once there is something
        to learn from.
    tensorboard : bool
        Whether figures are written for TensorBoard, too.
    progress : Progress
        Who is told how far it is.

    Raises
    ------
    ConfigError
        If there is no such device, a movie is too short, or `init` is `out`.
    StoreExistsError
        If the folder holds a model, or a training of other settings or movies; what differs is named.
    MissingRowsError
        If a store has no truth, or lacks what the network looks at.
    CalibrationError
        If there is too little truth.
    TrainingError
        If a loss is no number, or a movie is to be learned from and examined on.
    """
    config, progress = config or TrainConfig(), progress or Silent()
    recipe, device = config.recipe(), device_of(config.device)
    if init is not None and init.resolve() == out.resolve():
        raise ConfigError(f"{out} is both the model to begin with and the one to be made", **{"try": "another -o"})
    precision = Precision.chosen(config.precision, device)
    settings, weights = _network(sources, validation, config, recipe, init)
    planned = {
        **settings.as_dict(),
        **{key: value for key, value in asdict(recipe).items() if key not in OF_THE_SHAPE},
        **{"device": device.type, "precision": precision.name, "seed": config.seed},
        **{"sparse_truth": config.sparse_truth, "each_frame": config.each_frame, "weigh": config.weigh},
        **{"init": "" if init is None else digest_of_model(init)},
    }
    with opened(out, planned, overwrite=overwrite):
        lessons = lessons_of(sources, validation, settings, config, recipe, truth=truth, progress=progress)
        follows = {
            **planned,
            **{"movies": digest_of(lessons.training), "validation": digest_of(lessons.validation_on)},
        }
        checkpoint = Checkpoint(out / UNFINISHED, follows)
        if overwrite:
            _give_up_another(checkpoint, out)
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(config.seed)
            model = AssociationTransformer(settings).to(device)
            if weights is not None:
                model.load_state_dict(weights)
            pupil = Pupil(model, precision, recipe.clip)
            course = Course(pupil, lessons, recipe, checkpoint, config.time_limit_s)
            ended = _taught(course, out, tensorboard, progress)
        trained = _trained(sources, validation, lessons, follows, course, ended)
        finish(out, settings, ended.weights, _training(config, recipe, lessons, course, ended), trained)
        if ended.why != "time limit":
            checkpoint.forget()
    return TrainReport(
        name=out.resolve().name,
        folder=str(out.resolve()),
        digest=digest_of_model(out),
        weights=sum(weight.numel() for weight in model.parameters()),
        epochs=course.standing.epoch,
        steps=course.steps,
        ended=ended.why,
        best=ended.best,
        resumed=course.resumed,
        device=device.type,
        precision=precision.name,
        seconds=course.seconds,
        earlier_s=course.standing.seconds,
    )


def _network(
    sources: Sequence[Source], validation: Sequence[Source], config: TrainConfig, recipe: Recipe, init: Path | None
) -> tuple[TransformerSettings, dict[str, torch.Tensor] | None]:
    """Return the shape of the network, and the weights that it begins with, None for drawn ones."""
    if init is not None:
        model, card = load_model(init, device="cpu")
        settings = card.settings
        asked = {"window": settings.window, "d_model": settings.d_model, "heads": settings.nhead}
        asked["layers"] = settings.num_encoder_layers
        for name, there in asked.items():
            if getattr(config, name) not in (AS_SIZE, there):
                raise ConfigError(f"{card.name} has {name} {there}, not {getattr(config, name)}", expected="its shape")
        return settings, model.state_dict()
    axes = max(chosen.movie.ndim for _, chosen in (*sources, *validation))
    settings = TransformerSettings(
        coord_dim=axes,
        feat_dim=0 if config.places_alone else FEATURES[axes],
        d_model=recipe.d_model,
        nhead=recipe.heads,
        num_encoder_layers=recipe.layers,
        num_decoder_layers=recipe.layers,
        dropout=recipe.dropout,
        feat_embed_per_dim=1 if config.places_alone else FEATURE_WAVES,
        window=recipe.window,
    )
    try:
        shape_alone(settings)
    except FormatError as error:
        raise ConfigError(f"train.d_model and train.layers make {error.message}", **error.details) from None
    return settings, None


def _give_up_another(checkpoint: Checkpoint, out: Path) -> None:
    """Remove a model, or what is there of another training; one that follows from the same is gone on with."""
    try:
        kept = checkpoint.read()
    except (StoreExistsError, FormatError):
        kept = None
    if kept is None:
        clear(out)


def _taught(course: Course, out: Path, tensorboard: bool, progress: Progress) -> Ended:
    """Run a course, and write down how it goes."""
    standing = course.standing
    if course.resumed:
        progress.note(f"{out} goes on after step {standing.step:,} of epoch {standing.epoch + 1}")
    course.begin()
    write_table(out / TABLE, standing.history)  # also before there is an epoch, so that who looks finds it
    board = Board(out / BOARD if tensorboard else None, standing.epoch)

    def told(epoch: Epoch) -> None:
        write_table(out / TABLE, standing.history)
        board.tell(epoch)
        progress.note(
            f"epoch {epoch.epoch}: loss {epoch.train_loss:.4g}, validation {epoch.val_loss:.4g}, "
            f"links F1 {epoch.val_f1:.4f}, {epoch.seconds:.0f} s"
        )

    try:
        ended = course.run(progress, told)
        if ended.why == "time limit":
            progress.note(_unfinished(out, course))
        return ended
    except KeyboardInterrupt:
        progress.note(f"{out} keeps what was learned: the same command goes on with it")
        raise
    finally:
        board.close()


def _unfinished(out: Path, course: Course) -> str:
    """Return what to know of a training that a time limit ended."""
    standing = course.standing
    if standing.epoch:
        return f"{out} is unfinished after {standing.epoch:,} epochs: the same command goes on with it"
    return f"{out} {HARDLY_TAUGHT}; the same command goes on after step {standing.step:,} of epoch 1"


def _training(
    config: TrainConfig, recipe: Recipe, lessons: MovieLessons, course: Course, ended: Ended
) -> dict[str, str | int | float]:
    """Return what ``train_config.yaml`` tells, by the authors' names where they have one."""
    seen = any(movie.channel is not None for movie in (*lessons.training, *lessons.validation_on))
    return {
        **({} if seen or config.places_alone else {"brightness": NO_BRIGHTNESS}),
        "features": "none" if config.places_alone else FEATURES_READ,
        "trackdb": code_version(),
        "seed": config.seed,
        "epochs": course.standing.epoch,
        "batch_size": recipe.batch,
        "lr": recipe.lr,
        "warmup_epochs": recipe.warmup,
        "train_samples": recipe.samples_per_epoch,
        "crop_size": recipe.crop,
        "max_tokens": recipe.max_tokens,
        "augment": recipe.augment,
        "dropout": recipe.dropout,
        "div_upweight": recipe.div_upweight,
        "best_epoch": ended.best.epoch,
        "best_validation_loss": ended.best.val_loss,
    }


def _trained(
    sources: Sequence[Source],
    validation: Sequence[Source],
    lessons: MovieLessons,
    follows: dict[str, Any],
    course: Course,
    ended: Ended,
) -> dict[str, object]:
    """Return what ``trained.json`` tells."""

    def told(of: Sequence[Source]) -> list[dict[str, str]]:
        return [{"store": str(store.path.resolve()), "dataset": chosen.movie.name} for store, chosen in of]

    movies = [
        {"movie": movie.name, "frames": [movie.first, movie.stop], "sha256": digest_of([movie])}
        for movie in lessons.training
    ]
    examined = [
        {"movie": movie.name, "frames": [movie.first, movie.stop], "sha256": digest_of([movie])}
        for movie in lessons.validation_on
    ]
    return {
        "format": 1,
        "method": "Gallusser & Weigert, Trackastra, ECCV 2024",
        "trackdb": code_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "ended": ended.why,
        "epochs": course.standing.epoch,
        "best": ended.best.as_dict(),
        "stores": told(sources),
        "validation_stores": told(validation),
        "movies": movies,
        "validation_movies": examined,
        "settings": follows,
    }
