"""Which key does what; a page may give an action another key, or none."""

from __future__ import annotations

from typing import Final

KEYS: Final[dict[str, list[str]]] = {
    "accept": ["Enter", "a"],
    "outcome": [str(n) for n in range(1, 10)],
    "divides": ["d"],
    "ends": ["e"],
    "none": ["x"],
    "outline": ["s"],
    "unsure": [" "],
    "not_a_cell": ["k"],
    "undo": ["z", "Ctrl+z", "Backspace"],
    "redo": ["Shift+Z"],
    "next": ["n"],
    "previous": ["p"],
    "go": ["g"],
    "queue": ["l"],
    "tree": ["t"],
    "changes": ["r"],
    "back": ["ArrowLeft"],
    "ahead": ["ArrowRight"],
    "up": ["ArrowUp"],
    "down": ["ArrowDown"],
    "blink": ["b"],
    "outlines": ["o"],
    "contrast": ["c"],
    "zoom_in": ["+"],
    "zoom_out": ["-"],
    "flag": ["f"],
    "play": ["m"],
    "help": ["?"],
    "projection": ["v"],
}
