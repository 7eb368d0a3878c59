"""A course of lessons: epochs of steps, each epoch with an examination; it may stop anywhere and go on."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

from ....errors import TrainingError
from ..history import Epoch
from ..schedule import share_of_rate
from .judging import validate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from torch import Tensor

    from ...models.transformer import AssociationTransformer
    from ...progress import Progress
    from ...train_config import Recipe
    from ..unfinished import Checkpoint
    from .examples import Example
    from .pupil import Pupil

Why = Literal["epochs", "no better", "time limit"]


class Lessons(Protocol):
    """Who has examples."""

    def batches(self, epoch: int, begin: int) -> Iterator[Sequence[Example]]:
        """Yield the examples of each step of an epoch, always the same ones, from step `begin` on."""
        ...

    def validation(self) -> Iterable[Sequence[Example]]:
        """Return examples that nothing is learned from, always the same ones."""
        ...


@dataclass(slots=True)
class Standing:
    """How far a course is.

    Parameters
    ----------
    epoch, step : int
        Epochs that are done, and steps of the one at work.
    blame, examples : float, int
        Sum of losses of that epoch by examples, and how many these were.
    stale : int
        Epochs since the best one.
    seconds : float
        Time in earlier lives.
    history : list of Epoch
        All epochs that are done.
    best : Epoch or None
        The one with the least loss in validation.
    weights : dict of str to Tensor
        Of the network then.
    """

    epoch: int = 0
    step: int = 0
    blame: float = 0.0
    examples: int = 0
    stale: int = 0
    seconds: float = 0.0
    history: list[Epoch] = field(default_factory=list)
    best: Epoch | None = None
    weights: dict[str, Tensor] = field(default_factory=dict)

    def state(self, seconds: float) -> dict[str, Any]:
        """Return it in plain types, after so many seconds."""
        return {
            **{name: getattr(self, name) for name in ("epoch", "step", "blame", "examples", "stale", "weights")},
            "seconds": seconds,
            "history": [epoch.as_dict() for epoch in self.history],
            "best": None if self.best is None else self.best.as_dict(),
        }

    def close(self, epoch: Epoch, model: AssociationTransformer) -> None:
        """Count an epoch that is done, and keep the network if it is the best one so far."""
        self.history.append(epoch)
        self.stale += 1
        if self.best is None or epoch.val_loss < self.best.val_loss:
            self.best, self.stale, self.weights = epoch, 0, weights_of(model)
        self.epoch, self.step, self.blame, self.examples = epoch.epoch, 0, 0.0, 0

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Standing:
        """Return what `state` was made of."""
        history = [Epoch(**epoch) for epoch in state["history"]]
        best = None if state["best"] is None else Epoch(**state["best"])
        return cls(**{**state, "history": history, "best": best})


@dataclass(frozen=True, slots=True, eq=False)
class Ended:
    """How a course ended.

    Parameters
    ----------
    why : str
        All ``epochs`` are done, the last ones brought ``no better`` network, or the ``time limit``.
    best : Epoch
        The epoch with the least loss in validation.
    weights : dict of str to Tensor
        Of the network then.
    """

    why: Why
    best: Epoch
    weights: dict[str, Tensor]


def weights_of(model: AssociationTransformer) -> dict[str, Tensor]:
    """Return a copy of the weights of a network, on the CPU."""
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}


class Course:
    """A pupil, its lessons, and how far they are.

    Parameters
    ----------
    pupil : Pupil
        Who is taught.
    lessons : Lessons
        By what.
    recipe : Recipe
        How long, and by which steps.
    checkpoint : Checkpoint
        Where it is kept how far it is; what is there already is gone on with.
    time_limit_s : float
        Seconds after which it stops, 0 for none; it can be gone on with.
    """

    def __init__(
        self, pupil: Pupil, lessons: Lessons, recipe: Recipe, checkpoint: Checkpoint, time_limit_s: float = 0.0
    ) -> None:
        self._pupil, self._lessons, self._recipe, self._checkpoint = pupil, lessons, recipe, checkpoint
        self._limit = time_limit_s or math.inf
        self._began = time.monotonic()
        self._examination_s = 0.0  # of the last one; it is to end within the limit, too
        self.standing = Standing()
        kept = checkpoint.read()
        self.resumed = self._begun = kept is not None
        if kept is not None:
            pupil.resume(kept["pupil"])
            self.standing = Standing.of(kept["standing"])

    @property
    def seconds(self) -> float:
        """Seconds of all lives together."""
        return self.standing.seconds + time.monotonic() - self._began

    @property
    def steps(self) -> int:
        """Steps of all epochs that are done, and of the one at work."""
        return self.standing.step + (self.standing.history[-1].step if self.standing.history else 0)

    def begin(self) -> None:
        """Keep the first file if there is none: from then on the training can be gone on with."""
        if not self._begun:
            self._checkpoint.keep(self._state())
            self._begun = True

    def run(self, progress: Progress, told: Callable[[Epoch], None]) -> Ended:
        """Teach until the end.

        Parameters
        ----------
        progress : Progress
            Who is told how far it is.
        told : callable
            Called with each epoch that is done, before it is kept.

        Raises
        ------
        TrainingError
            If a loss is no number; the step is named.
        """
        recipe, standing = self._recipe, self.standing
        self.begin()
        while standing.epoch < recipe.epochs and standing.stale < recipe.patience:
            progress.start(f"epoch {standing.epoch + 1} of {recipe.epochs}", recipe.steps)
            progress.advance(standing.step)
            self._steps(progress)
            if standing.step < recipe.steps:
                return self._stopped()
            epoch = self._examined()
            standing.close(epoch, self._pupil.model)
            told(epoch)
            self._checkpoint.keep(self._state())
        why: Why = "epochs" if standing.epoch >= recipe.epochs else "no better"
        return Ended(why, cast("Epoch", standing.best), standing.weights)

    def _steps(self, progress: Progress) -> None:
        """Take the steps of an epoch that are left, or as many as there is time for."""
        recipe, standing = self._recipe, self.standing
        for examples in self._lessons.batches(standing.epoch, standing.step):
            if time.monotonic() - self._began >= self._limit - self._examination_s:
                return
            rate = self._rate()
            loss = self._pupil.learn(examples, rate)
            if not math.isfinite(loss):
                raise self._astray(f"step {standing.step + 1} of epoch {standing.epoch + 1}")
            standing.blame += loss * len(examples)
            standing.examples += len(examples)
            standing.step += 1
            progress.advance()
            if standing.step < recipe.steps:
                self._checkpoint.keep_if_due(self._state)

    def _stopped(self) -> Ended:
        """Keep how far it is, and return the best network so far; the one at work is examined for that, too."""
        self._checkpoint.keep(self._state())
        best = self.standing.best
        if best is not None and not self.standing.step:
            return Ended("time limit", best, self.standing.weights)
        at_work = self._examined()
        if best is not None and best.val_loss <= at_work.val_loss:
            return Ended("time limit", best, self.standing.weights)
        return Ended("time limit", at_work, weights_of(self._pupil.model))

    def _astray(self, where: str) -> TrainingError:
        return TrainingError(
            f"the loss is no number any more in {where}",
            lr=f"{self._rate():.3g}",
            **{"try": "a smaller --lr or --precision 32, with --overwrite"},
        )

    def _rate(self) -> float:
        recipe, standing = self._recipe, self.standing
        done = standing.epoch + standing.step / recipe.steps
        return recipe.lr * share_of_rate(done, recipe.epochs, recipe.warmup)

    def _examined(self) -> Epoch:
        """Return how good the pupil is after the steps that are done."""
        standing, begun = self.standing, time.monotonic()
        figures = validate(self._pupil.model, self._lessons.validation(), self._pupil.precision)
        self._examination_s = time.monotonic() - begun
        if not math.isfinite(figures.loss):
            raise self._astray(f"the validation of epoch {standing.epoch + 1}")
        return Epoch(
            epoch=standing.epoch + 1,
            step=self.steps,
            lr=self._rate(),
            train_loss=standing.blame / max(standing.examples, 1),
            val_loss=figures.loss,
            val_f1=figures.f1,
            val_accuracy=figures.accuracy,
            seconds=self.seconds,
        )

    def _state(self) -> dict[str, object]:
        return {"pupil": self._pupil.state(), "standing": self.standing.state(self.seconds)}
