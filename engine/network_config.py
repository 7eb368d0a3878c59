"""The settings of scores by a network, the table ``[network]`` of a settings file."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import ConfigError

DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("32", "bf16", "16")
MEANS = ("above_threshold", "all")


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """How an association transformer judges a movie.

    Parameters
    ----------
    device : str
        ``cpu``, ``cuda``, or ``auto`` for CUDA where there is one.
    precision : str
        Of the products of matrices: ``32``, ``bf16`` or ``16`` bits. Half precision is for GPUs, and moves
        probabilities.
    batch : int
        Windows that are looked at together; 0 for four on CUDA, one elsewhere.
    channel : str
        Images that tell how bright cells are; empty for the first ones.
    least : float
        Least probability of a link that is kept.
    window_mean : str
        ``above_threshold``: mean over the windows in which a link has the least probability, as the authors' code does;
        ``all``: over all windows that hold both cells, as their paper says.
    max_gap : int
        Frames that a cell may be missing. Models are trained on links over one missing frame at most; what a window
        does not hold is never seen.
    neighbors : int
        Nearest links of a cell to each later frame that are kept, of those that have the least probability.
    max_distance_px : float
        Longest link, pixels.
    embeddings : bool
        Whether what the encoder makes of each cell is kept, too.
    """

    device: str = "auto"
    precision: str = "32"
    batch: int = 0
    channel: str = ""
    least: float = 0.05
    window_mean: str = "above_threshold"
    max_gap: int = 1
    neighbors: int = 10
    max_distance_px: float = 256.0
    embeddings: bool = False

    def __post_init__(self) -> None:
        _require(self.device in DEVICES, "device", self.device, f"one of {', '.join(DEVICES)}")
        _require(self.precision in PRECISIONS, "precision", self.precision, f"one of {', '.join(PRECISIONS)}")
        _require(self.batch >= 0, "batch", self.batch, "1 or more, or 0")
        _require(0 < self.least <= 1, "least", self.least, "more than 0, 1 at most")
        _require(self.window_mean in MEANS, "window_mean", self.window_mean, f"one of {', '.join(MEANS)}")
        _require(self.max_gap >= 0, "max_gap", self.max_gap, "0 or more")
        _require(self.neighbors >= 1, "neighbors", self.neighbors, "1 or more")
        _require(0 < self.max_distance_px < float("inf"), "max_distance_px", self.max_distance_px, "more than 0")


def _require(holds: bool, name: str, got: object, wanted: str) -> None:
    if not holds:
        raise ConfigError(f"network.{name} is {got!r}, wanted {wanted}")
