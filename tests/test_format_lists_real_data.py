"""Every real table and list of cells goes in and is counted as its own program counts it, or is refused."""

import gzip
import json
import re
import zipfile
from collections import Counter

import numpy as np
import pytest

from trackdb.errors import FormatError
from trackdb.storage.formats import SourceOptions, detect, open_source
from trackdb.storage.formats.sulston import mother_of

pytestmark = pytest.mark.data


def counts(source):
    """Return detections, links, divisions and merges."""
    n = sum(len(b.points.label) for b in source.frames())
    if not source.lineages:
        return n, 0, 0, 0
    (lineage,) = source.lineages
    several = [int(np.count_nonzero(np.bincount(ends) > 1)) for ends in (lineage.source, lineage.target)]
    return n, len(lineage.source), *several


def rows_of(path):
    """Return the rows of a table as its own program wrote them, without a reader of ours."""
    opener = gzip.open if path.name.endswith(".gz") else open
    with opener(path, "rt") as lines:
        header, *rows = (line.rstrip("\n").split(",") for line in lines)
    return header, rows


FIXTURES = {
    "stracking_io/two_tracks.csv": ("table", (29, 27, 0, 0)),
    "btrack_examples/objects.csv.gz": ("table", (52581, 0, 0, 0)),
    "btrack_examples/tracks.csv.gz": ("table", (52678, 52269, 0, 0)),
    "btrack_examples/tracks.h5": ("btrack", (52581, 52392, 110, 0)),
    "biotracks": ("biotracks", (228, 217, 3, 0)),
    "biotracks/dp.json": ("biotracks", (228, 217, 3, 0)),
    "biotracks/objects.csv": ("table", (228, 217, 3, 0)),
    "lineagetree_mamut/test.mastodon": ("mastodon", (41, 38, 2, 0)),
    "trackmate_xml_laptrack/test_spots.csv": ("table", (4, 0, 0, 0)),
    "trackmate_xml_laptrack/trackmate_tracks_with_gap_closing_spots.csv": ("table", (134, 128, 0, 0)),
    "trackmate_xml_laptrack/trackmate_tracks_with_merging_spots.csv": ("table", (134, 129, 0, 1)),
    "trackmate_xml_laptrack/trackmate_tracks_with_splitting_spots.csv": ("table", (134, 130, 2, 0)),
    "trackmate_xml_laptrack/trackmate_tracks_with_splitting_merging_spots.csv": ("table", (183, 180, 2, 1)),
    "trackmate_xml_laptrack/trackmate_tracks_without_gap_closing_spots.csv": ("table", (134, 127, 0, 0)),
}
REFUSED = {
    r"laptrack_docs/data_small\.npz": "is an archive of 2 arrays, .*; got: images, labels",
    r"biotracks/links\.csv": "is a table of links, which tells no places",
    r"biotracks/tracks\.csv": "has no column that is clearly t or y or x",
    r"hytra_graphs/.*\.h5": "is HDF5, of which only btrack's objects and tracks are read",
    r"hytra_graphs/.*/graph-old\.json": "is a graph of hytra's: it names detections by frame and label",
    r"(hytra_graphs/.*|multihypo_json)/weights\.json": "holds the weights of a solver, and no cells",
    r"multihypo_json/.*\.json": "is a graph of hypotheses: .*without frame or position",
    r"lineagetree_mamut/.*\.lT": "is a LineageTree file: a Python pickle",
    r"trackmate_xml_laptrack/same_position_example\.csv": "has no column that is clearly t or y or x",
    r"trackmate_xml_laptrack/.*_edges\.csv": "is a table of links, which tells no places",
    r"trackmate_xml_laptrack/trackmate_tracks_.*\.csv": "is a table of links, which tells no places",
}
LISTS = (".csv", ".csv.gz", ".json", ".h5", ".lT", ".mastodon", ".npz")


