"""Cells as an association transformer is told of them: frame and place in pixels, shape and brightness.

References
----------
.. [1] Gallusser & Weigert, "Trackastra", ECCV 2024, section 1.5; the features are those of its released code: the
   equivalent diameter stands for the area, and how near the border is is told, too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from ...errors import FormatError, MissingRowsError
from ...storage.measurements import Intensity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...storage.measurements import Features
    from ...storage.schema import Detections
    from .brightness import Brightness
    from .settings import TransformerSettings

NEAR_BORDER_PX: Final = 5.0
NO_IMAGES: Final = ""  # the channel of `equally_bright`


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Cells as a network sees them, in the order of frames.

    Parameters
    ----------
    frame : (n,) int64
        Frame of each, never falling.
    places : (n, 1 + c) float32
        Frame and place, pixels.
    features : (n, F) float32
        Diameter, brightness, inertia tensor row by row, and nearness of the border, 1 where it is touched.
    """

    frame: NDArray[np.int64]
    places: NDArray[np.float32]
    features: NDArray[np.float32]


def cells_for(
    settings: TransformerSettings,
    detections: Detections,
    features: Features | None,
    channel: str | None,
    brightness: Brightness | None,
    *,
    model: str = "the model",
) -> Cells:
    """Return cells with the axes and the features that a model takes.

    Parameters
    ----------
    settings : TransformerSettings
        Of the model.
    detections : Detections
        n cells. A flat movie in a model of three axes lies at z = 0.
    features : Features or None
        What the pixels tell of them; not looked at by a model without features.
    channel : str or None
        Images that tell how bright a cell is.
    brightness : Brightness or None
        Of the whole movie, or, while a model is trained, of the frame of each cell.
    model : str
        Who asks, for messages.

    Raises
    ------
    FormatError
        If cells of a volume are given to a model of flat images.
    MissingRowsError
        If something that the model takes is not known of a cell.
    """
    ndim, axes = detections.ndim, settings.coord_dim
    if ndim > axes:
        raise FormatError(f"{model} is for flat images", expected="cells in 2D", got=f"cells in {ndim}D")
    places = np.zeros((len(detections), 1 + axes), np.float32)
    places[:, 0] = detections.frame
    places[:, 1 + axes - ndim :] = detections.position_px
    if not settings.feat_dim:
        return Cells(detections.frame, places, np.empty((len(detections), 0), np.float32))
    if features is None or channel is None or brightness is None or channel not in features.intensity:
        raise MissingRowsError(
            f"{model} looks at how bright cells are, and there are no images of these cells",
            **{"try": "ingest with --images FOLDER, or score --by distance or overlap"},
        )
    mean = features.intensity[channel].mean
    unknown = without_shape(detections, features)
    if unknown.any():
        raise MissingRowsError(
            f"{model} looks at the shape of cells, and {np.count_nonzero(unknown):,} of {len(detections):,} are points",
            **{"try": "ingest the label masks that they come from, or score --by distance"},
        )
    if np.isnan(mean).any():
        raise MissingRowsError(
            f"{model} looks at how bright cells are, and {np.count_nonzero(np.isnan(mean)):,} cells cover pixels of "
            f"channel {channel} that are no number",
            **{"try": "another --channel, or images without such pixels"},
        )
    columns = (
        diameters(detections.area, axes)[:, None],
        brightness.normalised(mean)[:, None],
        inertia_in(features.inertia_px2, axes).reshape(len(detections), axes * axes),
        (1 - np.minimum(features.border_px, NEAR_BORDER_PX) / NEAR_BORDER_PX)[:, None],
    )
    return Cells(detections.frame, places, np.concatenate(columns, axis=1).astype(np.float32))


def equally_bright(features: Features) -> Features:
    """Return features in which all cells are of brightness 0, in the channel `NO_IMAGES`.

    A model that was trained without images is shown cells so, and `Brightness` (0, 1) with them.
    """
    nothing = np.zeros(len(features))
    return replace(features, intensity={NO_IMAGES: Intensity(nothing, nothing, nothing)})


def without_shape(detections: Detections, features: Features) -> NDArray[np.bool_]:
    """Tell for each of n detections whether its area, its inertia or its distance from the border is not known."""
    of_border = np.isnan(features.border_px)
    return np.isnan(detections.area) | of_border | np.isnan(features.inertia_px2).any(axis=(1, 2))


def diameters(area: NDArray[np.float64], ndim: int) -> NDArray[np.float64]:
    """Return the diameters of discs of `area` pixels, or of balls of as many voxels."""
    return np.sqrt(4 * area / np.pi) if ndim == 2 else np.cbrt(6 * area / np.pi)


def inertia_in(inertia: NDArray[np.float64], ndim: int) -> NDArray[np.float64]:
    """Return (n, ndim, ndim) inertia tensors; those of flat cells in a volume have the whole spread about z.

    About y and x nothing changes, since there is no spread along z; about z it is the sum of both.
    """
    if inertia.shape[1] == ndim:
        return inertia
    lifted = np.zeros((len(inertia), 3, 3))
    lifted[:, 1:, 1:] = inertia
    lifted[:, 0, 0] = np.trace(inertia, axis1=1, axis2=2)
    return lifted
