"""The Cell Tracking Challenge: folders ``NN``, ``NN_GT/TRA`` and ``NN_RES`` with masks and a track file.

Detections come from ``NN_RES``, else from ``NN_GT/TRA``. The track file beside them is a lineage over their labels;
ground truth beside a result comes as a second lineage with masks of its own. ``NN_GT/SEG`` is not read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import ConfigError, FormatError
from ..pixels.files import open_numbered
from .masks import mask_source, read_truth
from .options import refuse_options
from .track_file import find_track_file, lineage_of_tracks, read_track_file, require_frames

if TYPE_CHECKING:
    from pathlib import Path

    from ..pixels.frames import Frames
    from .base import Source, SourceOptions

SEQUENCE = re.compile(r"(\d{2,})_(GT|RES)")
TRUTH_FILE, RESULT_FILE = "man_track.txt", "res_track.txt"
TRUTH_MASK, RESULT_MASK, IMAGE = "man_track", "mask", "t"


@dataclass(frozen=True, slots=True)
class CtcFolders:
    """The folders of one sequence.

    Parameters
    ----------
    name : str
        Proposed name of the dataset.
    result : Path or None
        ``NN_RES``, where the detections come from if it is there.
    truth : Path or None
        ``NN_GT/TRA``.
    images : Path or None
        ``NN``.
    """

    name: str
    result: Path | None
    truth: Path | None
    images: Path | None


def open_ctc(path: Path, options: SourceOptions) -> Source:
    """Open a data set folder, an ``NN_GT``, its ``TRA``, or an ``NN_RES``.

    Raises
    ------
    ConfigError
        If the folder holds several sequences and none was chosen, or not the one that was; if an option is that of
        another format.
    FormatError
        If masks or the track file are missing, damaged, or contradict each other.
    """
    own_truth = ("truth",) if options.alone else ()  # a tracking has no other one beside it
    refuse_options(path, "a Cell Tracking Challenge folder", options, "columns", "links", *own_truth)
    folders = find_folders(path, options.sequence)
    folder = folders.result or folders.truth
    if folder is None:
        raise FormatError(f"{path} is no Cell Tracking Challenge data set", expected="folders like 01_GT or 01_RES")
    is_truth = folders.result is None
    masks = open_numbered(folder, TRUTH_MASK if is_truth else RESULT_MASK, is_label=True)
    notes = [f"{'cells' if options.alone else 'detections'} come from {folder}"]
    lineages = []
    track_file = folder / (TRUTH_FILE if is_truth else RESULT_FILE)
    if track_file.is_file():
        tracks = read_track_file(track_file)
        require_frames(tracks, masks.numbers[0], masks.numbers[-1])
        own = "truth" if is_truth and options.truth is None else sequence_folder(folder).name
        lineages.append(lineage_of_tracks(tracks, own))
    elif is_truth:
        raise FormatError(f"{folder} holds no {TRUTH_FILE}", expected="the track file beside the masks")
    else:
        notes.append(f"{folder} holds no {RESULT_FILE}, so no tracking is read")
    truth = options.truth or (None if is_truth or options.alone else folders.truth)
    if truth is not None:
        found, said = read_truth(truth, masks.numbers)
        lineages += found
        notes += said
    beside = None if options.images or options.alone else folders.images
    images = {"image": _images(beside)} if beside else {}
    return mask_source(folders.name, masks, options, lineages=lineages, notes=notes, images=images)


def is_ctc(path: Path) -> bool:
    """Tell whether a folder is a data set, an ``NN_GT``, a ``TRA`` or an ``NN_RES``."""
    if not path.is_dir():
        return False
    return bool(find_track_file(path) or SEQUENCE.match(path.resolve().name) or find_sequences(path))


def find_sequences(path: Path) -> list[str]:
    """Return the numbers NN of the sequences that a data set folder holds."""
    matches = [SEQUENCE.fullmatch(p.name) for p in path.iterdir() if p.is_dir()]
    return sorted({m[1] for m in matches if m})


def find_folders(path: Path, sequence: str | None = None) -> CtcFolders:
    """Find results, truth and images of one sequence.

    Raises
    ------
    ConfigError
        If the folder holds several sequences and none was chosen, or not the one that was.
    """
    if not path.is_dir():
        raise FormatError(f"{path} is no folder", expected="a data set folder, NN_GT, or NN_RES")
    path = path.resolve()
    if path.name == "TRA" or (path / "TRA").is_dir() or (path / TRUTH_FILE).is_file():
        folder, result, truth = sequence_folder(path), None, _truth_in(path)
    elif (path / RESULT_FILE).is_file() or SEQUENCE.match(path.name):
        match = SEQUENCE.match(path.name)
        folder, result = path, path
        truth = _truth_in(path.parent / f"{match[1]}_GT") if match else None
    else:
        number = _chosen(path, sequence)
        folder = path / f"{number}_GT"
        result = path / f"{number}_RES"
        result, truth = (result if result.is_dir() else None), _truth_in(folder)
    match = SEQUENCE.match(folder.name)
    if sequence is not None and match is not None and match[1] != sequence:
        raise ConfigError(f"{folder} is sequence {match[1]}", expected=f"sequence {sequence}")
    name = folder.parent.name
    if match is None:
        return CtcFolders(name, result, truth, None)
    several = len(find_sequences(folder.parent)) > 1
    images = folder.parent / match[1]
    has_images = images.is_dir() and any(re.fullmatch(rf"{IMAGE}\d+\.tiff?", p.name) for p in images.iterdir())
    return CtcFolders(f"{name}-{match[1]}" if several else name, result, truth, images if has_images else None)


def sequence_folder(folder: Path) -> Path:
    """Return the ``NN_GT`` of its ``TRA``; other folders are returned as they are."""
    return folder.parent if folder.name == "TRA" else folder


def _chosen(path: Path, sequence: str | None) -> str:
    there = find_sequences(path)
    if not there:
        raise FormatError(f"{path} is no Cell Tracking Challenge data set", expected="folders like 01_GT or 01_RES")
    if sequence is None and len(there) > 1:
        raise ConfigError(f"{path} holds several sequences", expected="--sequence NN", got=", ".join(there))
    if sequence is not None and sequence not in there:
        raise ConfigError(f"{path} has no sequence {sequence}", expected=", ".join(there), got=sequence)
    return sequence or there[0]


def _truth_in(folder: Path) -> Path | None:
    """Return the folder of tracking truth in an ``NN_GT``, None if there is none."""
    if (folder / "TRA").is_dir():
        return folder / "TRA"
    return folder if (folder / TRUTH_FILE).is_file() or folder.name == "TRA" else None


def _images(folder: Path) -> Frames:
    return open_numbered(folder, IMAGE, is_label=False)
