"""One server's state of a review: the answers of one person, what each of them did, and what a page shows of it.

An answer is on the disk before anything else hears of it. What others write into the log, in other processes too, is
picked up before each answer and whenever somebody looks. Nothing here knows of HTTP, and no connection to the database
is held between two calls.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from ...errors import InfeasibleError, MissingRowsError
from ...storage.catalogue import now
from ...storage.decisions import CellPlace, Decision, DecisionKind, require_who
from ...storage.duckdb_store import DuckDBStore
from ...storage.folders import require_writable
from ...storage.log_files import ANNOTATIONS
from ..annotations.answered import Asked
from ..annotations.records import work
from ..progress import Silent
from .agenda import LISTED, Agenda
from .audit import audit_of
from .interview import Interview
from .material import Wanted, read_material, revision_of
from .order import Order
from .record import agreed_in_a_row, apart, can_redo
from .resolved import Resolves
from .saying import Effect, Heard, Progress, State, Stats
from .trying import effect_of
from .turns import OVERLAP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..annotations.answered import AnswerReport
    from ..config import Config
    from ..progress import Progress as Stages
    from .descent import Relative
    from .material import Material
    from .pictures import Pictures
    from .put import Put
    from .queue import ReviewList
    from .resolved import Resolved
    from .saying import Done, Said, Told

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
    StoreError
        If the store cannot be written.
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
        require_writable(store.path, store.path / ANNOTATIONS)  # or no answer could be kept
        self.who, self.audit, self.overlap = require_who(who), audit, overlap
        self._store, self._config, self._wanted = store, config, wanted or Wanted()
        self._lock = threading.RLock()
        self._heard: list[Heard] = []
        self._glance = DuckDBStore(store.path, patience_s=GLANCE_S)
        self._resolves = Resolves(self._glance, self._wanted.dataset)
        material = read_material(store, revision_of(store, self._wanted), config, progress)
        progress.start(FIRST_QUESTION)
        self._interview = Interview(self._agenda_of(material), limit)
        self._open_start, self._wrong_start = self.open, self._agenda.expected_wrong

    def _agenda_of(self, material: Material) -> Agenda:
        return Agenda(material, self.who, self.audit, self.overlap)

    @property
    def _agenda(self) -> Agenda:
        return self._interview.agenda

    @property
    def name(self) -> str:
        """Name of the store."""
        return self._store.path.name

    @property
    def material(self) -> Material:
        """The posterior under review, as it was read last."""
        return self._agenda.material

    @property
    def revision(self) -> str:
        """What questions are made from."""
        return self._agenda.revision

    @property
    def n_entries(self) -> int:
        """How many entries of the log are known."""
        return self._agenda.log.n_entries

    @property
    def answered(self) -> int:
        """Answers of this person that count."""
        return len(self._agenda.own)

    @property
    def open(self) -> int:
        """Cells that are in doubt and that nobody has answered."""
        return self._agenda.listed.open

    @property
    def unattached(self) -> list[Decision]:
        """What counts of the log about cells that are not among these detections."""
        return self._agenda.log.unattached

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
            if cell is None:
                return self._state(client, *self._interview.next(client, after))
            return self._state(client, self._interview.again(client, cell))

    def state_after(self, refused: Said) -> State:
        """Return what a page shows once an answer was refused: its question as it stands now, else the next one."""
        with self._lock:
            try:
                return self.state(refused.client, cell=refused.cell)
            except MissingRowsError:  # the store was solved again, of detections without this cell
                return self.state(refused.client)

    def _state(self, client: str, question: Put | None, why: str | None = None) -> State:
        agenda, taken = self._agenda, frozenset(self._interview.taken(client))
        at = -1 if question is None else question.cell
        answers = [d for d in agenda.log.standing if d.cell is not None and d.cell.id == at]
        hidden = question is not None and question.blind
        return State(
            self.n_entries,
            self.revision,
            question,
            [] if hidden else answers,
            why,
            agenda.ahead(taken, at),
            agenda.listed,
            taken,
            agenda.said_last(at if hidden else None),
            self._progress(),
        )

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
            if answer.key not in self._agenda.log.keys:
                self._agenda.require_fresh(answer)
            report = self._write(answer, self._interview.is_audit(answer))
            done = self._agenda.follow(report)
            if not report.repeated and report.decision.kind is not DecisionKind.FLAG:
                self._interview.answered += 1
            stays = report.decision.kind is DecisionKind.FLAG and answer.resolve != KEEP
            if stays:
                return done, self._state(answer.client, self._interview.again(answer.client, answer.cell))
            return done, self._state(answer.client, *self._interview.next(answer.client))

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
            done = self._agenda.follow(report)
            return done, self._state(client, *self._interview.taken_back(client, report.replaced))

    def redo(self, client: str, key: str) -> tuple[Done, State]:
        """Bring back what this person took back last; as `undo`."""
        with self._lock:
            self._hear()
            report = self.material.annotator.redo(who=self.who, key=key)
            done = self._agenda.follow(report)
            return done, self._state(client, *self._interview.next(client))

    def preview(self, cell: int, kind: str, daughters: Sequence[int] | None) -> Effect:
        """Return what an answer would do; nothing is written.

        Raises
        ------
        InfeasibleError
            If what counts excludes it.
        """
        with self._lock:
            if self._interview.hides(cell):
                return Effect([], None, blind=True)
            entry = self._entry(cell, kind, daughters)
            return effect_of(self.material, entry, calibrated=self._agenda.is_calibrated)

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
        self._heard += self._agenda.hear()

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
            self._interview.agenda = self._agenda_of(material)
        return True

    def lineage(self, cell: int) -> tuple[list[Relative], list[float | None], bool]:
        """Return the piece of a lineage around a cell, how likely each link to a parent is, and whether it is told.

        Of a cell that somebody is asked about blind it is the past alone, for what comes is what is asked.
        """
        with self._lock:
            self.material.candidates.row(cell)
            blind = self._interview.hides(cell)
            relatives = self.material.descent.around(cell, history=blind)
            review = self.material.review
            likely = [None if blind or r.parent is None else review.probability(r.parent, r.cell) for r in relatives]
            return relatives, likely, blind

    def queue(self, client: str, top: int) -> tuple[ReviewList, set[int]]:
        """Return the questions that are worth most, and the cells about which others are asked now."""
        with self._lock:
            self._hear()
            return self._agenda.rank(top), self._interview.taken(client)

    def recent(self, most: int) -> list[Told]:
        """Return this person's newest answers, the newest first."""
        return self._agenda.recent(most)

    def stats(self) -> Stats:
        """Return who said how much, how the audit stands, and where people disagree."""
        with self._lock:
            self._hear()
            entries, counts = self._agenda.log.entries, self._agenda.log.counts
            revision = self.material.revision
        audit = audit_of(self._store, revision.chosen, entries, revision.solution)
        return Stats(work(self._store), audit, apart(entries, revision.chosen.movie.name, counts))

    def _progress(self) -> Progress:
        agenda, own = self._agenda, self._agenda.own
        agreed = agreed_in_a_row(own, self.material.descent.solved, AGREED)
        return Progress(
            answered=len(own),
            sitting=self._interview.answered,
            limit=self._interview.limit,
            open=self.open,
            open_start=self._open_start,
            expected_wrong=agenda.expected_wrong,
            expected_wrong_start=self._wrong_start,
            audits=sum(d.blind for d in agenda.log.standing),
            agreed_in_a_row=agreed,
            stop_offered=agreed >= AGREED,
            can_undo=bool(own),
            can_redo=can_redo(agenda.log.entries, self.who, agenda.log.counts),
        )
