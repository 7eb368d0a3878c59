"""How far probabilities of links can be trusted: the experiment of "Reliable Cell Trackers Say 'I dunno!'", our data.

Run: python benchmarks/uncertainty [--only NAME ...] [--kinds known simulated real] [--smallest] [--out DIR]
                                   [--model FOLDER] [--model-draws N] [--trackers NAME ...]
     python benchmarks/uncertainty --of DIR ... [--out DIR]     tables and figures of earlier runs together

Every movie with truth at every 1st, 2nd, 4th and 8th frame, by the base trackers that apply (Distance everywhere,
Overlap where there are masks, Activity where there are images, with --model an association transformer where there are
both, and the cost model of trackdb itself), with SM, FP,
FP+A, AS and auto, as they are and with a temperature (TS) that was fitted on other movies: the design movies, of which
none judges. Beside them, simulated movies with images, and frames drawn from the model itself, of which the right
probabilities are known. The folder of the movies is named by TRACKDB_DATA, as in
`truth`. Files: results.csv, fits.json, curves.json, differences.json, tables.md, and three SVG.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # what all benchmarks share stands one folder up

from drawing import draw
from experiment import Results, Scale, cases_of, run, tell
from known import known_cases
from methods import Effort
from movies import STEPS, real_sources, simulated_sources
from writing import read, write

OUT = Path(__file__).parents[2] / "docs" / "uncertainty"
WHOLE = (Scale(STEPS, most_pairs=12, most_cells=1200), Effort(draws=100, mask_draws=10))
SMALLEST = (Scale((1, 4), most_pairs=6, most_cells=400), Effort(draws=10, mask_draws=4))
KINDS = {False: ("known", "simulated", "real"), True: ("known", "simulated")}


def main(given: argparse.Namespace) -> None:
    """Run the experiment and write its files."""
    begun = time.process_time()
    if given.of:
        results, about = read(given.of)
    else:
        results, about = computed(given)
    print(write(results, given.out, about=about))
    draw(results, given.out)
    tell(f"{len(results.rows)} rows in {time.process_time() - begun:.0f} CPU s: {given.out}")


def computed(given: argparse.Namespace) -> tuple[Results, dict[str, object]]:
    """Run the experiment; return what came out, and how much was computed."""
    scale, effort = SMALLEST if given.smallest else WHOLE
    effort = replace(effort, model=str(given.model or ""), trackers=tuple(given.trackers))
    if given.model_draws is not None:
        effort = replace(effort, model_draws=given.model_draws)
    if given.smallest:
        simulated, known = {"number": 2, "frames": 25, "cells": 40}, {"cells": 300, "n_pairs": 4, "n_movies": 2}
    else:
        simulated, known = {"number": 8, "frames": 33, "cells": 40}, {"cells": 1000, "n_pairs": 4, "n_movies": 6}
    kinds = {
        "known": lambda: known_cases(**known, assignments=effort.assignments),
        "simulated": lambda: cases_of(simulated_sources(**simulated), scale, effort),
        "real": lambda: cases_of(real_sources(given.only), scale, effort),
    }
    results = run(chain.from_iterable(kinds[kind]() for kind in given.kinds or KINDS[given.smallest]))
    told = asdict(effort) | {"model": given.model.resolve().name if given.model else ""}
    return results, {"scale": asdict(scale), "effort": told, "simulated": simulated, "known": known}


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", nargs="*", default=[], help="parts of the names of real movies")
    options.add_argument(
        "--kinds", nargs="*", choices=KINDS[False], help="of movies; the smallest size has no real ones"
    )
    options.add_argument("--model", type=Path, help="folder of an association transformer, one more base tracker")
    options.add_argument("--model-draws", type=int, help="of FP and FP+A with it (20); 0 leaves both out")
    options.add_argument("--trackers", nargs="*", default=[], help="base trackers that are looked at, all by default")
    options.add_argument("--smallest", action="store_true", help="under a minute")
    options.add_argument("--of", nargs="*", type=Path, default=[], help="folders of earlier runs, to be told as one")
    options.add_argument("--out", type=Path, default=OUT, help="folder for the results")
    main(options.parse_args())
