"""Tables as other programs write them: their names, their ids, their parents, and the table of links beside."""

import numpy as np
import pytest

from trackdb.errors import ConfigError, FormatError
from trackdb.storage.formats import SourceOptions, open_source
from trackdb.storage.formats.tabular.choice import _rsplit


def opened(path, content, **options):
    path.write_text(content)
    return open_source(path, "table", SourceOptions(**options))


def links_of(lineage):
    return {(int(lineage.label[s]), int(lineage.label[t])) for s, t in zip(lineage.source, lineage.target, strict=True)}


def refused(path, content, message, error=FormatError, **options):
    with pytest.raises(error, match=message):
        opened(path, content, **options)


#  frame  0    1    2
#         a -- b -- c          b divides
#               \_  d
WORDS = """\
id,t,y,x,parent_id
a,0,1,1,
b,1,1,1,a
c,2,1,1,b
d,2,2,2, b
e,2,9,9,-1
"""


def test_ids_that_are_words_are_numbered_by_row_and_kept(tmp_path):
    source = opened(tmp_path / "a.csv", WORDS)
    assert links_of(source.lineages[0]) == {(0, 1), (1, 2), (1, 3)}
    kept = np.concatenate([b.points.properties["id"] for b in source.frames()])
    assert kept.tolist() == ["a", "b", "c", "d", "e"]
    assert any("ids of column id are words" in note for note in source.notes)


def test_words_link_two_tables(tmp_path):
    (tmp_path / "links.csv").write_text("source,target\na,b\nb,d\n")
    source = opened(tmp_path / "a.csv", WORDS.replace("parent_id", "other"), links=tmp_path / "links.csv")
    assert links_of(source.lineages[0]) == {(0, 1), (1, 3)}
    (tmp_path / "links.csv").write_text("source,target\na,b\nb,z\n")
    message = "links.csv line 3: the link names id z, which no row"
    refused(tmp_path / "a.csv", WORDS.replace("parent_id", "other"), message, links=tmp_path / "links.csv")


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("a,2,9,9,", r"line 6: id a is there already; .*got: the same in line 2"),
        (",2,9,9,", r"line 6: column id needs an id; got: nothing"),
        ("f,2,9,9,q", r"line 6: column parent_id names id q, which no row of the table has"),
        ("f,0,9,9,b", r"line 6: the link b -> f runs from frame 1 to frame 0"),
        ("f,2,9,9,f", r"line 6: the link f -> f runs from frame 2 to frame 2"),
    ],
)
def test_bad_words_are_refused_with_their_line(tmp_path, bad, message):
    refused(tmp_path / "a.csv", WORDS.replace("e,2,9,9,-1", bad), message)


def test_one_word_among_numbers_is_a_slip(tmp_path):
    refused(
        tmp_path / "a.csv", "id,t,y,x\n1,0,1,1\n2,0,2,2\n1O,0,3,3\n", r"line 4: column id needs a number; got: '1O'"
    )


def test_a_parent_0_is_none_unless_a_row_has_id_0(tmp_path):
    assert links_of(opened(tmp_path / "a.csv", "id,t,y,x,parent_id\n1,0,1,1,0\n2,1,1,1,1\n").lineages[0]) == {(1, 2)}
    content = "id,t,y,x,parent_id\n0,0,1,1,\n2,1,1,1,0\n"
    assert links_of(opened(tmp_path / "a.csv", content).lineages[0]) == {(0, 2)}


POSITIONS = {
    "[1, 2]": (1.0, 2.0), "(1,2)": (1.0, 2.0), "[1 2]": (1.0, 2.0), "[ 1.0  2.0]": (1.0, 2.0), "1;2": (1.0, 2.0),
    "[3, 1, 2]": (3.0, 1.0, 2.0),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), POSITIONS.items())
