"""How probabilities of links are got: method, temperature, draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

COLDEST, HOTTEST = 1e-3, 1e3  # beyond these nothing is left but the optimum, or nothing of the costs
TEMPERATURES = f"a number within {COLDEST:g} .. {HOTTEST:g}"
LONGEST_LIST = 1_000_000  # lineages of a list: about a gigabyte
WIDEST = 24  # daughters that are open at once: half a gigabyte a step
NOISIEST = 1e3  # beyond, nothing of the costs is left


@dataclass(frozen=True, slots=True)
class PosteriorConfig:
    """How probabilities of links are got.

    Parameters
    ----------
    method : str
        ``auto`` (exact where pieces are small, else said), ``exact``, ``belief``, ``gibbs``, ``softmax`` (SM), ``topk``
        (AS), ``perturb`` (FP), ``perturb-assign`` (FP+A), ``perturb-map``.
    temperature : float
        What all costs are divided by, 0.001 to 1000; more than 1 is less sure. 0: as is usual for the costs.
    calibrated : bool
        Whether the temperature was fitted to movies with truth.
    calibration : str
        File of `trackdb calibrate` that tells the temperature of each method, in the place of `temperature`.
    k : int
        Solutions that ``topk`` lists; a kilobyte of memory each.
    draws : int
        How often detections or costs are perturbed; 0: as often as is usual for the method.
    sigma_px : float
        How far perturbed detections move, standard deviation in pixels; 0: a tenth of their spacing.
    noise : float
        Scale of what ``perturb-map`` adds to costs, in units of the temperature.
    prune : float
        Options less likely than this are left out where a piece is too large; what was left out is told.
    width : int
        Daughters that an exact piece may have open at once; memory grows as 2 to this power.
    sweeps : int
        Of ``gibbs``, for pieces that are too wide.
    seed : int
        Of all draws.
    """

    method: str = "auto"
    temperature: float = 0.0
    calibrated: bool = False
    calibration: str = ""
    k: int = 100
    draws: int = 0
    sigma_px: float = 0.0
    noise: float = 0.7
    prune: float = 1e-3
    width: int = 14
    sweeps: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        if self.temperature != 0:
            _require_temperature(self.temperature)
        _require(1 <= self.k <= LONGEST_LIST, "k", self.k, f"1 to {LONGEST_LIST:,}")
        _require(
            0 <= self.draws <= LONGEST_LIST,
            "draws",
            self.draws,
            f"1 to {LONGEST_LIST:,}, or 0 for as many as is usual",
        )
        _require(0 <= self.sigma_px <= 1e6, "sigma_px", self.sigma_px, "pixels, 0 (the usual) to 1e6")
        _require(0 < self.noise <= NOISIEST, "noise", self.noise, f"more than 0, {NOISIEST:g} at most")
        _require(0 < self.prune < 1, "prune", self.prune, "a probability")
        _require(1 <= self.width <= WIDEST, "width", self.width, f"1 to {WIDEST}")
        _require(1 <= self.sweeps <= LONGEST_LIST, "sweeps", self.sweeps, f"1 to {LONGEST_LIST:,}")
        _require(0 <= self.seed < 2**63, "seed", self.seed, "0 or more, less than 2 to the power 63")


def temperature_options(temperature: float | None, calibration: str | Path | None) -> dict[str, object]:
    """Return the options of `PosteriorConfig` for a temperature, or for a file that tells it; none for neither.

    Raises
    ------
    ConfigError
        If both are given, or the temperature is beyond 0.001 .. 1000.
    """
    if temperature is not None and calibration is not None:
        raise ConfigError("a temperature and a calibration are two temperatures", expected="one of them")
    if temperature is not None:
        _require_temperature(temperature)
        return {"temperature": temperature, "calibrated": False, "calibration": ""}
    return {} if calibration is None else {"calibration": str(calibration)}


def _require_temperature(temperature: float) -> None:
    _require(COLDEST <= temperature <= HOTTEST, "temperature", temperature, TEMPERATURES)


def _require(holds: bool, name: str, got: object, wanted: str) -> None:
    if not holds:
        raise ConfigError(f"posterior.{name} is {got!r}, wanted {wanted}")
