"""Reading Mastodon projects: Java's blocks of bytes, spots, links, labels, and what is refused of a zip."""

import struct
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trackdb.errors import ConfigError, FormatError
from trackdb.storage.formats import SourceOptions, detect, open_source
from trackdb.storage.formats.mastodon_model import NAMES, read_model

from .list_files import XML, labels_of, numbers_of, project, stream_of

#  frame  0    1    2
#         0 -- 1 -- 2          spots 2 and 3 are daughters of 1, and 3 is one of 4 too
#               \__ 3
#              4 __/
SPOTS = [(1.0, 2.0, 3.0, 0), (1.5, 2.0, 3.0, 1), (1.0, 2.0, 3.0, 2), (5.0, 2.0, 4.0, 2), (9.0, 2.0, 3.0, 1)]
LINKS = [(0, 1), (1, 2), (1, 3), (4, 3)]


@pytest.fixture
def path(tmp_path):
    objects = labels_of({1: "AB", 3: "größe", 0: "=cmd()"})
    return project(tmp_path / "my.mastodon", stream_of(numbers_of(SPOTS, LINKS), objects=objects))


def refused(path, message):
    with pytest.raises(FormatError, match=message):
        open_source(path, "mastodon")


def test_a_project_is_its_spots_and_links(path):
    assert detect(path) == "mastodon"
    source = open_source(path)
    (lineage,) = source.lineages
    assert (source.name, source.n_frames, source.ndim, lineage.merges) == ("my", 3, 3, True)
    assert set(zip(lineage.label[lineage.source], lineage.label[lineage.target], strict=True)) == set(LINKS)
    batches = [b.points for b in source.frames()]
    assert [p.label.tolist() for p in batches] == [[0], [1, 4], [2, 3]]
    assert batches[2].position_px.tolist() == [[3.0, 2.0, 1.0], [4.0, 2.0, 5.0]]
    assert [p.properties["name"].tolist() for p in batches] == [["=cmd()"], ["AB", ""], ["", "größe"]]
    assert batches[0].properties["radius"].tolist() == [3.0]
    assert "mastodon: cells of more than one mother, kept as merges: 1 (ids 3)" in source.notes


def test_positions_in_micrometres_become_pixels_by_the_size_that_is_given(tmp_path):
    xml = XML.replace("pixel", "\u00b5m").encode()
    path = project(tmp_path / "a.mastodon", stream_of(numbers_of(SPOTS, LINKS)), xml)
    source = open_source(path)
    assert source.scale_um == (1.0, 1.0, 1.0)
    assert any("one pixel is taken for 1 um" in note for note in source.notes)
    source = open_source(path, options=SourceOptions(scale_um=(2.0, 0.5, 0.5)))
    assert source.scale_um == (2.0, 0.5, 0.5)
    assert next(source.frames()).points.position_px.tolist() == [[1.5, 4.0, 2.0]]
    bare = XML.replace("<SpaceUnits>pixel</SpaceUnits>", "<SpaceUnits />")
    source = open_source(project(tmp_path / "a.mastodon", stream_of(numbers_of(SPOTS, LINKS)), bare))
    assert source.scale_um is None
    assert any("positions are taken as pixels" in note for note in source.notes)


def test_z_that_never_changes_makes_the_movie_2d(tmp_path):
    flat = [(x, y, 0.0, t) for x, y, _, t in SPOTS]
    source = open_source(project(tmp_path / "a.mastodon", stream_of(numbers_of(flat, LINKS))))
    assert (source.ndim, "z is the same everywhere, so the movie is 2D" in source.notes) == (2, True)


@settings(deadline=None)  # files are written and read
@given(st.integers(1, 3000), st.integers(0, 40), st.randoms(use_true_random=False))
def test_blocks_of_any_length_hold_the_same(block, n, random):
    spots = [(random.random(), random.random(), random.random(), i) for i in range(n)]
    links = [(i, i + 1) for i in range(n - 1)]
    model = read_model(stream_of(numbers_of(spots, links), block=block), "here")
    assert model.spots["xyz"].tolist() == [list(spot[:3]) for spot in spots]
    assert model.spots["t"].tolist() == [spot[3] for spot in spots]
    assert list(zip(model.links["source"].tolist(), model.links["target"].tolist(), strict=True)) == links


@pytest.mark.parametrize(
    "objects",
    [b"", b"ur\x00\x02[X", NAMES, labels_of({9: "far"}), labels_of({0: "a"})[:-1] + b"", labels_of({0: "ab"})[:-3]],
    ids=["nothing", "unknown", "names alone", "no such spot", "cut word", "cut letters"],
)
def test_labels_that_cannot_be_read_are_left_out_and_said(tmp_path, objects):
    source = open_source(project(tmp_path / "a.mastodon", stream_of(numbers_of(SPOTS, LINKS), objects=objects)))
    assert "name" not in next(source.frames()).points.properties
    assert any(note.startswith("labels of spots are not read") for note in source.notes)


