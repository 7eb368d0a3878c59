"""The results as files: a row for each method and case, what was fitted, means and differences, and tables to read."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import numpy as np
from comparing import MEASURES, by_which_doubt, compared, means, overall
from experiment import Results
from figures import Curves, Row
from methods import METHODS

if TYPE_CHECKING:
    from pathlib import Path

    from comparing import Difference, Mean

ORDER: Final = tuple(method + ts for method in METHODS for ts in ("", "+TS"))


def write(results: Results, out: Path, *, about: dict[str, object]) -> str:
    """Write all files but the figures into a folder; return the tables, which are one of them.

    ``results.csv`` has a row for each movie, resolution, base tracker and method; ``fits.json`` the temperatures, what
    was refused, and how much was computed; ``curves.json`` the reliability curves; ``tables.md`` the tables.
    """
    out.mkdir(parents=True, exist_ok=True)
    rows = [row.as_dict() for row in results.rows]
    with (out / "results.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    fits = {"about": about, "temperatures": results.temperatures, "refused": results.refused}
    _write_json(out / "fits.json", fits)
    _write_json(out / "curves.json", results.curves.as_list())
    differences = [*compared(results.rows), *by_which_doubt(results.rows)]
    _write_json(out / "differences.json", [_flat(d) for d in differences])
    text = "\n".join([*by_resolution(results.rows), *all_resolutions(results.rows), *told(differences)])
    (out / "tables.md").write_text(text + "\n", encoding="utf-8")
    return text


def read(folders: list[Path]) -> tuple[Results, dict[str, object]]:
    """Return what earlier runs wrote, together, and how much they computed; for tables and figures of all of them."""
    results, about = Results([], [], [], Curves({})), {}
    for folder in folders:
        with (folder / "results.csv").open(newline="") as file:
            results.rows += [Row.from_dict(row) for row in csv.DictReader(file)]
        fits = json.loads((folder / "fits.json").read_text())
        results.temperatures += fits["temperatures"]
        results.refused += fits["refused"]
        results.curves.earlier += json.loads((folder / "curves.json").read_text())
        about |= fits["about"]
    return results, about


def _write_json(file: Path, value: object) -> None:
    text = json.dumps(value, indent=1) if isinstance(value, dict) else _a_line_each(value)
    file.write_text(text + "\n", encoding="utf-8")


def _a_line_each(values: object) -> str:
    assert isinstance(values, list)
    return "[\n" + ",\n".join(json.dumps(v) for v in values) + "\n]"


def _flat(difference: Difference) -> dict[str, object]:
    low, high = difference.mean.interval()
    flat: dict[str, object] = asdict(difference)
    flat["mean"], flat["movies"] = float(f"{difference.mean.value:.4g}"), difference.mean.movies
    flat["interval"] = [float(f"{low:.4g}"), float(f"{high:.4g}")] if np.isfinite(low) else None
    return flat | {"verdict": difference.verdict}


def by_resolution(rows: list[Row]) -> list[str]:
    """Return a table of ECE for each kind of movie and base tracker: methods by resolution."""
    ece, recall, accuracy = (means(rows, measure) for measure in ("ECE", "recall", "accuracy"))
    lines = []
    for kind, tracker in dict.fromkeys(key[:2] for key in ece):
        steps = sorted({key[2] for key in ece if key[:2] == (kind, tracker)})
        lines += ["", f"### ECE: {kind}, {tracker}", ""]
        lines += ["| method | " + " | ".join(f"x{s}" for s in steps) + " |", "|---" * (len(steps) + 1) + "|"]
        for method in ORDER:
            cells = [ece.get((kind, tracker, step, method)) for step in steps]
            if any(cells):
                lines.append(f"| {method} | " + " | ".join(_with_error(cell) for cell in cells) + " |")
        for name, of in (("accuracy", accuracy), ("candidate recall", recall)):
            cells = [of.get((kind, tracker, step, "auto")) for step in steps]
            lines.append(f"| *{name}* | " + " | ".join(_with_error(cell) for cell in cells) + " |")
    return lines


def all_resolutions(rows: list[Row]) -> list[str]:
    """Return a table of every measure for each kind and base tracker, over all resolutions."""
    names = list(MEASURES)
    found = {measure: overall(rows, measure) for measure in names}
    lines = []
    for kind, tracker in dict.fromkeys(key[:2] for key in found["ECE"]):
        lines += ["", f"### All resolutions: {kind}, {tracker}", ""]
        lines += ["| method | movies | " + " | ".join(names) + " |", "|---" * (len(names) + 2) + "|"]
        for method in ORDER:
            key = (kind, tracker, method)
            if key in found["ECE"]:
                cells = [_with_error(found[measure][key]) for measure in names]
                lines.append(f"| {method} | {found['ECE'][key].movies} | " + " | ".join(cells) + " |")
    return lines


def told(differences: list[Difference]) -> list[str]:
    """Return a table of the differences whose interval excludes zero, and how many do not."""
    lines = ["", "### Differences whose 95 % interval excludes zero", ""]
    lines += ["| movies | base tracker | measure | what | difference | interval | n |", "|---" * 7 + "|"]
    unseen = 0
    for d in differences:
        low, high = d.mean.interval()
        if d.verdict == "no difference seen":
            unseen += 1
            continue
        lines.append(
            f"| {d.kind} | {d.tracker} | {d.measure} | {d.first} - {d.second} | {d.mean.value:+.4f} | "
            f"{low:+.4f} .. {high:+.4f} | {d.mean.movies} |"
        )
    return [*lines, "", f"{unseen} of {len(differences)} differences have an interval that holds zero."]


def _with_error(mean: Mean | None) -> str:
    if mean is None:
        return "-"
    return f"{mean.value:.3f}" if np.isnan(mean.error) else f"{mean.value:.3f} ± {mean.error:.3f}"
