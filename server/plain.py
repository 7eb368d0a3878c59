"""What the page is told, as JSON: plain numbers, words and lists."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from ..engine.annotations.words import said

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ..engine.review.descent import Relative
    from ..engine.review.put import Candidate, Put
    from ..engine.review.queue import Outcome, ReviewList
    from ..engine.review.resolved import Resolved
    from ..engine.review.saying import Effect, State, Stats
    from ..engine.review.scene import Scene, Scenes
    from ..engine.review.session import ReviewSession
    from ..storage.decisions import Decision

MOST_CHANGES: Final = 12
MOST_MOVED: Final = 500
HIDDEN: Final = "answered"


def record(decision: Decision, undone: bool = False, hidden: bool = False) -> dict[str, Any]:
    """Return an entry of the log; of one that is hidden who said something of which cell, and not what."""
    cell, daughters = decision.cell, decision.daughters
    about = "" if cell is None else f"cell {cell.id} "
    told = {
        "seq": decision.seq,
        "key": decision.key,
        "who": decision.who,
        "at": f"{decision.at:%Y-%m-%dT%H:%M:%SZ}",
        "kind": decision.kind.value,
        "cell": None if cell is None else cell.id,
        "frame": None if cell is None else cell.t,
        "daughters": None if daughters is None else [daughter.id for daughter in daughters],
        "blind": decision.blind,
        "undone": undone,
        "note": decision.note,
        "text": f"{about}{said(decision)}",
    }
    return told | {"kind": HIDDEN, "daughters": None, "note": None, "text": about.strip()} if hidden else told


def in_words(daughters: Sequence[int]) -> str:
    """Return what a cell does, in words."""
    if not daughters:
        return "ends"
    names = ", ".join(map(str, daughters))
    return f"divides into {names}" if len(daughters) > 1 else f"continues as {names}"


def question(put: Put, answers: Sequence[Decision], number: int) -> dict[str, Any]:
    """Return a question as it is put."""
    return {
        "cell": put.cell,
        "frame": put.frame,
        "view": "daughters",
        "blind": put.blind,
        "entropy_bits": put.entropy_bits,
        "expected_error_reduction": put.worth,
        "how": put.how,
        "approximate": put.approximate,
        "outcomes": [
            {
                "daughters": list(choice.daughters),
                "probability": choice.probability,
                "chosen": choice.chosen,
                "text": in_words(choice.daughters),
            }
            for choice in put.choices
        ],
        "others": put.others,
        "pairs": [{"daughters": list(pair.daughters), "probability": pair.probability} for pair in put.pairs],
        "chosen": None if put.chosen is None else list(put.chosen),
        "candidates": [
            {"cell": link.target, "frame": link.frame, "probability": link.probability, "distance": link.distance}
            for link in put.candidates
        ],
        "rivals": _rivals(put.rivals),
        "answers": [record(decision) for decision in answers],
        "number": number,
    }


def _rivals(links: Sequence[Candidate]) -> list[dict[str, Any]]:
    """Return the links of other cells, cell by cell."""
    of_cell: dict[int, dict[str, Any]] = {}
    for link in links:
        rival = of_cell.setdefault(link.source, {"cell": link.source, "frame": link.source_frame, "links": []})
        rival["links"].append({"target": link.target, "probability": link.probability})
    return list(of_cell.values())


def state(found: State) -> dict[str, Any]:
    """Return all that a page shows."""
    progress = asdict(found.progress)
    number = found.progress.sitting + 1
    return {
        "n_entries": found.n_entries,
        "revision": found.revision,
        "question": None if found.question is None else question(found.question, found.answers, number),
        "why": found.why,
        "next": list(found.ahead),
        "queue": queue(found.queue, found.leased),
        "open": found.queue.open,
        "recent": [record(*told) for told in found.recent],
        "progress": progress,
    }


def queue(listed: ReviewList, leased: Collection[int]) -> list[dict[str, Any]]:
    """Return the questions that are worth most."""
    return [
        {
            "cell": item.cell,
            "frame": item.frame,
            "entropy_bits": item.entropy_bits,
            "worth": item.expected_error_reduction,
            "leased": item.cell in leased,
        }
        for item in listed
    ]


def scene(found: Scene, scenes: Scenes) -> dict[str, Any]:
    """Return what is around a cell."""
    return {
        "cell": found.cell,
        "frame": found.frame,
        "ndim": scenes.ndim,
        "images": bool(scenes.channels),
        "masks": scenes.has_masks,
        "channels": list(scenes.channels),
        "window": asdict(found.window),
        "frames": [
            {
                "t": t,
                "cells": [
                    {
                        "cell": seen.cell,
                        **dict(zip("zyx", (None, *seen.position_px)[-3:], strict=True)),
                        "radius": seen.radius,
                        "outline": seen.outline,
                    }
                    for seen in cells
                ],
            }
            for t, cells in found.frames
        ],
    }


def effect(found: Effect) -> dict[str, Any]:
    """Return what an answer would change."""
    return {
        "changes": [
            {
                "cell": change.cell,
                "frame": change.frame,
                "before": _outcome(change.before),
                "after": _outcome(change.after),
                "flips": change.flips,
            }
            for change in found.changes[:MOST_CHANGES]
        ],
        "n_changed": len(found.changes),
        "n_flips": sum(change.flips for change in found.changes),
        "settled": sum(change.settled for change in found.changes),
        "errors": found.errors,
        "blind": found.blind,
    }


def lineage(cell: int, relatives: Sequence[Relative], likely: Sequence[float | None], *, blind: bool) -> dict[str, Any]:
    """Return the piece of a lineage around a cell."""
    frames = [relative.frame for relative in relatives]
    return {
        "cell": cell,
        "first": min(frames),
        "last": max(frames),
        "nodes": [
            {
                "cell": relative.cell,
                "t": relative.frame,
                "parent": relative.parent,
                "probability": probability,
                "pinned": relative.pinned,
                "before": relative.before,
                "after": relative.after,
            }
            for relative, probability in zip(relatives, likely, strict=True)
        ],
        "blind": blind,
    }


def about(session: ReviewSession) -> dict[str, Any]:
    """Return what a session is about, and what does not change while it lasts."""
    revision, scenes = session.material.revision, session.pictures.scenes
    movie = revision.chosen.movie
    return {
        "store": session.name,
        "dataset": movie.name,
        "solution": revision.solution.name,
        "posterior": revision.posterior.name,
        "method": revision.posterior.method,
        "temperature": revision.posterior.temperature,
        "calibrated": revision.posterior.calibrated,
        "who": session.who,
        "audit": session.audit,
        "overlap": session.overlap,
        "images": bool(scenes.channels),
        "masks": scenes.has_masks,
        "channels": list(scenes.channels),
        "ndim": movie.ndim,
        "first_frame": scenes.first_frame,
        "last_frame": scenes.last_frame,
        "shape": None if scenes.shape is None else list(scenes.shape),
        "scale_um": None if movie.scale_um is None else list(movie.scale_um),
        "unit": "px" if movie.scale_um is None else "um",
        "interval_s": movie.interval_s,
    }


def changes(found: Resolved | None) -> dict[str, Any]:
    """Return what a newer solution changed, cell by cell; no names where there is none."""
    if found is None:
        return {"before": None, "after": None, "gone": 0, "new": 0, "comparable": True, "cells": [], "more": 0}
    cells = [
        {"cell": cell, "frame": frame, "gone": list(gone), "new": list(new), "text": _moved(gone, new)}
        for cell, frame, gone, new in found.moved[:MOST_MOVED]
    ]
    told = {"before": found.before, "after": found.after, "gone": found.gone, "new": found.new}
    return told | {"comparable": found.comparable, "cells": cells, "more": len(found.moved) - len(cells)}


def solved(found: Resolved) -> dict[str, Any]:
    """Return in words that the store was solved again, and how much that changed."""
    told = f"solved again as {found.after}"
    if not found.comparable:
        return {"message": f"{told}, of other detections than {found.before}"}
    gone = f"{found.gone} {'link' if found.gone == 1 else 'links'} of {found.before} {_are(found.gone)} gone"
    return {"message": f"{told}: {gone}, {found.new} {_are(found.new)} new"}


def _are(n: int) -> str:
    return "is" if n == 1 else "are"


def _moved(gone: Sequence[int], new: Sequence[int]) -> str:
    names = [f"no longer {' and '.join(map(str, gone))}"] * bool(gone) + [f"now {' and '.join(map(str, new))}"] * bool(
        new
    )
    return ", ".join(names)


def stats(found: Stats) -> dict[str, Any]:
    """Return who said how much, how the audit stands, and where people disagree."""
    return {
        "people": [asdict(person) for person in found.people],
        "audit": None if found.audit is None else found.audit.as_dict(),
        "disagreements": [
            {"cell": cell, "frame": frame, "said": [record(d, undone=undone) for d, undone in said]}
            for cell, frame, said in found.disagreements
        ],
    }


def _outcome(outcome: Outcome) -> dict[str, Any]:
    daughters = list(outcome.daughters)
    return {"daughters": daughters, "probability": outcome.probability, "text": in_words(daughters)}