def test_no_labels_at_all_are_nothing_to_say(tmp_path):
    source = open_source(project(tmp_path / "a.mastodon", stream_of(numbers_of(SPOTS, LINKS), objects=labels_of({}))))
    assert "name" not in next(source.frames()).points.properties
    assert not any("labels" in note for note in source.notes)


BODY = numbers_of(SPOTS, LINKS)
BAD = {
    "no stream": (b"PK" + stream_of(BODY), r"my.mastodon model.raw is no Java object stream"),
    "empty": (b"", r"my.mastodon model.raw is no Java object stream"),
    "mark alone": (stream_of(b""), r"model.raw: spots are cut off; expected: their number; got: 0"),
    "cut spots": (stream_of(BODY[:300]), r"model.raw: spots are cut off; expected: 5; got: 3"),
    "cut links": (stream_of(BODY[:-1]), r"model.raw: links are cut off; expected: 4; got: 3"),
    "many spots": (stream_of(struct.pack(">i", 2**31 - 1)), r"spots are cut off; expected: 2,147,483,647; got: 0"),
    "fewer than none": (stream_of(struct.pack(">i", -5) + bytes(99)), r"spots are cut off; expected: their number"),
    "no such spot": (stream_of(numbers_of(SPOTS, [(0, 7)])), r"model.raw: link 0 names spot 7; expected: 0 to 4"),
    "backward": (stream_of(numbers_of(SPOTS, [(0, 1), (3, 0)])), r"link 1: the link 3 -> 0 runs from frame 2 to"),
    "twice": (stream_of(numbers_of(SPOTS, [(0, 1), (0, 1)])), r"link 1: the link 0 -> 1 is there already"),
    "no frame": (stream_of(numbers_of([(1, 1, 1, -1)], [])), r"my.mastodon: spot 0 is in frame -1"),
    "late": (stream_of(numbers_of([(1, 1, 1, 2**30)], [])), r"my.mastodon: spot 0 is in frame 1073741824"),
    "no place": (stream_of(numbers_of([(1, float("nan"), 1, 0)], [])), r"spot 0: a cell has no place.* got: nan, 1"),
    "far": (stream_of(numbers_of([(1e300, 1, 1, 0)], [])), r"my.mastodon spot 0: a cell has no place"),
}  # fmt: skip


@pytest.mark.parametrize(("model", "message"), BAD.values(), ids=BAD.keys())
def test_a_bad_model_is_refused(tmp_path, model, message):
    refused(project(tmp_path / "my.mastodon", model), message)


def test_a_bad_zip_is_refused(tmp_path, path):
    whole = path.read_bytes()
    model = stream_of(BODY)
    for content in (b"", b"no zip", whole[:-30], whole[: len(whole) // 2]):
        (tmp_path / "bad.mastodon").write_bytes(content)
        refused(tmp_path / "bad.mastodon", "bad.mastodon cannot be read as a zip")
    at = whole.index(b"model.raw") + 40  # inside the packed bytes
    (tmp_path / "bad.mastodon").write_bytes(whole[:at] + bytes(20) + whole[at + 20 :])
    refused(tmp_path / "bad.mastodon", "bad.mastodon cannot be read as a zip")
    refused(project(tmp_path / "a.mastodon", None), "a.mastodon holds no model.raw; got: project.xml")
    for name in ("../evil", "/etc/passwd", "..\\evil"):
        refused(project(tmp_path / "a.mastodon", model, **{name: "x"}), "leads out of it; expected: plain names")
    zeros = bytes(1 << 23)
    refused(
        project(tmp_path / "a.mastodon", stream_of(zeros)), r"model.raw unpacks to 8,[\d,]+ bytes from [\d,]+; expected"
    )
    with zipfile.ZipFile(tmp_path / "b.mastodon", "w") as archive:
        archive.writestr("model.raw", model)
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("model.raw", model)
    refused(tmp_path / "b.mastodon", "b.mastodon holds model.raw twice; expected: each member once")


def test_a_bad_project_file_is_refused(tmp_path):
    model = stream_of(BODY)
    refused(project(tmp_path / "a.mastodon", model, "<a"), "a.mastodon: project.xml is no XML")
    bomb = '<!DOCTYPE a [<!ENTITY b "bb">]><a>&b;</a>'
    refused(project(tmp_path / "a.mastodon", model, bomb), "a.mastodon: project.xml declares entities")


def test_options_that_say_nothing_are_refused(path):
    for options in ({"links": path}, {"truth": path}, {"sequence": "01"}, {"columns": {"t": "t"}}):
        with pytest.raises(ConfigError, match="says nothing about a Mastodon project"):
            open_source(path, options=SourceOptions(**options))
