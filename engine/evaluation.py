"""What a comparison of two trackings found, and what a user may require of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from ..errors import CheckFailedError, ConfigError
from ..storage.dataframes import Tabular

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .metrics.corrections import Corrections
    from .metrics.edges import Counts
    from .posterior.judging import CalibrationFigures

SHARES: Final = ("precision", "recall", "f1")
FIGURES: Final = (
    *(f"{part}_{share}" for part in ("edge", "division", "division_1") for share in SHARES),
    "association_accuracy",
    "association_precision",
    "association_f1",
    "target_effectiveness",
    "TRA",
    "DET",
    "LNK",
    "AOGM",
    "ECE",
    "NLL",
    "AURC",
)
COSTS: Final = ("AOGM", "ECE", "NLL", "AURC")
"""Figures of which less is better."""
CALIBRATION: Final = ("ECE", "NLL", "AURC")
"""Figures of the probabilities of a posterior."""


@dataclass(frozen=True, slots=True)
class Evaluation(Tabular):
    """Agreement of a solution with a reference.

    Parameters
    ----------
    solution, against : str
        Names of the two.
    edges : Counts
        Links; those between two cells that the reference does not know are not counted.
    divisions : dict of int to Counts
        Divisions, by how many frames they may be off.
    associations : Counts
        Links, all of them; with a sparse truth as in `edges`. Their recall is the association accuracy.
    target_effectiveness : float
        Share of the reference's cells in the tracklet that has most of their life.
    corrections : Corrections
        What turns the solution into the reference.
    measured : dict of str to float, or None
        What py-ctcmetrics says, where it was asked.
    reference_cells, reference_matched : int
        Cells of the reference, and how many of them are a cell of the solution.
    reference_gaps, reference_divisions, reference_merges : int
        Links of the reference that skip frames, its divisions, and its links into merges.
    uncounted : int
        Links of the solution between two cells that the reference does not know.
    lost_cells, lost_links : int
        What of the reference is not in the store for want of a detection, and so in no figure.
    only_daughters : int
        Tracks of the reference that began with an only daughter, and go on as their mother's in the store.
    merges : int
        Links of the solution into merges.
    sparse : bool
        Whether cells that the reference does not know are no errors.
    calibration : CalibrationFigures or None
        How far the probabilities of the solution's newest posterior can be trusted; None without one.
    """

    solution: str
    against: str
    edges: Counts
    divisions: dict[int, Counts]
    associations: Counts
    target_effectiveness: float
    corrections: Corrections
    measured: dict[str, float] | None
    reference_cells: int
    reference_matched: int
    reference_gaps: int
    reference_divisions: int
    reference_merges: int
    uncounted: int
    lost_cells: int
    lost_links: int
    only_daughters: int
    merges: int
    sparse: bool
    calibration: CalibrationFigures | None = None

    def __repr__(self) -> str:
        told = {"edge F1": self.edges.f1, "division F1": self.divisions[0].f1, "TRA": self.corrections.tra}
        return f"<{self.solution} against {self.against}: {', '.join(f'{k} {v:.4f}' for k, v in told.items())}>"

    @property
    def association_accuracy(self) -> float:
        """Share of the reference's links, those to daughters among them, that the solution has."""
        return self.associations.recall

    @property
    def ctc(self) -> dict[str, float]:
        """The measures of the challenge on the two graphs, by its own names."""
        found = self.corrections
        return {
            "TRA": found.tra,
            "DET": found.det,
            "LNK": found.lnk,
            "AOGM": found.aogm,
            "AOGM_0": found.aogm_0,
            "AOGM_NS": found.splits,
            "AOGM_FN": found.missed_cells,
            "AOGM_FP": found.false_cells,
            "AOGM_ED": found.false_links,
            "AOGM_EA": found.missed_links,
            "AOGM_EC": found.wrong_kinds,
        }

    def figures(self) -> dict[str, float]:
        """Return every figure by the name that ``--fail-under`` knows."""
        parts = (self.edges, self.divisions[0], self.divisions[1])
        shares = [getattr(counts, share) for counts in parts for share in SHARES]
        associated = [self.associations.recall, self.associations.precision, self.associations.f1]
        ctc = self.measured or self.ctc
        values = [
            *shares,
            *associated,
            self.target_effectiveness,
            *(ctc[name] for name in ("TRA", "DET", "LNK", "AOGM")),
            *self._calibrated(),
        ]
        return dict(zip(FIGURES, values, strict=True))

    def arrow(self) -> pa.Table:
        """Return every figure: figure, value; NULL where one is not known."""
        found = self.figures()
        value = np.array(list(found.values()), dtype=np.float64)
        return pa.table({"figure": list(found), "value": pa.array(value, mask=np.isnan(value))})

    def _calibrated(self) -> tuple[float, float, float]:
        """Return ECE, NLL and AURC by entropy; NaN without a posterior."""
        if self.calibration is None:
            return (float("nan"),) * 3
        found = self.calibration.with_new
        return found.ece, found.nll, found.aurc_entropy

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as the JSON of the command has them."""
        return {
            "solution": self.solution,
            "against": self.against,
            "edges": _as_dict(self.edges),
            "divisions": _as_dict(self.divisions[0]),
            **{f"divisions_{frames}": _as_dict(counts) for frames, counts in self.divisions.items() if frames},
            "associations": _as_dict(self.associations),
            "association_accuracy": self.association_accuracy,
            "target_effectiveness": self.target_effectiveness,
            "ctc": {**(self.measured or self.ctc), "by": "py-ctcmetrics" if self.measured else "trackdb"},
            "calibration": None if self.calibration is None else self.calibration.as_dict(),
            "reference_cells": self.reference_cells,
            "reference_matched": self.reference_matched,
            "reference_gaps": self.reference_gaps,
            "uncounted": self.uncounted,
            "lost_cells": self.lost_cells,
            "lost_links": self.lost_links,
            "sparse_truth": self.sparse,
        }

    def notes(self) -> list[str]:
        """Return what one has to know to read the figures."""
        missed = self.reference_cells - self.reference_matched
        forgiven = "" if self.sparse else "; as associations they are false, but for --sparse-truth"
        said = (
            (missed, f"{missed:,} of {self.reference_cells:,} cells of {self.against} are no cell of {self.solution}"),
            (
                self.lost_cells,
                f"{self.against} is in the store without {self.lost_cells:,} cells that have no detection, and "
                f"{self.lost_links:,} links: no figure counts them, --against PATH does",
            ),
            (
                self.only_daughters,
                f"{self.only_daughters} tracks of {self.against} began with an only daughter and go on as their "
                "mother's in the store: AOGM_EC counts them with --against PATH alone",
            ),
            (self.reference_gaps, f"{self.reference_gaps} links of {self.against} skip frames"),
            (
                self.uncounted,
                f"{self.uncounted} links between cells that {self.against} does not know are not counted as edges"
                + forgiven,
            ),
            (not self.reference_divisions, f"{self.against} tells of no divisions"),
            (self.merges or self.reference_merges, "links into merges count as links, not as divisions"),
        )
        return [text for applies, text in said if applies]

    def disagreements(self) -> list[str]:
        """Return where py-ctcmetrics and the graphs differ; merges aside, which the challenge's files cannot hold."""
        if self.measured is None or self.merges or self.reference_merges:
            return []
        return [
            f"{name} is {self.measured[name]:.9g} by py-ctcmetrics, {value:.9g} on the graphs"
            for name, value in self.ctc.items()
            if not np.isclose(self.measured[name], value, rtol=1e-9, atol=1e-12, equal_nan=True)
        ]


