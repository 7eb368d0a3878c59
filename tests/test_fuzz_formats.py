"""Every importer reads harmed sources or refuses them with words; see `fuzz_formats` for how to join."""

import zipfile
import zlib
from collections import Counter

import numcodecs
import numpy as np
import pytest

from trackdb.storage.formats import FORMATS, SourceOptions
from trackdb.storage.writers.tables import write_tables

from .containers import CONTAINERS, write_ngff
from .fuzz_formats import FIRE_EVERY, Importer, fire, harm_bytes, harm_folder, harm_text
from .graph_files import SPOTS, write_geff, write_icy, write_particles, write_trackmate
from .list_files import (
    NUCLEI,
    labels_of,
    numbers_of,
    project,
    stream_of,
    write_biotracks,
    write_btrack,
    write_lineage_mapper,
    write_napari,
    write_parents,
    write_positions,
    write_spots,
    write_sulston,
    write_words,
    zipped,
)
from .movies import CENTRES, square_mask, write_ctc


def small_trackmate(folder):
    """A TrackMate file with polygons and names."""
    return write_trackmate(
        folder / "a.xml",
        extra=lambda spot: 'ROI_N_POINTS="4"' if spot < 13 else f'SNR="{spot / 7:.3f}"',
        text=lambda spot: "0 0 4 0 4.0 2.0 0.0 2.0" if spot < 13 else "",
        names={0: "mother"},
    )


def small_geff(folder, zarr_format):
    """A GEFF with properties of each kind."""
    n = len(SPOTS)
    return write_geff(
        folder / "a.geff",
        zarr_format=zarr_format,
        compressors=numcodecs.Blosc() if zarr_format == 2 else "auto",
        props={
            "radius": (np.arange(n, dtype=np.float32), np.arange(n) % 3 == 0),
            "name": np.array([f"n{k}" for k in range(n)], dtype=np.dtypes.StringDType()),
            "seg_id": np.arange(n) + 1,
            "solution": np.ones(n, dtype=bool),
        },
    )


def small_mastodon(path):
    """A Mastodon project of two tracks, with labels."""
    spots = [(1.0 + t, 2.0, 3.0 + cell, t) for cell in range(2) for t in range(6)]
    links = [(n, n + 1) for n in range(11) if n != 5]
    return project(path, stream_of(numbers_of(spots, links), objects=labels_of({0: "AB", 6: "P1"})))


def small_btrack(path):
    """A file of btrack's with two tracks and a daughter."""
    pytest.importorskip("h5py", reason="the extra hdf5 is not installed")
    rows = [(t, 5.0 + t, 10.0 * cell, 0.0, 1) for cell in range(3) for t in range(6)]
    lbepr = [(1, 0, 5, 1, 1, 0), (2, 0, 2, 2, 2, 0), (3, 3, 5, 2, 2, 1)]
    listed = [*range(6), 6, 7, 8, 15, 16, 17]
    spans = [(0, 6), (6, 9), (9, 12)]
    area = {"area": np.arange(18.0)}
    return write_btrack(path, coords=rows, tracks=listed, spans=spans, lbepr=lbepr, properties=area)


def small_lineage_mapper(folder):
    """Masks with births and deaths, a division and a fusion."""
    tables = {
        "birth-death": "Cell ID,Birth Frame,Death Frame\n1,1,2\n2,3,4\n3,3,3\n4,5,5\n",
        "division": "t (time),Mother ID @t,Daughter ID @t+1,Daughter ID @t+1\n3,1,2,3\n",
        "fusion": "t (time),Fused ID @t+1,Fusion ID @t,Fusion ID @t\n5,4,2,3\n",
    }
    return write_lineage_mapper(folder, {1: [1], 2: [1], 3: [2, 3], 4: [2], 5: [4]}, tables)


def small_tables(folder, suffix):
    """A folder of tables as trackdb writes it, with a division, a gap and a merge."""
    cell, frame = np.arange(1, 10), np.repeat([0, 1, 2], 3)
    cells = {"id": cell, "t": frame, "y": frame * 1.5, "x": cell * 2.0, "label": cell + 3, "area": np.full(9, np.nan)}
    cells["name"] = np.array([f"=n{k}" for k in cell])
    links = {"source": np.array([1, 1, 2, 4, 6, 3]), "target": np.array([4, 5, 6, 7, 7, 9])}
    about = {"dataset": "movie", "solution": "ilp-1", "axes": ["t", "y", "x"], "frame_interval_s": 30.0}
    about["scale_um"] = [0.5, 0.5]
    write_tables(folder / "a", {"cells": cells, "links": links}, about, suffix)
    return folder / "a"


def harm_beside(path, rng):
    """Harm a file, or one of those that lie beside it."""
    harm_text(path.parent, rng)


