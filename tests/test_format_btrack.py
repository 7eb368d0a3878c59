"""Reading btrack's HDF5 files: objects, tracks with dummies, parents, and what is refused."""

import sys

import numpy as np
import pytest

from trackdb.errors import ConfigError, FormatError
from trackdb.storage.formats import SourceOptions, detect, open_source

from .list_files import write_btrack

h5py = pytest.importorskip("h5py")

#  frame  0     1     2     3
#         0 --- 1           4       track 1: 0 1, track 2: 2 (dummy) 4, track 3: 3, a daughter of 1, with 5
#                \___ 3             track 4: 5
#         2 ----(-1)------/
#                \___ 5
COORDS = [(0, 1, 9, 0, 1), (1, 2, 9, 0, 1), (0, 1, 5, 0, 1), (2, 3, 9, 0, 1), (2, 4, 5, 0, 1), (2, 5, 7, 0, 1)]
TRACKS = [0, 1, 2, -1, 4, 3, 5]
MAP = [(0, 2), (2, 5), (5, 6), (6, 7)]
LBEPR = [(1, 0, 1, 1, 1, 0), (2, 0, 2, 2, 2, 0), (3, 2, 2, 1, 1, 1), (4, 2, 2, 1, 1, 1)]
LINKS = {(0, 1), (2, 4), (1, 3), (1, 5)}


@pytest.fixture
def write(tmp_path):
    def written(coords=COORDS, tracks=TRACKS, spans=MAP, lbepr=LBEPR, properties=None, expression=None, **more):
        return write_btrack(
            tmp_path / "my.h5",
            coords=coords,
            tracks=tracks,
            spans=spans,
            lbepr=lbepr,
            properties=properties,
            expression=expression,
            **more,
        )

    return written


def links_of(source):
    (lineage,) = source.lineages
    label = lineage.label.tolist()
    return {(label[s], label[t]) for s, t in zip(lineage.source, lineage.target, strict=True)}


def refused(path, message):
    with pytest.raises(FormatError, match=message):
        open_source(path, "btrack")


def test_tracks_lead_over_places_that_were_made_up(write):
    path = write(properties={"area": np.arange(6.0), "pca": np.ones((6, 2))}, segmentation=np.zeros(3))
    assert detect(path) == "btrack"
    source = open_source(path)
    assert (source.name, source.n_frames, source.ndim, links_of(source)) == ("my", 3, 2, LINKS)
    assert "places that btrack made up are left out, links lead over them: 1" in source.notes
    assert "the segmentation in the file is not read" in source.notes
    (*_, last) = source.frames()
    assert (last.points.label.tolist(), last.points.position_px.tolist()) == ([3, 4, 5], [[9, 3], [5, 4], [7, 5]])
    assert {name: values.tolist() for name, values in last.points.properties.items()} == {
        "area": [3, 4, 5], "pca_0": [1, 1, 1], "pca_1": [1, 1, 1], "class": [0, 1, 2], "track": [3, 2, 4],
        "root": [1, 2, 1], "generation": [1, 0, 1], "fate": [2, 1, 3],
    }  # fmt: skip


def test_objects_alone_have_no_lineage(write, tmp_path):
    with h5py.File(tmp_path / "objects.h5", "w") as file:
        file["objects/obj_type_1/coords"] = np.array([(0, 1, 2, 3, 1), (0, 4, 5, 6, 1)], dtype=np.float32)
        file["objects/obj_type_2/coords"] = np.zeros((1, 5))
    source = open_source(tmp_path / "objects.h5")
    assert (source.lineages, source.ndim) == ((), 3)
    assert next(source.frames()).points.position_px.tolist() == [[3, 2, 1], [6, 5, 4]]
    assert "objects of other types are not read: obj_type_2" in source.notes


def test_tracks_of_filtered_objects_name_those_that_were_let_through(write):
    area = np.array([1, 200, 200, 1, 200, 200.0])
    path = write(
        tracks=[0, 2, 1], spans=[(0, 2), (2, 3)], lbepr=LBEPR[:2], properties={"area": area}, expression="area>100"
    )
    assert links_of(open_source(path)) == {(1, 4)}
    refused(
        write(expression="size>1"), "tracks are of objects filtered by 'size>1'; expected: a property that is there"
    )
    refused(write(expression="__import__('os')"), "tracks are of objects filtered by")
    refused(write(properties={"area": area}, expression="area>100"), "names object 5 of 4 that 'area>100' lets through")


def test_a_parent_that_holds_dummies_alone_is_none(write):
    source = open_source(write(tracks=[-2, -3, 2, -1, 4, 3, 5]))
    assert links_of(source) == {(2, 4)}
    assert "parents of tracks lost, which hold no object: 2" in source.notes


