"""Which image file is which frame: the numbers in file names, and the frames that the user asked for."""

from __future__ import annotations

import re
from collections import Counter
from itertools import groupby, pairwise
from typing import TYPE_CHECKING

from ...errors import ConfigError, FormatError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SUFFIXES = {".tif": "tif", ".tiff": "tif", ".png": "png", ".npy": "npy"}
KINDS = ("tif", "png", "npy")  # where a folder holds several kinds, the first of these is read
CELLPOSE_MASKS = "_cp_masks"
CELLPOSE_RESULT = re.compile(r"_(cp_masks|cp_output|outlines\w*|flows|seg)$")


def is_image(path: Path) -> bool:
    """Tell whether the name of a file ends like that of an image."""
    return path.suffix.lower() in SUFFIXES


def kind_of(path: Path) -> str:
    """Return the kind of an image by the end of its name: ``tif``, ``png`` or ``npy``."""
    return SUFFIXES[path.suffix.lower()]


def image_files(folder: Path, *, is_label: bool) -> tuple[list[Path], str]:
    """Return the images of a folder, all of one kind; hidden files are left out.

    Beside an image ``a.tif`` Cellpose writes ``a_cp_masks.png`` (or ``.tif``), ``a_seg.npy`` and more: its masks are
    the label masks of such a folder, and none of what it writes is an image.

    Returns
    -------
    files : list of Path
        The images.
    note : str
        What was left out.

    Raises
    ------
    FormatError
        If there is none; the message names what is there instead.
    """
    files = sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))
    images = [p for p in files if is_image(p)]
    masks = [p for p in images if p.stem.endswith(CELLPOSE_MASKS)]
    if masks:
        images = masks if is_label else [p for p in images if not CELLPOSE_RESULT.search(p.stem)]
    kind = next((kind for kind in KINDS if any(kind_of(p) == kind for p in images)), None)
    if kind is None:
        got = _counted(files) or "no file"
        raise FormatError(f"{folder} holds no images", expected="one tif, png or npy file per frame", got=got)
    chosen = [p for p in images if kind_of(p) == kind]
    left_out = _counted([p for p in files if is_image(p) and p not in set(chosen)])
    return chosen, f"{folder}: {len(chosen)} {kind} files are read, {left_out} left out" if left_out else ""


def _counted(files: Sequence[Path]) -> str:
    return ", ".join(f"{n} {suffix}" for suffix, n in Counter(p.suffix.lower() or p.name for p in files).most_common(4))


def number_files(paths: Sequence[Path], *, prefix: str | None = None) -> tuple[tuple[Path, ...], tuple[int, ...]]:
    """Order files by the frame number in their names.

    The number is the last run of digits that differs from file to file, so ``002-Ch1-T0301.tif`` is frame 301; names
    need no zero padding.

    Parameters
    ----------
    paths : sequence of Path
        Files of one folder.
    prefix : str or None
        Names are this and a number (``man_track``); other files are left out.

    Returns
    -------
    paths, numbers : tuple
        Files in the order of their frames, and the number of each, without a gap.

    Raises
    ------
    FormatError
        If names follow several patterns, or a frame is missing or there twice.
    """
    if prefix is not None:
        named = re.compile(re.escape(prefix) + r"_?(\d+)", re.IGNORECASE)
        matches = [(p, named.fullmatch(p.stem)) for p in paths]
        found = [(int(m[1]), p) for p, m in matches if m]
        if not found:
            folder = paths[0].parent
            raise FormatError(f"{folder} holds no label masks", expected=f"{prefix}000.tif, ...", got=paths[0].name)
    else:
        found = [(number, p) for number, p in zip(_varying_numbers(paths), paths, strict=True)]
    found.sort(key=lambda pair: pair[0])
    for number, same in groupby(found, key=lambda pair: pair[0]):
        files = [p.name for _, p in same]
        if len(files) > 1:
            raise FormatError(
                f"{paths[0].parent}: frame {number} is there {len(files)} times",
                expected="one file per frame",
                got=", ".join(files[:3]),
            )
    numbers = tuple(number for number, _ in found)
    missing = [n for a, b in pairwise(numbers) for n in range(a + 1, min(b, a + 5))]
    if missing:
        raise FormatError(
            f"{paths[0].parent}: frame {missing[0]} is missing",
            expected=f"a file for each frame {numbers[0]} to {numbers[-1]}",
            got=f"{len(numbers)} files; no file for {_first_few(missing)}",
        )
    return tuple(p for _, p in found), numbers