def test_positions_may_stand_in_one_column(tmp_path, text, expected):
    far = text.replace("3", "4")
    source = opened(tmp_path / "a.csv", f'id,time,pos\n1,0,"{text}"\n2,0,"{far}"\n')
    (batch,) = source.frames()
    assert tuple(batch.points.position_px[0]) == expected
    assert source.ndim == len(expected)


@pytest.mark.parametrize("bad", ["[1]", "[1,2,3]", "[1,a]", "", "[1,2,3,4]", "[1,nan]", "[1,1e400]"])
def test_positions_that_are_none_are_refused_with_their_line(tmp_path, bad):
    refused(tmp_path / "a.csv", f'time,pos\n0,"[1,2]"\n0,"{bad}"\n', r"a.csv line 3: column pos")


SEQUENCES = """\
sequence id t z y x parent_id original_id
s1 1 0 0 1 1 -1 7
s1 2 1 0 1 1 1 7
s2 1 0 0 5 5 -1 8
"""


def test_one_of_several_sequences_is_read(tmp_path):
    source = opened(tmp_path / "a.csv", SEQUENCES, sequence="s1", keep=("all",))
    assert (source.n_frames, links_of(source.lineages[0])) == (2, {(1, 2)})
    assert [b.points.properties["original_id"].tolist() for b in source.frames()] == [[7.0], [7.0]]
    assert opened(tmp_path / "a.csv", SEQUENCES, sequence="s2").n_frames == 1
    message = "holds several sequences; got: s1, s2; try: --sequence s1"
    refused(tmp_path / "a.csv", SEQUENCES, message, ConfigError)
    refused(tmp_path / "a.csv", SEQUENCES, "holds no sequence s3; got: s1, s2", ConfigError, sequence="s3")
    refused(tmp_path / "a.csv", WORDS, "has no column of sequences to choose s3 from", ConfigError, sequence="s3")


def test_a_row_of_a_sequence_keeps_its_line(tmp_path):
    bad = SEQUENCES.replace("s2 1 0 0 5 5 -1 8", "s2 1 0 0 5 5 4 8")
    refused(tmp_path / "a.csv", bad, r"a.csv line 4: column parent_id names id 4", sequence="s2")


def test_a_btrack_table_names_tracks_and_their_parents(tmp_path):
    content = (
        "ID t x y z parent root state generation dummy\n"
        "1 0 5.0 6.0 0.0 1 1 5 0 False\n1 1 5.5 6.0 0.0 1 1 5 0 False\n"
        "2 2 5.0 6.0 0.0 1 1 5 1 False\n3 2 7.0 8.0 0.0 1 1 5 1 False\n"
    )
    source = opened(tmp_path / "tracks.csv", content, keep=("all",))
    (truth,) = source.lineages
    assert links_of(truth) == {(0, 1), (1, 2), (1, 3)}
    assert "tracks.csv is read as a table of btrack" in source.notes
    last = list(source.frames())[-1].points
    assert last.position_px.tolist() == [[6.0, 5.0], [8.0, 7.0]]
    assert (list(last.properties), last.properties["dummy"].tolist()) == (
        ["root", "state", "generation", "dummy"],
        ["False", "False"],
    )
    bad = content.replace("3 2 7.0 8.0 0.0 1", "3 2 7.0 8.0 0.0 9")
    refused(tmp_path / "tracks.csv", bad, r"line 5 names track 9, which no row")
    bad = content.replace("1 1 5.5 6.0 0.0 1", "1 1 5.5 6.0 0.0 3")
    refused(tmp_path / "tracks.csv", bad, r"line 3: track 1 has parent 3; expected: the one of its first row, 1")
    bad = content.replace("3 2 7.0 8.0 0.0 1", "3 1 7.0 8.0 0.0 1")
    refused(tmp_path / "tracks.csv", bad, r"line 5: the table has parent 1 until frame 1, child 3 from frame 1")


def test_parents_of_tracks_come_from_their_column(tmp_path):
    rows = "TrackID,t,y,x,ParentTrackID\n5,0,1,1,\n5,1,1,1,\n7,2,1,1,5\n8,3,2,2,5\n9,0,9,9,\n"
    source = opened(tmp_path / "a.csv", rows)
    assert links_of(source.lineages[0]) == {(0, 1), (1, 2), (1, 3)}


