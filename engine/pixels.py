"""The pixels of a movie, a frame at a time: the door through which scorers see label masks and images.

A scorer asks for what it needs, when it needs it; one that asks for nothing costs nothing. Whoever goes through a movie
in the order of its frames finds the last few still in memory, and never more of them than fit into a fixed size.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from ..errors import MissingRowsError
from ..storage.arrays import read_frame
from .progress import Progress, Silent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from ..storage.arrays import ArrayRef
    from ..storage.catalogue import DetectionSet
    from ..storage.duckdb_store import DuckDBStore

HELD_BYTES: Final = 256 << 20  # of frames in memory; the last two are held whatever their size


class Pixels(Protocol):
    """The pixels that belong to some detections; in a mask each cell is drawn under its `Detections.label`."""

    @property
    def has_masks(self) -> bool:
        """Whether there are label masks."""
        ...

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the image channels."""
        ...

    def mask(self, frame: int) -> NDArray[np.integer]:
        """Return the label mask of a frame, ([z,] y, x), 0 for background; it is not to be written to.

        Raises
        ------
        MissingRowsError
            If there are no masks.
        """
        ...

    def image(self, channel: str, frame: int) -> NDArray[np.generic]:
        """Return the image of a channel in a frame, ([z,] y, x); it is not to be written to.

        Raises
        ------
        MissingRowsError
            If there is no such channel.
        """
        ...


class StoredPixels:
    """The pixels that a store keeps of a movie.

    Parameters
    ----------
    folder : Path
        The store.
    arrays : sequence of ArrayRef
        Its masks and images of one movie.
    progress : Progress
        Who is told when a further frame is read.
    held_bytes : int
        Size of the frames that stay in memory; the last two stay in any case.
    """

    def __init__(
        self,
        folder: Path,
        arrays: Sequence[ArrayRef],
        *,
        progress: Progress | None = None,
        held_bytes: int = HELD_BYTES,
    ) -> None:
        self._folder = folder
        self._masks = next((ref for ref in arrays if ref.kind == "masks"), None)
        self._images = {ref.channel: ref for ref in arrays if ref.kind == "images"}
        self._progress = progress or Silent()
        self._held_bytes = held_bytes
        self._held: OrderedDict[tuple[str, str, int], NDArray[Any]] = OrderedDict()
        self._furthest = -1

    @property
    def has_masks(self) -> bool:
        """Whether there are label masks."""
        return self._masks is not None

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the image channels."""
        return tuple(self._images)

    def mask(self, frame: int) -> NDArray[np.integer]:
        """Return the label mask of a frame."""
        if self._masks is None:
            raise MissingRowsError(f"{self._folder} keeps no masks of these detections")
        return self._frame(self._masks, frame)

    def image(self, channel: str, frame: int) -> NDArray[np.generic]:
        """Return the image of a channel in a frame."""
        if channel not in self._images:
            raise MissingRowsError(
                f"{self._folder} keeps no images of channel {channel}", known=", ".join(self.channels) or "none"
            )
        return self._frame(self._images[channel], frame)

    def _frame(self, ref: ArrayRef, frame: int) -> NDArray[Any]:
        key = (ref.kind, ref.channel, frame)
        if key in self._held:
            self._held.move_to_end(key)
            return self._held[key]
        pixels = read_frame(self._folder, ref, frame)
        pixels.flags.writeable = False
        self._held[key] = pixels
        while len(self._held) > 2 and sum(held.nbytes for held in self._held.values()) > self._held_bytes:
            self._held.popitem(last=False)
        self._tell(frame, ref.shape[0])
        return pixels

    def _tell(self, frame: int, n_frames: int) -> None:
        if self._furthest < 0:
            self._progress.start("frames", n_frames)
        self._progress.advance(max(frame - self._furthest, 0))
        self._furthest = max(frame, self._furthest)


@dataclass(frozen=True, slots=True, eq=False)
class PixelsInMemory:
    """Pixels at hand; by default there are none.

    Parameters
    ----------
    masks : mapping of int to array
        Label mask of each frame.
    images : mapping of str to mapping of int to array
        For each channel the image of each frame.
    """

    masks: Mapping[int, NDArray[np.integer]] = field(default_factory=dict)
    images: Mapping[str, Mapping[int, NDArray[np.generic]]] = field(default_factory=dict)

    @property
    def has_masks(self) -> bool:
        """Whether there are label masks."""
        return bool(self.masks)

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the image channels."""
        return tuple(self.images)

    def mask(self, frame: int) -> NDArray[np.integer]:
        """Return the label mask of a frame."""
        if frame not in self.masks:
            raise MissingRowsError(f"there is no mask of frame {frame}")
        return self.masks[frame]

    def image(self, channel: str, frame: int) -> NDArray[np.generic]:
        """Return the image of a channel in a frame."""
        if frame not in self.images.get(channel, {}):
            raise MissingRowsError(f"there is no image of channel {channel} in frame {frame}")
        return self.images[channel][frame]


NO_PIXELS: Final = PixelsInMemory()


def pixels_of(store: DuckDBStore, chosen: DetectionSet, progress: Progress | None = None) -> StoredPixels:
    """Return the pixels that a store keeps of the movie of a detection set."""
    return StoredPixels(store.path, store.arrays(chosen), progress=progress)
