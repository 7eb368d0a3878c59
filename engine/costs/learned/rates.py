"""How often cells divide, come, go and are missed, and how many detections are no cell; counted in a lineage.

Each rate starts with as many cells as a small movie has at the usual rate, so that few cells cannot make it 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .clutter import Lasting
    from .lineage import Lineage
    from .surroundings import Surroundings

WORTH: Final = 300.0  # cells that a rate starts with
USUAL: Final = 0.005  # share of cells that appear, disappear or are missed
USUAL_FALSE: Final = 0.01
FALSE: Final = (1e-4, 0.2)
STAYS: Final = (
    0.1,
    20.0,
)  # usual probability of a false point to be there in the next frame, and the points it counts for
AGAIN: Final = (0.1, 20.0)  # usual probability to be overlooked once more, and the missed frames that it counts for
LEAST: Final = 1e-6  # share of cells that disappear where all short tracks are no cells
MOST: Final = 0.5  # share of cells that divide or disappear


@dataclass(frozen=True, slots=True, eq=False)
class LearnedRates:
    """What cells do from one frame to the next, as probabilities.

    Parameters
    ----------
    division : float
        A cell divides.
    appear, disappear : (2,) float64
        A cell has no parent, no child: inside, and at the border of the box around all cells.
    false : float
        Detections that are no cell, relative to the density of all.
    miss : float
        A cell is overlooked in a frame.
    again : float
        One that is overlooked is so in the next frame, too: what hides a cell rarely lasts one frame alone.
    stays : float
        A point that is no cell is there in the next frame, too; 0 where that is not shown.
    dividing, ending : (n,) float64, or (1,) for all cells alike
        How much likelier than on average each cell is to divide and to disappear, as it looks.
    """

    division: float
    appear: NDArray[np.float64]
    disappear: NDArray[np.float64]
    false: float
    miss: float
    again: float = AGAIN[0]
    stays: float = 0.0
    dividing: NDArray[np.float64] = field(default_factory=lambda: np.ones(1))
    ending: NDArray[np.float64] = field(default_factory=lambda: np.ones(1))

    @classmethod
    def unlearned(cls) -> LearnedRates:
        """Return what to start from."""
        return cls(0.02, np.full(2, 0.01), np.full(2, 0.01), 0.01, 0.01)

    def new(self, around: Surroundings, reach: int) -> NDArray[np.float64]:
        """Return the probability of each of n cells that nobody saw its parent; 1 in the first frame.

        Parameters
        ----------
        around : Surroundings
            The cells.
        reach : int
            Frames that a link may miss: as many frames after the first one a parent may just have been overlooked.
        """
        return self._with_edge(self.appear[around.border.astype(np.int64)], around.before + around.order, reach)

    def last(self, around: Surroundings, reach: int) -> NDArray[np.float64]:
        """Return the probability of each of n cells that nobody sees it again; 1 in the last frame."""
        ahead = around.after + around.n_frames - 1 - around.order
        return self._with_edge(self._ends(around), ahead, reach)

    def _with_edge(self, rate: NDArray[np.float64], frames: NDArray[np.int64], reach: int) -> NDArray[np.float64]:
        rate = rate.copy()  # which a caller may hold
        near = frames <= reach
        unseen = self.miss * self.again ** np.maximum(frames[near] - 1.0, 0.0)
        rate[near] = np.where(frames[near] == 0, 1.0, np.minimum(rate[near] + unseen, 1.0))
        return rate

    def log_missed(self, missed: NDArray[np.int64], reach: int) -> NDArray[np.float64]:
        """Return the log probability that a cell is overlooked for as many frames as each link misses, seen after them.

        Parameters
        ----------
        missed : (k,) int64
            Frames that each link misses.
        reach : int
            Most of these; nothing is said of longer gaps, so that the longest end for sure.
        """
        ends = np.where(missed < reach, np.log(1 - self.again), 0.0)
        gap = np.log(self.miss) + (missed - 1) * np.log(self.again) + ends
        return np.where(missed > 0, gap, 0.0)

    @property
    def log_alone(self) -> float:
        """Log probability of a detection to be the first point of a false track, and of that to end."""
        return float(np.log(self.false) + 2 * np.log(1 - self.stays))

    def one_child(self, around: Surroundings) -> NDArray[np.float64]:
        """Return the probability of each of n cells to go on as one."""
        return 1 - np.minimum(self.division * self.dividing + self._ends(around), MOST)

    def _ends(self, around: Surroundings) -> NDArray[np.float64]:
        return np.asarray(self.disappear[around.border.astype(np.int64)] * self.ending)


def count_rates(
    around: Surroundings,
    lineage: Lineage,
    missed: NDArray[np.int64],
    reach: int,
    division: float,
    n_further: int | None = None,
) -> LearnedRates:
    """Count what the cells of a lineage do.

    Parameters
    ----------
    around : Surroundings
        n cells.
    lineage : Lineage
        What they became.
    missed : (m,) int64
        Frames with cells that each candidate skips.
    reach : int
        Most of these. Cells that near to the first and last frame tell nothing of births and ends.
    division : float
        Stays as it is: births are shared between new cells and daughters later.
    n_further : int or None
        How many of the points that are no cells were there in the frame before, too; None where that is not asked.
    """
    cell, inner = lineage.cell, min(reach, 1)
    early, late = around.order > inner, around.order < around.n_frames - 1 - inner
    followed = lineage.first[lineage.has_child]
    skipped = float(missed[followed].sum())
    further = float(np.maximum(missed[followed] - 1, 0).sum())
    # after the longest gap that a link may have, whether one more frame was missed is not known
    told = float(np.minimum(missed[followed], max(reach - 1, 0)).sum())
    n_false = float((~cell).sum())
    return LearnedRates(
        division=division,
        appear=_by_border(cell & early & ~lineage.has_parent, cell & early, around.border),
        disappear=_by_border(cell & late & ~lineage.has_child, cell & late, around.border),
        false=_false(n_false, len(cell)),
        stays=0.0 if n_further is None else _stays(n_further, n_false),
        miss=(skipped - further + USUAL * WORTH) / (len(followed) + skipped + WORTH),
        again=(further + AGAIN[0] * AGAIN[1]) / (told + AGAIN[1]),
    )


def with_lasting(
    counted: LearnedRates,
    around: Surroundings,
    lineage: Lineage,
    lasting: Lasting,
    share: NDArray[np.float64],
    n_further: int,
) -> LearnedRates:
    """Return counted rates as they are where some short tracks are no cells.

    Parameters
    ----------
    counted : LearnedRates
        Those of a lineage that takes them for cells.
    around, lineage
        Of n cells.
    lasting : Lasting
        The k tracks.
    share : (k,) float64
        Probability of each.
    n_further : int
        As in `count_rates`.
    """
    n_false = float((~lineage.cell).sum()) + float(share @ lasting.length)
    border, cells = around.border[lasting.end], lineage.cell
    gone = [share[border == here].sum() / ((cells & (around.border == here)).sum() + WORTH) for here in (False, True)]
    return replace(
        counted,
        false=_false(n_false, len(cells)),
        stays=_stays(n_further + float(share @ (lasting.length - 1)), n_false),
        disappear=np.maximum(counted.disappear - np.array(gone), LEAST),
    )


def _false(n_false: float, n: int) -> float:
    return float(np.clip((n_false + USUAL_FALSE * WORTH) / (n + WORTH), *FALSE))


def _stays(n_further: float, n_false: float) -> float:
    return (n_further + STAYS[0] * STAYS[1]) / (n_false + STAYS[1])


def _by_border(event: NDArray[np.bool_], of: NDArray[np.bool_], border: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the share inside and at the border; each starts with the share of both, and that with the usual one."""
    both = (event.sum() + USUAL * WORTH) / (of.sum() + WORTH)
    return np.array([((event & here).sum() + both * WORTH) / ((of & here).sum() + WORTH) for here in (~border, border)])
