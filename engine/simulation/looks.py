"""How a cell looks, so that it can be known again: its outline, its texture, its brightness, and how it is turned.

A look is a vector of standard normal numbers, and time and descent are correlations: a cell's numbers hardly change
from one frame to the next, a daughter's are a blend of her mother's and of new ones, a stranger's are all new.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.transform import Rotation
from scipy.special import ndtr

if TYPE_CHECKING:
    from numpy.typing import NDArray

BUMPS = 3  # waves in the outline
WAVES = 8  # waves in the texture
ASPECT, BRIGHT, OUTLINE = 0, 1, slice(2, 2 + 2 * BUMPS)
TEXTURE = slice(OUTLINE.stop, OUTLINE.stop + 2 * WAVES)
N_TRAITS = TEXTURE.stop
INHERITED = 0.7  # correlation of a daughter's numbers with her mother's
TURN = 0.1  # radians a frame, root mean square about each axis


def _kept() -> NDArray[np.float64]:
    """Return the correlation of each number with itself one frame later: textures last, outlines change sooner."""
    kept = np.full(N_TRAITS, 0.995)
    kept[OUTLINE] = 0.95
    return kept


@dataclass(frozen=True, slots=True, eq=False)
class Looks:
    """Looks of n cells.

    Parameters
    ----------
    traits : (n, N_TRAITS) float64
        Standard normal numbers.
    turn : (n, 3, 3) float64
        Unit vectors of each cell's own axes as rows, axes ``(z, y, x)``; the last one is its long axis. Flat cells are
        turned about z alone.
    """

    traits: NDArray[np.float64]
    turn: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.traits)

    def aspect(self, spread: float) -> NDArray[np.float64]:
        """Return the long axis of each cell over its short ones, between 1 and 1 + `spread`."""
        return 1 + spread * np.asarray(ndtr(self.traits[:, ASPECT]))

    @property
    def brightness(self) -> NDArray[np.float64]:
        """Brightness of each cell; its median is 1."""
        return np.asarray(np.exp(0.25 * self.traits[:, BRIGHT]))


def new_looks(n: int, ndim: int, rng: np.random.Generator) -> Looks:
    """Return looks of strangers."""
    traits = rng.normal(size=(n, N_TRAITS))
    if ndim == 3:
        return Looks(traits, Rotation.from_quat(rng.normal(size=(n, 4)) + 1e-12).as_matrix())
    return Looks(traits, _about_z(rng.uniform(0, 2 * np.pi, n)))


def inherited(
    looks: Looks, parent: NDArray[np.int64], is_daughter: NDArray[np.bool_], ndim: int, rng: np.random.Generator
) -> Looks:
    """Return the looks of the next frame.

    Parameters
    ----------
    looks : Looks
        Of the last frame.
    parent : (n,) int64
        Row there of the same cell, or of its mother; -1 for a stranger.
    is_daughter : (n,) bool
        True for those that a division has made.
    ndim : int
        Space axes of the movie.
    rng : Generator
        Where new numbers come from.
    """
    n = len(parent)
    new = new_looks(n, ndim, rng)
    slight = TURN * rng.normal(size=(n, 3))
    if not len(looks):
        return new
    known = parent >= 0
    kept = np.where(is_daughter[:, None], INHERITED, _kept()) * known[:, None]
    traits = kept * looks.traits[parent] + np.sqrt(1 - kept**2) * new.traits
    turned = looks.turn[parent] @ (_about_z(slight[:, 0]) if ndim == 2 else Rotation.from_rotvec(slight).as_matrix())
    return Looks(traits, np.where(known[:, None, None], turned, new.turn))


def _about_z(angle: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (n, 3, 3) turns about z."""
    turn = np.zeros((len(angle), 3, 3))
    turn[:, 0, 0] = 1
    turn[:, 1, 1] = turn[:, 2, 2] = np.cos(angle)
    turn[:, 1, 2] = -np.sin(angle)
    turn[:, 2, 1] = np.sin(angle)
    return turn
