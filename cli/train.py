"""`trackdb train`: a network that learns from stores with truth."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ConfigError
from ..storage.plain import plural
from .options import ConfigFile
from .view import Face, command

if TYPE_CHECKING:
    from ..engine.train_config import TrainConfig
    from ..engine.training.association.stage import TrainReport

NETWORKS = ("association",)


def add_commands(app: typer.Typer) -> None:
    """Add this file's command."""
    command(app)(train)


def train(
    face: Face,
    what: Annotated[str, typer.Argument(metavar="WHAT", help="association: Trackastra's transformer.")],
    stores: Annotated[list[Path], typer.Argument(help="Stores with truth; all of their datasets are learned from.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of the model; what it began there is gone on with.")],
    size: Annotated[
        str | None,
        typer.Option(help="paper (default: as published, for a GPU and days), medium, or small: minutes on a CPU."),
    ] = None,
    validation: Annotated[
        list[Path] | None,
        typer.Option(help="Store with truth that the best network is chosen on; repeatable. By default last frames."),
    ] = None,
    init: Annotated[Path | None, typer.Option(help="Model whose weights are gone on with.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs, at most.")] = None,
    samples_per_epoch: Annotated[int | None, typer.Option(min=1, help="Windows that are drawn in each.")] = None,
    window: Annotated[int | None, typer.Option(min=2, help="Frames that the network sees at once.")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Windows of a step.")] = None,
    lr: Annotated[float | None, typer.Option(min=0, help="Highest learning rate.")] = None,
    augment: Annotated[int | None, typer.Option(min=0, max=3, help="How much windows are changed, 0 to 3.")] = None,
    against: Annotated[str, typer.Option(help="Solution that is the truth, or a file of it.")] = "truth",
    device: Annotated[str | None, typer.Option(help="cpu, cuda, or auto: CUDA where there is one.")] = None,
    precision: Annotated[
        str | None, typer.Option(help="32, bf16, 16 (with scaled losses), or auto: half on CUDA, else 32.")
    ] = None,
    time_limit: Annotated[
        float | None, typer.Option(help="Seconds; then the best network so far is kept, and can be gone on with.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of all draws.")] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write figures for TensorBoard beside metrics.csv.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Give up the model, or the other training, that the folder holds.")
    ] = False,
    config: ConfigFile = None,
) -> None:
    """Teach a network on movies with truth. Killed at any moment and given again, it ends as if it had not been.

    Example: trackdb train association a.trackdb b.trackdb --size small -o mine

    Example: trackdb train association *.trackdb --validation v.trackdb --device cuda --time-limit 3600 -o mine
    """
    given = {
        "size": size,
        "epochs": epochs,
        "samples_per_epoch": samples_per_epoch,
        "window": window,
        "batch": batch,
        "lr": lr,
        "augment": augment,
        "device": device,
        "precision": precision,
        "time_limit_s": time_limit,
        "seed": seed,
    }
    _require_known(what)
    settings = _settings(config, given)
    from ..engine.training.association.stage import train_association
    from ..engine.training.from_stores import sources_of

    with face.progress() as progress:
        report = train_association(
            sources_of(stores, f"trackdb {face.command}"),
            out,
            config=settings,
            validation=sources_of(validation or (), f"trackdb {face.command}"),
            init=init,
            truth=against,
            overwrite=overwrite,
            tensorboard=tensorboard,
            progress=progress,
        )
    face.close(_told(report), report.as_dict())


def _require_known(network: str) -> None:
    """Raise ConfigError if there is no such network, ModelError if what it needs is not installed."""
    from ..engine.models.installed import require_torch

    if network not in NETWORKS:
        raise ConfigError(f"there is no network {network!r} to train", known=", ".join(NETWORKS))
    require_torch()


def _settings(config: Path | None, given: Mapping[str, object]) -> "TrainConfig":
    """Return the settings of a training: those of a file, and the options that were given."""
    from ..engine.config import load_config

    return load_config(None, config, {"train": given}).train


def _told(report: "TrainReport") -> str:
    """Return the closing line of a training."""
    why = {"epochs": "", "no better": ", no better any more", "time limit": ", stopped by the time limit"}[report.ended]
    within = "within " if report.best.epoch > report.epochs else ""
    earlier = f" ({report.earlier_s:.0f} s of them in earlier commands)" if report.resumed else ""
    return (
        f"model {report.name}: {plural(report.epochs, 'epoch')}{why}, best validation loss "
        f"{report.best.val_loss:.4g} ({within}epoch {report.best.epoch}), links F1 {report.best.val_f1:.4f}, "
        f"{report.seconds:.0f} s{earlier}"
    )
