"""The figures of a case: one row for each method, with and without temperature scaling."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Final

import numpy as np

from trackdb.engine.metrics.calibration import Answers, answers, rejection, reliability, summarise

if TYPE_CHECKING:
    from methods import Case

REJECTED: Final = (1, 2, 5, 10, 20)
"""Shares of the cells that are rejected, in percent."""

LEAST_DAUGHTERS: Final = 150
"""Movies with fewer daughters to judge are left out of all means: their ECE is mostly chance."""


@dataclass(frozen=True)
class Row:
    """What a method is worth on a case; "new" is a class, but in the three figures of the links alone.

    Parameters
    ----------
    kind, movie, role, step, tracker, method : str and int
        Which.
    scaled : bool
        Whether the temperature was fitted, on other movies.
    temperature : float
        By which costs were divided.
    daughters, errors : int
        Cells with candidates, and those of them whose reported parent is wrong.
    recall : float
        Share of the true mothers that are candidates.
    ece, ece_equal_mass, ece_floor, nll, brier, entropy : float
        As in `trackdb evaluate`; the floor is the ECE that chance alone makes.
    aurc_entropy, aurc_confidence : float
        Mean error over all shares that are kept.
    gain_entropy, gain_confidence : tuple of float
        Accuracy gained where the least sure 1, 2, 5, 10 and 20 % are rejected.
    links_ece, links_nll, links_aurc : float
        Where "new" is no class, by entropy: the paper's Eq. (5) and (6).
    approximate : float
        Share of the candidates of which `auto` is not exact; NaN for other methods.
    """

    kind: str
    movie: str
    role: str
    step: int
    tracker: str
    method: str
    scaled: bool
    temperature: float
    daughters: int
    errors: int
    recall: float
    ece: float
    ece_equal_mass: float
    ece_floor: float
    nll: float
    brier: float
    entropy: float
    aurc_entropy: float
    aurc_confidence: float
    gain_entropy: tuple[float, ...]
    gain_confidence: tuple[float, ...]
    links_ece: float
    links_nll: float
    links_aurc: float
    approximate: float

    @property
    def accuracy(self) -> float:
        """Share of the reported parents that are true."""
        return 1 - self.errors / self.daughters

    def as_dict(self) -> dict[str, object]:
        """Return a flat row for a table, numbers with four digits."""
        flat = asdict(self)
        for by in ("entropy", "confidence"):
            gains = flat.pop(f"gain_{by}")
            flat |= {f"gain_{percent}_{by}": gain for percent, gain in zip(REJECTED, gains, strict=True)}
        return {k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in flat.items()}

    @classmethod
    def from_dict(cls, flat: dict[str, str]) -> Row:
        """Return the row that a line of a table was written from, to four digits."""
        parse = {"int": int, "float": float, "str": str, "bool": "True".__eq__}
        given = {f.name: parse[f.type](flat[f.name]) for f in fields(cls) if f.name in flat}
        for by in ("entropy", "confidence"):
            given[f"gain_{by}"] = tuple(float(flat[f"gain_{percent}_{by}"]) for percent in REJECTED)
        return cls(**given)


def figures_of(case: Case, method: str, temperature: float, *, scaled: bool) -> tuple[Row, Answers]:
    """Judge a method on a case; return its figures, and each daughter's confidence for the reliability curve."""
    asked = case.asked(method, temperature)
    with_new, links = answers(asked.questions), answers(asked.questions, null=False)
    found, alone = summarise(with_new), summarise(links)
    row = Row(
        kind=case.kind,
        movie=case.movie,
        role=case.role,
        step=case.step,
        tracker=case.tracker,
        method=method,
        scaled=scaled,
        temperature=temperature,
        daughters=found.daughters,
        errors=found.errors,
        recall=asked.candidate_recall,
        ece=found.ece,
        ece_equal_mass=found.ece_equal_mass,
        ece_floor=found.ece_floor,
        nll=found.nll,
        brier=found.brier,
        entropy=found.mean_entropy,
        aurc_entropy=found.aurc_entropy,
        aurc_confidence=found.aurc_confidence,
        gain_entropy=_gains(with_new.entropy, with_new.right),
        gain_confidence=_gains(-with_new.confidence, with_new.right),
        links_ece=alone.ece,
        links_nll=alone.nll,
        links_aurc=alone.aurc_entropy,
        approximate=case.approximate if method == "auto" else float("nan"),
    )
    return row, with_new


def _gains(doubt: np.ndarray, right: np.ndarray) -> tuple[float, ...]:
    """Return the accuracy gained by rejecting the least sure shares."""
    curve = rejection(doubt, right)
    return tuple(curve.accuracy_at(1 - percent / 100) - curve.accuracy_at(1.0) for percent in REJECTED)


@dataclass(eq=False)
class Curves:
    """Confidences of many cases by method, for reliability curves."""

    held: dict[tuple[str, str, str, bool], list[Answers]]
    earlier: list[dict[str, object]] = field(default_factory=list)
    """Curves of earlier runs."""

    def add(self, row: Row, judged: Answers) -> None:
        """Keep the answers of a judge movie."""
        if row.role == "judge" and row.daughters >= LEAST_DAUGHTERS:
            self.held.setdefault((row.kind, row.tracker, row.method, row.scaled), []).append(judged)

    def as_list(self) -> list[dict[str, object]]:
        """Return the reliability curve of each method over all daughters of all its cases."""
        found = list(self.earlier)
        for (kind, tracker, method, scaled), parts in self.held.items():
            curve = reliability(np.concatenate([p.confidence for p in parts]), np.concatenate([p.right for p in parts]))
            columns = {
                "daughters": curve.count.tolist(),
                **{
                    name: np.round(getattr(curve, name), 4).tolist()
                    for name in ("confidence", "accuracy", "low", "high")
                },
            }
            found.append({"kind": kind, "tracker": tracker, "method": method, "scaled": scaled, **columns})
        return found
