"""Whether probabilities of parents mean what they say: calibration and sharpness.

The unit is one daughter with at least one candidate; her classes are the candidates and "new". Her confidence is the
probability of the link that is *reported* (that of a solution, not the likeliest class: the two differ), and it is
right where it names the true mother. Every figure exists twice: with "new" as a class, and without it, where the
candidates share all probability and only reported links are judged. Of cells that the truth does not know nothing is
said: they do not count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from ...errors import SchemaError
from ...storage.schema import require_equal_lengths
from .rejection import rejection

if TYPE_CHECKING:
    from numpy.typing import NDArray

N_BINS: Final = 15
FLOOR: Final = 1e-6  # least probability of what happened, in the log of the NLL
NORMAL_95: Final = 1.959963984540054  # of a 95 % interval
COVERAGES: Final = (0.99, 0.95, 0.90, 0.80)
NEW: Final = -1
"""In the place of an option: the daughter has no mother."""
ELSEWHERE: Final = -2
"""In the place of an option: the true mother is no candidate."""
ROUNDED: Final = 1e-3  # probabilities of a daughter may exceed 1 by this much: stores keep 7 digits, samplers fewer


@dataclass(frozen=True, slots=True, eq=False)
class ParentQuestions:
    """Whose daughter is it: n daughters, their k candidates in a row, what was reported and what is true.

    Parameters
    ----------
    first : (n + 1,) int64
        Options ``first[j] .. first[j + 1] - 1`` are the candidates of daughter j, at least one.
    probability : (k,) float64
        Of each candidate to be the mother; what those of a daughter leave to 1 is that of "new".
    reported, true : (n,) int64
        Option that was reported, and that is true; `NEW` for no mother, `ELSEWHERE` for a mother that is no candidate.

    Raises
    ------
    SchemaError
        If the arrays do not fit together, a daughter has no candidate, or probabilities are none.
    """

    first: NDArray[np.int64]
    probability: NDArray[np.float64]
    reported: NDArray[np.int64]
    true: NDArray[np.int64]

    def __post_init__(self) -> None:
        require_equal_lengths(daughters=self.first[1:], reported=self.reported, true=self.true)
        if self.first[0] != 0 or self.first[-1] != len(self.probability) or np.any(np.diff(self.first) < 1):
            raise SchemaError("every daughter needs a candidate, and every candidate a daughter")
        for name, option in (("reported", self.reported), ("true", self.true)):
            mine = (option >= self.first[:-1]) & (option < self.first[1:])
            if not np.all(mine | (option == NEW) | (option == ELSEWHERE)):
                raise SchemaError(f"a {name} option is none of its daughter's candidates")
        if not np.all((self.probability >= 0) & (self.probability <= 1 + ROUNDED)):  # also where one is no number
            raise SchemaError("probabilities lie in 0 .. 1")
        if len(self) and self.linked.max() > 1 + ROUNDED:
            raise SchemaError(f"the probabilities of a daughter sum to {self.linked.max():.4f}, expected 1 at most")

    def __len__(self) -> int:
        return len(self.reported)

    @property
    def linked(self) -> NDArray[np.float64]:
        """(n,) Probability that the daughter has a mother among her candidates."""
        return np.add.reduceat(self.probability, self.first[:-1]) if len(self) else np.zeros(0)

    @property
    def daughter(self) -> NDArray[np.int64]:
        """(k,) Daughter of each option."""
        return np.repeat(np.arange(len(self)), np.diff(self.first))

    def take(self, which: NDArray[np.bool_]) -> ParentQuestions:
        """Return the daughters where `which` is True."""
        options = which[self.daughter]
        row = np.cumsum(options) - 1
        return ParentQuestions(
            np.append(0, np.cumsum(np.diff(self.first)[which])).astype(np.int64),
            self.probability[options],
            *(np.where(o >= 0, row[np.maximum(o, 0)], o)[which] for o in (self.reported, self.true)),
        )

    @classmethod
    def concatenate(cls, parts: list[ParentQuestions]) -> ParentQuestions:
        """Return the daughters of several movies together."""
        before = np.cumsum([0, *(len(part.probability) for part in parts)])
        options = [
            [np.where(o >= 0, o + start, o) for o in (part.reported, part.true)]
            for part, start in zip(parts, before.tolist(), strict=False)
        ]
        return cls(
            np.concatenate(
                [np.zeros(1, np.int64), *(p.first[1:] + s for p, s in zip(parts, before.tolist(), strict=False))]
            ),
            np.concatenate([np.zeros(0), *(part.probability for part in parts)]),
            *(np.concatenate([np.zeros(0, np.int64), *(o[i] for o in options)]) for i in range(2)),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """Confidences and what came of them, for n daughters; `questions` with or without "new" lead here.

    Parameters
    ----------
    confidence : (n,) float64
        Probability of what was reported.
    right : (n,) bool
        Whether it is true.
    true_probability : (n,) float64
        Probability of what is true; 0 where that is no class.
    squares : (n,) float64
        Sum over the classes of the squared distance to what is true (Brier).
    entropy : (n,) float64
        Of the classes, in nats.
    """

    confidence: NDArray[np.float64]
    right: NDArray[np.bool_]
    true_probability: NDArray[np.float64]
    squares: NDArray[np.float64]
    entropy: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.confidence)


def answers(questions: ParentQuestions, *, null: bool = True) -> Answers:
    """Return confidences and their outcome.

    Parameters
    ----------
    questions : ParentQuestions
        n daughters.
    null : bool
        Whether "new" is a class. Without it probabilities are divided by their sum over the candidates, and daughters
        that are reported as new, or whose candidates have no probability at all (0/0), are left out: there is no link
        to be sure of. A true daughter of nobody, or of no candidate, is then in no class, so that any link is wrong.
    """
    if not null:
        questions = questions.take((questions.reported >= 0) & (questions.linked > 0))
    total = questions.linked
    new = np.maximum(1 - total, 0) if null else np.zeros(len(total))
    share = questions.probability / (total + new)[questions.daughter]
    new = new / (total + new)

    def of(option: NDArray[np.int64]) -> NDArray[np.float64]:
        among = share[np.maximum(option, 0)] if len(share) else np.zeros(len(option))
        return np.where(option >= 0, among, np.where(option == NEW, new, 0.0))

    true = of(questions.true)
    n = len(questions)
    return Answers(
        confidence=of(questions.reported),
        right=(questions.reported == questions.true) & (questions.reported != ELSEWHERE),
        true_probability=true,
        # sum p^2 - 2 p_true + 1, which holds also where what is true is no class
        squares=np.bincount(questions.daughter, share**2, n) + new**2 - 2 * true + 1,
        entropy=np.bincount(questions.daughter, surprise(share), n) + surprise(new),
    )


def surprise(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return -p ln p, 0 where p is 0."""
    return np.asarray(-p * np.log(np.where(p > 0, p, 1.0)))


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """The reliability curve: for each bin of confidence that is not empty how often it was right.

    Parameters
    ----------
    count : (b,) int64
        Daughters in the bin.
    confidence, accuracy : (b,) float64
        Their mean confidence, and the share that is right.
    low, high : (b,) float64
        95 % interval of the accuracy (Wilson).
    """

    count: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @property
    def error(self) -> float:
        """The expected calibration error: the mean distance of accuracy and confidence, bins weighted by size."""
        return float(np.average(np.abs(self.accuracy - self.confidence), weights=self.count))


