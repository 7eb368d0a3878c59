"""One server's state of a review: the log followed, the posterior that knows it, and who is asked what.

An answer is on the disk before anything else hears of it. What others write into the log, in other processes too, is
picked up before each answer and whenever somebody looks. Nothing here knows of HTTP, and no connection to the database
is held between two calls.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

import numpy as np

from ...errors import InfeasibleError, MissingRowsError, StaleError
from ...storage.catalogue import now
from ...storage.decisions import CellPlace, Decision, DecisionKind, require_who
from ...storage.duckdb_store import DuckDBStore
from ..annotations.answered import Asked
from ..annotations.records import work
from ..progress import Silent
from .audit import audit_of
from .choosing import Choosing
from .known import KnownLog
from .material import Wanted, read_material, revision_of
from .opening import ITS_OWN
from .order import Order
from .put import put
from .queue import ANSWERS
from .record import agreed_in_a_row, apart, can_redo, taken_back
from .resolved import Resolves
from .saying import Done, Effect, Heard, Progress, State, Stats
from .trying import effect_of
from .turns import OVERLAP, Turns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..annotations.answered import AnswerReport
    from ..config import Config
    from ..progress import Progress as Stages
    from .choosing import Drawn
    from .descent import Relative
    from .material import Material
    from .pictures import Pictures
    from .put import Put
    from .queue import Outcome, ReviewList
    from .resolved import Resolved
    from .saying import Said

LISTED: Final = 20
AHEAD: Final = 3  # questions that are made ready while one is answered
RECENT: Final = 5
AGREED: Final = 30  # answers in a row that agree with the solver: time to offer an end
KEEP: Final = "keep"
FIRST_QUESTION: Final = "finding the first question"
GLANCE_S: Final = 0.2  # who only looks whether the store was solved again does not wait for who writes


class ReviewSession:
    """A review by one person.

    Parameters
    ----------
    store : DuckDBStore
        The store.
    config : Config
        Settings.
    who : str
        Who answers.
    wanted : Wanted
        Which posterior is reviewed.
    audit : float
        Share of questions that are drawn at random and asked blind.
    overlap : float
        Share of questions that are such as somebody else has answered.
    limit : int or None
        Answers after which nothing more is asked.
    progress : engine.progress.Progress or None
        Is told the stages of opening.

    Raises
    ------
    MissingRowsError
        If there is no posterior that a review can follow.
    ConfigError
        If nobody can be called `who`.
    InfeasibleError
        If an entry of the log asks for a link that is no candidate.
    """

    def __init__(
        self,
        store: DuckDBStore,
        config: Config,
        *,
        who: str,
        wanted: Wanted | None = None,
        audit: float = 0.1,
        overlap: float = OVERLAP,
        limit: int | None = None,
        progress: Stages | None = None,
    ) -> None:
        progress = progress or Silent()
        self.who, self.audit, self.overlap, self.limit = require_who(who), audit, overlap, limit
        self._store, self._config, self._wanted = store, config, wanted or Wanted()
        self._lock = threading.RLock()
        self._turns = Turns()
        self._sitting = 0
        self._heard: list[Heard] = []
        self._glance = DuckDBStore(store.path, patience_s=GLANCE_S)
        self._resolves = Resolves(self._glance, self._wanted.dataset)
        material = read_material(store, revision_of(store, self._wanted), config, progress)
        progress.start(FIRST_QUESTION)
        self._take_up(material)
        self._open_start, self._wrong_start = self._list.open, self._expected_wrong()

    def _take_up(self, material: Material) -> None:
        """Begin with what was read: at the start, and when the store was solved again."""
        self.material = material
        self._order = Order()
        self._log = KnownLog(material.annotator, material.revision.chosen.movie.name, material.detections)
        self._changed: dict[int, int] = {}  # number of the entry that last touched the question of a cell
        self._choosing = Choosing(material, self.who, self.audit, self.overlap)
        self._look_again()

    @property
    def name(self) -> str:
        """Name of the store."""
        return self._store.path.name

    @property
    def revision(self) -> str:
        """What questions are made from."""
        return str(self.material.revision)

    @property
    def seq(self) -> int:
        """Number of the newest entry of the log."""
        return self._log.seq

    @property
    def answered(self) -> int:
        """Answers of this person that count."""
        return len(self._log.of(self.who))

    @property
    def open(self) -> int:
        """Cells that are in doubt and that nobody has answered."""
        return self._list.open

    @property
    def unattached(self) -> list[Decision]:
        """What counts of the log about cells that are not among these detections."""
        return self._log.unattached

    @property
    def pictures(self) -> Pictures:
        """What is around cells."""
        return self.material.pictures

    # what is asked

    def state(self, client: str, *, cell: int | None = None, after: int | None = None) -> State:
        """Return what a page shows.

        Parameters
        ----------
        client : str
            The page.
        cell : int or None
            Ask about this cell, whatever is next.
        after : int or None
            Ask what comes after the question of this cell, which is left for later.
        """
        with self._lock:
            self._hear()
            question, why = self._next(client, after) if cell is None else (self._put_again(client, cell), None)
            return self._state(client, question, why)

    def _state(self, client: str, question: Put | None, why: str | None) -> State:
        taken = frozenset(self._turns.taken(client))
        at = -1 if question is None else question.cell
        ahead = self._choosing.ahead(self._list, self._log.entries, self._log.standing, set(taken), at)[:AHEAD]
        answers = [d for d in self._log.standing if d.cell is not None and d.cell.id == at]
        hidden = question is not None and question.blind
        return State(
            self.seq,
            self.revision,
            question,
            [] if hidden else answers,
            why,
            tuple(ahead),
            self._list,
            taken,
            self._said_last(at if hidden else None),
            self._progress(),
        )

    def _next(self, client: str, after: int | None) -> tuple[Put | None, str | None]:
        """Return the question that somebody is to answer, or why there is none.

        What a person took back last comes first until he answers something, also after a reload or a new start.
        """
        again = self._again(client) if after is None else None
        if again is not None and again.cell is not None:
            return self._put(client, again.cell.id, blind=again.blind, audit=again.blind), None
        if self.limit is not None and self._sitting >= self.limit:
            self._turns.give_up(client)
            return None, "limit"
        drawn = self._choosing.next(self._list, self._log.entries, self._log.standing, self._turns.taken(client), after)
        if drawn is None:
            self._turns.give_up(client)
            return None, "done"
        return self._put(client, drawn.cell, blind=drawn.blind, audit=drawn.audit, shown=drawn.shown), None

    def _again(self, client: str) -> Decision | None:
        """Return the answer that this person took back last, if its cell is open and nobody else is asked about it."""
        last = taken_back(self._log.entries, self.who, self._log.counts)
        found = None if last is None else self._log.placed(last)
        if found is None or found.cell is None or found.cell.id in self._answered() | self._turns.taken(client):
            return None
        return found

    def _put(
        self, client: str, cell: int, *, blind: bool = False, audit: bool = False, shown: Sequence[Outcome] = ()
    ) -> Put:
        """Return the question of a cell, and note that it is this one's turn."""
        review = self.material.review
        listed = next((item for item in self._list if item.cell == cell), None)
        question = listed or review.question(cell)
        self._turns.take(client, cell, blind=blind, audit=audit)
        return put(review, self.material.candidates, question, blind=blind, shown=shown)

    def _put_again(self, client: str, cell: int) -> Put:
        """Return the question of a cell; where this one is asked it now, blind, it stays so."""
        turn = self._turns.about(client, cell)
        if turn is None or not turn.blind:
            return self._put(client, cell)
        drawn = self._drawn(cell)
        return self._put(client, cell, blind=True, audit=turn.audit, shown=() if drawn is None else drawn.shown)

    # what is said

    def decide(self, answer: Said) -> tuple[Done, State]:
        """Take an answer; when this returns it is on the disk, and what comes next knows it.

        Raises
        ------
        StaleError
            If something became known of the question since it was put; nothing is kept.
        ConflictError
            If an earlier answer excludes it; nothing is kept.
        InfeasibleError, MissingRowsError, ConfigError, StoreError
            As of `Annotator.answer`; nothing is kept.
        """
        with self._lock:
            self._hear()
            if answer.key not in self._log.keys:
                self._require_fresh(answer)
            report = self._write(answer, self._is_audit(answer))
            done = self._follow(report)
            if not report.repeated and report.decision.kind is not DecisionKind.FLAG:
                self._sitting += 1
            stays = report.decision.kind is DecisionKind.FLAG and answer.resolve != KEEP
            question, why = (
                (self._put_again(answer.client, answer.cell), None) if stays else self._next(answer.client, None)
            )
            return done, self._state(answer.client, question, why)

    def _require_fresh(self, answer: Said) -> None:
        since = max(
            self._changed.get(answer.cell, 0),
            *(d.seq for d in self._log.entries if d.cell is not None and d.cell.id == answer.cell),
            0,
        )
        if answer.revision != self.revision:
            raise StaleError("the store was solved again since this question was put: reload it")
        if since > answer.seen:
            newer = next(d for d in self._log.entries if d.seq == since)
            raise StaleError(
                f"cell {answer.cell} is no longer what was on the screen: reload the question",
                **{"since": f"#{newer.seq} of {newer.who}"},
            )

    def _is_audit(self, answer: Said) -> bool:
        """Tell whether an answer is of the audit.

        What was asked before a restart is drawn again from the log: that a page calls it blind is not enough.
        """
        turn = self._turns.about(answer.client, answer.cell)
        if turn is not None:
            return turn.audit
        own = (d for d in self._log.entries if d.who == self.who and d.cell is not None and d.cell.id == answer.cell)
        drawn = self._drawn(answer.cell)
        return answer.blind and ((drawn is not None and drawn.audit) or any(d.blind for d in own))

    def _is_blind(self, client: str, cell: int) -> bool:
        turn = self._turns.about(client, cell)
        return turn.blind if turn is not None else self._drawn(cell) is not None

    def _drawn(self, cell: int) -> Drawn | None:
        """Return what is drawn now, if it is the question of this cell, whoever else may be asked it."""
        drawn = self._choosing.draw(self._log.entries, self._log.standing, set())
        return drawn if drawn is not None and drawn.cell == cell else None

    def _write(self, answer: Said, blind: bool) -> AnswerReport:
        """Put an answer into the log."""
        kind, daughters = answer.kind, answer.daughters
        if kind == DecisionKind.REJECT and daughters is None:
            row = self.material.candidates.row(answer.cell)
            daughters = tuple(link.target for link in self.material.candidates.leaving(row))
            if not daughters:
                raise InfeasibleError(f"cell {answer.cell} has no candidates that could be rejected")
        revision = self.material.revision
        return self.material.annotator.answer(
            kind,
            answer.cell,
            None if daughters is None else list(daughters),
            who=self.who,
            key=answer.key,
            asked=Asked(answer.shown, revision.solution.name, revision.posterior.name, blind, answer.ms),
            note=answer.note,
            on_conflict=answer.resolve or "refuse",
        )

    def undo(self, client: str, key: str, which: int | None = None) -> tuple[Done, State]:
        """Take an entry back, by default this person's newest that counts, and ask its question again.

        Raises
        ------
        MissingRowsError, ConfigError, InfeasibleError, StoreError
            As of `Annotator.undo`.
        """
        with self._lock:
            self._hear()
            report = self.material.annotator.undo(which, who=self.who, key=key)
            return self._taken_back(client, report, report.replaced)

    def redo(self, client: str, key: str) -> tuple[Done, State]:
        """Bring back what this person took back last; as `undo`."""
        with self._lock:
            self._hear()
            report = self.material.annotator.redo(who=self.who, key=key)
            done = self._follow(report)
            question, why = self._next(client, None)
            return done, self._state(client, question, why)

    def _taken_back(self, client: str, report: AnswerReport, old: Sequence[Decision]) -> tuple[Done, State]:
        done = self._follow(report)
        again = next((d for d in old if d.cell is not None), None)
        if again is None or again.cell is None or again.dataset != self.material.followed.movie.dataset:
            question, why = self._next(client, None)
        else:
            question, why = self._put(client, again.cell.id, blind=again.blind, audit=again.blind), None
        return done, self._state(client, question, why)

    def preview(self, client: str, cell: int, kind: str, daughters: Sequence[int] | None) -> Effect:
        """Return what an answer would do; nothing is written.

        Raises
        ------
        InfeasibleError
            If what counts excludes it.
        """
        with self._lock:
            if self._is_blind(client, cell):
                return Effect([], None, blind=True)
            entry = self._entry(cell, kind, daughters)
            return effect_of(self.material, entry, calibrated=self._is_calibrated)

    def _entry(self, cell: int, kind: str, daughters: Sequence[int] | None) -> Decision:
        """Return what would be written of an answer, as far as its effect goes."""
        named = None if daughters is None else tuple(CellPlace(daughter) for daughter in daughters)
        dataset = self.material.followed.movie.dataset
        return Decision(0, "", now(), self.who, DecisionKind(kind), dataset, CellPlace(cell), named)

    # what is known

    def hear(self) -> list[Heard]:
        """Pick up what others wrote into the log, and return what came in since the last call."""
        with self._lock:
            self._hear()
            heard, self._heard = self._heard, []
            return heard

    def _hear(self) -> None:
        news = [d for d in self.material.annotator.news() if d.key not in self._log.keys]
        if news:
            touched = self._known_now(max(d.seq for d in news))
            self._heard += [Heard(d, touched) for d in news]

    def _follow(self, report: AnswerReport) -> Done:
        """Know what was written just now."""
        if report.repeated:
            return Done(report)
        before = self.material.review.in_doubt
        touched = self._known_now(report.decision.seq)
        rows = np.searchsorted(self.material.detections.id, sorted(touched))
        settled = before[rows] & ~self.material.review.in_doubt[rows]
        return Done(report, touched, int(np.count_nonzero(settled)))

    def _known_now(self, seq: int) -> frozenset[int]:
        """Follow the log, and return the cells of which something else may hold since."""
        self._log.read()
        touched = self.material.followed.follow(self._log.settled)
        self._changed.update(dict.fromkeys(touched, seq))
        self._look_again()
        return touched

    def _look_again(self) -> None:
        """Find out which questions are worth most now."""
        self.material.descent.heed(self._log.standing)
        self._list = self._listed(LISTED)

    def _listed(self, top: int) -> ReviewList:
        return self._order.listed(self.material.review, top, self._answered())

    def _answered(self) -> set[int]:
        """Return the cells that are not asked about again; where people contradict each other, they are."""
        return {d.cell.id for d in self._log.settled if d.kind in ANSWERS and d.cell is not None}

    def solved_again(self) -> Resolved | None:
        """Return what a solution changed that is newer than the one reviewed; None where it was told, or is none.

        Raises
        ------
        StoreLockedError
            If another process is writing.
        """
        return self._resolves.look(self.material)

    @property
    def changes(self) -> Resolved | None:
        """What the last newer solution changed."""
        return self._resolves.last

    def reload(self, progress: Stages | None = None) -> bool:
        """Read the store again if it was solved again since, and return whether it was; meanwhile questions go on.

        Parameters
        ----------
        progress : engine.progress.Progress or None
            Is told the stages of reading.

        Raises
        ------
        StoreLockedError
            If another process is writing.
        """
        try:
            revision = revision_of(self._glance, self._wanted)
        except MissingRowsError:  # the newest solution has no posterior yet: the questions of the one before go on
            return False
        if str(revision) == self.revision:
            return False
        progress = progress or Silent()
        material = read_material(self._store, revision, self._config, progress)
        progress.start(FIRST_QUESTION)
        Order().listed(material.review, LISTED, set())  # what the first list prepares, nobody waits for
        with self._lock:
            self._take_up(material)
        return True

    def lineage(self, cell: int) -> tuple[list[Relative], list[float | None], bool]:
        """Return the piece of a lineage around a cell, how likely each link to a parent is, and whether it is told.

        Of a cell that somebody is asked about blind it is the past alone, for what comes is what is asked.
        """
        with self._lock:
            self.material.candidates.row(cell)
            blind = self._turns.is_blind(cell)
            if blind is None:
                blind = self._drawn(cell) is not None
            relatives = self.material.descent.around(cell, history=blind)
            review = self.material.review
            likely = [None if blind or r.parent is None else review.probability(r.parent, r.cell) for r in relatives]
            return relatives, likely, blind

    def queue(self, client: str, top: int) -> tuple[ReviewList, set[int]]:
        """Return the questions that are worth most, and the cells about which others are asked now."""
        with self._lock:
            self._hear()
            return self._listed(top), self._turns.taken(client)

    def recent(self, most: int) -> list[tuple[Decision, bool]]:
        """Return this person's newest entries, the newest first, and whether each was taken back."""
        own = [d for d in self._log.entries if d.who == self.who and d.kind is not DecisionKind.UNDO]
        return [(d, d.key not in self._log.counts) for d in reversed(own[-most:])]

    def _said_last(self, hidden: int | None) -> list[tuple[Decision, bool]]:
        """Return everybody's newest entries as `recent`, but for what others said of a cell that is asked blind."""
        told = [d for d in self._log.entries if d.kind is not DecisionKind.UNDO]
        if hidden is not None:
            told = [d for d in told if d.who == self.who or d.cell is None or d.cell.id != hidden]
        return [(d, d.key not in self._log.counts) for d in reversed(told[-RECENT:])]

    def stats(self) -> Stats:
        """Return who said how much, how the audit stands, and where people disagree."""
        with self._lock:
            self._hear()
            entries, counts = self._log.entries, self._log.counts
            revision = self.material.revision
        audit = audit_of(self._store, revision.chosen, entries, revision.solution)
        return Stats(work(self._store), audit, apart(entries, revision.chosen.movie.name, counts))

    def _progress(self) -> Progress:
        own = self._log.of(self.who)
        agreed = agreed_in_a_row(own, self.material.descent.solved, AGREED)
        return Progress(
            answered=len(own),
            sitting=self._sitting,
            limit=self.limit,
            open=self._list.open,
            open_start=self._open_start,
            expected_wrong=self._expected_wrong(),
            expected_wrong_start=self._wrong_start,
            audits=sum(d.blind for d in self._log.standing),
            agreed_in_a_row=agreed,
            stop_offered=agreed >= AGREED,
            can_undo=bool(own),
            can_redo=can_redo(self._log.entries, self.who, self._log.counts),
        )

    @property
    def _is_calibrated(self) -> bool:
        posterior = self.material.revision.posterior
        return posterior.calibrated and posterior.method in ITS_OWN

    def _expected_wrong(self) -> float | None:
        return self.material.review.expected_errors if self._is_calibrated else None
