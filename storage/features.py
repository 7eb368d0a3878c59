"""What is known of each cell beside its place: features of its pixels, and whatever else its source tells.

A row of `detection_feature` holds what every mask has; each channel of images has rows in `detection_intensity`, and
each property of a source has rows in `detection_property`, for the cells of which it tells something.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from ..errors import SchemaError
from . import tables
from .connection import append, fetch
from .measurements import Features, Intensity
from .rows import AXES, floats, ints

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from .catalogue import DetectionSet
    from .schema import Detections

OWN_TABLES = (tables.detection_feature, tables.detection_intensity, tables.detection_property)
UNKNOWN = -1  # of a corner of a box


def insert_features(connection: sa.Connection, det_id: NDArray[np.int64], features: Features) -> None:
    """Add what the pixels tell of detections that are new."""
    append(connection, tables.detection_feature, _feature_rows(det_id, features))
    for channel, intensity in features.intensity.items():
        columns = {name: _or_null(getattr(intensity, name)) for name in ("mean", "min", "max")}
        content = pa.table({"det_id": det_id, "channel": _repeated(channel, len(det_id)), **columns})
        append(connection, tables.detection_intensity, content)


def insert_properties(
    connection: sa.Connection, det_id: NDArray[np.int64], properties: Mapping[str, NDArray[np.generic]]
) -> None:
    """Add what else the source tells of detections that are new, one name after the other.

    Raises
    ------
    SchemaError
        If a property holds neither numbers nor text.
    """
    for name, values in properties.items():
        append(connection, tables.detection_property, _property_rows(det_id, name, values))


def delete_features(connection: sa.Connection, det_id: sa.Select[tuple[int]]) -> None:
    """Delete all that is known of some detections beside their place."""
    for table in OWN_TABLES:
        connection.execute(sa.delete(table).where(table.c.det_id.in_(det_id)))


def read_features(connection: sa.Connection, chosen: DetectionSet, detections: Detections) -> Features:
    """Return what the pixels tell of each detection, row by row; -1 and NaN where they tell nothing."""
    axes = AXES[-detections.ndim :]
    f = tables.detection_feature
    names = ["border_px", *(f"bbox_{axis}{end}" for end in "01" for axis in axes), *_inertia_names(axes).values()]
    found = fetch(connection, sa.select(f.c.det_id, *(f.c[name] for name in names)).where(_among(f, detections)))
    column = dict(zip(names, _aligned(found, names, detections), strict=True))
    inertia = np.empty((len(detections), len(axes), len(axes)))
    for (a, b), name in _inertia_names(axes).items():
        inertia[:, a, b] = inertia[:, b, a] = column[name]
    corners = [np.stack([column[f"bbox_{axis}{end}"] for axis in axes], axis=1) for end in "01"]
    low, high = (np.where(np.isnan(corner), UNKNOWN, corner).astype(np.int64) for corner in corners)
    return Features(low, high, inertia, column["border_px"], _read_intensity(connection, chosen, detections))


def count_unknown_intensities(connection: sa.Connection, chosen: DetectionSet) -> dict[str, int]:
    """Return for each channel how many cells cover a pixel that is no number; channels without are left out."""
    d, i = tables.detection, tables.detection_intensity
    ours = i.c.det_id.in_(sa.select(d.c.det_id).where(d.c.set_id == chosen.id))
    query = sa.select(i.c.channel, sa.func.count()).where(ours, i.c.mean.is_(None)).group_by(i.c.channel)
    return {channel: int(count) for channel, count in connection.execute(query.order_by(i.c.channel))}


def property_names(connection: sa.Connection, chosen: DetectionSet) -> list[str]:
    """Return the properties that the source told of the detections of a set, in the order in which it told them."""
    return _distinct(connection, tables.detection_property.c.name, chosen)


def read_properties(
    connection: sa.Connection, chosen: DetectionSet, detections: Detections
) -> dict[str, NDArray[np.generic]]:
    """Return what else the source told of each detection, row by row, in the order in which it told it.

    A property that is a text for some cells is a text for all.
    """
    p = tables.detection_property
    properties: dict[str, NDArray[np.generic]] = {}
    for name in property_names(connection, chosen):
        found = fetch(connection, sa.select(p).where(p.c.name == name, _among(p, detections)))
        if found["text"].null_count == len(found):
            [properties[name]] = _aligned(found, ["value"], detections)
        else:
            properties[name] = _aligned_text(found, detections)
    return properties


def _read_intensity(connection: sa.Connection, chosen: DetectionSet, detections: Detections) -> dict[str, Intensity]:
    i = tables.detection_intensity
    intensity = {}
    for channel in _distinct(connection, i.c.channel, chosen):
        found = fetch(connection, sa.select(i).where(i.c.channel == channel, _among(i, detections)))
        intensity[channel] = Intensity(*_aligned(found, ["mean", "min", "max"], detections))
    return intensity


def _distinct(connection: sa.Connection, column: sa.Column[Any], chosen: DetectionSet) -> list[str]:
    """Return the different entries of a column for a detection set, in the order in which they came."""
    d = tables.detection
    ours = column.table.c.det_id.in_(sa.select(d.c.det_id).where(d.c.set_id == chosen.id))
    query = sa.select(column).where(ours).group_by(column)
    found: list[str] = fetch(connection, query.order_by(sa.text("min(rowid)")))[column.name].to_pylist()
    return found


def _among(table: sa.FromClause, detections: Detections) -> sa.ColumnElement[bool]:
    """Return the condition that finds the rows of some detections; rows of others between them come along."""
    first, last = (int(detections.id[0]), int(detections.id[-1])) if len(detections) else (0, -1)
    return table.c.det_id.between(first, last)


def _places(found: pa.Table, detections: Detections) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the row of the detection that each row found belongs to, and which of them belong to one at all."""
    det_id = ints(found, "det_id")
    place = np.searchsorted(detections.id, det_id)
    return place, detections.id[place] == det_id