def reliability(
    confidence: NDArray[np.float64], right: NDArray[np.bool_], *, bins: int = N_BINS, equal_mass: bool = False
) -> Reliability:
    """Return how often confidences were right, bin by bin.

    Parameters
    ----------
    confidence : (n,) float64
        0 .. 1.
    right : (n,) bool
        What came of it.
    bins : int
        Number M of bins; the m-th holds m/M up to, but not with, (m + 1)/M, the last one 1 too. Empty ones are skipped.
    equal_mass : bool
        Bins of equal size instead, by rank; equal confidences stay together.

    Raises
    ------
    SchemaError
        If there is nothing to judge.

    References
    ----------
    .. [1] Guo et al., "On Calibration of Modern Neural Networks", ICML 2017 (ECE with 15 bins).
    """
    require_equal_lengths(confidence=confidence, right=right)
    n = len(confidence)
    if not n:
        raise SchemaError("there is no daughter whose probabilities could be judged")
    if equal_mass:
        bin_ = np.searchsorted(np.sort(confidence), confidence, side="left") * bins // n
    else:
        bin_ = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    count = np.bincount(bin_, minlength=bins)
    held = count > 0
    hits = np.bincount(bin_, right, bins)[held].astype(np.float64)
    count = count[held]
    low, high = wilson(hits, count)
    return Reliability(count, np.bincount(bin_, confidence, bins)[held] / count, hits / count, low, high)


