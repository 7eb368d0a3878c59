"""One person's answer about one cell: checked, on the disk, and only then acknowledged.

The command line and the review page answer through here. Whoever answers holds the lease of the log from the check to
the line, so that no two answers that exclude each other are both taken.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from ...storage.decision_log import DecisionLog, merged_decisions
from ...storage.decisions import (
    OF_DAUGHTERS,
    Decision,
    DecisionKind,
    live,
    require_who,
)
from .answered import WAYS_OUT, AnswerReport, Asked
from .cells import Cells
from .checks import known_kind, required_daughters, required_note, twin_of
from .pins import PINNING, Answer, Clash, PinSet, attached, in_dispute, pinning_answers, refusal
from .undoing import (
    TakenBack,
    companion_key,
    companions,
    found,
    moment,
    newest_answer,
    newest_undoing,
    next_seq,
    take_back,
    undoing,
)
from .words import said, told

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ...storage.catalogue import DetectionSet
    from ...storage.duckdb_store import DuckDBStore
    from ...storage.schema import Detections
    from .answered import OnConflict


class Annotator:
    """Takes answers about the cells of one detection set, of any number of people.

    Detections and log are read once, and the log is read on as it grows, so that an answer costs a look at its files
    and one line on the disk. No connection is held. One thread at a time may call it.

    Parameters
    ----------
    store : DuckDBStore
        The store.
    chosen : DetectionSet
        Detections that the answers are about.

    Attributes
    ----------
    cells : Cells
        These detections, and the candidates among them.
    """

    def __init__(self, store: DuckDBStore, chosen: DetectionSet) -> None:
        self._store = store
        self._movie = chosen.movie.name
        self.cells = Cells(store, chosen)
        self._said: PinSet | None = None
        self._disputed: set[str] = set()
        self._heard = 0, 0  # how often the log was rewritten, and how many entries of it `_said` knows

    @cached_property
    def _log(self) -> DecisionLog:
        log = open_log(self._store)
        self._known = {d.key for d in log.entries}
        return log

    def prepare(self) -> None:
        """Read all that answers need, so that none has to open the tables; for who is going to give many."""
        self.cells.read_candidates()
        self._pins()

    def answer(
        self,
        kind: DecisionKind | str,
        cell: int,
        daughters: Sequence[int] | None = None,
        *,
        who: str,
        note: str | None = None,
        add_candidate: bool = False,
        on_conflict: OnConflict = "refuse",
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
        note : str or None
            What is added in words.
        add_candidate : bool
            Make candidates of the links that are chosen and are none yet.
        on_conflict : {"refuse", "replace", "keep", "unsure"}
            Where earlier answers exclude it: raise an error; take them back; leave them, and keep in the words of a
            flag what was meant; or take them back and keep of all the cells that they and this one are about that
            nobody can tell.
        asked : Asked
            How the question was put.
        key : str or None
            Tells this answer from all others; given again, it is not taken again.

        Raises
        ------
        ConfigError
            If the kind does not go with the daughters, nobody can be called `who`, or the key is that of another one.
        MissingRowsError
            If a cell is not in the set.
        InfeasibleError
            If no solution could honour it: a third child, a daughter that does not come later, or a link that is no
            candidate; nothing is kept then.
        ConflictError
            If an earlier answer excludes it; nothing is kept then.
        StoreFullError
            If there is no room to write it; nothing is kept then.
        """
        new = self._asked_for(kind, cell, daughters, who, note)
        with self._log.writing():
            pins = self._pins()
            twin = twin_of(self._log, key, who, new.decision.kind, cell)
            if twin is not None:
                return AnswerReport(twin, pins=self._kept(), repeated=True, also=[*companions(self._log, twin)])
            clashes = pins.clashes(new)
            if clashes and on_conflict == "refuse":
                raise refusal(new.decision, clashes, remedy=WAYS_OUT)
            entry = self._numbered(new.decision, key, asked or Asked())
            added = 0
            if clashes and on_conflict == "unsure":
                entry = replace(entry, kind=DecisionKind.UNSURE, daughters=None)
            elif clashes and on_conflict == "keep":
                entry, clashes = _meant(entry, clashes), []
            elif entry.kind in OF_DAUGHTERS:
                added = self.cells.add_candidates(new, add=add_candidate)
            along = self._because(entry, clashes)
            self._log.write([entry, *along])  # a kill between two leaves a conflict, no gap
        self._known |= {d.key for d in (entry, *along)}
        replaced = [clash.earlier.decision for clash in clashes]
        also = [d for d in along if d.kind is not DecisionKind.UNDO]
        return AnswerReport(entry, replaced, added, self._kept(), also=also)

    def undo(self, which: int | str | None = None, *, who: str, key: str | None = None) -> AnswerReport:
        """Take an entry back, by default the newest of this person about this movie; see `undo`."""
        return self._undone(which, who, key)

    def redo(self, *, who: str, key: str | None = None) -> AnswerReport:
        """Bring back what this person took back last about this movie; see `redo`."""
        return self._undone(None, who, key, redoing=True)

    def _undone(self, which: int | str | None, who: str, key: str | None, *, redoing: bool = False) -> AnswerReport:
        report = _took_back(
            self._store,
            self._log,
            which,
            who,
            redoing=redoing,
            key=key,
            dataset=self._movie,
            cells=lambda of: (
                self.cells.detections if of == self._movie else self._store.detections(self._store.detection_set(of))
            ),
        )
        self._known |= {d.key for d in (report.decision, *report.also)}
        return report

    def entries(self) -> list[Decision]:
        """Return all entries of the log, undoings too, of all movies, oldest first."""
        self._log.follow()
        return list(self._log.entries)

    def standing(self) -> list[Decision]:
        """Return what counts of the log about this movie, undoings apart, oldest first."""
        return [d for d in live(self.entries()) if d.dataset == self._movie]

    def news(self) -> list[Decision]:
        """Return what other processes wrote since the last call, or since this was opened, undoings too."""
        found = [d for d in self.entries() if d.key not in self._known]
        self._known |= {d.key for d in found}
        return found

    def _asked_for(
        self, kind: DecisionKind | str, cell: int, daughters: Sequence[int] | None, who: str, note: str | None
    ) -> Answer:
        """Return an answer that could be kept, if nothing that was said before excludes it; it has no number yet."""
        require_who(who)
        kind = known_kind(kind)
        named = required_daughters(kind, daughters)
        rows = self.cells.rows([cell, *named])
        self.cells.require_later(rows)
        place, *others = (self.cells.place(row) for row in rows)
        said = self._log.entries
        entry = Decision(
            seq=next_seq(said),
            key="",
            at=moment(said),
            who=who,
            kind=kind,
            dataset=self._movie,
            cell=place,
            daughters=tuple(others) if kind in OF_DAUGHTERS else None,
            note=required_note(note),
        )
        return Answer(entry, rows[0], tuple(rows[1:]))

    def _numbered(self, entry: Decision, key: str | None, asked: Asked) -> Decision:
        """Return an entry as it is written, behind all others."""
        said = self._log.entries
        return replace(
            entry,
            seq=next_seq(said),
            key=key or str(uuid.uuid4()),
            at=moment(said),
            shown=asked.shown,
            solution=asked.solution,
            posterior=asked.posterior,
            blind=asked.blind,
            ms=asked.ms,
            model=asked.model,
        )

    def _because(self, entry: Decision, clashes: Sequence[Clash]) -> list[Decision]:
        """Return what is written because of an answer: what it replaces is taken back."""
        said = [*self._log.entries, entry]
        along: list[Decision] = []

        def add(made: Decision) -> None:
            numbered = replace(made, seq=entry.seq + len(along) + 1, key=companion_key(entry.key, len(along) + 1))
            along.append(numbered)

        for clash in clashes:
            add(undoing(said, clash.earlier.decision, entry.who, key=""))
        if clashes and entry.kind is DecisionKind.UNSURE:
            others = {c.earlier.decision.cell: None for c in clashes if c.earlier.decision.cell is not None}
            for cell in others:
                if entry.cell is None or cell.id != entry.cell.id:
                    add(Decision(0, "", entry.at, entry.who, DecisionKind.UNSURE, entry.dataset, cell))
        return along

    def in_dispute(self) -> frozenset[str]:
        """Return the keys of the answers that exclude one another: they pin nothing until one of two is taken back."""
        self._log.follow()
        self._pins()
        return frozenset(self._disputed)

    def _pins(self) -> PinSet:
        """Return all pins of the movie, those in dispute too; a conflict elsewhere keeps nobody from answering."""
        log, (rewritten, known) = self._log, self._heard
        new = log.entries[known:]
        name = self._movie
        if self._said is None or log.rewritten != rewritten or any(d.kind is DecisionKind.UNDO for d in new):
            self._said, self._disputed = PinSet(), set()
            answers = pinning_answers(log.entries, name, self.cells.detections)[0]
        else:
            answers = attached([d for d in new if d.kind in PINNING and d.dataset == name], self.cells.detections)[0]
        for answer in answers:
            self._disputed |= in_dispute(self._said.disputes(answer))
            self._said.add(answer)
        self._heard = log.rewritten, len(log.entries)
        return self._said

    def _kept(self) -> int:
        """Return how many answers the next solve keeps."""
        return len(self._pins()) - len(self._disputed)