def test_a_parent_that_may_be_a_track_is_told_and_read_if_asked_for(tmp_path):
    rows = "t,y,x,track,parent\n0,1,1,5,0\n1,1,1,5,0\n2,1,1,7,5\n2,4,4,8,5\n"
    source = opened(tmp_path / "a.csv", rows)
    assert links_of(source.lineages[0]) == {(0, 1)}
    [note] = [note for note in source.notes if "parent is not read" in note]
    key, _, name = note.split("--columns ")[1].partition("=")
    asked = opened(tmp_path / "a.csv", rows, columns={key: name})
    assert links_of(asked.lineages[0]) == {(0, 1), (1, 2), (1, 3)}
    assert not [note for note in asked.notes if "not read" in note]


def test_trackpy_tables_have_particles(tmp_path):
    source = opened(tmp_path / "a.csv", ",y,x,mass,size,frame,particle\n0,1,2,9,3,0,4\n1,1,3,9,3,1,4\n2,8,8,9,3,1,5\n")
    assert links_of(source.lineages[0]) == {(0, 1)}


CELLPROFILER = """\
ImageNumber,ObjectNumber,AreaShape_Area,Location_Center_X,Location_Center_Y,TrackObjects_Label_20,\
TrackObjects_ParentImageNumber_20,TrackObjects_ParentObjectNumber_20
1,1,50,10,20,1,0,0
2,1,30,10,21,1,1,1
2,2,31,12,21,1,1,1
2,3,44,40,40,2,0,0
"""


def test_cellprofiler_names_a_parent_by_image_and_object(tmp_path):
    source = opened(tmp_path / "objects.csv", CELLPROFILER)
    (truth,) = source.lineages
    pairs = {
        (int(truth.frame[t]), int(truth.label[t])): int(truth.label[s])
        for s, t in zip(truth.source, truth.target, strict=True)
    }
    assert pairs == {(2, 1): 1, (2, 2): 1}
    last = list(source.frames())[-1].points
    assert (last.label.tolist(), last.area.tolist(), last.position_px[2].tolist()) == (
        [1, 2, 3],
        [30, 31, 44],
        [40, 40],
    )
    bad = CELLPROFILER.replace("2,2,31,12,21,1,1,1", "2,2,31,12,21,1,1,7")
    refused(tmp_path / "objects.csv", bad, r"line 4: the parent is 7 of frame 1; expected: a row of the table")
    bad = CELLPROFILER.replace("2,2,31,12,21,1,1,1", "2,2,31,12,21,1,2,1")
    refused(tmp_path / "objects.csv", bad, r"line 4: the link 1 -> 2 runs from frame 2 to frame 2")


#  frame  0    1    2
#         1 -- 2 -- 4        4 comes from 2 and from 3
#         5 -- 3 __/
SPOTS = (
    "LABEL,ID,TRACK_ID,POSITION_X,POSITION_Y,FRAME\nLabel,Spot ID,Track ID,X,Y,Frame\nLabel,ID,T,X,Y,Frame\n,,,,,(f)\n"
)
SPOTS += "".join(f"ID{i},{i},0,{i},1.5,{t}\n" for i, t in ((1, 0), (5, 0), (2, 1), (3, 1), (4, 2)))
EDGES = "LABEL,SPOT_SOURCE_ID,SPOT_TARGET_ID\nLabel,Source,Target\nLabel,S,T\n,,(id)\n"
EDGES += "".join(f"a -> b,{s},{t}\n" for s, t in ((1, 2), (5, 3), (2, 4), (3, 4)))