def wilson(
    hits: NDArray[np.float64], n: NDArray[np.int64], *, z: float = NORMAL_95
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the Wilson score interval of a share, `hits` of `n`; `z` standard deviations, by default those of 95 %."""
    share = hits / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return np.maximum(centre - half, 0.0), np.minimum(centre + half, 1.0)


def sampling_floor(confidence: NDArray[np.float64], *, bins: int = N_BINS) -> float:
    """Return the ECE that perfect probabilities of this number would show by chance alone.

    In a bin of n daughters the accuracy is off by sqrt(2 / pi) standard deviations on average.
    """
    bin_ = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    deviation = np.sqrt(np.bincount(bin_, confidence * (1 - confidence), bins))
    return float(np.sqrt(2 / np.pi) * deviation.sum() / len(confidence))


def mean_nll(true_probability: NDArray[np.float64], *, floor: float = FLOOR) -> float:
    """Return the mean negative log likelihood in nats; no probability is taken to be below `floor`."""
    return float(-np.log(np.clip(true_probability, floor, 1.0)).mean())


def link_error(questions: ParentQuestions, *, bins: int = N_BINS) -> float:
    """Return the ECE over all candidate links, each a yes-or-no question of its own."""
    right = np.zeros(len(questions.probability), dtype=bool)
    right[questions.true[questions.true >= 0]] = True
    return reliability(np.minimum(questions.probability, 1.0), right, bins=bins).error


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of calibration, with "new" as a class or without it.

    Parameters
    ----------
    daughters, errors : int
        Daughters that are judged, and reports among them that are wrong.
    ece, ece_equal_mass, ece_floor : float
        Expected calibration error by bins of equal width and of equal size, and what chance alone makes of it.
    nll, brier : float
        Mean negative log likelihood (nats) and Brier score.
    mean_entropy : float
        Sharpness, in nats; smaller is sharper.
    confidence : float
        Mean confidence.
    aurc_entropy, aurc_confidence, e_aurc_entropy, e_aurc_confidence : float
        Area under the risk by coverage, where the least sure are rejected first, and how far it is above the least
        possible.
    kept_by_entropy, kept_by_confidence : tuple of float
        Accuracy of the surest 99, 95, 90 and 80 %.
    """

    daughters: int
    errors: int
    ece: float
    ece_equal_mass: float
    ece_floor: float
    nll: float
    brier: float
    mean_entropy: float
    confidence: float
    aurc_entropy: float
    aurc_confidence: float
    e_aurc_entropy: float
    e_aurc_confidence: float
    kept_by_entropy: tuple[float, ...]
    kept_by_confidence: tuple[float, ...]

    @property
    def accuracy(self) -> float:
        """Share of the reports that are right."""
        return 1 - self.errors / self.daughters


def summarise(judged: Answers) -> Summary:
    """Return the figures of some answers.

    Raises
    ------
    SchemaError
        If there is nothing to judge.
    """
    even = reliability(judged.confidence, judged.right)
    by_entropy = rejection(judged.entropy, judged.right)
    by_confidence = rejection(-judged.confidence, judged.right)
    return Summary(
        daughters=len(judged),
        errors=int(np.count_nonzero(~judged.right)),
        ece=even.error,
        ece_equal_mass=reliability(judged.confidence, judged.right, equal_mass=True).error,
        ece_floor=sampling_floor(judged.confidence),
        nll=mean_nll(judged.true_probability),
        brier=float(judged.squares.mean()),
        mean_entropy=float(judged.entropy.mean()),
        confidence=float(judged.confidence.mean()),
        aurc_entropy=by_entropy.area,
        aurc_confidence=by_confidence.area,
        e_aurc_entropy=by_entropy.excess,
        e_aurc_confidence=by_confidence.excess,
        kept_by_entropy=tuple(by_entropy.accuracy_at(share) for share in COVERAGES),
        kept_by_confidence=tuple(by_confidence.accuracy_at(share) for share in COVERAGES),
    )