def test_every_list_among_the_fixtures_goes_in_or_is_refused_with_its_reason(data_dir):
    folder = data_dir / "format_fixtures"
    names = [str(p.relative_to(folder)) for p in sorted(folder.rglob("*")) if p.name.endswith(LISTS)]
    assert len(names) > 40
    assert set(FIXTURES) <= {*names, "biotracks"}
    for name in names:
        if name in FIXTURES:
            assert (detect(folder / name), counts(open_source(folder / name))) == FIXTURES[name], name
        else:
            reason = next((why for pattern, why in REFUSED.items() if re.fullmatch(pattern, name)), None)
            assert reason is not None, f"{name} is neither read nor refused"
            with pytest.raises(FormatError, match=reason):
                open_source(folder / name)
    assert counts(open_source(folder / "biotracks")) == FIXTURES["biotracks"][1]


@pytest.mark.parametrize("name", [name for name in FIXTURES if name.endswith("_spots.csv") and "tracks_" in name])
def test_links_are_those_of_the_table_of_edges(data_dir, name):
    path = data_dir / "format_fixtures" / name
    (lineage,) = open_source(path).lineages
    header, rows = rows_of(path.with_name(path.name.replace("_spots", "_edges")))
    ends = [header.index("spot_source_id"), header.index("spot_target_id")]
    found = set(zip(lineage.label[lineage.source], lineage.label[lineage.target], strict=True))
    assert found == {(int(row[ends[0]]), int(row[ends[1]])) for row in rows}


def test_the_tracks_of_btracks_two_files_are_the_same(data_dir):
    folder = data_dir / "format_fixtures" / "btrack_examples"
    source = open_source(folder / "tracks.h5")
    (lineage,) = source.lineages
    _, rows = rows_of(folder / "tracks.csv.gz")
    # this file was written with x and y the other way round than its own table, which does not touch the links
    theirs = {(int(float(t)), np.float32(y), np.float32(x)) for _, t, y, x in rows}
    ours = [(b.frame, np.float32(x), np.float32(y)) for b in source.frames() for y, x in b.points.position_px]
    assert len({row[0] for row in rows}) == 409
    # links within tracks: one fewer than places in each, less those over the 97 places that btrack made up
    children = 220
    assert len(lineage.source) == len(rows) - 409 - 97 + children
    assert sum(spot in theirs for spot in ours) == len(ours) == len(rows) - 97


@pytest.mark.parametrize("movie", ["Pm03", "Pm04", "Pm07", "Pm09"])
def test_a_mastodon_project_tells_what_its_export_tells(data_dir, movie):
    folder = data_dir / "astec_ascidian_ccby"
    project = open_source(folder / f"{movie}.mastodon")
    table = open_source(folder / f"{movie}_spots.csv.gz")
    assert f"links come from {movie}_links.csv.gz beside {movie}_spots.csv.gz" in table.notes
    assert counts(project) == counts(table)
    for ours, theirs in zip(project.frames(), table.frames(), strict=True):
        np.testing.assert_array_equal(ours.points.label, theirs.points.label)
        np.testing.assert_allclose(ours.points.position_px, theirs.points.position_px, atol=6e-4)
    pairs = [
        set(zip(lineage.label[lineage.source], lineage.label[lineage.target], strict=True))
        for (lineage,) in (project.lineages, table.lineages)
    ]
    assert pairs[0] == pairs[1]


def test_the_labels_of_a_mastodon_project_run_along_its_tracks(data_dir):
    source = open_source(data_dir / "astec_ascidian_ccby" / "Pm03.mastodon")
    (lineage,) = source.lineages
    name = dict(zip(source.points.label.tolist(), source.points.properties["name"].tolist(), strict=True))
    one_daughter = np.bincount(lineage.source, minlength=len(lineage.label))[lineage.source] == 1
    source_name, target_name = (
        np.array([name[label] for label in lineage.label[ends[one_daughter]].tolist()])
        for ends in (lineage.source, lineage.target)
    )
    assert len(set(name.values())) > 500
    assert np.mean(source_name == target_name) > 0.99  # a curated embryo: a cell keeps its name until it divides


def test_the_projects_together_are_the_embryos_of_the_index(data_dir):
    folder = data_dir / "astec_ascidian_ccby"
    total = sum(np.array(counts(open_source(path))) for path in folder.glob("*.mastodon"))
    assert total.tolist() == [45034, 44838, 919, 0]


def test_a_project_of_automatic_tracks_is_read(data_dir):
    assert counts(open_source(data_dir / "tgmm_mini_drosophila_bsd" / "tgmm-mini.mastodon")) == (3087, 2981, 53, 0)


