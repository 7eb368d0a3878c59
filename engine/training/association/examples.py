"""One window of a labelled movie as a network is shown it, and what it is to say of each pair of its cells.

Two cells belong together where one is the other, or its ancestor; sisters do not. Descent is a comparison of two
numbers, the places in the walk down the true lineages (`engine.lineages`), so all pairs are told at once.

References
----------
.. [1] Gallusser & Weigert, "Trackastra", ECCV 2024, section 1.1 (targets) and Eqs. (6), (7) (weights).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from ....errors import SchemaError
from ....storage.schema import require_equal_lengths
from ...train_config import PAPER

if TYPE_CHECKING:
    from numpy.typing import NDArray

REACH: Final = 2
"""Most frames between two cells that are compared, Delta t of Eq. (7)."""

DIV_UPWEIGHT: Final = PAPER.div_upweight
"""What links of a division weigh more: 10 in the paper, lambda_div of Eq. (7); the authors' script has 2."""

UNKNOWN: Final = -1
"""Place in the walk of a cell that the truth does not know."""


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """The n cells of one window, and what is true of each two of them.

    Parameters
    ----------
    frame : (n,) int64
        Frame of each in its movie, never falling.
    places : (n, 1 + c) float32
        Frame and place ``(t, [z,] y, x)``, pixels, as in `Cells.places`.
    features : (n, F) float32
        As in `Cells.features`; F is 0 for a network without features.
    associated : (n, n) bool
        Whether one of the two is the other, or its ancestor; symmetric. False for whatever the truth does not know.
    weight : (n, n) float32
        How much the answer of row i, the earlier cell, and column j counts: 0 where the two are not compared, that is
        unless j is one or two frames later than i.
    """

    frame: NDArray[np.int64]
    places: NDArray[np.float32]
    features: NDArray[np.float32]
    associated: NDArray[np.bool_]
    weight: NDArray[np.float32]

    def __post_init__(self) -> None:
        require_equal_lengths(
            frame=self.frame,
            places=self.places,
            features=self.features,
            associated=self.associated,
            weight=self.weight,
        )
        square = (len(self.frame),) * 2
        if self.associated.shape != square or self.weight.shape != square:
            raise SchemaError(f"an example of {len(self)} cells tells of each pair of them", expected=str(square))

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def compared(self) -> NDArray[np.bool_]:
        """(n, n) Pairs of which an answer counts."""
        return self.weight > 0


def associations(frame: NDArray[np.int64], pre: NDArray[np.int64], last: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell for each two cells whether one is the other, or its ancestor.

    Parameters
    ----------
    frame : (n,) int64
        Frame of each cell.
    pre, last : (n,) int64
        Place of its true tracklet in the walk down the lineages, and the last place among its descendants; both are
        `UNKNOWN` for a cell that the truth does not know.

    Returns
    -------
    associated : (n, n) bool
        Symmetric.
    """
    # in the order of the walk, then of time, a cell is followed by all of its descendants, then by all others
    walk = np.lexsort((frame, pre))
    walk = walk[pre[walk] != UNKNOWN]
    size = np.searchsorted(pre[walk], last[walk], side="right") - np.arange(len(walk))  # of the subtree of each
    ancestor = np.repeat(walk, size)
    within = np.arange(len(ancestor)) - np.repeat(np.cumsum(size) - size, size)
    descendant = walk[np.repeat(np.arange(len(walk)), size) + within]
    associated = np.zeros((len(frame),) * 2, dtype=bool)
    associated[ancestor, descendant] = associated[descendant, ancestor] = True
    return associated


def compared(frame: NDArray[np.int64], reach: int = REACH) -> NDArray[np.bool_]:
    """Tell for each two cells, in the order of frames, whether the second is later, by `reach` frames at most."""
    times = np.unique(frame)
    bounds = [np.searchsorted(frame, times), *np.searchsorted(frame, [times, times + reach], side="right")]
    later = np.zeros((len(frame),) * 2, dtype=bool)
    for first, after, stop in np.stack(bounds, axis=1).tolist():
        later[first:after, after:stop] = True
    return later


def weights(
    frame: NDArray[np.int64], associated: NDArray[np.bool_], *, div_upweight: float = DIV_UPWEIGHT
) -> NDArray[np.float32]:
    """Weigh each pair that is compared: links count double, those of divisions ``1 + div_upweight`` times.

    With n the number of descendants of i in the frame of j and of ancestors of j in the frame of i, a pair that belongs
    together weighs 2 where n is 2, more where n is larger; a pair that does not weighs 1.

    Parameters
    ----------
    frame : (n,) int64
        Frame of each cell, never falling.
    associated : (n, n) bool
        From `associations`.
    div_upweight : float
        What a link of a division weighs more than a pair that does not belong together.

    Returns
    -------
    weight : (n, n) float32
        0 where a pair is not compared.
    """
    weight = compared(frame).astype(np.float32)
    _, when = np.unique(frame, return_inverse=True)
    n, n_frames = len(frame), int(when.max(initial=0)) + 1
    i, j = np.divmod(np.flatnonzero(associated), max(n, 1))
    relatives = np.bincount(i * n_frames + when[j], minlength=n * n_frames).reshape(n, n_frames)
    count = relatives[i, when[j]] + relatives[j, when[i]]
    link = weight[i, j] > 0
    weight[i[link], j[link]] = np.where(count[link] > 2, 1 + div_upweight, 2)
    return weight


def weights_by_mothers(
    frame: NDArray[np.int64], daughters: NDArray[np.int64], *, div_upweight: float = DIV_UPWEIGHT
) -> NDArray[np.float32]:
    """Weigh each pair that is compared by what becomes of the earlier cell, whether they belong together or not.

    This is Eq. (7) as the paper has it; `weights` is what the released code does.

    Parameters
    ----------
    frame : (n,) int64
        Frame of each cell, never falling.
    daughters : (n,) int64
        Links that leave each to later cells.
    div_upweight : float
        What the pairs of a cell that divides weigh more than those of a cell that ends; those of one that goes on
        weigh 2.

    Returns
    -------
    weight : (n, n) float32
        0 where a pair is not compared.
    """
    of_mother = np.choose(np.minimum(daughters, 2), [1, 2, 1 + div_upweight])
    return np.where(compared(frame), of_mother[:, None], 0).astype(np.float32)
