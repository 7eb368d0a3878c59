"""The measures of the Cell Tracking Challenge by py-ctcmetrics, on files as the challenge has them."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, FormatError
from ..storage.catalogue import SolutionInfo
from ..storage.formats.ctc import RESULT_MASK, TRUTH_FILE, TRUTH_MASK
from ..storage.formats.track_file import find_track_file, read_track_file
from ..storage.pixels.files import open_numbered
from .exports.ctc import export_ctc
from .imports.reference import tracking_at

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..storage.catalogue import DetectionSet
    from ..storage.duckdb_store import DuckDBStore
    from ..storage.formats.base import SourceOptions
    from .progress import Progress

OPERATIONS = ("NS", "FN", "FP", "ED", "EA", "EC")
MEASURES = ("TRA", "DET", "LNK", "AOGM", "AOGM_0", *(f"AOGM_{name}" for name in OPERATIONS))
SIXTEEN_BITS = 2**16


def measure_files(
    store: DuckDBStore,
    chosen: DetectionSet,
    info: SolutionInfo,
    against: SolutionInfo | Path,
    options: SourceOptions,
    progress: Progress,
) -> dict[str, float]:
    """Export a solution to a temporary folder and measure it with py-ctcmetrics.

    Parameters
    ----------
    store, chosen, info
        The store, the detection set, and the solution that is judged.
    against : SolutionInfo or Path
        Another solution of the same detections, which is exported too, or a folder of the challenge, which is taken as
        it is.
    options : SourceOptions
        How the folder is read elsewhere; here it can only be read whole.
    progress : Progress
        Who is told how far it is.

    Returns
    -------
    measures : dict of str to float
        By the names of `MEASURES`.

    Raises
    ------
    ConfigError
        If py-ctcmetrics is not installed.
    FormatError
        If a file of the challenge cannot hold what is there, or py-ctcmetrics refuses it.
    """
    evaluate_sequence = _py_ctcmetrics()
    with tempfile.TemporaryDirectory(prefix="trackdb-") as temporary:
        result, truth = Path(temporary, "01_RES"), Path(temporary, "01_GT", "TRA")
        progress.start("exporting")  # what the files cannot hold of the cells is no matter here
        export_ctc(store, chosen, info, result)
        if isinstance(against, SolutionInfo):
            folder = Path(temporary, "reference")
            export_ctc(store, chosen, against, folder)
        else:
            folder = tracking_at(against, options.sequence)
        lay_out_truth(folder, truth)
        _require_room(result, truth)
        progress.start("py-ctcmetrics")
        return _measured(evaluate_sequence, result, truth.parent)


def require_measurable(
    store: DuckDBStore, chosen: DetectionSet, against: SolutionInfo | Path, options: SourceOptions
) -> None:
    """Raise ConfigError unless py-ctcmetrics is there, and masks of all frames on both sides."""
    _py_ctcmetrics()
    if isinstance(against, SolutionInfo):
        return
    without = {"try": "without --ctc: the same measures, on the graphs"}
    folder = tracking_at(against, options.sequence)
    if not folder.is_dir() or find_track_file(folder) is None:
        raise ConfigError(f"py-ctcmetrics wants masks, and {against} is no folder of the challenge", **without)
    if not any(ref.kind == "masks" for ref in store.arrays(chosen)):
        raise ConfigError(f"py-ctcmetrics wants masks, and the detections of {chosen.movie.name} are points", **without)
    if options.frames != slice(None):
        raise ConfigError("py-ctcmetrics reads all frames of a folder", **without)


def lay_out_truth(folder: Path, truth: Path) -> None:
    """Link the masks of a tracking under the names that ground truth has, and write its track file beside them.

    py-ctcmetrics sorts names as text, so numbers get leading zeros.

    Raises
    ------
    FormatError
        If there is no track file, or no mask for each frame from 0 on.
    """
    track_file = find_track_file(folder)
    if track_file is None:
        raise FormatError(f"{folder} holds no track file", expected="man_track.txt or res_track.txt")
    prefix = TRUTH_MASK if track_file.name == TRUTH_FILE else RESULT_MASK
    masks = open_numbered(track_file.parent, prefix, is_label=True)
    paths, numbers = masks.paths, list(masks.numbers)
    if numbers[0] != 0 or any(path.suffix.lower() not in (".tif", ".tiff") for path in paths):
        raise FormatError(f"{folder} is not as py-ctcmetrics wants it", expected="a tif for each frame from 0 on")
    truth.mkdir(parents=True)
    digits = max(3, len(str(numbers[-1])))
    for number, path in zip(numbers, paths, strict=True):
        _link(path.resolve(), truth / f"{TRUTH_MASK}{number:0{digits}d}.tif")
    tracks = read_track_file(track_file)
    rows = zip(tracks.label.tolist(), tracks.first.tolist(), tracks.last.tolist(), tracks.parent.tolist(), strict=True)
    (truth / TRUTH_FILE).write_text("".join(f"{' '.join(map(str, row))}\n" for row in rows), encoding="ascii")


def _py_ctcmetrics() -> Callable[..., dict[str, Any]]:
    try:
        from ctc_metrics.scripts.evaluate import evaluate_sequence
    except ImportError:
        raise ConfigError("py-ctcmetrics is not installed", **{"try": 'pip install "trackdb[evaluate]"'}) from None
    measured: Callable[..., dict[str, Any]] = evaluate_sequence
    return measured


def _require_room(result: Path, truth: Path) -> None:
    """Raise FormatError where py-ctcmetrics, which adds the labels of both masks in their own type, would overflow."""
    labels = [
        int(read_track_file(path).label.max(initial=0)) for path in (result / "res_track.txt", truth / TRUTH_FILE)
    ]
    if sum(labels) + 1 >= SIXTEEN_BITS:
        raise FormatError(
            f"py-ctcmetrics cannot tell labels up to {labels[0]} and {labels[1]} apart in 16 bits",
            **{"try": "without --ctc: the same measures, on the graphs"},
        )


def _measured(evaluate_sequence: Callable[..., dict[str, Any]], result: Path, truth: Path) -> dict[str, float]:
    """Let py-ctcmetrics measure, and keep what it prints to itself."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            found = evaluate_sequence(str(result), str(truth), metrics=["Valid", "TRA", "DET", "LNK"], threads=1)
        except Exception as error:  # whatever a library outside raises about files is about these files
            raise FormatError("py-ctcmetrics cannot measure this", reason=f"{type(error).__name__}: {error}") from error
    if not found["Valid"]:
        reason = "; ".join(str(warning.message) for warning in warned[:3])
        raise FormatError("py-ctcmetrics calls this no valid tracking", reason=reason or "unknown")
    return {name: float(found[name]) for name in MEASURES}


def _link(path: Path, name: Path) -> None:
    """Let a name stand for a file; where the system has no such links, copy it."""
    try:
        os.symlink(path, name)
    except OSError:
        shutil.copyfile(path, name)