def _varying_numbers(paths: Sequence[Path]) -> list[int]:
    """Return the number of each file: the last run of digits that is not the same in all names."""
    patterns = Counter(re.sub(r"\d+", "#", p.stem) for p in paths)
    if len(patterns) > 1:
        raise FormatError(
            f"{paths[0].parent} holds files of {len(patterns)} naming patterns",
            expected="one numbered file per frame, as in t000.tif, t001.tif",
            got=", ".join(f"{pattern}{paths[0].suffix} ({n})" for pattern, n in patterns.most_common(3)),
            **{"try": "name one file, if each holds a movie, or a folder with the files of one kind"},
        )
    runs = [re.findall(r"\d+", p.stem) for p in paths]
    if not runs[0]:
        raise FormatError(f"{paths[0]} has no frame number in its name", expected="a name like t000.tif")
    column = next((c for c in range(len(runs[0]) - 1, -1, -1) if len({int(r[c]) for r in runs}) > 1), -1)
    return [int(r[column]) for r in runs]


def select_frames(numbers: Sequence[int], wanted: slice) -> list[int]:
    """Return the frame numbers that ``start:stop:step`` keeps, in order.

    Raises
    ------
    ConfigError
        If the slice counts backward, is negative, or keeps nothing.
    """
    first, last = (numbers[0], numbers[-1]) if numbers else (0, -1)
    start = first if wanted.start is None else wanted.start
    stop = last + 1 if wanted.stop is None else wanted.stop
    step = 1 if wanted.step is None else wanted.step
    text = ":".join("" if v is None else str(v) for v in (wanted.start, wanted.stop, wanted.step))
    if step < 1 or start < 0 or stop < 0:
        raise ConfigError(f"frames {text} cannot be read", expected="start:stop:step of numbers from 0, step 1 or more")
    there = set(numbers)
    kept = [n for n in range(start, min(stop, last + 1), step) if n in there]
    if numbers and not kept:
        raise ConfigError(f"frames {text} keep nothing", expected=f"some of the frames {first} to {last}")
    return kept


def renumbers(wanted: slice) -> bool:
    """Tell whether frames that are read are numbered again from 0."""
    return wanted.start is not None or wanted.step is not None


def align_frames(wanted: Sequence[int], have: Sequence[int], what: str) -> tuple[list[int], str]:
    """Return which of the frames `have` belongs to each frame `wanted`: of the same number, else of the same rank.

    Returns
    -------
    rows : list of int
        Places in `have`, one for each frame wanted.
    note : str
        Says so where frames were paired by rank; else empty.

    Raises
    ------
    FormatError
        If a frame has no partner and the two differ in length.
    """
    row_of = {number: row for row, number in enumerate(have)}
    missing = [n for n in wanted if n not in row_of]
    if not missing:
        return [row_of[n] for n in wanted], ""
    if len(wanted) == len(have):
        return list(range(len(have))), f"{what}: frame {have[0]} there is taken for frame {wanted[0]} of the masks"
    raise FormatError(
        f"{what} has no frame {missing[0]}",
        expected=f"frames {wanted[0]} to {wanted[-1]}",
        got=f"frames {have[0]} to {have[-1]}" if have else "none",
    )


def _first_few(numbers: Sequence[int], n: int = 5) -> str:
    return ", ".join(map(str, numbers[:n])) + (", ..." if len(numbers) > n else "")
