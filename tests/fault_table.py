"""Print what `make faults` counted: for each command how it was disturbed, and what was lost or half visible."""

import json
import sys
from collections import Counter
from pathlib import Path

COLUMNS = {
    "steps": "steps",
    "kinds": "kinds",
    "kills": "kills",
    "torn": "amid a write",
    "before": "as before",
    "between": "a stage done",
    "after": "as after",
    "refusals": "refused",
    "told": "told",
    "failures": "power failures",
    "lost": "lost",
    "half": "half visible",
}


def table(path: Path) -> str:
    """Return the counts as a table in Markdown, one row a command and one for all."""
    rows: dict[str, Counter] = {}
    for line in path.read_text().splitlines():
        counted = json.loads(line)
        counted.pop("wrong", None)
        rows.setdefault(counted.pop("command"), Counter()).update(counted)
    rows["all"] = sum(rows.values(), Counter())
    rows["all"]["steps"] = rows["all"]["kinds"] = 0
    lines = [f"| command | {' | '.join(COLUMNS.values())} |", "|---|" + "--:|" * len(COLUMNS)]
    for command, counted in rows.items():
        cells = [str(counted[name] or ("0" if name in ("lost", "half") else "")) for name in COLUMNS]
        lines.append(f"| {command} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(Path(sys.argv[1])))