def test_worms_by_their_names_are_those_of_the_index(data_dir):
    total = np.zeros(4, dtype=int)
    for path in sorted((data_dir / "celegans_live_mit").glob("CD*.csv.gz")):
        assert detect(path) == "sulston"
        source = open_source(path)
        total += counts(source)
        header, rows = rows_of(path)
        cell = header.index("cell")
        daughters = Counter(mother for name in {row[cell] for row in rows} if (mother := mother_of(name)))
        assert set(daughters) >= {"ABa", "EMS"} | set()
        founders = re.search(r"cells without a mother in the table: \d \((.*)\)", " ".join(source.notes))[1]
        assert founders in ("ABa, ABp, EMS, P2", "AB, P1")
    assert total.tolist() == [82748, 82734, 1502, 0]


def test_nuclei_are_linked_as_their_names_say(data_dir):
    path = data_dir / "celegans_live_mit" / "20241108_JIM767_25_L5-edit.zip"
    assert detect(path) == "acetree"
    source = open_source(path)
    with zipfile.ZipFile(path) as archive:
        texts = [archive.read(name).decode() for name in archive.namelist() if name.startswith("nuclei/")]
    lines = [[word.strip() for word in line.split(",")] for text in texts for line in text.splitlines()]
    valid = [line for line in lines if line[1] == "1"]
    links = sum(int(word) > 0 for line in valid for word in line[3:5])
    divisions = sum(int(line[3]) > 0 and int(line[4]) > 0 for line in valid)
    assert counts(source) == (len(valid), links, divisions, 0) == (76688, 76498, 2092, 0)
    (lineage,) = source.lineages
    name = source.points.properties["name"]
    named = [(name[s], name[t]) for s, t in zip(lineage.source, lineage.target, strict=True) if mother_of(str(name[t]))]
    agree = sum(below in (above, *_daughters(above)) for above, below in named)
    assert len(named) > 60_000
    assert agree == len(named)


def _daughters(name):
    founders = {"P0": ("AB", "P1"), "P1": ("EMS", "P2"), "EMS": ("MS", "E"), "P2": ("C", "P3"), "P3": ("D", "P4")}
    founders["P4"] = ("Z2", "Z3")
    return founders.get(name, tuple(name + letter for letter in "adlprv"))


def test_particles_are_tracks(data_dir):
    path = data_dir / "usiigaci_t98g_mit" / "tracker_output" / "tracks.csv"
    header, rows = rows_of(path)
    tracks = Counter(row[header.index("particle")] for row in rows)
    source = open_source(path, options=SourceOptions(keep=("all",)))
    assert counts(source) == (len(rows), len(rows) - len(tracks), 0, 0)
    assert "angle" in source.points.properties


@pytest.mark.parametrize(
    ("name", "expected"),
    [("division", (117, 103, 2, 0)), ("divisionfusion", (113, 101, 2, 3)), ("fusion", (105, 92, 0, 1))],
)
def test_the_lineage_mappers_tables_fit_its_masks(data_dir, name, expected):
    folder = data_dir / "nist_lineage_mapper_pd" / "ref_track_results" / name
    source = open_source(folder)
    (lineage,) = source.lineages
    cells = {(b.frame, int(label)) for b in source.frames() for label in np.unique(b.mask) if label}
    assert cells == set(zip(lineage.frame.tolist(), lineage.label.tolist(), strict=True))
    several = [int(np.count_nonzero(np.bincount(ends) > 1)) for ends in (lineage.source, lineage.target)]
    assert (len(cells), len(lineage.source), *several) == expected
    _, lives = rows_of(folder / "trk-birth-death.csv")
    events = [
        len(row) - 2
        for kind in ("division", "fusion")
        if (path := folder / f"trk-{kind}.csv").is_file()
        for row in rows_of(path)[1]
    ]
    assert len(lineage.source) == sum(int(last) - int(first) for _, first, last in lives) + sum(events)


def test_a_package_names_its_tables(data_dir):
    package = json.loads((data_dir / "format_fixtures" / "biotracks" / "dp.json").read_text())
    assert {r["path"] for r in package["resources"]} == {"objects.csv", "links.csv"}
