"""Importers under fire: files that were whole, harmed in many ways, may only be read or refused with words.

An importer joins with one line in `IMPORTERS` of `test_fuzz_formats.py`::

    Importer("table", lambda folder: write_rows(folder / "a.csv", ROWS), harm_text),

`write` draws a small whole source into an empty folder and returns its path; `harm` does one harm to it, drawing from
the generator that it is given. `harm_text` is for files of text, `harm_bytes` for any file, `harm_folder` for folders
such as Zarr stores. Keep the source small: 500 harmed ones are read by `make fuzz`, every fifth of them by `make test`,
and every fortieth of those into a store. Notes of what may not come out of it: anything but a `TrackdbError`, a
warning, a store half made, more than `LONGEST_S` seconds of the processor or `MOST_MB` of memory for one source.
"""

import json
import os
import re
import resource
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from trackdb.engine.imports.labelled import links_of
from trackdb.engine.ingest import ingest
from trackdb.engine.measure import measure
from trackdb.errors import TrackdbError
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.formats import SourceOptions, open_source
from trackdb.storage.schema import Detections

LONGEST_S = 30.0  # of the processor, for one source: those of the clock tell how busy the machine is
MOST_MB = 700.0  # by which one source may raise the peak of the process
STORE_EVERY = 40
FIRE_EVERY = int(os.environ.get("TRACKDB_FUZZ_EVERY", "5"))  # of the cases of an importer; 1 by `make fuzz`

Harm = Callable[[Path, np.random.Generator], None]

NUMBERS = (
    "-1", "0", "1", "7", "2147483648", "-9223372036854775809", "99999999999999999999", "1e308", "-1e999", "1e15",
    "1e-320", "999999", "nan", "inf", "-0", "0.5", "1.5", "1,5", "0x10", "1_0", "\u0663", "word", "", " ", "=1+1",
    "&lt;", "true", "None",
    "9" * 5000,
)  # fmt: skip
JSON_VALUES = (
    None, True, -1, 0, 1, 3, 10**12, 2**63, 1.5, -0.5, 1e308, float("nan"), "", "word", "<f4", "<u2", "|O", "<U9",
    "|V8", "pickle", "../..", [], [0], [1, 2], [10**9, 10**9], [-1], {}, {"id": "zlib"}, {"name": "gzip"},
)  # fmt: skip
INSERTS = (
    b"\0",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"<",
    b">",
    b'"',
    b"&x;",
    b"<!DOCTYPE a [<!ENTITY b 'c'>]>",
    b"\n",
    b",",
)


@dataclass(frozen=True)
class Importer:
    """A format under fire.

    Parameters
    ----------
    name : str
        As `--format` calls it.
    write : callable
        Draws a whole source into an empty folder, and returns its path.
    harm : callable
        Does one harm to a source.
    options : SourceOptions
        How it is opened.
    n_cases : int
        How many harmed ones `make fuzz` reads.
    has_links : bool
        False for a source of cells alone.
    """

    name: str
    write: Callable[[Path], Path]
    harm: Harm
    options: SourceOptions = field(default_factory=SourceOptions)
    n_cases: int = 500
    has_links: bool = True


def read_whole(path: Path, name: str, options: SourceOptions) -> tuple[int, int]:
    """Open a source, read all its frames, join its trackings with them, and return how many cells and links it has."""
    source = open_source(path, name, options)
    frame, label, place = [], [], []
    for batch in source.frames():
        if batch.points is None:
            regions = measure(batch.mask)
            labels, places = regions.label, regions.centroid_px
        else:
            labels, places = batch.points.label, batch.points.position_px
        frame.append(np.full(len(labels), batch.frame))
        label.append(labels)
        place.append(places)
    if not frame:
        return 0, 0
    n = sum(len(labels) for labels in label)
    detections = Detections(
        id=np.arange(n),
        frame=np.concatenate(frame),
        position_px=np.concatenate(place),
        label=np.concatenate(label),
        area=np.full(n, np.nan),
        scale_um=source.scale_um,
    )
    return n, sum(len(links_of(lineage, detections).source) for lineage in source.lineages if not lineage.masks)