def coords(row, column, value):
    changed = np.array(COORDS, dtype=float)
    changed[row, column] = value
    return changed


BAD = {
    "no frame": ({"coords": coords(2, 0, -1)}, r"my.h5: object 2 has no place; .*got: -1, 1, 5, 0"),
    "half frame": ({"coords": coords(2, 0, 0.5)}, r"object 2 has no place"),
    "late": ({"coords": coords(2, 0, 1e9)}, r"object 2 has no place"),
    "nan": ({"coords": coords(1, 2, np.nan)}, r"object 1 has no place; .*got: 1, 2, nan, 0"),
    "columns": ({"coords": np.zeros((6, 3))}, r"coords has 3 columns; expected: t, x, y, z and type"),
    "unknown object": ({"tracks": [0, 1, 2, -1, 4, 3, 9]}, r"obj_type_1/tracks names object 9; expected: 0 to 5"),
    "object twice": ({"tracks": [0, 1, 2, -1, 4, 3, 3]}, r"object 3 is in two tracks"),
    "frame twice": ({"tracks": [0, 2, 1, -1, 4, 3, 5]}, r"track 1 is twice in frame 0"),
    "map": ({"spans": [(0, 2), (2, 5), (5, 6), (6, 99)]}, r"obj_type_1/map leads from 6 to 99; expected: 0 to 7"),
    "map back": ({"spans": [(0, 2), (5, 2), (5, 6), (6, 7)]}, r"tracks/obj_type_1/map leads from 5 to 2"),
    "map twice": ({"spans": [(0, 7), (0, 7), (5, 6), (6, 7)]}, r"tracks/obj_type_1/map names objects twice"),
    "few rows": ({"lbepr": LBEPR[:3]}, r"tells of 3 tracks here, of 4 there"),
    "label twice": ({"lbepr": [*LBEPR[:3], (3, 2, 2, 1, 1, 1)]}, r"two tracks have label 3"),
    "no parent": ({"lbepr": [*LBEPR[:3], (4, 2, 2, 8, 1, 1)]}, r"track 4 has parent 8; expected: a label of the table"),
    "backward": ({"lbepr": [(1, 0, 1, 3, 1, 1), *LBEPR[1:]]}, r"my.h5: a link runs from frame 2"),
    "property": ({"properties": {"area": np.ones(2)}}, r"property area has shape \(2,\); expected: 6 objects"),
    "words": ({"properties": {"area": np.array([b"a"] * 6)}}, r"properties/area has shape \(6,\); expected: 1 axes of"),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "message"), BAD.values(), ids=BAD.keys())
def test_a_bad_file_is_refused(write, changes, message):
    refused(write(**changes), message)


def test_files_of_others_and_damaged_ones_are_refused(write, tmp_path):
    path = write()
    whole = path.read_bytes()
    for content in (b"", b"\x89HDF\r\n\x1a\n", whole[: len(whole) // 2], b"x" * 99):
        (tmp_path / "bad.h5").write_bytes(content)
        refused(tmp_path / "bad.h5", "bad.h5 cannot be read as HDF5")
    (tmp_path / "cut.h5").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FormatError, match=r"cut.h5 is damaged; expected: a whole HDF5 file; got: .*truncated"):
        detect(tmp_path / "cut.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["image"] = np.zeros((3, 3))
    refused(tmp_path / "other.h5", "other.h5 holds no objects/obj_type_1; got: image")
    with pytest.raises(FormatError, match=r"other.h5 is HDF5, of which only btrack's objects and tracks are read"):
        detect(tmp_path / "other.h5")


def test_numbers_that_lie_in_another_file_are_refused(write, tmp_path):
    write().rename(tmp_path / "theirs.h5")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["objects/obj_type_1/coords"] = h5py.ExternalLink("theirs.h5", "objects/obj_type_1/coords")
    refused(tmp_path / "a.h5", "coords lies in another file; expected: one file that holds all")
    (tmp_path / "secret").write_bytes(bytes(400))
    with h5py.File(tmp_path / "b.h5", "w") as file:
        group = file.create_group("objects/obj_type_1")
        group.create_dataset("coords", (10, 5), "f8", external=[(str(tmp_path / "secret"), 0, 400)])
    refused(tmp_path / "b.h5", "coords lies in another file")


def test_without_h5py_the_extra_is_named(write, monkeypatch):
    path = write()
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ConfigError, match=r'my.h5 needs h5py; try: pip install "trackdb\[hdf5\]"'):
        open_source(path)


def test_options_that_say_nothing_are_refused(write):
    path = write()
    with pytest.raises(ConfigError, match="--columns says nothing about a file of btrack's"):
        open_source(path, options=SourceOptions(columns={"t": "t"}))