def require_known(names: Iterable[str]) -> None:
    """Raise ConfigError if there is no figure of one of these names."""
    for name in names:
        if name not in FIGURES:
            raise ConfigError(f"--fail-under: there is no figure {name}", known=", ".join(FIGURES))


def require_at_least(evaluation: Evaluation, wanted: dict[str, float]) -> None:
    """Raise CheckFailedError if a figure is worse than what was wanted: lower, or higher where less is better.

    Raises
    ------
    ConfigError
        If there is no figure of that name.
    """
    require_known(wanted)
    figures = evaluation.figures()
    for name, worst in wanted.items():
        if name in CALIBRATION and evaluation.calibration is None:
            raise CheckFailedError(
                f"{name} is not known: {evaluation.solution} has no posterior that the reference could judge",
                **{"try": "trackdb posterior STORE"},
            )
        if name in COSTS and not figures[name] <= worst:
            raise CheckFailedError(f"{name} is {figures[name]:g}, wanted at most {worst:g}")
        if name not in COSTS and not figures[name] >= worst:
            raise CheckFailedError(f"{name} is {figures[name]:.4f}, wanted at least {worst:g}")


def _as_dict(counts: Counts) -> dict[str, Any]:
    return {m: getattr(counts, m) for m in ("tp", "fp", "fn", *SHARES)}