def harm_zip(path, rng):
    """Harm a member of a zip, or the zip itself."""
    if rng.random() < 0.2:
        harm_bytes(path, rng)
        return
    try:
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError, zlib.error):
        return  # harmed before
    one = path.with_name("member")
    for name in rng.choice(sorted(members), 1):
        one.write_bytes(members[name])
        (harm_text if rng.random() < 0.5 else harm_bytes)(one, rng)
        members[name] = one.read_bytes()
        one.unlink()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def harm_tables(path, rng):
    """Harm a table of a folder with masks, now and then a mask."""
    files = sorted(path.glob("*.csv" if rng.random() < 0.9 else "*"))
    if files:
        harm_text(files[rng.integers(len(files))], rng)


def small_images(container):
    """Masks in a container: of many labels, so that packing them leaves something to harm."""

    def write(folder):
        (folder / "a").mkdir()
        masks = np.random.default_rng(0).integers(0, 30, (3, 24, 32)).astype(np.uint16)
        return CONTAINERS[container](folder / "a", masks)

    return Importer("masks", write, harm_images, n_cases=150, has_links=False)


def small_ome_zarr(folder, version):
    """An OME-Zarr image of two channels with labels."""
    masks = np.array([square_mask(frame) for frame in CENTRES])
    path, told = folder / "a.zarr", {"version": version, "scale": [60, 1, 0.5, 0.5], "channels": ["DAPI", "GFP"]}
    units = {"t": "second", "y": "micrometer", "x": "micrometer"}
    write_ngff(path, np.stack([masks * 9, masks + 5], axis=1), "tcyx", units=units, **told)
    write_ngff(path / "labels" / "cells", masks, "tyx", version=version, is_label=True)
    return path


def harm_images(path, rng):
    """Harm a file of images, one of a folder of them, or a Zarr folder."""
    if path.is_file():
        harm_bytes(path, rng)
    else:
        harm_folder(path, rng)


KEEP_ALL = SourceOptions(keep=("all",))

IMPORTERS = [
    Importer("trackmate", small_trackmate, harm_text),
    Importer("track_xml", lambda folder: write_particles(folder / "a.xml"), harm_text, n_cases=300),
    Importer("track_xml", lambda folder: write_icy(folder / "a.xml"), harm_text, n_cases=300),
    Importer("geff", lambda folder: small_geff(folder, 2), harm_folder, n_cases=300),
    Importer("geff", lambda folder: small_geff(folder, 3), harm_folder, n_cases=300),
    Importer("table", lambda folder: write_parents(folder / "a.csv"), harm_text, KEEP_ALL),
    Importer("table", lambda folder: write_words(folder / "a.csv"), harm_text, n_cases=300),
    Importer("table", lambda folder: write_positions(folder / "a.tsv"), harm_text, SourceOptions(sequence="s1"), 300),
    Importer("table", lambda folder: write_spots(folder / "a-Spot.csv"), harm_beside, KEEP_ALL),
    Importer("napari", lambda folder: write_napari(folder / "a"), harm_text),
    Importer("tables", lambda folder: small_tables(folder, ".csv"), harm_text, KEEP_ALL),
    Importer("tables", lambda folder: small_tables(folder, ".parquet"), harm_folder, KEEP_ALL, n_cases=300),
    Importer("biotracks", lambda folder: write_biotracks(folder / "a"), harm_text),
    Importer("sulston", lambda folder: write_sulston(folder / "CD.csv"), harm_text, KEEP_ALL),
    Importer("acetree", lambda folder: zipped(folder / "a.zip", NUCLEI), harm_zip),
    Importer("mastodon", lambda folder: small_mastodon(folder / "a.mastodon"), harm_zip),
    Importer("btrack", lambda folder: small_btrack(folder / "a.h5"), harm_bytes),
    Importer("ctc", lambda folder: write_ctc(folder / "a", images=True), harm_text),
    Importer("masks", lambda folder: small_ome_zarr(folder, "0.4"), harm_folder, n_cases=300, has_links=False),
    Importer("masks", lambda folder: small_ome_zarr(folder, "0.5"), harm_folder, n_cases=300, has_links=False),
    *(small_images(name) for name in CONTAINERS if name != "png files"),  # as cellpose; checksums leave few readable
    Importer("lineage_mapper", lambda folder: small_lineage_mapper(folder / "a"), harm_tables),
]


def test_five_hundred_cases_or_more_for_every_format():
    cases: Counter[str] = Counter()
    for importer in IMPORTERS:
        cases[importer.name] += importer.n_cases
    assert set(cases) == set(FORMATS)
    assert min(cases.values()) >= 500, cases


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The data type:zarr.errors.UnstableSpecificationWarning")  # while texts are written
@pytest.mark.parametrize("importer", IMPORTERS, ids=[f"{i.name}-{k}" for k, i in enumerate(IMPORTERS)])
def test_harmed_sources_are_read_or_refused_with_words(importer, tmp_path):
    if importer.name == "geff":
        pytest.importorskip("geff_spec", reason="the extra geff is not installed")
    counts = fire(importer, tmp_path)
    fired = sum(counts.values())
    assert fired >= importer.n_cases // FIRE_EVERY
    assert counts["read"] >= fired // 40, f"harms that always break tell little: {counts}"
    assert counts["refused"] >= fired // 10, f"harms that never break tell little: {counts}"
