"""The file that a killed training goes on from: all that its next step follows from, replaced whole or not at all."""

from __future__ import annotations

import io
import pickle
import time
import zipfile
from typing import TYPE_CHECKING, Any, Final

import torch

from ...errors import FormatError, StoreExistsError
from ...storage.folders import appearing_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

FORMAT: Final = 1  # raise it with the meaning
EVERY_S: Final = 30.0
"""Seconds between two files, at least."""
AT_MOST: Final = 50.0  # and as many times as long as it took to write one: two percent of a training at most


class Checkpoint:
    """The file of an unfinished training.

    Parameters
    ----------
    file : Path
        Where it stands.
    follows : mapping of str to str, int, float or bool
        What the training follows from: settings, movies, first weights; one other value makes it another training.
    """

    def __init__(self, file: Path, follows: Mapping[str, str | int | float | bool]) -> None:
        self._file, self._follows = file, dict(follows)
        self._due = time.monotonic() + EVERY_S

    def keep(self, state: Mapping[str, object]) -> None:
        """Replace the file; it is on the disk when this returns.

        Raises
        ------
        OSError
            If there is no room for it; the former file is then still there.
        """
        began = time.monotonic()
        held = io.BytesIO()  # torch hides from a caller that a disk is full; bytes do not
        torch.save({"format": FORMAT, "follows": self._follows, "state": dict(state)}, held)
        with appearing_file(self._file) as partial:
            partial.write_bytes(held.getbuffer())
        now = time.monotonic()
        self._due = now + max(EVERY_S, AT_MOST * (now - began))

    def keep_if_due(self, state: Callable[[], Mapping[str, object]]) -> None:
        """Replace the file if the last one is old."""
        if time.monotonic() >= self._due:
            self.keep(state())

    def read(self) -> dict[str, Any] | None:
        """Return what was kept last; None if nothing was.

        Raises
        ------
        FormatError
            If the file is none, or would run code.
        StoreExistsError
            If it is of another training; what differs is named.
        """
        if not self._file.exists():
            return None
        follows, state = self._loaded(lazily=False)
        self._require(follows, {**follows, **self._follows})
        return state

    def require_alike(self) -> None:
        """Raise what `read` would, as far as what is known of this training tells; little of the file is read."""
        if self._file.exists():
            self._require(self._loaded(lazily=True)[0], self._follows)

    def _loaded(self, *, lazily: bool) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what the training of the file follows from, and its state."""
        try:
            found = torch.load(self._file, map_location="cpu", weights_only=True, mmap=lazily)
            form, follows, state = found["format"], found["follows"], found["state"]
        except (
            RuntimeError,
            EOFError,
            ValueError,
            KeyError,
            TypeError,
            pickle.UnpicklingError,
            zipfile.BadZipFile,
        ) as e:
            raise FormatError(
                f"{self._file} is no training that could go on",
                reason=str(e).strip().split("\n")[0][:200],
                **{"try": "--overwrite begins anew"},
            ) from e
        if form != FORMAT:
            raise FormatError(
                f"{self._file} was kept by another trackdb", expected=f"format {FORMAT}", got=f"format {form}"
            )
        return dict(follows), dict(state)

    def _require(self, there: Mapping[str, Any], keys: Iterable[str]) -> None:
        different = differing(there, {key: self._follows.get(key) for key in keys})
        if different:
            raise StoreExistsError(
                f"{self._file.parent} holds an unfinished training that follows from something else",
                there=different,
                **{"try": "give it the same again, another -o, or --overwrite to begin anew"},
            )

    def forget(self) -> None:
        """Remove the file: the training is done."""
        self._file.unlink(missing_ok=True)


def differing(there: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Return in words which settings a training has that are others now; nothing where all are the same.

    Examples
    --------
    >>> differing({"seed": 0, "window": 4}, {"seed": 4, "window": 4})
    'seed 0, now 4'
    """
    return "; ".join(f"{key} {there.get(key)!r}, now {now[key]!r}" for key in now if there.get(key) != now[key])
