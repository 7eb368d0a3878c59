"""Examples as they could have been: turned, stretched, brighter, shaken. What belongs together stays as it is.

Each change is a function of an example and of chance alone. The space axes of a window whose cells all lie in one plane
``z`` are y and x: nothing moves it out of its plane, but for the last shift, which moves all cells alike.

References
----------
.. [1] Gallusser & Weigert, "Trackastra", ECCV 2024, section 1.5 (which changes); kinds, order, sizes and chances are
   those of its released code, but for `each_frame_by_itself`, of which the paper tells no sizes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from .examples import Example

    Change = Callable[[Example, np.random.Generator], Example]

LEVELS: Final = (0, 1, 2, 3)
DIAMETER: Final = 0
BRIGHTNESS: Final = 1
INERTIA: Final = 2  # the first of its columns
FURTHEST: Final = 512  # pixels, the first that no example is shifted by


def augmented(example: Example, rng: np.random.Generator, level: int, *, each_frame: bool = False) -> Example:
    """Change an example at random.

    Parameters
    ----------
    example : Example
        A window.
    rng : Generator
        Chance.
    level : int
        0: not at all; 1: flipped; 2: turned, stretched, and brighter or darker, too; 3: adrift and shaken, too. From 1
        on all places are shifted alike in the end.
    each_frame : bool
        Whether each frame is moved by itself, too, as the paper has it.

    Returns
    -------
    example : Example
        The same cells.
    """
    if level == 0:
        return example
    for least, chance, change in CHANGES:
        if level >= least and rng.random() < chance:
            example = change(example, rng)
    if each_frame:
        example = each_frame_by_itself(example, rng)
    return shifted(example, rng)


def flipped(example: Example, rng: np.random.Generator) -> Example:
    """Mirror each axis with a chance of 1/2."""
    axes = _axes(example)
    matrix = np.eye(example.places.shape[1] - 1)
    matrix[axes, axes] = rng.choice([-1.0, 1.0], len(axes))
    return _moved(example, matrix)


def stretched(example: Example, rng: np.random.Generator) -> Example:
    """Turn by any angle about the z axis, stretch each axis by .5 to 2, shear y and x by .1 at most."""
    axes = _axes(example)
    matrix = np.eye(example.places.shape[1] - 1)
    matrix[axes, axes] = rng.uniform(0.5, 2, len(axes))
    matrix[-2:, -2:] = _turn(rng.uniform(-np.pi, np.pi)) @ matrix[-2:, -2:] @ _shear(rng.uniform(-0.1, 0.1, 2))
    return _moved(example, matrix)


def brightened(example: Example, rng: np.random.Generator) -> Example:
    """Multiply the brightness of all cells by .5 to 2, and add up to .1 to it, or take it off."""
    if not example.features.shape[1]:
        return example
    features = example.features.copy()
    features[:, BRIGHTNESS] = features[:, BRIGHTNESS] * rng.uniform(0.5, 2) + rng.uniform(-0.1, 0.1)
    return replace(example, features=features)


def adrift(example: Example, rng: np.random.Generator) -> Example:
    """Let all cells drift alike, by up to 10 pixels a frame along each axis."""
    axes = _axes(example)
    time = example.places[:, :1] - example.places[:, :1].min()
    return _with_steps(example, axes, time * rng.uniform(-10, 10, len(axes)))


def shaken(example: Example, rng: np.random.Generator) -> Example:
    """Move each cell by itself, by up to 3 pixels along each axis."""
    axes = _axes(example)
    return _with_steps(example, axes, rng.uniform(-3, 3, (len(example), len(axes))))


def each_frame_by_itself(example: Example, rng: np.random.Generator) -> Example:
    """Move each frame by itself, and add noise; the paper names these changes, the sizes are ours.

    A frame is turned by up to 5 degrees, sheared by up to .05, and moved by up to 5 pixels along each axis. Gaussian
    noise is added to places (1 pixel) and to brightness (.02).
    """
    axes, n = _axes(example), example.places.shape[1] - 1
    frames, which = np.unique(example.frame, return_inverse=True)
    matrix = np.tile(np.eye(n), (len(frames), 1, 1))
    for one in matrix:
        one[-2:, -2:] = _turn(np.deg2rad(rng.uniform(-5, 5))) @ _shear(rng.uniform(-0.05, 0.05, 2))
    moved = _moved(example, matrix[which])
    steps = rng.uniform(-5, 5, (len(frames), len(axes)))[which] + rng.normal(0, 1, (len(example), len(axes)))
    moved = _with_steps(moved, axes, steps)
    if not example.features.shape[1]:
        return moved
    features = moved.features.copy()
    features[:, BRIGHTNESS] += rng.normal(0, 0.02, len(example))
    return replace(moved, features=features)


def shifted(example: Example, rng: np.random.Generator) -> Example:
    """Shift all cells alike, by 0 to 511 whole pixels along each axis: a network is not to learn places by heart."""
    axes = np.arange(example.places.shape[1] - 1)
    return _with_steps(example, axes, rng.integers(0, FURTHEST, len(axes)))


CHANGES: Final[tuple[tuple[int, float, Change], ...]] = (
    (1, 1.0, flipped),  # which has a chance for each axis
    (2, 0.8, stretched),
    (2, 0.8, brightened),
    (3, 0.3, adrift),
    (3, 0.8, shaken),
)
"""The level from which on each change is made, its chance, and the change, in their order."""


def _axes(example: Example) -> NDArray[np.int64]:
    """Return the space axes in which cells lie: all, but z where all of them lie in one plane."""
    axes = np.arange(example.places.shape[1] - 1)
    flat = len(axes) == 3 and np.ptp(example.places[:, 1]) == 0
    return axes[1:] if flat else axes


def _turn(angle: float) -> NDArray[np.float64]:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _shear(by: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([[1.0, by[0]], [by[1], 1.0]])


def _moved(example: Example, matrix: NDArray[np.float64]) -> Example:
    """Apply a matrix to places, about the middle of the cells, and to diameters and inertia tensors.

    Parameters
    ----------
    example : Example
        n cells in c space axes.
    matrix : (c, c) or (n, c, c) float64
        Of all cells, or of each.
    """
    n = example.places.shape[1] - 1
    places = example.places.astype(np.float64)
    middle = (places[:, 1:].min(axis=0) + places[:, 1:].max(axis=0)) / 2
    places[:, 1:] = middle + np.squeeze(matrix @ (places[:, 1:] - middle)[:, :, None], axis=2)
    features = example.features.copy()
    if features.shape[1]:
        features[:, DIAMETER] *= np.abs(np.linalg.det(matrix)) ** (1 / n)
        inertia = example.features[:, INERTIA : INERTIA + n * n].reshape(-1, n, n)
        turned = matrix @ inertia @ np.swapaxes(matrix, -1, -2)
        features[:, INERTIA : INERTIA + n * n] = turned.reshape(-1, n * n)
    return replace(example, places=places.astype(np.float32), features=features)


def _with_steps(
    example: Example, axes: NDArray[np.int64], steps: NDArray[np.floating] | NDArray[np.integer]
) -> Example:
    """Add (n, axes) or (axes) steps to the places along some axes."""
    places = example.places.copy()
    places[:, 1 + axes] += steps
    return replace(example, places=places)
