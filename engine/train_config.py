"""The settings of a training, the table ``[train]`` of a settings file, and the sizes that stand for many of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Final

from ..errors import ConfigError
from .network_config import DEVICES

PRECISIONS = ("auto", "32", "bf16", "16")
WEIGHED = ("links", "mothers")
AS_SIZE: Final = -1
"""What a setting holds that is as the size says."""

MOST: Final = {
    **{"window": 256, "d_model": 8192, "layers": 128, "heads": 256},
    **{"epochs": 10**6, "samples_per_epoch": 10**8, "batch": 10**5, "warmup": 10**6, "patience": 10**6},
    **{"crop": 10**6, "max_tokens": 10**5},
}
"""Far beyond what anybody trains; the shape is held to the same by `TransformerSettings`."""
PATIENCE: Final = 6  # a training ends when this part of its epochs brought nothing, as the authors' does
LEAST_PATIENCE: Final = 3  # epochs


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that a training follows from besides its movies, with a value for each.

    Parameters
    ----------
    window : int
        Frames that the network sees at once.
    d_model, layers, heads : int
        Width, layers of the encoder and as many of the decoder, attention heads.
    dropout : float
        While training.
    epochs, samples_per_epoch, batch : int
        How often, how many examples each time, and how many go into a step.
    lr : float
        Highest learning rate.
    warmup : int
        Epochs in which the rate rises.
    clip : float
        Longest gradient; longer ones are shortened to it. 0: none is.
    crop : int
        Pixels along each side of the piece of a movie that is an example.
    max_tokens : int
        Most cells of an example.
    augment : int
        How much examples are changed: 0 not at all, 1 to 3 ever more.
    div_upweight : float
        How much more a link at a division weighs.
    patience : int
        Epochs without a better validation after which a training ends.
    """

    window: int
    d_model: int
    layers: int
    heads: int
    dropout: float
    epochs: int
    samples_per_epoch: int
    batch: int
    lr: float
    warmup: int
    clip: float
    crop: int
    max_tokens: int
    augment: int
    div_upweight: float
    patience: int

    @property
    def steps(self) -> int:
        """Steps of an epoch, the last one with fewer examples where they do not come out even."""
        return -(-self.samples_per_epoch // self.batch)


PAPER: Final = Recipe(
    window=4,
    d_model=512,
    layers=5,
    heads=4,
    dropout=0.01,
    epochs=100,
    samples_per_epoch=50_000,
    batch=8,
    lr=1e-4,
    warmup=10,
    clip=0.0,
    crop=256,
    max_tokens=2048,
    augment=3,
    div_upweight=10.0,
    patience=16,
)
SIZES: Final[dict[str, Recipe]] = {
    "paper": PAPER,
    "medium": replace(PAPER, window=6, d_model=256, epochs=40, samples_per_epoch=8_000, warmup=4, patience=10),
    "small": replace(
        PAPER,
        d_model=64,
        layers=2,
        dropout=0.0,
        epochs=20,
        samples_per_epoch=800,
        lr=1e-3,
        warmup=2,
        clip=1.0,
        max_tokens=512,
        patience=6,
    ),
}
"""``paper`` is that of Gallusser & Weigert (ECCV 2024); ``medium`` is for a GPU, ``small`` for a CPU."""


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """How an association transformer is trained; -1 stands for what the size says.

    Parameters
    ----------
    size : str
        ``paper`` (as published: for a GPU, days), ``medium``, or ``small`` (minutes on a CPU).
    window, d_model, layers, heads, dropout, epochs, samples_per_epoch, batch, lr
        As in `Recipe`.
    warmup, clip, crop, max_tokens, augment, div_upweight, patience
        As in `Recipe`.
    weigh : str
        What weighs more: ``links`` of divisions and of cells that go on, as in the released code, or all pairs of
        ``mothers`` and of cells that go on, as in the paper.
    match_threshold : float
        How well a detection has to fit a true cell where the truth is a file; -1: as is usual.
    each_frame : bool
        Whether each frame of an example is moved by itself, too, as the paper has it.
    sparse_truth : bool
        Whether cells that the truth does not know teach nothing; else they teach that they belong to none.
    places_alone : bool
        Whether the network is told where cells are, and nothing of shape and brightness.
    validation_share : float
        Share of the frames that are kept for validation where no store is named for it.
    device : str
        ``cpu``, ``cuda``, or ``auto`` for CUDA where there is one.
    precision : str
        ``32``; ``bf16`` or ``16`` (with scaled losses) for half the memory; ``auto``: half on CUDA, 32 elsewhere.
    channel : str
        Images that tell how bright cells are; empty for the first ones.
    time_limit_s : float
        Seconds after which a command stops with the best network so far, and can be given again; 0 for no limit.
    seed : int
        Of all draws.
    """

    size: str = "paper"
    window: int = AS_SIZE
    d_model: int = AS_SIZE
    layers: int = AS_SIZE
    heads: int = AS_SIZE
    dropout: float = float(AS_SIZE)
    epochs: int = AS_SIZE
    samples_per_epoch: int = AS_SIZE
    batch: int = AS_SIZE
    lr: float = float(AS_SIZE)
    warmup: int = AS_SIZE
    clip: float = float(AS_SIZE)
    crop: int = AS_SIZE
    max_tokens: int = AS_SIZE
    augment: int = AS_SIZE
    div_upweight: float = float(AS_SIZE)
    patience: int = AS_SIZE
    weigh: str = "links"
    match_threshold: float = float(AS_SIZE)
    each_frame: bool = False
    sparse_truth: bool = False
    places_alone: bool = False
    validation_share: float = 0.2
    device: str = "auto"
    precision: str = "auto"
    channel: str = ""
    time_limit_s: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        _require(self.size in SIZES, "size", self.size, f"one of {', '.join(SIZES)}")
        _require(self.window == AS_SIZE or self.window >= 2, "window", self.window, "2 frames or more")
        for name in ("d_model", "layers", "heads", "epochs", "samples_per_epoch", "batch", "crop", "patience"):
            value = getattr(self, name)
            _require(value == AS_SIZE or value >= 1, name, value, "1 or more")
        for name, most in MOST.items():
            _require(getattr(self, name) <= most, name, getattr(self, name), f"{most:,} at most")
        _require(self.augment in (AS_SIZE, 0, 1, 2, 3), "augment", self.augment, "0, 1, 2 or 3")
        _require(self.warmup >= AS_SIZE, "warmup", self.warmup, "0 epochs or more")
        _require(self.lr == AS_SIZE or 0 < self.lr < float("inf"), "lr", self.lr, "more than 0")
        _require(self.dropout == AS_SIZE or 0 <= self.dropout < 1, "dropout", self.dropout, "0 or more, less than 1")
        for name in ("clip", "div_upweight"):
            value = getattr(self, name)
            _require(value == AS_SIZE or 0 <= value < float("inf"), name, value, "0 or more")
        _require(self.weigh in WEIGHED, "weigh", self.weigh, f"one of {', '.join(WEIGHED)}")
        matched = self.match_threshold == AS_SIZE or 0 < self.match_threshold < 1
        _require(matched, "match_threshold", self.match_threshold, "more than 0, less than 1")
        _require(0 < self.validation_share < 1, "validation_share", self.validation_share, "more than 0, less than 1")
        _require(self.device in DEVICES, "device", self.device, f"one of {', '.join(DEVICES)}")
        _require(self.precision in PRECISIONS, "precision", self.precision, f"one of {', '.join(PRECISIONS)}")
        _require(0 <= self.time_limit_s < float("inf"), "time_limit_s", self.time_limit_s, "seconds, or 0 for no limit")
        _require(0 <= self.seed < 2**63, "seed", self.seed, "0 or more")
        recipe = self.recipe()
        even = recipe.d_model % (2 * recipe.heads) == 0
        _require(even, "d_model", recipe.d_model, f"a multiple of twice heads, {2 * recipe.heads}")
        _require(recipe.augment > 0 or not self.each_frame, "each_frame", True, "false where augment is 0")
        enough = recipe.max_tokens >= recipe.window
        _require(enough, "max_tokens", recipe.max_tokens, f"a cell for each of {recipe.window} frames, or more")

    def recipe(self) -> Recipe:
        """Return the recipe: what is given, else what the size says; warm-up and patience follow the epochs."""
        given = {key: value for key, value in asdict(self).items() if key in _KEYS and value != AS_SIZE}
        size = SIZES[self.size]
        following = {}
        if self.epochs not in (AS_SIZE, size.epochs):
            following = {"warmup": self.epochs // 10, "patience": max(self.epochs // PATIENCE, LEAST_PATIENCE)}
        return replace(size, **{**following, **given})


_KEYS: Final = frozenset(field.name for field in fields(Recipe))


def _require(holds: bool, name: str, got: object, wanted: str) -> None:
    if not holds:
        raise ConfigError(f"train.{name} is {got!r}, wanted {wanted}")
