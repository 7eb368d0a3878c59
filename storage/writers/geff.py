"""Write a graph as GEFF, the graph exchange format for tracks, through the `geff` package and in whole arrays.

Format: https://liveimagetrackingtools.org/geff. Zarr format 2, the package's own default, which readers in Java know.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ...errors import ConfigError
from ..folders import appearing
from .columns import missing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from geff._typing import PropDictNpArray
    from numpy.typing import NDArray

GRAPH, MASKS = "tracks", "masks"  # what a Zarr group that holds both calls them
LONGEST_KEY = 60  # characters of the name of a folder: 240 bytes
_NOT_IN_A_PATH = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')
ZARR_FORMAT: Literal[2, 3] = 2


@dataclass(frozen=True, slots=True)
class GeffAxis:
    """One axis of the positions.

    Parameters
    ----------
    name : str
        Property of the nodes that holds it.
    kind : str
        ``time`` or ``space``.
    unit : str
        Unit of the numbers: ``frame`` or ``pixel``.
    scale : float or None
        What one of it is in `scaled_unit`, None where that is not known.
    scaled_unit : str
        ``second`` or ``micrometer``.
    """

    name: str
    kind: str
    unit: str
    scale: float | None
    scaled_unit: str


@dataclass(frozen=True, slots=True, eq=False)
class GeffGraph:
    """A directed graph of n nodes and m edges.

    Parameters
    ----------
    node : (n,) int64
        Numbers of the nodes, each once.
    node_columns : dict of str to (n,) array
        Their properties, the axes among them; what is missing is told as missing.
    edge : (m, 2) int64
        Numbers of the nodes that each edge ties.
    edge_columns : dict of str to (m,) array
        Properties of the edges.
    axes : list of GeffAxis
        Time and space.
    tracklet, lineage : str
        Properties of the nodes that tell maximal unbranched paths, and connected components.
    label : str
        Property of the nodes that tells the label in the masks.
    extra : dict
        Whatever else, as JSON can say it.
    """

    node: NDArray[np.int64]
    node_columns: Mapping[str, NDArray[Any]]
    edge: NDArray[np.int64]
    edge_columns: Mapping[str, NDArray[Any]]
    axes: list[GeffAxis]
    tracklet: str
    lineage: str
    label: str
    extra: Mapping[str, Any]


def write_geff(folder: Path, graph: GeffGraph) -> int:
    """Write a graph; the folder appears when all of it is written.

    Returns
    -------
    n_files : int
        Files written.
    """
    require_geff()
    with appearing(folder) as partial:
        _write_graph(partial, graph, masks=None)
    return _count(folder)


def write_geff_with_masks(
    folder: Path, graph: GeffGraph, masks: Iterable[NDArray[Any]], shape: tuple[int, ...], dtype: np.dtype[Any]
) -> int:
    """Write a Zarr group of a graph, ``tracks``, and of the label masks beside it, ``masks``.

    Parameters
    ----------
    folder : Path
        Group to make; it appears when all of it is written.
    graph : GeffGraph
        The graph.
    masks : iterable of ([z,] y, x) array
        Label mask of each frame.
    shape : tuple of int
        Of all masks, ``(t, [z,] y, x)``.
    dtype : dtype
        Type of a label.

    Returns
    -------
    n_files : int
        Files written.
    """
    import zarr

    require_geff()
    with appearing(folder) as partial:
        group = zarr.open_group(partial, mode="w", zarr_format=ZARR_FORMAT)
        stored = group.create_array(MASKS, shape=shape, dtype=dtype, chunks=(1, *shape[1:]), fill_value=0)
        for frame, mask in enumerate(masks):
            stored[frame] = mask
        _write_graph(partial / GRAPH, graph, masks=f"../{MASKS}")
    return _count(folder)


def require_geff() -> None:
    """Raise ConfigError unless the geff package is there."""
    try:
        import geff  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            "GEFF needs a package that is not installed", **{"try": 'pip install "trackdb[geff]"'}
        ) from error


def _write_graph(folder: Path, graph: GeffGraph, *, masks: str | None) -> None:
    import geff_spec
    from geff.core_io import write_arrays
    from zarr.storage import LocalStore

    nodes, edges = _identified(graph.node_columns), _identified(graph.edge_columns)
    metadata = geff_spec.GeffMetadata(
        directed=True,
        axes=[_axis(axis) for axis in graph.axes],
        node_props_metadata=_named(nodes),
        edge_props_metadata=_named(edges),
        track_node_props={"tracklet": graph.tracklet, "lineage": graph.lineage},
        related_objects=masks and [geff_spec.RelatedObject(type="labels", path=masks, node_prop=graph.label)],
        extra=dict(graph.extra),
    )
    write_arrays(
        LocalStore(folder),  # as a path it would have to be free
        graph.node.astype(np.uint64),
        {key: _property(column) for key, (_, column) in nodes.items()},
        graph.edge.astype(np.uint64).reshape(-1, 2),
        {key: _property(column) for key, (_, column) in edges.items()},
        metadata,
        zarr_format=ZARR_FORMAT,
    )


def _axis(axis: GeffAxis) -> Any:
    import geff_spec

    scaled = {} if axis.scale is None else {"scale": axis.scale, "scaled_unit": axis.scaled_unit}
    return geff_spec.Axis(name=axis.name, type=axis.kind, unit=axis.unit, **scaled)


def _identified(columns: Mapping[str, NDArray[Any]]) -> dict[str, tuple[str, NDArray[Any]]]:
    """Return columns and their names by names that a folder can have."""
    found: dict[str, tuple[str, NDArray[Any]]] = {}
    for name, column in columns.items():
        key = stem = _NOT_IN_A_PATH.sub("_", name)[:LONGEST_KEY].lstrip("._ ").rstrip(". ") or "property"
        number = 1
        while key.lower() in {there.lower() for there in found}:  # some file systems do not tell cases apart
            number += 1
            key = f"{stem}_{number}"
        found[key] = name, column
    return found


def _named(columns: Mapping[str, tuple[str, NDArray[Any]]]) -> dict[str, Any]:
    """Return the metadata of columns whose names no folder can have: the name in full."""
    import geff_spec

    return {
        key: geff_spec.PropMetadata(identifier=key, dtype=column.dtype, name=name)
        for key, (name, column) in columns.items()
        if key != name
    }


def _property(column: NDArray[Any]) -> PropDictNpArray:
    """Return values and where they are missing, as geff takes them; a filler stands where they are."""
    absent = missing(column)
    return {"values": np.ma.getdata(column), "missing": absent if absent.any() else None}


def _count(folder: Path) -> int:
    return sum(file.is_file() for file in folder.rglob("*"))
