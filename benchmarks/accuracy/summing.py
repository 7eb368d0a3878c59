"""Tables for people from the lines of `benchmarks/accuracy`: trackdb beside the best other tracker of each case.

Run: python benchmarks/accuracy/summing.py FILE.csv [FILE.csv ...] [--ours trackdb]

Then what became of noise, what masks give, and what is lost without each kind of evidence, where such lines are there.
Cases with several seeds show the mean and the standard deviation. "Best" is the best of all others in that figure, so
it may be another one for links than for divisions, and is chosen with the truth at hand.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import pandas as pd
from measure import head, row

# the sixteen cases that goals were set for, by a sketch: means of links >= .983, of divisions >= .86
GOALS = tuple(
    f"{movie} {variant}"
    for movie, variants in (
        ("cellmigration", "x1 P x2 x4"),
        ("epidermis", "x1 P"),
        ("c2c12 Sparse5", "x1 P x4"),
        ("astec Pm03", "x1 P x4"),
        ("celegans 20240930 L4", "x1 P x2 x4"),
    )
    for variant in variants.split()
)
LINK, DIVISION = "edge F1", "division F1"
CPU, GAPS, FALSE, ON_FALSE = "CPU s", "gaps closed", "false rejected", "links on false"


def read(files: list[Path]) -> pd.DataFrame:
    """Read lines; those of trackers that failed or were stopped count as nothing found."""
    table = pd.concat([pd.read_csv(file, dtype=str) for file in files], ignore_index=True)
    table = table[table["tracker"].ne("") & table["case"].ne("")]
    for column in (LINK, DIVISION, ON_FALSE):
        table[column] = pd.to_numeric(table[column], errors="coerce")
    table["CPU"] = pd.to_numeric(table[CPU].str.split().str[0], errors="coerce")
    for column in (GAPS, FALSE):
        parts = table[column].str.extract(r"(\d+) of (\d+)").astype(float)
        table[[column, f"{column}, of"]] = parts.to_numpy()
    return table


def main(given: argparse.Namespace) -> None:
    """Print the tables."""
    table = read(given.files)
    others = [name for name in table["tracker"].unique() if not name.startswith("trackdb")]
    ran = table.groupby("case", sort=False)["tracker"].agg(set)
    cases = [case for case, names in ran.items() if given.ours in names and not names.isdisjoint(others)]
    by_case = [_Case(table[table["case"] == case], given.ours, others) for case in cases]
    _scores(by_case, given.ours)
    _noise([case for case in by_case if case.noisy])
    _beside(table, [given.ours, f"{given.ours}_masks"])
    _beside(table, [given.ours, *(n for n in table["tracker"].unique() if n.startswith(f"{given.ours}_without_"))])


class _Case:
    """The lines of one case."""

    def __init__(self, lines: pd.DataFrame, ours: str, others: list[str]) -> None:
        self.name, self.role = lines["case"].iloc[0], lines["role"].iloc[0]
        self.variant = self.name.rsplit(" ", 1)[-1]
        self.noisy = self.variant.startswith("P")
        self.ours = lines[lines["tracker"] == ours]
        # compared with the seeds that ours ran on
        seeds = set(self.ours["seed"])
        self.others = {name: lines[(lines["tracker"] == name) & lines["seed"].isin(seeds)] for name in others}

    def best(self, column: str) -> tuple[str, float]:
        """Return the other tracker that is best in the mean, and its figure."""
        means = {name: found[column].mean() for name, found in self.others.items() if found[column].notna().any()}
        name = max(means, key=lambda one: means[one])
        return name, float(means[name])


def _scores(cases: list[_Case], ours: str) -> None:
    head("case", "role", f"{ours}: links", "best other", "", f"{ours}: divisions", "best other", "", "CPU, laptrack 1")
    kept = []
    for case in cases:
        link, division = case.best(LINK), case.best(DIVISION)
        ratio = case.ours["CPU"].mean() / case.others["laptrack"]["CPU"].mean()
        times = f"{ratio:.1f}" if np.isfinite(ratio) else "."
        mine = case.ours[LINK].mean(), case.ours[DIVISION].mean()
        kept.append((case.name, case.role, case.variant, mine[0], link[1], mine[1], division[1]))
        row(
            case.name, case.role,
            _marked(case.ours[LINK], link[1], 4), f"{link[1]:.4f}", link[0],
            _marked(case.ours[DIVISION], division[1], 3), f"{division[1]:.3f}", division[0],
            times,
        )  # fmt: skip
    print()
    head("mean over", "cases", "links", "best other", "divisions", "best other", "best in links", "in divisions")
    table = pd.DataFrame(
        kept, columns=["case", "role", "variant", "link", "link of others", "division", "division of others"]
    )
    goal = table[table["case"].isin(GOALS)]
    groups = [("all", table), ("goal", goal), *table.groupby("role"), *table.groupby("variant")]
    for name, part in groups:
        if not len(part):
            continue
        means = part[["link", "link of others", "division", "division of others"]].mean()
        wins = [int(np.sum(part[c] >= part[f"{c} of others"])) for c in ("link", "division")]
        row(name, len(part), *(f"{value:.4f}" for value in means), *(f"{n} of {len(part)}" for n in wins))
    print()


def _marked(figures: pd.Series, bar: float, digits: int) -> str:
    """Return mean and deviation, in bold where no other tracker is better."""
    spread = f" +- {figures.std():.{digits}f}" if len(figures) > 1 else ""
    text = f"{figures.mean():.{digits}f}{spread}"
    return f"**{text}**" if figures.mean() >= bar else text


def _noise(cases: list[_Case]) -> None:
    """Print what became of missed cells and false points."""
    head(
        "case",
        "gaps closed",
        "laptrack",
        "false points left out",
        "laptrack",
        "links on them",
        "laptrack",
        "cells lost",
    )
    for case in cases:
        lap = case.others["laptrack"]
        row(
            case.name, _share(case.ours, GAPS), _share(lap, GAPS), _share(case.ours, FALSE), _share(lap, FALSE),
            f"{case.ours[ON_FALSE].mean():.0f}", f"{lap[ON_FALSE].mean():.0f}",
            f"{pd.to_numeric(case.ours['cells lost']).mean():.0f}",
        )  # fmt: skip


def _beside(table: pd.DataFrame, names: list[str]) -> None:
    """Print link and division F1 of versions of trackdb, for cases that more than one ran on, by their first seed."""
    lines = table[table["tracker"].isin(names) & table["seed"].eq(table["seed"].iloc[0])]
    ran = lines.groupby("case", sort=False)["tracker"].nunique()
    cases = [case for case, n in ran.items() if n > 1]
    if not cases:
        return
    print()
    head("", *cases)
    for name in names:
        of = lines[lines["tracker"] == name].groupby("case")[[LINK, DIVISION]].mean()
        cells = (f"{of.loc[c, LINK]:.4f} / {of.loc[c, DIVISION]:.3f}" if c in of.index else "." for c in cases)
        row(name, *cells)


def _share(lines: pd.DataFrame, column: str) -> str:
    found, of = lines[column].sum(), lines[f"{column}, of"].sum()
    return f"{found / of:.0%}" if of else "."


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("files", nargs="+", type=Path)
    options.add_argument("--ours", default="trackdb")
    main(options.parse_args())
