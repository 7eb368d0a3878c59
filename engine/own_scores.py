"""Scores of one's own: from a table of pairs to edges between detections, on a scale that the cost model reads.

What a number means is what the user says. Where the user says nothing, numbers in 0 .. 1 that sum to 1 at most for each
target are probabilities. Others are similarities: larger where a link is likelier, their worth learned from the movie.
That reading is right for logits, and for any other number that rises with them, whatever its offset and unit.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import FormatError
from ..storage.formats.tabular.scores import ScoredPairs, read_scored_pairs
from .candidates import edges_of
from .config import AUTO, SCALES
from .costs.similarity import falls_with_links
from .scorers.base import Scores, ScoreScale

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from ..storage.schema import CandidateEdges, Detections

KEPT_AS: Final = dict(zip(SCALES, ("probability", "probability", "log_density", "similarity"), strict=True))
"""What a user can say of the numbers, and the scale that they are kept on."""

SUREST: Final = 30.0  # nats; larger log odds are no surer, and the exponential stays finite
ROUNDED: Final = 1e-3  # what the probabilities of a target may exceed 1 by: they were rounded when they were written


@dataclass(frozen=True, slots=True, eq=False)
class OwnScores:
    """What a table says of pairs of cells.

    Parameters
    ----------
    edges : CandidateEdges
        m pairs, not numbered yet.
    scores : Scores
        Their m scores.
    notes : list of str
        How the table was read.
    found : dict
        What the run keeps: name and SHA-256 digest of the file, and what the numbers were said to mean.
    """

    edges: CandidateEdges
    scores: Scores
    notes: list[str]
    found: dict[str, Any]


def read_own_scores(
    path: Path, detections: Detections, *, scale: str = AUTO, columns: Mapping[str, str] | None = None
) -> OwnScores:
    """Read the scores of a table.

    Parameters
    ----------
    path : Path
        A table of text or Parquet.
    detections : Detections
        n cells.
    scale : str
        ``auto``, ``probability``, ``log-odds``, ``log-density`` or ``similarity``.
    columns : mapping of str to str or None
        Columns as the user names them.

    Raises
    ------
    FormatError
        If a pair names a cell that is not there, runs backward in time or stands there twice, if a score is no finite
        number or does not fit the scale, or if similarities fall where links are likely.
    ConfigError
        If there is no such column.
    """
    pairs = read_scored_pairs(path, columns or {})
    source, target = rows_of_pairs(pairs, detections)
    order = np.lexsort((target, source))
    edges = edges_of(detections, source[order], target[order])
    value = pairs.score[order]
    total = np.bincount(edges.target, value, len(detections))
    meant, said = _meant(pairs, scale, most=float(total.max()))
    notes = [*pairs.notes, said]
    if len(value) > 1 and np.ptp(value) == 0:
        notes.append(f"all {len(value):,} pairs have the score {value[0]:g}: it tells no link from another")
    if meant == "probability":
        value, note = at_most_one_parent(value, edges.target, len(detections))
        notes += [note] if note else []
    elif meant == "log-odds":
        value = probabilities_of(value, edges.target, len(detections))
    scores = Scores(value, ScoreScale(KEPT_AS[meant]))
    if scores.scale is ScoreScale.SIMILARITY and falls_with_links(detections, edges, scores):
        raise FormatError(
            f"{path}: scores fall where cells are near each other and links are likely",
            expected="larger numbers for likelier links",
            **{"try": "turn their sign, or --scale log-odds to take them at their word"},
        )
    found = {"file": path.name, "sha256": digest_of(path), "given_as": meant, "pairs": len(pairs)}
    return OwnScores(edges, scores, notes, found)


def digest_of(path: Path) -> str:
    """Return the SHA-256 digest of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def rows_of_pairs(pairs: ScoredPairs, detections: Detections) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of source and target of each pair, checked.

    Raises
    ------
    FormatError
        At the first pair of the table that names a cell that is not there, does not run forward in time, or stands
        there twice.
    """
    table, n = pairs.table, len(detections)
    frames = pairs.frames or (None, None)
    source, target = (
        _rows_by_label(pairs, detections, label, frame) if pairs.by_label else _rows_by_id(pairs, detections, label)
        for label, frame in ((pairs.source, frames[0]), (pairs.target, frames[1]))
    )
    backward = np.flatnonzero(detections.frame[target] <= detections.frame[source])
    if len(backward):
        row = int(backward[0])
        a, b = detections.frame[source[row]], detections.frame[target[row]]
        raise FormatError(
            f"{table.where(row)}: the pair {_named(pairs, row)} runs from frame {a} to frame {b}",
            expected="a later frame",
        )
    key = source * n + target
    order = np.argsort(key, kind="stable")
    again = np.flatnonzero(np.diff(key[order]) == 0)
    if len(again):
        at = again[np.argmin(order[again + 1])]
        raise FormatError(
            f"{table.where(int(order[at + 1]))}: the pair {_named(pairs, int(order[at + 1]))} is there already",
            expected="each pair once",
            got=f"the same in {table.line(int(order[at]))}",
        )
    return source, target


def _rows_by_id(pairs: ScoredPairs, detections: Detections, wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    place = np.minimum(np.searchsorted(detections.id, wanted), max(len(detections) - 1, 0))
    lost = np.flatnonzero(detections.id[place] != wanted) if len(detections) else np.arange(len(wanted))
    if len(lost):
        row = int(lost[0])
        raise FormatError(
            f"{pairs.table.where(row)}: there is no cell {wanted[row]}",
            expected="numbers of the view cells",
            **{"try": "--columns source_frame=..,source_label=..,target_frame=..,target_label=.. for labels"},
        )
    return place


def _rows_by_label(
    pairs: ScoredPairs, detections: Detections, wanted: NDArray[np.int64], frame: NDArray[np.int64] | None
) -> NDArray[np.int64]:
    """Return the row of each label, in its frame, or anywhere where labels are unique in the movie."""
    labels, nth = np.unique(detections.label, return_inverse=True)
    if frame is None and len(labels) < len(detections):
        raise FormatError(
            f"{pairs.table.path} names cells by labels that come again in other frames, but no frames",
            **{"try": "--columns source_frame=NAME,target_frame=NAME"},
        )
    if not len(labels):
        raise FormatError(f"{pairs.table.path} names cells, but there are none")
    place = np.minimum(np.searchsorted(labels, wanted), len(labels) - 1)
    there = labels[place] == wanted
    known, key = nth, place
    if frame is not None:
        # a label is known by its rank, so that frame and label fit into one number
        span = int(detections.frame[-1]) + 1
        there &= frame < span
        known, key = detections.frame * len(labels) + nth, np.minimum(frame, span) * len(labels) + place
    order = np.argsort(known)
    at = np.minimum(np.searchsorted(known, key, sorter=order), len(order) - 1)
    row: NDArray[np.int64] = order[at]
    lost = np.flatnonzero(~there | (known[row] != key))
    if len(lost):
        first = int(lost[0])
        where = "" if frame is None else f" in frame {frame[first]}"
        raise FormatError(f"{pairs.table.where(first)}: there is no cell with label {wanted[first]}{where}")
    return row


def _named(pairs: ScoredPairs, row: int) -> str:
    return f"{pairs.source[row]} -> {pairs.target[row]}"


def _meant(pairs: ScoredPairs, scale: str, *, most: float) -> tuple[str, str]:
    """Return what the numbers of a table mean, and a note that says so; `most` is the largest sum of a target."""
    low, high = float(pairs.score.min()), float(pairs.score.max())
    shares = low >= 0 and high <= 1
    if scale == "probability" and not shares:
        row = int(np.flatnonzero((pairs.score < 0) | (pairs.score > 1))[0])
        raise FormatError(
            f"{pairs.table.where(row)}: score {pairs.score[row]:g} is no probability",
            expected="0 .. 1",
            **{"try": "--scale similarity, log-odds or log-density"},
        )
    if scale != AUTO:
        return scale, f"scores are read as {scale}, {low:.4g} .. {high:.4g}"
    if shares and most <= 1 + ROUNDED:
        return "probability", "scores lie in 0 .. 1 and are read as probabilities; --scale says otherwise"
    beyond = f", sum to {most:.3g} for a target" if shares else ""
    return "similarity", (
        f"scores lie in {low:.4g} .. {high:.4g}{beyond} and are read as similarities: what they are worth is learned "
        "from the movie; --scale says otherwise"
    )


def at_most_one_parent(
    probability: NDArray[np.float64], target: NDArray[np.int64], n: int
) -> tuple[NDArray[np.float64], str]:
    """Divide the probabilities of a target by their sum where that is more than 1; return them, and a note."""
    total = np.bincount(target, probability, n)
    over = int(np.count_nonzero(total > 1 + ROUNDED))
    note = (
        f"the probabilities of {over:,} of {np.count_nonzero(np.bincount(target, minlength=n)):,} targets sum to more "
        f"than 1, {total.max():.3g} at most: they are divided by their sum, since a cell has one parent"
    )
    return probability / np.maximum(total, 1.0)[target], note if over else ""


def probabilities_of(log_odds: NDArray[np.float64], target: NDArray[np.int64], n: int) -> NDArray[np.float64]:
    """Return the probability of each edge, its odds taken against the target being new: a softmax with that option."""
    odds = np.exp(np.clip(log_odds, -SUREST, SUREST))
    return np.asarray(odds / (1 + np.bincount(target, odds, n))[target], dtype=np.float64)