def test_trackmate_edges_are_found_beside_the_spots_and_may_merge(tmp_path):
    (tmp_path / "my_edges.csv").write_text(EDGES)
    source = opened(tmp_path / "my_spots.csv", SPOTS)
    (truth,) = source.lineages
    assert (links_of(truth), truth.merges) == ({(1, 2), (5, 3), (2, 4), (3, 4)}, True)
    assert "links come from my_edges.csv beside my_spots.csv" in source.notes
    assert "truth: cells of more than one mother, kept as merges: 1 (ids 4)" in source.notes
    assert "column TRACK_ID is not read: the lineage comes from links" in source.notes
    (tmp_path / "my_edges.csv").write_text(EDGES + "a -> b,4,1\n")
    refused(tmp_path / "my_spots.csv", SPOTS, r"my_edges.csv line 9: the link 4 -> 1 runs from frame 2 to frame 0")


def test_a_table_beside_that_holds_no_links_is_left_alone(tmp_path):
    (tmp_path / "my_links.csv").write_text("a,b\n1,2\n")
    (tmp_path / "other_edges.csv").write_text(EDGES)
    source = opened(tmp_path / "my_spots.csv", "id,t,y,x\n1,0,1,1\n2,1,1,1\n")
    assert source.lineages == ()


def test_links_that_tell_their_kind_may_merge(tmp_path):
    rows = "".join(f"{i},{t},1,{i},{i + 100}\n" for i, t in ((1, 0), (5, 0), (2, 1), (3, 1), (4, 2)))
    (tmp_path / "cells.csv").write_text("id,t,y,x,label\n" + rows)
    kinds = {(1, 2): "continue", (5, 3): "continue", (2, 4): "merge", (3, 4): "merge"}
    (tmp_path / "links.csv").write_text(
        "source,target,kind\n" + "".join(f"{s},{t},{kind}\n" for (s, t), kind in kinds.items())
    )
    source = open_source(tmp_path / "cells.csv")
    assert links_of(source.lineages[0]) == set(kinds)
    (tmp_path / "links.csv").write_text("source,target\n2,4\n3,4\n")
    with pytest.raises(FormatError, match=r"links.csv line 3: cell 4 has two parents; expected: one; got: ids 2, 3"):
        open_source(tmp_path / "cells.csv")


MASTODON_SPOTS = """\
"Label","ID","Spot N links","Spot frame","Spot position","Spot position","Spot position","Spot track ID"
"",""," "," ","X","Y","Z"," "
"","","","","","","",""
"ABa","0","1","0","10.5","20.5","3.5","0"
"ABal","1","1","1","11.5","21.5","4.5","0"
"""
MASTODON_LINKS = """\
"Label","ID","Link delta T","Link target IDs","Link target IDs"
"",""," ","Source spot id","Target spot id"
"","","","",""
"ABa -> ABal","0","1","0","1"
"""


def test_mastodons_tables_have_groups_of_columns(tmp_path):
    (tmp_path / "MastodonTable-Link.csv").write_text(MASTODON_LINKS)
    source = opened(tmp_path / "MastodonTable-Spot.csv", MASTODON_SPOTS, keep=("Label", "Spot N links"))
    assert links_of(source.lineages[0]) == {(0, 1)}
    first, _ = source.frames()
    assert first.points.position_px.tolist() == [[3.5, 20.5, 10.5]]
    assert {name: values.tolist() for name, values in first.points.properties.items()} == {
        "Label": ["ABa"],
        "Spot N links": [1.0],
    }
    assert "links come from MastodonTable-Link.csv beside MastodonTable-Spot.csv" in source.notes


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("Pm03_spots.csv.gz", ("Pm03_", "spots", ".csv.gz")),
        ("MastodonTable-Spots.csv", ("MastodonTable-", "Spots", ".csv")),
        ("spots.csv", ("", "spots", ".csv")),
        ("hotspots.csv", ("", "", "")),
        ("spotsize.csv", ("", "", "")),
        ("spots_a_spots.csv", ("spots_a_", "spots", ".csv")),
    ],
)
def test_a_table_of_spots_is_known_by_a_whole_word(name, parts):
    assert _rsplit(name, "spots") == parts
