"""One bar for a long call in a notebook; nothing where Python runs elsewhere."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from ...storage.html import html_line, html_text
from ..progress import Progress, Silent

if TYPE_CHECKING:
    from collections.abc import Iterator

EVERY_S: Final = 0.2  # between two drawings


@contextmanager
def bar_in_notebook() -> Iterator[Progress]:
    """Yield who is told how far a call is: a bar in a notebook, whose place the notes take when the block ends."""
    if not _in_kernel():
        yield Silent()
        return
    bar = KernelBar()
    try:
        yield bar
    except KeyboardInterrupt:
        bar.note("interrupted: what was finished stays, the rest was not begun")
        raise
    finally:
        bar.close()


class KernelBar:
    """A bar in the output of a cell, drawn in place of the last one."""

    def __init__(self) -> None:
        from IPython.display import HTML, display

        self._html = HTML
        self._stage, self._done = "", 0
        self._total: int | None = None
        self._notes: list[str] = []
        self._drawn_at = time.monotonic()
        self._handle: Any = display(HTML(""), display_id=True)

    def start(self, stage: str, total: int | None = None) -> None:
        """Begin a stage."""
        self._stage, self._total, self._done = stage, total, 0
        self._draw()

    def advance(self, steps: int = 1) -> None:
        """Move the bar."""
        self._done += steps
        if time.monotonic() - self._drawn_at > EVERY_S:
            self._draw()

    def note(self, text: str) -> None:
        """Keep a fact for the end."""
        self._notes.append(text)

    def close(self) -> None:
        """Leave the notes alone."""
        self._handle.update(self._html("".join(map(html_line, self._notes))))

    def _draw(self) -> None:
        self._drawn_at = time.monotonic()
        far = f' value="{self._done}" max="{self._total}"' if self._total else ""
        self._handle.update(self._html(f"<progress{far}></progress> {html_text(self._stage)}"))


def _in_kernel() -> bool:
    """Return whether a notebook shows what this process does."""
    if "IPython" not in sys.modules:
        return False
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    return shell is not None and hasattr(shell, "kernel")
