"""One person's answer about one cell: checked, on the disk, and only then acknowledged.

The command line and the review page answer through here. Whoever answers holds the lease of the log from the check to
the line, so that no two answers that exclude each other are both taken.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ConfigError, InfeasibleError, MissingRowsError
from ...storage import tables
from ...storage.catalogue import now
from ...storage.decisions import (
    LEASE,
    MOST_DAUGHTERS,
    OF_DAUGHTERS,
    CellPlace,
    Decision,
    DecisionKind,
    counting,
    live,
    require_who,
    write_lines,
)
from ...storage.leases import lease
from ..candidates import edges_of
from .pins import PINNING, Answer, PinSet, pinning_answers, pins_among, refusal, told

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ...storage.catalogue import DetectionSet
    from ...storage.duckdb_store import DuckDBStore
    from ...storage.schema import Detections

WAIT_S = 10.0  # for another answer, which takes milliseconds


@dataclass(frozen=True, slots=True)
class Asked:
    """How a question was put; kept with the answer.

    Parameters
    ----------
    shown : list or None
        What was on the screen: pairs of daughters and their probability.
    solution, posterior : str or None
        What that came from.
    blind : bool
        Whether the answer of the solver was hidden.
    ms : int or None
        Milliseconds until the answer.
    """

    shown: list[Any] | None = None
    solution: str | None = None
    posterior: str | None = None
    blind: bool = False
    ms: int | None = None


@dataclass(frozen=True, slots=True)
class AnswerReport:
    """What an answer did.

    Parameters
    ----------
    decision : Decision
        The entry of the log.
    replaced : list of Decision
        Earlier ones that were taken back for it.
    added : int
        Links that became candidates for it.
    pins : int
        Answers that pin something in this movie, this one included.
    """

    decision: Decision
    replaced: list[Decision] = field(default_factory=list)
    added: int = 0
    pins: int = 0


class Annotator:
    """Takes answers about the cells of one detection set.

    Parameters
    ----------
    store : DuckDBStore
        The store.
    chosen : DetectionSet
        Detections that the answers are about.
    """

    def __init__(self, store: DuckDBStore, chosen: DetectionSet) -> None:
        self._store = store
        self._set = chosen

    @cached_property
    def detections(self) -> Detections:
        """All detections of the set, read once."""
        return self._store.detections(self._set)

    def cell_at(self, frame: int, label: int) -> int:
        """Return the number of the cell with a label in a frame.

        Raises
        ------
        MissingRowsError
            If there is none.
        """
        cells = self.detections
        first, stop = np.searchsorted(cells.frame, [frame, frame + 1])
        place = np.flatnonzero(cells.label[first:stop] == label)
        if not len(place):
            raise MissingRowsError(f"{self._set.movie.name} has no cell with label {label} in frame {frame}")
        return int(cells.id[first + place[0]])

    def answer(
        self,
        kind: DecisionKind | str,
        cell: int,
        daughters: Sequence[int] | None = None,
        *,
        who: str,
        add_candidate: bool = False,
        take_back: bool = False,
        asked: Asked | None = None,
        key: str | None = None,
    ) -> AnswerReport:
        """Take one answer; when this returns it is on the disk.

        Parameters
        ----------
        kind : DecisionKind or str
            What is said.
        cell : int
            Of which cell.
        daughters : sequence of int or None
            For ``choose`` and ``reject``, the cells it names.
        who : str
            Who says it.
        add_candidate : bool
            Make candidates of the links that are chosen and are none yet.
        take_back : bool
            Take earlier answers back that exclude this one.
        asked : Asked
            How the question was put.
        key : str or None
            Tells this answer from all others; given again, it is not taken again.

        Raises
        ------
        ConfigError
            If the kind does not go with the daughters, or nobody can be called `who`.
        MissingRowsError
            If a cell is not in the set.
        InfeasibleError
            If no solution could honour it: a third child, a daughter that does not come later, a link that is no
            candidate, or an earlier answer that excludes it; nothing is kept then.
        """
        require_who(who)
        kind = _known_kind(kind)
        named = _required_daughters(kind, daughters)
        rows = self._rows([cell, *named])
        self._require_later(rows)
        with lease(self._store.path, LEASE, holder="another answer", wait_s=WAIT_S):
            said = self._store.decisions()
            if key is not None and (twin := next((d for d in said if d.key == key), None)) is not None:
                return AnswerReport(twin, pins=len(self._settled(said)))
            decision = self._entry(said, who, kind, key, asked or Asked(), rows)
            new = Answer(decision, rows[0], tuple(rows[1:]))
            pins = self._settled(said)
            clashes = pins.clashes(new)
            if clashes and not take_back:
                raise refusal(decision, clashes, remedy="--replace, which takes back what excludes it")
            replaced = [clash.earlier.decision for clash in clashes]
            added = self._add_candidates(new, add=add_candidate) if kind in OF_DAUGHTERS else 0
            undoings = [_undoing([*said, decision], i, old, who) for i, old in enumerate(replaced)]
            write_lines(self._store.path, [decision, *undoings])  # a kill between two leaves a conflict, no gap
        return AnswerReport(decision, replaced, added, len(pins) - len(replaced) + (kind in PINNING))

    def _rows(self, cells: Sequence[int]) -> list[int]:
        rows = np.searchsorted(self.detections.id, cells)
        for cell, row in zip(cells, rows.tolist(), strict=True):
            if row == len(self.detections) or self.detections.id[row] != cell:
                where = f"{self._set.movie.name} has no cell {cell}"
                raise MissingRowsError(where, **{"try": f'trackdb sql {self._store.path} "from cells limit 10"'})
        return [int(row) for row in rows]

    def _require_later(self, rows: list[int]) -> None:
        frame, number = self.detections.frame, self.detections.id
        for row in rows[1:]:
            if frame[row] <= frame[rows[0]]:
                raise InfeasibleError(
                    f"cell {number[row]} of frame {frame[row]} cannot come from cell {number[rows[0]]} of frame "
                    f"{frame[rows[0]]}",
                    expected="a later frame",
                )

    def _settled(self, said: Sequence[Decision]) -> PinSet:
        """Return all pins of the movie; a conflict among older ones keeps nobody from answering about other cells."""
        pins = PinSet()
        for answer in pinning_answers(said, self._set.movie.name, self.detections)[0]:
            pins.add(answer)
        return pins

    def _entry(
        self, said: Sequence[Decision], who: str, kind: DecisionKind, key: str | None, asked: Asked, rows: list[int]
    ) -> Decision:
        cell, *daughters = (self._place(row) for row in rows)
        return Decision(
            seq=1 + max((d.seq for d in said), default=0),
            key=key or str(uuid.uuid4()),
            at=_moment(said),
            who=who,
            kind=kind,
            dataset=self._set.movie.name,
            cell=cell,
            daughters=tuple(daughters) if kind in OF_DAUGHTERS else None,
            shown=asked.shown,
            solution=asked.solution,
            posterior=asked.posterior,
            blind=asked.blind,
            ms=asked.ms,
        )

    def _place(self, row: int) -> CellPlace:
        cells = self.detections
        return CellPlace(int(cells.id[row]), int(cells.frame[row]), tuple(cells.position_px[row].tolist()))

    def _add_candidates(self, new: Answer, *, add: bool) -> int:
        """Make candidates of what is chosen and is none, if that is wanted; return how many there were."""
        e = tables.edge
        cells = self.detections
        mine = e.select().with_only_columns(e.c.target).where(e.c.source == int(cells.id[new.cell]), e.c.candidate)
        with self._store.reading() as connection:
            known = set(connection.execute(mine.where(e.c.set_id == self._set.id)).scalars())
        absent = [row for row in new.daughters if int(cells.id[row]) not in known]
        if not absent:
            return 0
        link = f"the link from cell {cells.id[new.cell]} to cell {cells.id[absent[0]]} is no candidate"
        if new.decision.kind is DecisionKind.REJECT:
            raise InfeasibleError(f"{link}: it cannot be chosen, there is nothing to forbid")
        if not add:
            raise InfeasibleError(link, **{"try": "--add-candidate, which makes it one"})
        edges = edges_of(cells, np.full(len(absent), new.cell), np.array(sorted(absent)))
        named = {"source": int(cells.id[new.cell]), "targets": cells.id[sorted(absent)].tolist()}
        with self._store.running("annotate", f"candidates of {named['source']}", named, chosen=self._set) as run:
            self._store.add_candidates(run, self._set, cells, edges, {"edges": len(edges)})
        return len(edges)


def undo(store: DuckDBStore, which: int | str | None = None, *, who: str) -> AnswerReport:
    """Take an entry back; when this returns that is on the disk.

    Parameters
    ----------
    store : DuckDBStore
        The store.
    which : int, str or None
        Number of the entry, or the beginning of its key; by default the newest of this person that counts. An undoing
        can be undone, too.
    who : str
        Who takes it back.

    Raises
    ------
    MissingRowsError
        If there is no such entry.
    ConfigError
        If it was taken back already, or the beginning of a key is that of several.
    InfeasibleError
        If what it took back itself would count again, and something excludes that by now.
    """
    require_who(who)
    with lease(store.path, LEASE, holder="another answer", wait_s=WAIT_S):
        said = store.decisions()
        old = _found(said, which, who)
        if old.key not in counting(said):
            raise ConfigError(f"it was taken back already: {told(old)}")
        undoing = _undoing(said, 0, old, who)
        then = [*said, undoing]
        if old.kind is DecisionKind.UNDO:
            pins_among(then, old.dataset, store.detections(store.detection_set(old.dataset)))
        write_lines(store.path, [undoing])
    left = sum(d.kind in PINNING and d.dataset == old.dataset for d in live(then))
    return AnswerReport(undoing, [old], 0, left)


def _known_kind(kind: DecisionKind | str) -> DecisionKind:
    known = [k.value for k in DecisionKind if k is not DecisionKind.UNDO]
    if kind not in known:
        raise ConfigError(f"{kind!r} is no answer about a cell", known=", ".join(known))
    return DecisionKind(kind)


def _required_daughters(kind: DecisionKind, daughters: Sequence[int] | None) -> list[int]:
    """Return the daughters that an answer names, or raise an error if they do not go with its kind."""
    named = list(daughters or ())
    if len(set(named)) < len(named):
        raise ConfigError("a cell is named twice", got=", ".join(map(str, named)))
    if (daughters is not None) != (kind in OF_DAUGHTERS):
        raise ConfigError(f"{kind.value} {'names no' if daughters is not None else 'needs'} daughters")
    if kind is DecisionKind.REJECT and not named:
        raise ConfigError("reject names the cells that it rejects")
    if kind is DecisionKind.CHOOSE and len(named) > MOST_DAUGHTERS:
        listed = ", ".join(map(str, named))
        raise InfeasibleError(f"a cell has at most two daughters, got {len(named)}: {listed}")
    return named


def _moment(said: Sequence[Decision]) -> datetime:
    """Return the time in whole seconds; never before the last entry, for the order of the log is that of its times."""
    return max([now().replace(microsecond=0), *(d.at for d in said[-1:])])


def _undoing(said: Sequence[Decision], after: int, old: Decision, who: str) -> Decision:
    return Decision(
        seq=1 + after + max(d.seq for d in said),
        key=str(uuid.uuid4()),
        at=_moment(said),
        who=who,
        kind=DecisionKind.UNDO,
        dataset=old.dataset,
        undo_of=old.key,
    )


def _found(said: Sequence[Decision], which: int | str | None, who: str) -> Decision:
    if which is None:
        own = [d for d in live(said) if d.who == who]
        if not own:
            raise MissingRowsError(f"{who} has said nothing that could be taken back")
        return own[-1]
    if isinstance(which, int):
        found = [d for d in said if d.seq == which]
    elif not which.strip():  # every key begins so
        raise ConfigError("undo of which annotation?", expected="its number, or how its key begins")
    else:
        found = [d for d in said if d.key.startswith(which)]
    if len(found) > 1:
        raise ConfigError(f"{which!r} tells no annotation from others", known=", ".join(d.key for d in found))
    if not found:
        raise MissingRowsError(f"there is no annotation {which}", **{"try": "trackdb annotations STORE lists them"})
    return found[0]
