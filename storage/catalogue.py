"""The small tables: what datasets, detection sets, runs and solutions a store holds, and the numbers it gives."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa

from ..errors import MissingRowsError, StoreDamagedError
from . import tables
from .arrays import ArrayRef
from .facts import REMEDY
from .pixels.frames import MAX_FRAMES
from .run_settings import settings_of_run
from .schema import Movie

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")
TRUTH = "truth"  # name of the solution that ground truth becomes


@dataclass(frozen=True, slots=True)
class RunInfo:
    """One piece of work: an ingest, a scoring, a solution.

    Parameters
    ----------
    id : int
        Its number in the store.
    kind, name : str
        What was done (``ingest``, ``link``, ``score``, ``solve``), and the name of what came of it.
    set_id : int or None
        Detection set that it worked on.
    params : dict
        Resolved settings, and what was estimated from the data.
    state : str
        ``pending``, ``done`` or ``failed``.
    started, finished : datetime or None
        In UTC.
    process : str
        Who did it.
    """

    id: int
    kind: str
    name: str
    set_id: int | None
    params: dict[str, Any]
    state: str
    started: datetime
    finished: datetime | None
    process: str


@dataclass(frozen=True, slots=True)
class DetectionSet:
    """The detections that one source found in a movie.

    Parameters
    ----------
    id, dataset_id : int
        Numbers in the store.
    name : str
        Its name in the dataset.
    movie : Movie
        The dataset.
    """

    id: int
    dataset_id: int
    name: str
    movie: Movie


@dataclass(frozen=True, slots=True)
class SolutionInfo:
    """A tracking that the store holds.

    Parameters
    ----------
    id, set_id, run_id : int
        Numbers in the store.
    name, linker : str
        Its name in the dataset, and what made it.
    objective, lower_bound : float or None
        Cost, and what no solution can be cheaper than; None for an imported tracking.
    proven : bool or None
        Whether the two meet.
    """

    id: int
    set_id: int
    run_id: int
    name: str
    linker: str
    objective: float | None
    lower_bound: float | None
    proven: bool | None


def now() -> datetime:
    """Return the time in UTC, as the store keeps it."""
    return datetime.now(UTC).replace(tzinfo=None)


@cache
def code_version() -> str:
    """Return the version of trackdb that is at work."""
    return version("trackdb")


def take_ids(connection: sa.Connection, table: sa.Table, count: int) -> int:
    """Reserve `count` numbers for rows of a table and return the first; a number is never given twice."""
    key, meta = f"next_{table.name}", tables.meta
    first = int(connection.execute(sa.select(meta.c.value).where(meta.c.key == key)).scalar_one())
    connection.execute(sa.update(meta).where(meta.c.key == key).values(value=str(first + count)))
    return first


def commits(connection: sa.Connection) -> int:
    """Return the number of commits that the store tells of itself; 0 where it is so old that it tells none."""
    told = connection.exec_driver_sql("select try_cast(value as bigint) from meta where key = 'commits'").scalar()
    return int(told or 0)


def count_commit(connection: sa.Connection) -> int:
    """Raise the number of commits that the store tells of itself, and return it."""
    raised = "update meta set value = cast(cast(value as bigint) + 1 as varchar) where key = 'commits' returning value"
    return int(connection.exec_driver_sql(raised).scalar_one())


def require_there(connection: sa.Connection, table: sa.Table, number: int) -> None:
    """Raise MissingRowsError if the row of a small table that work is done on was dropped meanwhile."""
    [key] = table.primary_key.columns
    if connection.execute(sa.select(key).where(key == number)).first() is None:
        raise MissingRowsError(
            f"the {table.name.replace('_', ' ')} that this is made of was dropped meanwhile",
            **{"try": "give the command again"},
        )


def runs(connection: sa.Connection, *where: sa.ColumnElement[bool]) -> list[RunInfo]:
    """Return the runs that fulfil all conditions, oldest first."""
    r = tables.run
    rows = connection.execute(sa.select(r).where(*where).order_by(r.c.run_id)).mappings()
    return [
        RunInfo(
            id=row["run_id"],
            kind=row["kind"],
            name=row["name"],
            set_id=row["set_id"],
            params=settings_of_run(row["params"], row["run_id"], row["kind"], done=row["state"] == "done"),
            state=row["state"],
            started=_time(row["started"], row["run_id"]),
            finished=row["finished"],
            process=row["process"],
        )
        for row in rows
    ]


def strange_runs(connection: sa.Connection) -> list[str]:
    """Return in words what is wrong with runs whose settings, or times, cannot be those that trackdb kept."""
    r = tables.run
    numbers = connection.scalars(sa.select(r.c.run_id).order_by(r.c.run_id)).all()
    wrong = []
    for number in numbers:
        try:
            runs(connection, r.c.run_id == number)
        except StoreDamagedError as error:
            reason = error.details.get("reason") or error.details.get("expected")
            wrong.append(f"{error.message}{f'; expected: {reason}' if reason else ''}")
    return wrong


def _time(value: object, run_id: int) -> datetime:
    if not isinstance(value, datetime):  # a year that Python does not know comes as text
        raise StoreDamagedError(f"run {run_id} began at no time: {value}", **{"try": REMEDY})
    return value


def insert_run(
    connection: sa.Connection,
    kind: str,
    name: str,
    params: dict[str, Any],
    *,
    set_id: int | None,
    process: str,
    model_digest: str | None = None,
) -> RunInfo:
    """Enter a run as pending, with the digest of the network that it goes by."""
    run_id = take_ids(connection, tables.run, 1)
    started = now()
    connection.execute(
        sa.insert(tables.run).values(
            run_id=run_id,
            kind=kind,
            name=name,
            set_id=set_id,
            params=params,
            code_version=code_version(),
            model_digest=model_digest,
            state="pending",
            started=started,
            process=process,
        )
    )
    return RunInfo(run_id, kind, name, set_id, params, "pending", started, None, process)


def close_run(connection: sa.Connection, run_id: int, state: str, params: dict[str, Any]) -> None:
    """Set the final state of a run, and add to what is known of it."""
    r = tables.run
    kept, kind = connection.execute(sa.select(r.c.params, r.c.kind).where(r.c.run_id == run_id)).one()
    known = settings_of_run(kept, run_id, kind, done=False)
    connection.execute(
        sa.update(r).where(r.c.run_id == run_id).values(state=state, finished=now(), params={**known, **params})
    )


def insert_dataset(connection: sa.Connection, movie: Movie, run_id: int) -> DetectionSet:
    """Enter a movie and its first detection set, named ``ingested``."""
    scale = {f"scale_{axis}": value for axis, value in zip("xyz", reversed(movie.scale_um or ()), strict=False)}
    dataset_id = take_ids(connection, tables.dataset, 1)
    connection.execute(
        sa.insert(tables.dataset).values(
            dataset_id=dataset_id,
            name=movie.name,
            n_frames=movie.n_frames,
            ndim=movie.ndim,
            shape=movie.shape_px,
            unit=movie.unit,
            frame_interval_s=movie.interval_s,
            source=movie.source,
            run_id=run_id,
            **scale,
        )
    )
    set_id = take_ids(connection, tables.detection_set, 1)
    connection.execute(
        sa.insert(tables.detection_set).values(set_id=set_id, dataset_id=dataset_id, name="ingested", run_id=run_id)
    )
    connection.execute(sa.update(tables.run).where(tables.run.c.run_id == run_id).values(set_id=set_id))
    return DetectionSet(set_id, dataset_id, "ingested", movie)


def detection_sets(connection: sa.Connection, *where: sa.ColumnElement[bool]) -> list[DetectionSet]:
    """Return the detection sets that fulfil all conditions, oldest first."""
    d, s, r = tables.dataset, tables.detection_set, tables.run
    query = (
        sa.select(s.c.set_id, s.c.name.label("set_name"), d)
        .join(d, d.c.dataset_id == s.c.dataset_id)
        .join(r, r.c.run_id == s.c.run_id)
        .where(*where)
        .order_by(s.c.set_id)
    )
    return [
        DetectionSet(row["set_id"], row["dataset_id"], row["set_name"], _movie(row))
        for row in connection.execute(query).mappings()
    ]


def _movie(row: sa.RowMapping) -> Movie:
    shape, n_frames, ndim = row["shape"], row["n_frames"], row["ndim"]
    if ndim not in (2, 3) or not 0 <= n_frames <= MAX_FRAMES or not (shape is None or _is_shape(shape, ndim)):
        raise StoreDamagedError(
            f"dataset {row['name']} has {n_frames} frames of {ndim} dimensions and shape {shape}", **{"try": REMEDY}
        )
    axes = ("scale_z", "scale_y", "scale_x")[-ndim:]
    scale = tuple(row[axis] for axis in axes)
    return Movie(
        name=row["name"],
        n_frames=n_frames,
        ndim=ndim,
        shape_px=tuple(shape) if shape else None,
        scale_um=None if None in scale else scale,
        interval_s=row["frame_interval_s"],
        source=row["source"],
    )


def _is_shape(shape: object, ndim: int) -> bool:
    """Return whether a value is the size of a frame."""
    if not isinstance(shape, list) or len(shape) not in (0, ndim):
        return False
    return all(isinstance(n, int) and 0 < n < 2**31 for n in shape)


def solutions(connection: sa.Connection, *where: sa.ColumnElement[bool]) -> list[SolutionInfo]:
    """Return the finished solutions that fulfil all conditions, oldest first."""
    s, r = tables.solution, tables.run
    query = sa.select(s).join(r, r.c.run_id == s.c.run_id).where(r.c.state == "done", *where).order_by(s.c.solution_id)
    return [
        SolutionInfo(
            id=row["solution_id"],
            set_id=row["set_id"],
            run_id=row["run_id"],
            name=row["name"],
            linker=row["linker"],
            objective=row["objective"],
            lower_bound=row["lower_bound"],
            proven=row["proven"],
        )
        for row in connection.execute(query).mappings()
    ]


def insert_array(connection: sa.Connection, dataset_id: int, run_id: int, ref: ArrayRef) -> None:
    """Refer to an array that stands under its final name."""
    connection.execute(
        sa.insert(tables.array_ref).values(
            array_id=take_ids(connection, tables.array_ref, 1),
            dataset_id=dataset_id,
            kind=ref.kind,
            channel=ref.channel,
            path=ref.path,
            sha256=ref.sha256,
            shape=ref.shape,
            dtype=ref.dtype,
            bytes=ref.n_bytes,
            run_id=run_id,
        )
    )


def arrays(connection: sa.Connection, *where: sa.ColumnElement[bool]) -> list[ArrayRef]:
    """Return what the rows of `array_ref` that fulfil all conditions refer to."""
    rows = connection.execute(sa.select(tables.array_ref).where(*where).order_by(tables.array_ref.c.array_id))
    return [
        ArrayRef(
            kind=row["kind"],
            channel=row["channel"],
            path=row["path"],
            sha256=row["sha256"],
            shape=_axes(row["shape"], row["path"]),
            dtype=row["dtype"],
            n_bytes=row["bytes"],
        )
        for row in rows.mappings()
    ]


def _axes(value: object, path: str) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(isinstance(n, int) and n >= 0 for n in value):
        raise StoreDamagedError(f"the pixels in {path} are said to have shape {value}", **{"try": REMEDY})
    return tuple(value)


def the_one(items: Mapping[str, T], name: str | None, what: str) -> T:
    """Return the item of that name; without a name the only one.

    Raises
    ------
    MissingRowsError
        If there is none of that name, or several and none is named.
    """
    if name is None and len(items) == 1:
        return next(iter(items.values()))
    if name is not None and name in items:
        return items[name]
    known = ", ".join(items) or "none"
    if name is None and items:
        raise MissingRowsError(f"the store holds several {what}s", known=known, **{"try": f"--{what} NAME"})
    raise MissingRowsError(
        f"the store holds no {what}" + ("" if name is None else f" named {name or repr(name)}"), known=known
    )


def same_settings(a: dict[str, Any], b: dict[str, Any]) -> bool:
    """Return whether two sets of parameters are equal once written as JSON."""
    return json.dumps(a, sort_keys=True, default=str) == json.dumps(b, sort_keys=True, default=str)
