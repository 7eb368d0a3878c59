"""Settings: one frozen dataclass a stage, read from TOML files, overridden by options.

Later wins: defaults, ``~/.config/trackdb/config.toml``, ``STORE/trackdb.toml``, ``--config FILE``, options. A file has
a table for each stage::

    [link]
    max_distance = 15.0    # micrometres
    neighbors = 10
"""

from __future__ import annotations

import tomllib
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from ..storage.pixels.frames import MAX_FRAMES
from .association_config import AssociationConfig
from .evidence import LearnedConfig
from .network_config import NetworkConfig
from .posterior_config import PosteriorConfig
from .train_config import TrainConfig

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

AUTO = "auto"
LARGEST_FILE = 1 << 20  # bytes of settings
MOST_NEIGHBORS = 1_000_000
HEAVIEST = 1e3  # weight; the sum of all costs has to stay exact
COSTS = ("auto", "density", "learned", "two-distance", "association")  # what links and divisions are priced by
BASES = ("cost", "distance", "score", "activity")  # of what a linker goes by
BACKENDS = ("matching", "highs", "motile")  # of the exact linker
SCALES = ("probability", "log-odds", "log-density", "similarity")  # of somebody's own scores


@dataclass(frozen=True, slots=True)
class LinkConfig:
    """Which links a cell could take.

    Parameters
    ----------
    max_distance : float
        Radius in micrometres (pixels where the voxel size is not known); 0 reads it from the data.
    neighbors : int
        Nearest cells that are candidates, for each frame distance.
    max_gap : int
        Frames that a cell may be missing.
    """

    max_distance: float = 0.0
    neighbors: int = 10
    max_gap: int = 0

    def __post_init__(self) -> None:
        _require(0 <= self.max_distance < float("inf"), "link.max_distance", self.max_distance, "a distance, or 0")
        _require(1 <= self.neighbors <= MOST_NEIGHBORS, "link.neighbors", self.neighbors, f"1 to {MOST_NEIGHBORS:,}")
        _require(0 <= self.max_gap <= MAX_FRAMES, "link.max_gap", self.max_gap, f"0 to {MAX_FRAMES:,}")


@dataclass(frozen=True, slots=True)
class ScoreConfig:
    """Who says how likely a candidate is.

    Parameters
    ----------
    by : str
        Name of a scorer, path of a table of source, target and score, or folder of a model.
    scale : str
        What the numbers of a table mean: ``probability``, ``log-odds``, ``log-density`` or ``similarity``; ``auto``
        reads it from the numbers.
    """

    by: str = "distance"
    scale: str = AUTO

    def __post_init__(self) -> None:
        _require(self.scale in (AUTO, *SCALES), "score.scale", self.scale, f"one of {', '.join((AUTO, *SCALES))}")


@dataclass(frozen=True, slots=True)
class SolveConfig:
    """How links are chosen.

    Parameters
    ----------
    linker : str
        ``ilp`` (exact), ``lap`` (frame to frame, then segments) or ``greedy``.
    cost : str
        ``learned``: negative log densities of motion with drift, daughters in pairs, gaps and false detections;
        ``two-distance``: that of Attrackt; these two are for exact linkers. ``density``: the plain ones, of distance or
        scores; ``association``: that of Trackastra, of probabilities. ``auto``: learned where it can be
        (`default_cost`).
    by : str
        What the linker goes by: ``cost``; ``distance``, squared (LAP); ``score``, the best first (greedy);
        ``activity``, the least active cell first (greedy). ``auto``: ``cost``, LAP ``distance`` if no scores are named.
    min_score : float
        Least score of a link that is taken by score.
    backend : str
        What solves the ILP: ``matching`` (our kernel), ``highs`` or ``motile`` (SCIP).
    time_limit_s : float
        Seconds after which the best solution so far is taken; 0 for no limit.
    require_optimal : bool
        Refuse a solution that is not proven to be the best.
    window : int
        Frames that are solved at a time, so that memory holds no more of the movie; 0 for all at once.
    window_context : int
        Frames on either side that each window sees besides, at least as many as a candidate spans.
    calibration : str
        File of `trackdb calibrate --costs` whose costs are taken; for densities, and the whole movie at once.
    learn_from : str
        Solution whose lineage the learned cost is learned from, ``NAME`` or ``NAME@STORE``; by default it learns from
        the cells themselves.
    """

    linker: str = "ilp"
    cost: str = AUTO
    by: str = AUTO
    min_score: float = 0.5
    backend: str = "matching"
    time_limit_s: float = 0.0
    require_optimal: bool = False
    window: int = 0
    window_context: int = 10
    calibration: str = ""
    learn_from: str = ""

    def __post_init__(self) -> None:
        _require(
            not self.learn_from or (self.cost in (AUTO, "learned") and not self.calibration and not self.window),
            "solve.learn_from",
            self.learn_from,
            "cost = learned, no calibration and no window, to learn from a lineage",
        )
        _require(
            0 <= self.window <= MAX_FRAMES,
            "solve.window",
            self.window,
            f"frames, {MAX_FRAMES:,} at most, or 0 for the whole movie at once",
        )
        _require(
            not self.calibration or (self.cost in (AUTO, "density") and not self.window),
            "solve.calibration",
            self.calibration,
            "cost = density and no window, for learned costs",
        )
        _require(
            1 <= self.window_context <= MAX_FRAMES,
            "solve.window_context",
            self.window_context,
            f"1 to {MAX_FRAMES:,} frames",
        )
        _require(
            0 <= self.time_limit_s < float("inf"), "solve.time_limit_s", self.time_limit_s, "seconds, or 0 for no limit"
        )
        _require(self.backend in BACKENDS, "solve.backend", self.backend, f"one of {', '.join(BACKENDS)}")
        _require(self.cost in COSTS, "solve.cost", self.cost, f"one of {', '.join(COSTS)}")
        _require(self.by in (AUTO, *BASES), "solve.by", self.by, f"one of {', '.join((AUTO, *BASES))}")
        _require(0 <= self.min_score <= 1, "solve.min_score", self.min_score, "a score between 0 and 1")


