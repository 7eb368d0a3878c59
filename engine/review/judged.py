"""What a random sample of answers tells of a solution and its posterior: error rate, calibration, and what is left."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ...errors import CalibrationError
from ..metrics.calibration import ParentQuestions, answers, reliability, sampling_floor, wilson
from ..posterior.temperature import fit_temperature

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...storage.posteriors import CellOutcomes

    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

ENOUGH: Final = 50  # drawn questions that were answered, before anything is told
BINS: Final = 5  # of the reliability of fifty answers


@dataclass(frozen=True, slots=True)
class Audit:
    """What an audit tells of a solution and its posterior; what fewer than 50 answers cannot tell is None.

    Parameters
    ----------
    solution : str
        Its name.
    posterior : str or None
        The posterior of which the questions came, None where it is gone.
    audits : int
        Drawn questions that were answered.
    needed : int
        How many more there have to be.
    judged, listed : int
        Cells of the sample whose answer tells whether the solution is right, and those among them that the list asked
        about, not the draw.
    wrong : int
        Cells of the sample about which the solution is wrong.
    rate, low, high : float or None
        Share of the cells with an open outcome about which the solution is wrong, and its 95 % interval (Wilson).
    expected_wrong : float or None
        How many of the sample are wrong by the posterior.
    ece, ece_floor : float or None
        Expected calibration error, by bins of equal size, and what chance alone would make of it.
    temperature : float or None
        What probabilities are to be tempered by, so that the answers of the sample are likeliest.
    expected_wrong_tempered : float or None
        How many of the sample are wrong by the posterior at this temperature.
    calibrated : bool
        Whether that lies in the interval of what was found.
    expected_wrong_left : float or None
        Links of the solution that are expected to be wrong among the cells that nobody answered, at this temperature;
        None unless calibrated.
    """

    solution: str
    posterior: str | None
    audits: int
    needed: int
    judged: int
    listed: int
    wrong: int
    rate: float | None = None
    low: float | None = None
    high: float | None = None
    expected_wrong: float | None = None
    ece: float | None = None
    ece_floor: float | None = None
    temperature: float | None = None
    expected_wrong_tempered: float | None = None
    calibrated: bool = False
    expected_wrong_left: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it by the keys of the JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """The n answers of a sample that tell whether the solution is right.

    Parameters
    ----------
    outcomes : CellOutcomes
        What c cells of the movie may do, by the posterior.
    place : (n,) int64
        Cell of each answer, by its place among these c; -1 where the posterior tells nothing of it.
    reported, true : (n,) int64
        Outcome of the solution, and that of the answer, by row of `outcomes`; `ELSEWHERE` where it is none of them.
    wrong : (n,) bool
        Whether they differ.
    """

    outcomes: CellOutcomes
    place: Ints
    reported: Ints
    true: Ints
    wrong: Bools

    def questions(self, temperature: float = 1.0) -> ParentQuestions:
        """Return the answers as questions, with the probabilities of a temperature."""
        first, share = self.outcomes.first, tempered_shares(self.outcomes, temperature)
        known = self.place >= 0
        rows, true, reported = self.place[known], self.true[known], self.reported[known]
        size = first[rows + 1] - first[rows]
        begin = np.append(0, np.cumsum(size))
        option = np.arange(begin[-1]) + np.repeat(first[rows] - begin[:-1], size)
        moved = [np.where(o >= 0, o - first[rows] + begin[:-1], o) for o in (reported, true)]
        return ParentQuestions(begin, share[option], moved[0], moved[1])


def tempered_shares(outcomes: CellOutcomes, temperature: float) -> NDArray[np.float64]:
    """Return the probabilities of outcomes with their logarithms divided by a temperature; of a cell they sum to 1."""
    share = outcomes.shares
    if temperature == 1 or not len(share):
        return share
    first = outcomes.first
    size = np.diff(first)
    top = np.repeat(np.maximum.reduceat(share, first[:-1]), size)
    hot = (share / top) ** (1 / temperature)
    tempered: NDArray[np.float64] = hot / np.repeat(np.add.reduceat(hot, first[:-1]), size)
    return tempered


def judge(found: Audit, judged: Judged, wrong_links: NDArray[np.float64] | None = None) -> Audit:
    """Return an audit with all that its answers tell.

    Parameters
    ----------
    found : Audit
        With what was counted.
    judged : Judged
        The answers of the sample.
    wrong_links : (k,) float64 or None
        For each outcome of a cell that nobody answered, how many links of the solution it contradicts; 0 for others.
    """
    n = len(judged.wrong)
    told = {**found.as_dict(), "judged": n, "wrong": int(judged.wrong.sum())}
    if found.needed or not n:
        return Audit(**told)
    hits = np.array([judged.wrong.sum()], dtype=np.float64)
    low, high = (float(bound[0]) for bound in wilson(hits, np.array([n])))
    told |= {"rate": float(judged.wrong.mean()), "low": low, "high": high}
    questions = judged.questions()
    if len(questions):
        told |= _calibration(judged, questions, low, high)
    if told["calibrated"] and wrong_links is not None:
        told["expected_wrong_left"] = float(tempered_shares(judged.outcomes, told["temperature"]) @ wrong_links)
    return Audit(**told)


def _calibration(judged: Judged, questions: ParentQuestions, low: float, high: float) -> dict[str, Any]:
    """Return how far the posterior can be trusted, and the temperature at which it can."""
    plain = answers(questions)
    try:
        temperature = fit_temperature(judged.questions, least=1).temperature
    except CalibrationError:  # nothing was wrong: no doubt can be fitted
        temperature = 1.0
    hot = answers(judged.questions(temperature))
    share = float(1 - hot.confidence.mean())
    return {
        "expected_wrong": float((1 - plain.confidence).sum()),
        "ece": reliability(plain.confidence, plain.right, bins=BINS, equal_mass=True).error,
        "ece_floor": sampling_floor(plain.confidence, bins=BINS),
        "temperature": temperature,
        "expected_wrong_tempered": share * len(hot),
        "calibrated": low <= share <= high,
    }
