"""Texts of a CSV file that a spreadsheet would run as a formula: guarded by an apostrophe, and as they were.

A formula begins with ``=``, ``+``, ``-``, ``@``, a tab or a carriage return, and goes on. A text that looks guarded
already is guarded too: to take the first apostrophe away gives back what was.
"""

from __future__ import annotations

from typing import Any

import pyarrow.compute as pc

_FORMULA = r"('*[=+\-@\t\r](?s:.))"


def count_formulas_in(texts: Any) -> int:
    """Return how many of some Arrow texts get an apostrophe before them."""
    return int(pc.sum(pc.match_substring_regex(texts, f"^{_FORMULA}")).as_py() or 0)


def guarded(texts: Any) -> Any:
    """Return Arrow texts with an apostrophe before each that a spreadsheet would run."""
    return pc.replace_substring_regex(texts, f"^{_FORMULA}", r"'\1")


def unguarded(texts: Any) -> Any:
    """Return Arrow texts as they were before `guarded`."""
    return pc.replace_substring_regex(texts, f"^'{_FORMULA}", r"\1")