@dataclass(frozen=True, slots=True)
class LapConfig:
    """What the LAP may do in its second step, and how far.

    Parameters
    ----------
    max_gap : int
        Frames that a cell may be missing; -1: as many as the candidates skip.
    divisions, merges : bool
        Whether segments split, and whether they merge.
    max_distance, split_distance, merge_distance : float
        Longest link to the next frame or over a gap, to a second daughter, and of a second mother, in micrometres
        (pixels where the voxel size is not known); 0: as long as the candidates are.
    percentile, factor : float
        A link is weighed against `factor` times this percentile of all candidates between segments; in the first step
        against `factor` times the longest of its two frames.
    """

    max_gap: int = -1
    divisions: bool = True
    merges: bool = False
    max_distance: float = 0.0
    split_distance: float = 0.0
    merge_distance: float = 0.0
    percentile: float = 90.0
    factor: float = 1.05

    def __post_init__(self) -> None:
        _require(
            -1 <= self.max_gap <= MAX_FRAMES,
            "lap.max_gap",
            self.max_gap,
            f"0 to {MAX_FRAMES:,}, or -1 for what the candidates skip",
        )
        for name in ("max_distance", "split_distance", "merge_distance"):
            value = getattr(self, name)
            _require(0 <= value < float("inf"), f"lap.{name}", value, "a distance, or 0 for that of the candidates")
        _require(
            self.divisions or not self.split_distance, "lap.split_distance", self.split_distance, "divisions = true"
        )
        _require(self.merges or not self.merge_distance, "lap.merge_distance", self.merge_distance, "merges = true")
        _require(0 <= self.percentile <= 100, "lap.percentile", self.percentile, "0 to 100")
        _require(0 < self.factor < float("inf"), "lap.factor", self.factor, "more than 0")


@dataclass(frozen=True, slots=True)
class ActivityConfig:
    """How the linker by activity chooses.

    Parameters
    ----------
    k : float
        A cell's place spreads by its activity in grey values over this many pixels; 0 learns that from the movie. The
        authors' 2.5 is for images of 8 bits.
    least : float
        A link has to be likelier than this, where 1 is a cell that stays where it is.
    kept_area : float
        A cell that does not divide keeps more than this share of its area.
    """

    k: float = 0.0
    least: float = 0.01
    kept_area: float = 0.9

    def __post_init__(self) -> None:
        _require(0 <= self.k < float("inf"), "activity.k", self.k, "more than 0, or 0 to learn it")
        _require(0 <= self.least < 1, "activity.least", self.least, "0 or more, and less than 1")
        _require(0 <= self.kept_area < float("inf"), "activity.kept_area", self.kept_area, "0 or more")


