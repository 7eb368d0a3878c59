"""What labels give: movies tracked by a cost that is learned from the known lineage of another, beside learning alone.

Run: python benchmarks/accuracy/labels.py [--only NAME ...] [--judge] [--first FRAMES ...]

A line is a movie, or a part of one, that is judged, and what its cost is learned from: nothing, as `trackdb solve`
does; the lineage of the other part or of another movie, as `--learn-from` does; and its own lineage, which no user
has: an upper bound. Early and late are halves of the frames, left and right of the cells along the longer axis.
--first: the lineage of so many first frames of the teacher alone. --judge: the sets that only judge.
Areas of masks are read where all are known, but not in noisy cases (P, as `noise` tells, seed 1).
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1]))  # what all benchmarks share stands one folder up

import numpy as np
from cases import Case
from judging import judge
from measure import head, row
from noise import scattered
from truth import TrueMovie, detections_of, movies

from trackdb.engine.candidates import link_nearest
from trackdb.engine.costs import Labels, Trait, follow, learn, learn_from_labels
from trackdb.solvers import open_solver

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from trackdb.engine.costs import Learned, Taught
    from trackdb.storage.schema import CandidateEdges

HALVES = ("early", "late", "left", "right")
OTHER = {"early": "late", "late": "early", "left": "right", "right": "left"}
IN_PARTS = {
    "epidermis": ("x1", "x2", "P"),
    "cellmigration": ("x1", "x4", "P"),
    "c2c12 Sparse5": ("x1", "x4"),
}
EMBRYOS = ("celegans 20240930 L4", "celegans 20120621 L2")
JUDGED = {"c2c12 BMP2": "c2c12 Sparse5", "celegans 20241009 L1": EMBRYOS[0], "celegans 20241108 L4": EMBRYOS[0],
          "astec Pm04": "astec Pm03", "astec Pm09": "astec Pm03"}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Known:
    """A movie with its true links, and which of its points are no cells."""

    movie: TrueMovie
    false: NDArray[np.bool_]

    def part(self, rows: NDArray[np.bool_]) -> Known:
        """Return some rows, and the links among them."""
        old, number = self.movie.detections, np.cumsum(rows) - 1
        link = self.movie.link[rows[self.movie.link].all(axis=1)]
        some = detections_of(old.frame[rows], old.position_px[rows], old.scale_um, old.area[rows])
        return Known(replace(self.movie, detections=some, link=number[link]), self.false[rows])

    def half(self, name: str) -> Known:
        """Return a half of the frames or of the cells."""
        found = self.movie.detections
        if name in ("early", "late"):
            first = found.frame < (found.frame.min() + found.frame.max() + 1) / 2
        else:
            along = found.position_um[:, np.argmax(np.ptp(found.position_um, axis=0))]
            first = along < np.median(along)
        return self.part(first if name in ("early", "left") else ~first)

    def first(self, frames: int) -> Known:
        """Return so many first frames."""
        frame = self.movie.detections.frame
        return self.part(frame < frame.min() + frames)

    @property
    def traits(self) -> list[Trait]:
        """Areas where all are known."""
        area = self.movie.detections.area
        return [Trait.of("area", area, adds_up=True)] if np.isfinite(area).all() else []

    @property
    def candidates(self) -> CandidateEdges:
        """Links that cells could take, over one missed frame as `trackdb solve` has them."""
        return link_nearest(self.movie.detections, max_gap=1)

    @property
    def taught(self) -> Taught:
        """What its lineage teaches."""
        labels = Labels(self.movie.link[:, 0], self.movie.link[:, 1], ~self.false)
        return learn_from_labels(self.movie.detections, self.candidates, labels, traits=self.traits)[0]

    def judged(self, taught: Taught | None) -> str:
        """Track it, by itself or as it was taught; return F1 of links and divisions."""
        cells, edges = self.movie.detections, self.candidates
        learned: Learned
        if taught is None:
            learned = learn(cells, edges, traits=self.traits)
        else:
            learned = follow(cells, edges, taught, traits=self.traits)
        chosen = open_solver("ilp").solve(learned.problem(cells, edges)).edge
        case = Case(
            self.movie.name, self.movie.role, cells.frame, cells.position_um, cells.area, self.movie.link, self.false,
            cutoff=0.0,
        )  # fmt: skip
        verdict = judge(case, np.c_[edges.source[chosen], edges.target[chosen]])
        return f"{verdict.links.f1:.4f} / {verdict.divisions.f1:.3f}"

    @property
    def told(self) -> str:
        """Its true links and divisions."""
        return f"{len(self.movie.link):,}, {np.count_nonzero(np.bincount(self.movie.link[:, 0]) == 2)}"


def varied(movie: TrueMovie, variant: str) -> Known:
    """Return every frame, every second or fourth one, or a noisy movie."""
    if variant == "P":
        return Known(*scattered(movie, np.random.default_rng(1)))
    thinned = movie.every(int(variant.removeprefix("x")))
    return Known(replace(thinned, name=movie.name), np.zeros(len(thinned.detections), dtype=bool))


def pairs(judging: bool) -> Iterator[tuple[str, Known, str, Known]]:
    """Yield what is judged and what teaches, each with its name."""
    known = {movie.name: movie for movie in movies()}
    if judging:
        for name, teacher in JUDGED.items():
            for variant in ("x1", "x4"):
                yield f"{name} {variant}", varied(known[name], variant), teacher, varied(known[teacher], variant)
        return
    for name, variants in IN_PARTS.items():
        for variant in variants:
            whole = varied(known[name], variant)
            for half in HALVES:
                yield f"{name} {variant}, {half}", whole.half(half), OTHER[half], whole.half(OTHER[half])
    for name, teacher in (EMBRYOS, EMBRYOS[::-1]):
        for variant in ("x1", "x4"):
            yield f"{name} {variant}", varied(known[name], variant), teacher, varied(known[teacher], variant)


def main(given: argparse.Namespace) -> None:
    """Print the table."""
    taught = [f"its first {frames} frames" for frames in given.first]
    head("judged", "alone", "taught by", "its links, divisions", "with labels", *taught, "its own lineage")
    for name, pupil, teaching, teacher in pairs(given.judge):
        if given.only and not any(part.lower() in name.lower() for part in given.only):
            continue
        few = [pupil.judged(teacher.first(frames).taught) for frames in given.first]
        alone, own = pupil.judged(None), pupil.judged(pupil.taught)
        row(name, alone, teaching, teacher.told, pupil.judged(teacher.taught), *few, own)


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", nargs="*", default=[], help="parts of the names of what is judged")
    options.add_argument("--first", nargs="*", type=int, default=[], help="frames of the teacher")
    options.add_argument("--judge", action="store_true", help="the sets that only judge")
    main(options.parse_args())
