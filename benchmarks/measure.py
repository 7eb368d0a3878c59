"""What a command costs: wall time, CPU time and peak memory of a process of its own, and tables of such figures.

A command is started by a small process of its own (this file, run as a script): the peak that the kernel reports for a
process is never below that of the one that started it.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Spent:
    """What a command cost.

    Parameters
    ----------
    wall_s, cpu_s : float
        Seconds by the clock, and seconds of work on all cores.
    peak_mb : float
        Most memory it held at once, in MiB.
    code : int
        What it returned; 0 is success, -9 killed.
    out, err : str
        What it printed.
    """

    wall_s: float
    cpu_s: float
    peak_mb: float
    code: int
    out: str
    err: str

    @property
    def report(self) -> dict:
        """The JSON object in the last line of what it printed."""
        return json.loads(self.out.strip().splitlines()[-1])


def run(*command: str | Path, env: dict[str, str] | None = None, stop_after_s: float | None = None) -> Spent:
    """Run a command and return what it cost.

    Parameters
    ----------
    command : str or Path
        Program and arguments.
    env : dict
        Variables to add to the environment.
    stop_after_s : float or None
        Seconds after which it is killed; the code is then -9.
    """
    words = [sys.executable, "-S", __file__, str(stop_after_s or 0), *map(str, command)]
    done = subprocess.run(words, env={**os.environ, **(env or {})}, capture_output=True, text=True, check=True)
    out, _, figures = done.stdout.rstrip("\n").rpartition("\n")
    return Spent(**json.loads(figures), out=out, err=done.stderr)


def trackdb(*words: str | Path, env: dict[str, str] | None = None) -> Spent:
    """Run a command of trackdb; stop here if it fails.

    Raises
    ------
    SystemExit
        If the command failed, with what it said.
    """
    spent = run(BIN / "trackdb", *words, env=env)
    if spent.code:
        raise SystemExit(f"trackdb {' '.join(map(str, words))} returned {spent.code}\n{spent.err}")
    return spent


def middle(runs: list[Spent]) -> Spent:
    """Return the run with the median CPU time."""
    return sorted(runs, key=lambda s: s.cpu_s)[(len(runs) - 1) // 2]


def cpu_of(work: Callable[[], object], repeats: int) -> list[float]:
    """Return the CPU seconds of each call of a function, after one that warms it up."""
    work()
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return seconds


def median_ms(seconds: list[float]) -> float:
    """Return the median in milliseconds."""
    return 1000 * statistics.median(seconds)


def head(*columns: str) -> None:
    """Print the head of a table."""
    row(*columns)
    row(*["---"] * len(columns))


def row(*cells: object) -> None:
    """Print a line of a table at once: a long benchmark shall show how far it is."""
    print("|", " | ".join(map(str, cells)), "|", flush=True)


def _start(stop_after_s: float, words: list[str]) -> None:
    """Run a command, then print its figures as JSON in a last line."""
    started = time.perf_counter()
    child = subprocess.Popen(words)
    alarm = threading.Timer(stop_after_s, child.kill)
    if stop_after_s:
        alarm.start()
    _, status, usage = os.wait4(child.pid, 0)
    alarm.cancel()
    figures = {
        "wall_s": time.perf_counter() - started,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss / 1024,
        "code": os.waitstatus_to_exitcode(status),
    }
    print(f"\n{json.dumps(figures)}")


if __name__ == "__main__":
    _start(float(sys.argv[1]), sys.argv[2:])