@dataclass(frozen=True, slots=True)
class TwoDistanceConfig:
    """Weights of the two-distance cost, of numbers in standard scores.

    Parameters
    ----------
    distance : float
        Of the distance between two cells, or between a mother and the midpoint of her daughters.
    score : float
        Of the score of a link, or the mean score of both; negative, since a larger score is likelier.
    bias : float
        Added to every link, and to every pair of daughters.
    division_bias : float
        Added to every pair of daughters besides.
    appear, disappear : float
        Cost of a cell without a mother, without a child.
    """

    distance: float = 1.0
    score: float = -1.0
    bias: float = 0.0
    division_bias: float = 0.0
    appear: float = 1.0
    disappear: float = 1.0

    def __post_init__(self) -> None:
        for setting in fields(self):
            value = getattr(self, setting.name)
            _require(abs(value) < HEAVIEST, f"two_distance.{setting.name}", value, f"a number within +-{HEAVIEST:g}")


@dataclass(frozen=True, slots=True)
class Config:
    """The settings of all stages."""

    link: LinkConfig = field(default_factory=LinkConfig)
    score: ScoreConfig = field(default_factory=ScoreConfig)
    solve: SolveConfig = field(default_factory=SolveConfig)
    lap: LapConfig = field(default_factory=LapConfig)
    activity: ActivityConfig = field(default_factory=ActivityConfig)
    learned: LearnedConfig = field(default_factory=LearnedConfig)
    two_distance: TwoDistanceConfig = field(default_factory=TwoDistanceConfig)
    association: AssociationConfig = field(default_factory=AssociationConfig)
    posterior: PosteriorConfig = field(default_factory=PosteriorConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    train: TrainConfig = field(default_factory=TrainConfig)


def load_config(
    store: Path | None = None, extra: Path | None = None, overrides: Mapping[str, Mapping[str, Any]] | None = None
) -> Config:
    """Read the settings that hold for a store.

    Parameters
    ----------
    store : Path or None
        Store whose ``trackdb.toml`` is read.
    extra : Path or None
        Further file; it has to exist.
    overrides : mapping of str to mapping
        Options for each stage; None among them leaves a setting as it is.

    Raises
    ------
    ConfigError
        If a file cannot be read, or a key or a value in it is not known.
    """
    files: list[Path] = []
    with suppress(RuntimeError):  # a user without a home, as in some containers
        files.append(Path.home() / ".config" / "trackdb" / "config.toml")
    files += [store / "trackdb.toml"] if store else []
    config = Config()
    for file in files:
        if file.is_file():
            config = merge(config, _read(file), str(file))
    if extra is not None:
        config = merge(config, _read(extra), str(extra))
    given = {
        stage: {key: value for key, value in options.items() if value is not None}
        for stage, options in (overrides or {}).items()
    }
    return merge(config, given, "the command line")


def merge(config: Config, given: Mapping[str, Any], origin: str) -> Config:
    """Return the settings with what `origin` gives put over them."""
    stages = {f.name: getattr(config, f.name) for f in fields(config)}
    for stage, settings in given.items():
        if stage not in stages or not isinstance(settings, dict):
            raise ConfigError(f"{origin}: unknown table [{stage}]", known=_listed(stages))
        known = asdict(stages[stage])
        typed = {}
        for key, value in settings.items():
            if key not in known:
                raise ConfigError(f"{origin}: unknown key {key} in [{stage}]", known=_listed(known))
            _require(_fits(value, known[key]), f"{stage}.{key}", value, f"a {type(known[key]).__name__}", origin)
            try:
                typed[key] = type(known[key])(value)  # 12 becomes 12.0, or the next file's 12.5 would not fit
            except OverflowError:
                raise ConfigError(f"{origin}: {stage}.{key} is beyond any number") from None
        try:
            stages[stage] = replace(stages[stage], **typed)
        except ConfigError as error:
            raise ConfigError(f"{origin}: {error.message}", **error.details) from None
    return Config(**stages)


def _read(file: Path) -> dict[str, Any]:
    try:
        size = file.stat().st_size
        if size > LARGEST_FILE:
            raise ConfigError(f"{file} has {size:,} bytes", expected=f"settings, {LARGEST_FILE:,} bytes at most")
        return tomllib.loads(file.read_text())
    except ConfigError:
        raise
    except (OSError, ValueError, RecursionError) as error:  # ValueError: no text, no TOML, a number without end
        raise ConfigError(f"{file}: the settings cannot be read", reason=str(error)) from error


def _fits(value: object, default: object) -> bool:
    """Return whether a value has the type of the setting's default; a whole number may stand for a float."""
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(value, bool) and isinstance(default, bool)
    return isinstance(value, (int, float) if isinstance(default, float) else type(default))


def _listed(names: Mapping[str, object] | Sequence[str]) -> str:
    return ", ".join(names)


def _require(holds: bool, name: str, got: object, wanted: str, origin: str | None = None) -> None:
    if not holds:
        raise ConfigError(f"{f'{origin}: ' if origin else ''}{name} is {got!r}, wanted {wanted}")
