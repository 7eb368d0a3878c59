"""Write tracks as napari's Tracks layer takes them: a table, ``tracks.csv``, and whose child is who, ``graph.json``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ..folders import appearing
from .tables import write_table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

TRACKS, GRAPH = "tracks.csv", "graph.json"


def write_napari(folder: Path, columns: Mapping[str, NDArray[Any]], graph: Mapping[int, list[int]]) -> list[Path]:
    """Write a folder that appears when all of it is written.

    Parameters
    ----------
    folder : Path
        Folder to make.
    columns : dict of str to (n,) array
        ``track t [z] y x`` and the features of each point, ordered by track and frame.
    graph : dict of int to list of int
        Parents of each track that has any; several where tracks merge.

    Returns
    -------
    files : list of Path
        What was written.
    """
    with appearing(folder) as partial:
        write_table(partial / TRACKS, columns, {})
        (partial / GRAPH).write_text(json.dumps({str(child): list(above) for child, above in graph.items()}) + "\n")
    return sorted(folder.iterdir())
