"""What channels are called: by metadata, or by the names of files."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

LONGEST_NAME = 64
NUMBERED = re.compile(r"(?:(?<=[^a-z])|^)(channel|ch|c)(\d+)(?![a-z0-9])", re.IGNORECASE)


def channel_names(found: Sequence[object], n_channels: int) -> tuple[str, ...]:
    """Return a plain name for each channel, no two alike.

    Letters, digits, dots and dashes stay; a channel that has no name is ``c0``, ``c1``, ...

    Parameters
    ----------
    found : sequence
        Names as metadata have them, as many as there are; what is no text is no name.
    n_channels : int
        How many channels there are. The only channel of a movie that does not name it is ``""``.
    """
    plain = [re.sub(r"[^\w.-]+", "_", name.strip()).strip("_.")[:LONGEST_NAME] for name in map(_text, found)]
    plain = (plain + [""] * n_channels)[:n_channels]
    if n_channels == 1:
        return (plain[0],)
    names: list[str] = []
    for channel, name in enumerate(plain):
        taken = not name or name in names or plain.count(name) > 1
        names.append(_free(f"{name}_c{channel}" if name else f"c{channel}", {*names, *plain}) if taken else name)
    return tuple(names)


def _text(name: object) -> str:
    return name if isinstance(name, str) else ""


def _free(name: str, taken: set[str]) -> str:
    """Return the name, with underscores before it as long as it is taken."""
    while name in taken:
        name = f"_{name}"
    return name


def split_by_channel(files: Sequence[Path]) -> dict[str, list[Path]]:
    """Part the files of a folder by the channel in their names, as in ``t000_ch00.tif`` or ``a_c1_t05.tif``.

    Returns
    -------
    files : dict of str to list of Path
        By name of the channel as the files write it. All under ``""`` unless each name has exactly one number of a
        channel, that number varies, all names are alike but for their numbers, and every channel has as many files,
        more than one.
    """
    patterns = {re.sub(r"\d+", "#", file.stem) for file in files}
    found = [NUMBERED.findall(file.stem) for file in files]
    if len(patterns) > 1 or any(len(matches) != 1 for matches in found):
        return {"": list(files)}
    parted: dict[str, list[Path]] = defaultdict(list)
    for file, [(word, number)] in zip(files, found, strict=True):
        parted[word + number].append(file)
    sizes = {len(part) for part in parted.values()}
    if len(parted) < 2 or len(sizes) > 1 or sizes == {1}:
        return {"": list(files)}
    return dict(sorted(parted.items()))
