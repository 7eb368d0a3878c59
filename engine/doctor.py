"""What this machine has for trackdb, and what is missing: packages, cores, memory, GPU, solvers, disk.

Nothing heavy is imported to find out: versions are those that the installation tells of itself.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, entry_points, requires, version
from pathlib import Path
from typing import Any, Final

TITLE: Final = "trackdb"
NOT_FOR_USERS: Final = ("dev",)
INSTALL: Final = "pip install -c constraints.txt ."
CUDA: Final = "install the build of torch for CUDA, as pytorch.org/get-started says"
SMI: Final = ("nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader")
SMI_PATIENCE_S: Final = 10.0
SCARCE: Final = 1 << 30  # bytes of disk below which a movie hardly fits
SOLVERS: Final = {
    "ilp": ("numba", "exact, by matching"),
    "highs": ("highspy", "exact, a second opinion"),
    "motile": ("motile", "exact, takes costs and constraints of motile"),
    "lap": ("scipy", "frame to frame, then segments"),
    "greedy": ("numba", "a quick baseline"),
}
"""Package that each of our solvers needs, and what it is."""


@dataclass(frozen=True, slots=True)
class Package:
    """A package that trackdb works with.

    Parameters
    ----------
    name : str
        As it is installed by.
    wanted : str
        Versions that fit, as ``>=2,<3``; empty where any does.
    extra : str
        Extra that brings it; empty where trackdb cannot be without.
    found : str or None
        Its version, None where it is not there.
    """

    name: str
    wanted: str
    extra: str
    found: str | None

    @property
    def fits(self) -> bool:
        """Whether it is there in a version that is wanted."""
        return self.found is not None and _within(self.found, self.wanted)


@dataclass(frozen=True, slots=True)
class Missing:
    """Something that is not there, what needs it, and how to get it; `needed` where trackdb cannot be without."""

    what: str
    why: str
    remedy: str
    needed: bool


@dataclass(frozen=True, slots=True)
class Machine:
    """What a machine has.

    Parameters
    ----------
    python, system : str
        Version of Python; operating system and processor.
    code : str
        Folder from which trackdb runs.
    trackdb : str
        Its version.
    packages : list of Package
        What it works with.
    cores : int
        Cores that this process may use.
    memory_bytes, memory_free_bytes : int or None
        Memory in all, and what is free of it; None where the system does not tell.
    gpus : list of str
        Names of the GPUs, with memory and driver.
    solvers : dict of str to str
        What is said of each solver that can be used.
    place : str
        Where the disk was looked at.
    disk_free_bytes : int
        What is free there.
    kernels : str or None
        Folder that keeps compiled kernels; None where none can be written.
    """

    python: str
    system: str
    code: str
    trackdb: str
    packages: list[Package]
    cores: int
    memory_bytes: int | None
    memory_free_bytes: int | None
    gpus: list[str]
    solvers: dict[str, str]
    place: str
    disk_free_bytes: int
    kernels: str | None

    def missing(self) -> list[Missing]:
        """Return what is not there, what is needed first."""
        found = [_absent(package) for package in self.packages if not package.fits]
        torch = next((p.found for p in self.packages if p.name == "torch"), None)
        if self.gpus and torch is not None and torch.endswith("+cpu"):
            found.append(Missing("a torch for CUDA", f"models, on {self.gpus[0]}", CUDA, False))
        if self.kernels is None:
            found.append(
                Missing(
                    "a folder for compiled kernels",
                    "every command would compile them anew",
                    "set NUMBA_CACHE_DIR to a folder that you may write",
                    True,
                )
            )
        if self.disk_free_bytes < SCARCE:
            free = f"{self.disk_free_bytes / 1e6:.0f} MB free in {self.place}"
            found.append(Missing("room on the disk", free, "make room on the disk", False))
        return sorted(found, key=lambda gap: not gap.needed)

    def as_dict(self) -> dict[str, Any]:
        """Return it for programs."""
        facts = asdict(self)
        facts["packages"] = {p.name: p.found for p in self.packages}
        facts["missing"] = [
            {"what": gap.what, "why": gap.why, "try": gap.remedy, "needed": gap.needed} for gap in self.missing()
        ]
        return facts


def examined(place: Path) -> Machine:
    """Look at this machine.

    Parameters
    ----------
    place : Path
        A store, or any folder: the disk that it lies on is looked at.
    """
    place = next(p for p in (place.absolute(), *place.absolute().parents) if p.exists())
    packages = packages_of(requires(TITLE) or [])
    return Machine(
        python=platform.python_version(),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        code=str(Path(__file__).parents[1].resolve()),
        trackdb=version(TITLE),
        packages=packages,
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_bytes=_memory("MemTotal"),
        memory_free_bytes=_memory("MemAvailable"),
        gpus=_gpus(),
        solvers=_solvers(),
        place=str(place),
        disk_free_bytes=shutil.disk_usage(place).free,
        kernels=_kernels(),
    )


def packages_of(requirements: list[str]) -> list[Package]:
    """Return the packages that requirements name, with the versions that are there; those for developers are left out.

    Parameters
    ----------
    requirements : list of str
        As an installation tells them: ``duckdb<3,>=2``, ``torch>=2.4; extra == "models"``.
    """
    found = []
    for line in requirements:
        said, _, marker = line.partition(";")
        extra = re.search(r"extra\s*==\s*['\"]([\w-]+)['\"]", marker)
        name = re.match(r"[\w.-]+", said.strip())
        if name is not None and (extra is None or extra[1] not in NOT_FOR_USERS):
            wanted = said.strip()[name.end() :].strip()
            found.append(Package(name[0], wanted, extra[1] if extra else "", _version(name[0])))
    return found


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _within(found: str, wanted: str) -> bool:
    """Return whether a version keeps to bounds like ``>=2,<3``; other conditions are taken to hold."""
    for bound in filter(None, re.split(r",\s*", wanted)):
        told = re.fullmatch(r"(>=|<)\s*([\d.]+)", bound)
        if told is not None and (_numbers(found) >= _numbers(told[2])) != (told[1] == ">="):
            return False
    return True


def _numbers(text: str) -> tuple[int, ...]:
    """Return the numbers that a version begins with; ``2.0`` is ``2``."""
    numbers = [int(part) for part in re.findall(r"\d+", re.split(r"[^\d.]", text, maxsplit=1)[0])]
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)


def _absent(package: Package) -> Missing:
    """Say what a package that is not there, or too old, is needed for."""
    what = package.name if package.found is None else f"{package.name} {package.wanted} (there is {package.found})"
    if not package.extra:
        return Missing(what, "trackdb cannot be without", INSTALL, True)
    return Missing(what, f"the extra {package.extra}", f'pip install -c constraints.txt ".[{package.extra}]"', False)


def _memory(key: str) -> int | None:
    """Return a figure of the system's memory in bytes."""
    try:
        told = re.search(rf"^{key}:\s+(\d+) kB", Path("/proc/meminfo").read_text(), flags=re.MULTILINE)
    except OSError:
        told = None
    if told is not None:
        return int(told[1]) * 1024
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if key == "MemTotal" else None
    except (ValueError, OSError, AttributeError):
        return None


def _gpus() -> list[str]:
    """Return what the driver of NVIDIA tells of its GPUs."""
    if shutil.which(SMI[0]) is None:
        return []
    try:
        told = subprocess.run(SMI, capture_output=True, text=True, timeout=SMI_PATIENCE_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in told.stdout.splitlines() if line.strip()]


def _solvers() -> dict[str, str]:
    own = {name: said for name, (package, said) in SOLVERS.items() if _version(package) is not None}
    return own | {point.name: f"of {point.value}" for point in entry_points(group="trackdb.solvers")}


def _kernels() -> str | None:
    """Return the folder that compiled kernels are kept in, as numba chooses it."""
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    candidates = [Path(chosen)] if chosen else [Path(__file__).parents[1], Path.home() / ".cache"]
    for folder in candidates:
        there = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
        if os.access(there, os.W_OK):
            return str(folder)
    return None