def fire(importer: Importer, folder: Path, first: int = 0) -> dict[str, int]:
    """Read harmed sources one after the other; return how many were read and how many refused.

    Raises
    ------
    AssertionError
        If anything else came of one; it says which, and ``fire(importer, folder, CASE)`` begins with that one.
    """
    whole = importer.write(_empty(folder / "whole"))
    n_cells, n_links = read_whole(whole, importer.name, importer.options)
    assert n_cells, "the whole source has no cells to lose"
    assert bool(n_links) == importer.has_links, f"the whole source has {n_links} links"
    counts = {"read": 0, "refused": 0}
    for nth, case in enumerate(range(first, importer.n_cases, FIRE_EVERY)):
        rng = np.random.default_rng([case, *importer.name.encode()])
        path = _copy(whole, _empty(folder / "harmed"))
        for _ in range(1 + int(rng.integers(3)) // 2 * int(rng.integers(1, 4))):
            importer.harm(path, rng)
        told = f"{importer.name} case {case}: {path}"
        started, peak = time.process_time(), _peak_mb()
        try:
            read_whole(path, importer.name, importer.options)
            counts["read"] += 1
        except TrackdbError:
            counts["refused"] += 1
        except BaseException as error:
            raise AssertionError(f"{told} came out as {error!r}") from error
        seconds, grown = time.process_time() - started, _peak_mb() - peak
        assert seconds < LONGEST_S, f"{told} took {seconds:.0f} s"
        assert grown < MOST_MB, f"{told} took {grown:.0f} MB"
        if nth % STORE_EVERY == 0:
            _into_store(path, importer, _empty(folder / "store") / "a.trackdb", told)
    return counts


def _into_store(path: Path, importer: Importer, place: Path, told: str) -> None:
    """Ingest a harmed source: all of it or nothing."""
    store = DuckDBStore(place)
    try:
        report = ingest(path, store, file_format=importer.name, options=importer.options)
    except TrackdbError:
        assert not place.exists(), f"{told} left a store behind"
    else:
        assert store.count_detections(store.detection_set()) == report.detections, told


# --------------------------------------------------------------------------------------------------------------- harms


def harm_text(path: Path, rng: np.random.Generator) -> None:
    """Harm a file of text, or one of those in a folder: its numbers and names, its order, now and then its bytes."""
    path = _some_file(path, rng)
    if path is None:
        return
    content = path.read_bytes()
    kind = rng.choice(["number", "swap", "word", "line", "tag", "bytes"], p=[0.35, 0.15, 0.1, 0.15, 0.1, 0.15])
    if kind == "bytes":
        harm_bytes(path, rng)
        return
    text = content.decode("latin-1")
    change = {"number": _number, "swap": _swap, "word": _word, "line": _line, "tag": _tag}[str(kind)]
    path.write_bytes(change(text, rng).encode("latin-1", "xmlcharrefreplace"))


def harm_bytes(path: Path, rng: np.random.Generator) -> None:
    """Harm a file of any kind, or one of those in a folder: flip, cut, leave out, repeat or add bytes."""
    path = _some_file(path, rng)
    if path is None:
        return
    content = bytearray(path.read_bytes())
    a, b = sorted(int(k) for k in rng.integers(0, len(content) + 1, 2))
    kind = rng.choice(["flip", "cut", "drop", "repeat", "insert", "empty"], p=[0.4, 0.15, 0.15, 0.1, 0.15, 0.05])
    if kind == "flip":
        for place in rng.integers(0, len(content), min(len(content), int(rng.integers(1, 9)))):
            content[place] ^= 1 << int(rng.integers(8))
    elif kind == "cut":
        del content[a:]
    elif kind == "drop":
        del content[a : a + min(b - a, 64)]
    elif kind == "repeat":
        content[b:b] = content[a:b]
    elif kind == "insert":
        content[a:a] = INSERTS[rng.integers(len(INSERTS))]
    else:
        content.clear()
    path.write_bytes(content)


def harm_folder(path: Path, rng: np.random.Generator) -> None:
    """Harm a folder of files: their JSON, their bytes, or who is there."""
    files = sorted(p for p in path.rglob("*") if p.is_file() and not p.is_symlink())  # nothing is written through links
    if not files:
        return
    said = [p for p in files if p.name.startswith(".z") or p.suffix == ".json"]
    kind = rng.choice(["json", "bytes", "remove", "replace", "link"], p=[0.55, 0.2, 0.1, 0.1, 0.05])
    if kind == "json" and said:
        _harm_json(said[rng.integers(len(said))], rng)
    elif kind == "bytes":
        harm_bytes(files[rng.integers(len(files))], rng)
    elif kind == "remove":
        victims = sorted(p for p in path.rglob("*") if not p.is_symlink())
        victim = victims[rng.integers(len(victims))]
        shutil.rmtree(victim) if victim.is_dir() else victim.unlink()
    elif kind == "replace":
        a, b = (files[k] for k in rng.integers(0, len(files), 2))
        a.write_bytes(b.read_bytes())
    elif kind == "link":
        victim = files[rng.integers(len(files))]
        victim.unlink()
        victim.symlink_to(rng.choice(["/etc/hostname", "/nowhere", str(files[0]), str(victim)]))


def _harm_json(file: Path, rng: np.random.Generator) -> None:
    try:
        told = json.loads(file.read_bytes())
    except (ValueError, OSError):
        return
    places = list(_places(told))
    if not places:
        return
    holder, key = places[rng.integers(len(places))]
    if rng.random() < 0.25:
        del holder[key]
    elif rng.random() < 0.2:
        other, where = places[rng.integers(len(places))]
        holder[key] = json.loads(json.dumps(other[where]))
    else:
        holder[key] = JSON_VALUES[rng.integers(len(JSON_VALUES))]
    file.write_text(json.dumps(told))


def _places(told):
    """Yield holder and key of each value in JSON."""
    for key, value in list(told.items() if isinstance(told, dict) else enumerate(told)):
        yield told, key
        if isinstance(value, dict | list):
            yield from _places(value)


def _number(text: str, rng: np.random.Generator) -> str:
    return _replaced(text, r"-?\d+(?:\.\d+)?(?:[eE]-?\d+)?", lambda _: NUMBERS[rng.integers(len(NUMBERS))], rng)


def _word(text: str, rng: np.random.Generator) -> str:
    return _replaced(
        text, r"[A-Za-z_]+", lambda word: rng.choice([word[:-1], word.upper(), word + "x", "\u00e4", ""]), rng
    )


def _swap(text: str, rng: np.random.Generator) -> str:
    """Exchange two values: what stands in quotes, or between commas."""
    found = list(re.finditer(r'"[^"\n]*"|(?<=,)[^,\n]*', text))
    if len(found) < 2:
        return text
    a, b = sorted((found[k] for k in rng.choice(len(found), 2, replace=False)), key=lambda m: m.start())
    return text[: a.start()] + b[0] + text[a.end() : b.start()] + a[0] + text[b.end() :]


def _line(text: str, rng: np.random.Generator) -> str:
    """Leave out, repeat or move a line."""
    lines = text.splitlines(keepends=True)
    if len(lines) < 2:
        return text
    a, b = (int(k) for k in rng.integers(0, len(lines), 2))
    line = lines[a]
    kind = rng.integers(3)
    if kind != 1:
        del lines[a]
    if kind != 0:
        lines.insert(b, line)
    return "".join(lines)


def _tag(text: str, rng: np.random.Generator) -> str:
    return _replaced(
        text, r"<[^<>]*>|[,;\t]", lambda tag: rng.choice(["", tag * 2, "<a>", "<!-- " + tag, tag[1:]]), rng
    )


def _replaced(text: str, pattern: str, by, rng: np.random.Generator) -> str:
    found = list(re.finditer(pattern, text))
    if not found:
        return text
    match = found[rng.integers(len(found))]
    return text[: match.start()] + str(by(match[0])) + text[match.end() :]


def _some_file(path: Path, rng: np.random.Generator) -> Path | None:
    """Return a path that is a file with content, or some such file in a folder; never a link, which may lead away."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    files = [file for file in files if not file.is_symlink() and file.stat().st_size]
    return files[rng.integers(len(files))] if files else None


def _empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _copy(whole: Path, folder: Path) -> Path:
    """Copy a source with all that lies beside it."""
    shutil.copytree(whole.parent, folder, dirs_exist_ok=True, symlinks=True)
    return folder / whole.name


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