def _meant(entry: Decision, clashes: Sequence[Clash]) -> Decision:
    """Return the flag that keeps in words what was meant, where what excludes it is kept; it pins nothing."""
    against = "; ".join(told(clash.earlier.decision) for clash in clashes)
    words = f"meant: {said(entry)}, which is excluded: {against}"
    return replace(
        entry, kind=DecisionKind.FLAG, daughters=None, note=words if entry.note is None else f"{entry.note}; {words}"
    )


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
    ConflictError
        If what it took back itself would count again, and something excludes that by now.
    """
    return _took_back(store, open_log(store), which, who)


def redo(store: DuckDBStore, *, who: str) -> AnswerReport:
    """Bring back what a person took back last, if he has not answered anew since; when this returns it is on the disk.

    Raises
    ------
    MissingRowsError
        If there is nothing to bring back.
    ConflictError
        If something excludes it by now.
    """
    return _took_back(store, open_log(store), None, who, redoing=True)


def open_log(store: DuckDBStore) -> DecisionLog:
    """Return the log of a store as it stands."""
    with store.reading() as connection:
        log = DecisionLog(store.path, merged_decisions(connection))
    log.follow()
    return log


def _took_back(
    store: DuckDBStore,
    log: DecisionLog,
    which: int | str | None,
    who: str,
    *,
    redoing: bool = False,
    key: str | None = None,
    dataset: str | None = None,
    cells: Callable[[str], Detections] | None = None,
) -> AnswerReport:
    """Take back what is named, by default the newest answer of a person, or his newest undoing."""
    require_who(who)
    newest = newest_undoing if redoing else newest_answer
    with log.writing():
        twin = twin_of(log, key, who, DecisionKind.UNDO)
        if twin is not None:
            old, done = log.find(twin.undo_of or ""), TakenBack([twin], [], [])
        else:
            old = newest(log, who, dataset) if which is None else found(log.entries, which)
            done = take_back(
                log, old, who, key=key, cells=cells or (lambda of: store.detections(store.detection_set(of)))
            )
            log.write(done.written)
    first, *also = done.written
    left = sum(d.kind in PINNING and d.dataset == first.dataset for d in live(log.entries))
    replaced = [old, *(d for d in done.gone if d is not old)] if old else []
    return AnswerReport(first, replaced, 0, left, repeated=twin is not None, also=also, restored=done.restored)
