"""Scenes and pixels of the cells that are asked about, the last ones of them at hand."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, TypeVar

from ...errors import MissingRowsError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from .put import Candidates
    from .scene import Crop, Scene, Scenes, View, Window

T = TypeVar("T")
HELD: Final = 32  # scenes, and as many sets of crops: what was asked and what is asked next


class Pictures:
    """The scenes of a review; several threads may ask at once.

    Parameters
    ----------
    scenes : Scenes
        Of the movie.
    candidates : Candidates
        What each cell may become: it belongs into the picture.
    """

    def __init__(self, scenes: Scenes, candidates: Candidates) -> None:
        self.scenes, self._candidates = scenes, candidates
        self._guard = threading.Lock()
        self._held: OrderedDict[Hashable, object] = OrderedDict()

    def scene(self, cell: int) -> Scene:
        """Return what is around a cell.

        Raises
        ------
        MissingRowsError
            If there is no such cell.
        """
        row = self._candidates.row(cell)
        return self._kept(("scene", cell), lambda: self.scenes.scene(row, self._others(row)))

    def image(self, cell: int, t: int, channel: str | None, view: View) -> Crop:
        """Return the pixels of a channel, by default the first, in the window of a cell.

        Raises
        ------
        MissingRowsError
            If there are no images, no such channel, or the frame is none of the scene.
        """
        row = self._row_in(cell, t)
        name = channel if channel is not None else next(iter(self.scenes.channels), "")
        window = self._window(row)
        crops = self._kept((name, cell, view), lambda: self.scenes.images(name, row, window, view))
        return crops[t]

    def mask(self, cell: int, t: int, view: View) -> Crop:
        """Return the masks in the window of a cell; as `image`."""
        row = self._row_in(cell, t)
        return self.scenes.mask(t, row, self._window(row), view)

    def frames_of(self, cell: int) -> range:
        """Return the frames of the scene of a cell.

        Raises
        ------
        MissingRowsError
            If there is no such cell.
        """
        return self.scenes.frames_of(self._candidates.row(cell))

    def _row_in(self, cell: int, t: int) -> int:
        frames = self.frames_of(cell)
        if t not in frames:
            raise MissingRowsError(f"frame {t} is not shown with cell {cell}", known=f"{frames[0]} .. {frames[-1]}")
        return self._candidates.row(cell)

    def _window(self, row: int) -> Window:
        return self.scenes.window(row, self._others(row))

    def _others(self, row: int) -> list[int]:
        others: list[int] = self._candidates.targets(row).tolist()
        return others

    def _kept(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what was made before, or make it."""
        with self._guard:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key]  # type: ignore[return-value]  # a key is always made alike
        made = make()
        with self._guard:
            self._held[key] = made
            while len(self._held) > 2 * HELD:
                self._held.popitem(last=False)
        return made
