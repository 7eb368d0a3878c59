"""Reading biotracks data packages: tables that a dp.json names, and lists of objects as links."""

import json

import pytest

from trackdb.errors import ConfigError, FormatError
from trackdb.storage.formats import SourceOptions, detect, open_source

#  frame  1    2    3    4        list 0: 1 2 3        list 1: 2 4        list 2: 3 5        list 3: 4 5
#         1 -- 2 -- 3 -- 5
#              \__  4 _/
OBJECTS = (
    "cmso_object_id,cmso_frame_id,cmso_x_coord,cmso_y_coord\n1,1.0,1,9\n2,2.0,2,9\n3,3.0,3,9\n4,3.0,3,5\n5,4.0,4,7\n"
)
LINKS = "cmso_link_id,cmso_object_id\n0,3\n0,2\n0,1\n1,4\n1,2\n2,3\n2,5\n3,4\n3,5\n"
TIED = {(1, 2), (2, 3), (2, 4), (3, 5), (4, 5)}
RESOURCES = [{"name": "cmso_objects_table", "path": "cells.csv"}, {"name": "cmso_links_table", "path": "lists.csv"}]


@pytest.fixture
def package(tmp_path):
    folder = tmp_path / "my"
    folder.mkdir()
    (folder / "cells.csv").write_text(OBJECTS)
    (folder / "lists.csv").write_text(LINKS)
    (folder / "dp.json").write_text(json.dumps({"resources": RESOURCES}))
    return folder


def links_of(source):
    (lineage,) = source.lineages
    label = lineage.label.tolist()
    return {(label[s], label[t]) for s, t in zip(lineage.source, lineage.target, strict=True)}


def test_a_package_is_its_objects_and_their_lists(package):
    for path in (package, package / "dp.json"):
        assert detect(path) == "biotracks"
        source = open_source(path)
        assert (source.name, source.n_frames, links_of(source)) == ("my", 5, TIED)
        assert any("more than one mother, kept as merges: 1 (ids 5)" in note for note in source.notes)


def test_lists_of_objects_are_links_of_any_table(package):
    source = open_source(package / "cells.csv", options=SourceOptions(links=package / "lists.csv"))
    assert links_of(source) == TIED
    (package / "objects.csv").write_text(OBJECTS)
    (package / "links.csv").write_text(LINKS)
    source = open_source(package / "objects.csv")
    assert links_of(source) == TIED
    assert "links come from links.csv beside objects.csv" in source.notes


def test_a_link_in_two_lists_is_one_link(package):
    (package / "lists.csv").write_text(LINKS + "4,1\n4,2\n")
    assert links_of(open_source(package)) == TIED
    assert len(open_source(package).lineages[0].source) == len(TIED)


BAD_LISTS = {
    "unknown": ("0,9\n", r"lists.csv line 11: the list names id 9, which no row of the table has"),
    "one frame": ("5,3\n5,4\n", r"lists.csv line 12: the link 3 -> 4 runs from frame 3 to frame 3; expected: a later"),
    "words": ("5,a\n", r"lists.csv line 11: column cmso_object_id needs a number; got: 'a'"),
    "cut": ("5\n", r"lists.csv line 11: the row has 1 entries; expected: 2"),
}


@pytest.mark.parametrize(("rows", "message"), BAD_LISTS.values(), ids=BAD_LISTS.keys())
def test_bad_lists_are_refused_with_their_line(package, rows, message):
    (package / "lists.csv").write_text(LINKS + rows)
    with pytest.raises(FormatError, match=message):
        open_source(package)


def of(resources):
    return json.dumps({"resources": resources})


BAD_PACKAGES = {
    "no json": ("{", "dp.json is no data package; expected: JSON with resources"),
    "empty": ("", "dp.json is no data package"),
    "list": ("[]", "dp.json is no data package"),
    "deep": ("[" * 100_000, "dp.json is no data package"),
    "no objects": (of(RESOURCES[1:]), "names no table of objects; expected: a resource called cmso_objects_table"),
    "not there": (of([RESOURCES[0] | {"path": "no.csv"}]), "dp.json names no.csv, which is not there"),
    "outside": (of([RESOURCES[0] | {"path": "../dp.json"}]), "names ../dp.json; expected: a table in its own folder"),
    "absolute": (of([RESOURCES[0] | {"path": "/etc/passwd"}]), "names /etc/passwd; expected: a table in its own"),
}


@pytest.mark.parametrize(("content", "message"), BAD_PACKAGES.values(), ids=BAD_PACKAGES.keys())
def test_a_bad_package_is_refused(package, content, message):
    (package / "dp.json").write_text(content)
    with pytest.raises(FormatError, match=message):
        open_source(package)


def test_links_of_their_own_are_refused(package):
    with pytest.raises(ConfigError, match="a data package names its own links"):
        open_source(package, options=SourceOptions(links=package / "lists.csv"))
