"""Decisions in words, and as programs read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...storage.decisions import DecisionKind

if TYPE_CHECKING:
    from ...storage.decisions import Decision


def told(decision: Decision) -> str:
    """Return a decision in words, with its number, who said it and when."""
    cell = "" if decision.cell is None else f"cell {decision.cell.id} "
    return f"{cell}{said(decision)} (#{decision.seq} {decision.who} {decision.at:%Y-%m-%d %H:%M:%S})"


def said(decision: Decision) -> str:
    """Return in words what a decision says of its cell."""
    names = ", ".join(str(daughter.id) for daughter in decision.daughters or ())
    match decision.kind:
        case DecisionKind.CHOOSE if not names:
            return "ends"
        case DecisionKind.CHOOSE:
            return f"{'divides into' if ',' in names else 'continues as'} {names}"
        case DecisionKind.REJECT:
            return f"is not continued by {names}"
        case DecisionKind.BEGINS:
            return "begins"
        case DecisionKind.NOT_A_CELL:
            return "is no cell"
        case DecisionKind.UNDO:
            return f"undo of {decision.undo_of}"
    return decision.kind.value


def as_read(decision: Decision) -> dict[str, object]:
    """Return an entry by the keys of the JSON: cells by their numbers."""
    cell, daughters = decision.cell, decision.daughters
    return {
        "seq": decision.seq,
        "key": decision.key,
        "at": f"{decision.at:%Y-%m-%dT%H:%M:%SZ}",
        "who": decision.who,
        "kind": decision.kind.value,
        "dataset": decision.dataset,
        "cell": None if cell is None else cell.id,
        "frame": None if cell is None else cell.t,
        "daughters": None if daughters is None else [daughter.id for daughter in daughters],
        "undo_of": decision.undo_of,
        "note": decision.note,
    }