def _aligned(found: pa.Table, names: Iterable[str], detections: Detections) -> list[NDArray[np.float64]]:
    """Return columns of numbers, row by row as the detections, NaN where there is none."""
    place, ours = _places(found, detections)
    columns = []
    for name in names:
        column = np.full(len(detections), np.nan)
        column[place[ours]] = floats(found, name)[ours]
        columns.append(column)
    return columns


def _aligned_text(found: pa.Table, detections: Detections) -> NDArray[np.str_]:
    """Return the texts of a property, row by row as the detections, "" where there is none; numbers are written out."""
    place, ours = _places(found, detections)
    text = pc.coalesce(found["text"], pc.cast(found["value"], pa.string())).combine_chunks().dictionary_encode()
    words = np.array(["", *text.dictionary.to_pylist()])  # one Python object for each different text
    column = np.zeros(len(detections), dtype=np.int64)
    column[place[ours]] = text.indices.to_numpy()[ours] + 1
    return words[column]


def _feature_rows(det_id: NDArray[np.int64], features: Features) -> pa.Table:
    """Return rows of the table `detection_feature`."""
    axes = AXES[-features.bbox_min.shape[1] :]
    columns = {"det_id": det_id, "border_px": _or_null(features.border_px.astype(np.float32))}
    for end, corner in (("0", features.bbox_min), ("1", features.bbox_max)):
        for axis, name in enumerate(axes):
            columns[f"bbox_{name}{end}"] = pa.array(corner[:, axis].astype(np.int32), mask=corner[:, axis] == UNKNOWN)
    for (a, b), name in _inertia_names(axes).items():
        columns[name] = _or_null(features.inertia_px2[:, a, b].astype(np.float32))
    for intensity in list(features.intensity.values())[:1]:
        columns["intensity_mean"] = _or_null(intensity.mean.astype(np.float32))
    return pa.table(columns)


def _inertia_names(axes: tuple[str, ...]) -> dict[tuple[int, int], str]:
    """Return the column of each entry of an inertia tensor on and above its diagonal."""
    return {(a, b): f"inertia_{axes[a]}{axes[b]}" for a in range(len(axes)) for b in range(a, len(axes))}


def _property_rows(det_id: NDArray[np.int64], name: str, values: NDArray[np.generic]) -> pa.Table:
    """Return rows of the table `detection_property`, for the detections of which the source tells something."""
    try:
        if values.dtype.kind in "biuf":
            key, told = "value", _or_null(values.astype(np.float64))
        else:
            # through objects: straight from numpy Arrow takes four times as long and ends a text at its first NUL
            key, told = "text", pa.array(values.astype(object), pa.string())
            told = pc.if_else(pc.equal(told, ""), pa.scalar(None, pa.string()), told)
    except (pa.ArrowException, UnicodeError) as error:
        raise SchemaError(f"property {name} holds neither numbers nor text", reason=str(error)) from error
    content = pa.table({"det_id": det_id, "name": _repeated(name, len(det_id)), key: told})
    return content.filter(pc.is_valid(told))


def _or_null(values: NDArray[np.floating]) -> pa.Array:
    """Return numbers as Arrow keeps them, NULL for NaN."""
    return pa.array(values, from_pandas=True)


def _repeated(text: str, count: int) -> pa.Array:
    """Return one text many times, kept once."""
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, dtype=np.int32)), pa.array([text]))
