"""Ids of the cells of a table: whole numbers as they are, words numbered by row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ....errors import FormatError
from ..links import find_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from .columns import Table


@dataclass(frozen=True, slots=True, eq=False)
class Ids:
    """What the rows of a table are called.

    Parameters
    ----------
    label : (n,) int64
        Number of each row.
    words : pa.StringArray or None
        Id of each row where ids are words; labels are row numbers then.
    """

    label: NDArray[np.int64]
    words: Any | None = None

    def shown(self, row: int) -> str:
        """Return the id of a row as the user's table writes it."""
        return str(self.label[row] if self.words is None else self.words[int(row)].as_py())

    def rows_of(
        self, table: Table, column: str, what: Callable[[int], str], *, may_miss: bool = False
    ) -> NDArray[np.int64]:
        """Return the row that each entry of a column names, -1 where it names none.

        Parameters
        ----------
        table : Table
            This table or another.
        column : str
            Its column of ids.
        what : callable
            Begin of the message about an entry, given its row.
        may_miss : bool
            Let an entry be empty or -1, and 0 where no row has id 0.

        Raises
        ------
        FormatError
            At the first entry that no row is called by.
        """
        if self.words is None:
            wanted = table.integers(column, missing=-1 if may_miss else None, lowest=-1 if may_miss else 0)
            rows = find_rows(self.label, wanted)
            none = wanted == -1
            if may_miss and not np.any(self.label == 0):
                none |= wanted == 0
        else:
            words = table.texts(column)
            rows = pc.fill_null(pc.index_in(words, self.words), -1).to_numpy().astype(np.int64)
            none = pc.fill_null(pc.is_in(words, pa.array(["-1", None])), False).to_numpy(zero_copy_only=False)
            none &= rows < 0
        unknown = np.flatnonzero((rows < 0) & ~(none & may_miss))
        if len(unknown):
            row = int(unknown[0])
            named = str(table.columns[column][row].as_py() or "nothing").strip()
            raise FormatError(f"{what(row)} names id {named}, which no row of the table has", expected="a known id")
        return np.where(none, -1, rows)


def ids_of(table: Table, column: str) -> tuple[Ids, list[str]]:
    """Return the ids that a column gives, each row its own, and what to note about them.

    Raises
    ------
    FormatError
        If an id is missing, negative, or there twice.
    """
    if not table.is_text(column):
        label = table.integers(column)
        order = np.argsort(label, kind="stable")
        require_unique(
            table, order, label[order[1:]] == label[order[:-1]], lambda row: f"id {label[row]} is there already", column
        )
        return Ids(label), []
    words = table.texts(column)
    if words.null_count:
        row = int(np.flatnonzero(words.is_null().to_numpy(zero_copy_only=False))[0])
        raise FormatError(f"{table.where(row)}: column {column} needs an id", got="nothing")
    rank = words.dictionary_encode().indices.to_numpy()
    order = np.argsort(rank, kind="stable")
    require_unique(
        table,
        order,
        rank[order[1:]] == rank[order[:-1]],
        lambda row: f"id {words[row].as_py()} is there already",
        column,
    )
    note = f"ids of column {column} are words: cells are numbered by row, and keep the words as property {column}"
    return Ids(np.arange(len(table)), words), [note]


def require_unique(
    table: Table,
    order: NDArray[np.int64],
    same: NDArray[np.bool_],
    what: Callable[[int], str],
    column: str,
    *,
    kind: str = "an id of its own for each row",
) -> None:
    """Raise FormatError where rows that follow each other in `order` are the same, naming the lines of both."""
    if not same.any():
        return
    at = int(np.flatnonzero(same)[0])
    a, b = sorted(order[at : at + 2].tolist())
    raise FormatError(
        f"{table.where(b)}: {what(b)}",
        expected=kind,
        got=f"the same in {table.line(a)}",
        **{"try": f"--columns track={column}, if column {column} numbers tracks"},
    )
