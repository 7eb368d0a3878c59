"""A posterior that a store holds, from Python: how likely each link is, what each cell does, where to look first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..storage.sandbox import Answer, ask
from .config import load_config
from .notebook.bar import bar_in_notebook
from .notebook.questions import PicturedList, pictured
from .posterior.lineages import DrawnLineages, draw_lineages
from .review.asking import ask_first
from .review.opening import open_review
from .review.queue import ERROR_REDUCTION

if TYPE_CHECKING:
    from ..storage.catalogue import DetectionSet, SolutionInfo
    from ..storage.duckdb_store import DuckDBStore
    from ..storage.posteriors import PosteriorInfo
    from .review.live import OpenReview


@dataclass(frozen=True, slots=True)
class StoredPosterior:
    """A posterior that a store holds.

    Attributes
    ----------
    name, method, solution : str
        Its name, how it was computed, and the solution that it belongs to.
    temperature : float
        What costs were divided by.
    calibrated : bool
        Whether that was fitted to movies with truth.
    """

    _store: DuckDBStore
    _set: DetectionSet
    _solution: SolutionInfo
    _info: PosteriorInfo

    def __repr__(self) -> str:
        return f"<posterior {self.name} of {self.solution} by {self.method}>"

    @property
    def name(self) -> str:
        """Name of the posterior."""
        return self._info.name

    @property
    def method(self) -> str:
        """How it was computed."""
        return self._info.method

    @property
    def solution(self) -> str:
        """Name of its solution."""
        return self._solution.name

    @property
    def temperature(self) -> float:
        """What costs were divided by."""
        return self._info.temperature

    @property
    def calibrated(self) -> bool:
        """Whether the temperature was fitted to movies with truth."""
        return self._info.calibrated

    @property
    def links(self) -> Answer:
        """All candidates: source, target, probability, how, error."""
        return self._ask(
            "select e.source, e.target, v.probability, v.how, v.error "
            "from edge_probability v join edge e using (edge_id)",
            "order by e.source, e.target",
        )

    @property
    def outcomes(self) -> Answer:
        """What each cell may do: cell, rank, daughters (a list of numbers), probability, how, error."""
        return self._ask(
            "select det_id as cell, rank, cast(daughters as bigint[]) as daughters, probability, how, error "
            "from cell_outcome v",
            "order by cell, rank",
        )

    def uncertain(self, top: int = 20, *, by: str = ERROR_REDUCTION) -> PicturedList:
        """Return the questions whose answers are worth most; see `engine.review.queue.uncertain`.

        A notebook shows the first ones with pictures.

        Posteriors of links alone (``softmax``, ``perturb``) ask whose daughter a cell is: ``view`` is ``parents``.

        Examples
        --------
        >>> for question in posterior.uncertain(top=5):  # doctest: +SKIP
        ...     print(question.cell, question.outcomes)
        """
        settings = load_config(self._store.path)
        with bar_in_notebook() as progress:
            asked = ask_first(
                self._store, self._set, self._solution, self._info, settings, top=top, by=by, progress=progress
            )
        return pictured(asked, self._store, self._set)

    def open(self) -> OpenReview:
        """Open a review: the posterior and the list of questions follow each answer at once; nothing is written.

        Annotations that are newer than the posterior count, too. It takes posteriors by the method ``auto``.

        Raises
        ------
        ConfigError
            If the posterior is by a method that a review cannot follow: one that does not weigh whole selections.

        Examples
        --------
        >>> review = posterior.open()  # doctest: +SKIP
        >>> review.choose(1873, [1911, 1912])  # doctest: +SKIP
        >>> review.uncertain(top=5, by="entropy")  # doctest: +SKIP
        >>> review.undo()  # doctest: +SKIP
        """
        return open_review(self._store, self._set, self._solution, self._info, load_config(self._store.path))

    def lineages(self, n_draws: int = 100, *, seed: int = 0) -> DrawnLineages:
        """Draw whole lineages, each as often as it is likely: what is true of how many of them is how likely it is.

        Annotations that are newer than the posterior count, too. See `engine.posterior.lineages.draw_lineages`.

        Examples
        --------
        >>> drawn = posterior.lineages(1000)  # doctest: +SKIP
        >>> drawn.descends(1911, 17).mean()  # doctest: +SKIP
        """
        settings = load_config(self._store.path)
        return draw_lineages(self._store, self._set, self._solution, self._info, n_draws, settings, seed=seed)

    def _ask(self, what: str, order: str) -> Answer:
        return ask(self._store.path, f"{what} where v.posterior_id = $id {order}", {"id": self._info.id})
