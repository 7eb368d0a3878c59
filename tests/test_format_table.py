"""Reading tables of points: columns, order, lineages, and what is refused with its line."""

import gzip
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from trackdb.errors import ConfigError, FormatError
from trackdb.storage.formats import SourceOptions, open_source
from trackdb.storage.formats.tabular.guess import guess_column

#  frame   0     1     2     3
#          10 -- 11 -- 12            12 divides into 13 and 14
#                   \_ ..13
#                   \_ ..14
#          20 -------- 21           a gap in frame 1
POINTS = """\
id,t,y,x,parent_id,track
10,0,1.5,2,,1
11,1,1.5,3,10,1
12,2,1.5,4,11,1
13,3,1.5,5,12,2
14,3,2.5,5,12,3
20,0,9.5,2,-1,4
21,2,9.5,4,20,4
"""
LINKS = {(10, 11), (11, 12), (12, 13), (12, 14), (20, 21)}
ALONG = {(10, 11), (11, 12), (20, 21)}


@pytest.fixture
def table(tmp_path):
    return text(tmp_path / "points.csv", POINTS)


def text(path, content):
    path.write_text(content)
    return path


def links_of(lineage):
    return {(int(lineage.label[s]), int(lineage.label[t])) for s, t in zip(lineage.source, lineage.target, strict=True)}


def points_of(source):
    """Return (frame, label, position) of all points."""
    batches = list(source.frames())
    assert [b.frame for b in batches] == list(range(source.n_frames))
    return {
        (b.frame, int(label), tuple(position))
        for b in batches
        for label, position in zip(b.points.label, b.points.position_px.tolist(), strict=True)
    }


def refused(path, message, **options):
    with pytest.raises(FormatError, match=message):
        open_source(path, "table", SourceOptions(**options))


def test_well_known_columns_are_found_and_told(table):
    source = open_source(table)
    assert (source.name, source.n_frames, source.ndim, source.shape_px) == ("points", 4, 2, None)
    assert points_of(source) == {
        (0, 10, (1.5, 2.0)), (1, 11, (1.5, 3.0)), (2, 12, (1.5, 4.0)), (3, 13, (1.5, 5.0)), (3, 14, (2.5, 5.0)),
        (0, 20, (9.5, 2.0)), (2, 21, (9.5, 4.0)),
    }  # fmt: skip
    (truth,) = source.lineages
    assert (truth.name, truth.complete, links_of(truth)) == ("truth", False, LINKS)
    assert (
        "columns of points.csv guessed from their names: t=t, y=y, x=x, id=id, parent=parent_id, track=track"
        in source.notes
    )
    assert "column track is not read: the lineage comes from parent" in source.notes


def test_a_table_of_links_is_a_lineage(table, tmp_path):
    links = text(tmp_path / "links.csv", "score,source,target\n" + "".join(f"1,{s},{t}\n" for s, t in LINKS))
    assert links_of(open_source(table, options=SourceOptions(links=links)).lineages[0]) == LINKS
    named = text(tmp_path / "named.csv", "from,to\n10,11\n")
    options = SourceOptions(links=named, columns={"source": "from", "target": "to"})
    assert links_of(open_source(table, options=options).lineages[0]) == {(10, 11)}


def test_tracks_are_tied_over_gaps_and_their_parents_come_from_a_track_file(table, tmp_path):
    table.write_text(POINTS.replace("parent_id", "other"))
    assert links_of(open_source(table).lineages[0]) == ALONG
    truth = text(tmp_path / "man_track.txt", "1 0 2 0\n2 3 3 1\n3 3 3 1\n4 0 2 0\n9 0 3 0\n")
    for path in (truth, tmp_path):
        source = open_source(table, options=SourceOptions(truth=path))
        assert links_of(source.lineages[0]) == LINKS
        assert "tracks of man_track.txt without a row in the table: 1" in source.notes


def test_rows_without_a_track_are_not_annotated(tmp_path):
    path = text(tmp_path / "a.csv", "t,y,x,track\n0,0,0,0\n1,0,0,0.0\n0,1,1,\n1,1,1,NaN\n2,1,1,-1\n")
    source = open_source(path)
    (truth,) = source.lineages
    assert truth.frame.tolist() == [0, 1]
    assert links_of(truth) == {(0, 1)}
    assert "2 of 5 detections have a track" in source.notes


def test_a_column_of_the_users_wins_over_a_guess(tmp_path):
    path = text(tmp_path / "a.csv", "id,t,label,y,x,row,col\n5,0,7,0,0,1,2\n")
    source = open_source(path, options=SourceOptions(columns={"y": "row", "x": "col", "label": "label"}))
    assert points_of(source) == {(0, 7, (1.0, 2.0))}


def test_labels_are_row_numbers_where_nothing_names_the_cells(tmp_path):
    assert points_of(open_source(text(tmp_path / "a.tsv", "frame\tx\ty\n1\t5\t6\n0\t7\t8\n"))) == {
        (1, 0, (6.0, 5.0)),
        (0, 1, (8.0, 7.0)),
    }


def test_cells_of_a_frame_keep_the_order_of_their_rows(tmp_path):
    rows = "".join(f"{n % 2},{n},0\n" for n in range(200))
    for batch in open_source(text(tmp_path / "a.csv", "t,y,x\n" + rows)).frames():
        assert batch.points.label.tolist() == list(range(batch.frame, 200, 2))


@settings(deadline=None)  # files are written and read
@given(st.permutations(POINTS.splitlines()[1:]))
def test_the_order_of_rows_does_not_matter(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("order")
    shuffled = open_source(text(folder / "b.csv", "\n".join([POINTS.splitlines()[0], *rows])))
    assert links_of(shuffled.lineages[0]) == LINKS
    assert points_of(shuffled) == points_of(open_source(text(folder / "a.csv", POINTS)))


@settings(deadline=None)  # files are written and read
@given(st.integers(0, 3), st.integers(1, 4))
def test_frames_kept_keep_their_lineage(tmp_path_factory, start, step):
    path = text(tmp_path_factory.getbasetemp() / "sliced.csv", POINTS)
    source = open_source(path, options=SourceOptions(frames=slice(start, None, step)))
    parent = {t: s for s, t in LINKS}
    frame = {int(row.split(",")[0]): int(row.split(",")[1]) for row in POINTS.splitlines()[1:]}
    kept = {cell for cell, t in frame.items() if t in range(4)[start::step]}
    expected = set()
    for cell in kept:
        above = parent.get(cell)
        while above is not None and above not in kept:
            above = parent.get(above)
        expected |= {(above, cell)} if above is not None else set()
    (truth,) = source.lineages
    assert links_of(truth) == expected
    assert {(f, label) for f, label, _ in points_of(source)} == {((frame[c] - start) // step, c) for c in kept}
    assert dict(zip(truth.label.tolist(), truth.frame.tolist(), strict=True)) == {
        c: (frame[c] - start) // step for c in kept
    }


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.tsv", "a.txt", "a.parquet", "a.parquet.gz"])
def test_all_kinds_of_tables_tell_the_same(table, tmp_path, name):
    path = tmp_path / "other" / name
    path.parent.mkdir()
    if "parquet" in name:
        import pyarrow.csv as pa_csv

        pq.write_table(pa_csv.read_csv(table), path)
        content = path.read_bytes()
    else:
        parted = POINTS.replace(",", "\t" if "tsv" in name else " " if "txt" in name else ",")
        content = parted.encode("utf-8-sig" if name == "a.csv" else "utf-8")
    path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    source = open_source(path)
    assert points_of(source) == points_of(open_source(table))
    assert links_of(source.lineages[0]) == LINKS


def test_frames_without_cells_are_read_and_noted(tmp_path):
    source = open_source(text(tmp_path / "a.csv", "t,y,x\n1,0,0\n7,0,0\n"))
    assert source.n_frames == 8
    assert [len(b.points.label) for b in source.frames()] == [0, 1, 0, 0, 0, 0, 0, 1]
    assert "6 frames have no cells: 0, 2, 3, 4, 5, ..." in source.notes


def test_a_table_without_rows_is_a_movie_without_cells(tmp_path):
    source = open_source(text(tmp_path / "a.csv", "t,z,y,x,track\n"))
    assert (source.n_frames, source.ndim, list(source.frames())) == (0, 3, [])
    assert "no detections" in source.notes


def test_volumes_have_z_unless_it_never_changes(tmp_path):
    path = text(tmp_path / "a.csv", "t,z,y,x\n0,1,2,3\n0,4,5,6\n")
    assert points_of(open_source(path)) == {(0, 0, (1.0, 2.0, 3.0)), (0, 1, (4.0, 5.0, 6.0))}
    path.write_text("t,z,y,x\n0,0,2,3\n0,0,5,6\n")
    source = open_source(path)
    assert (source.ndim, "column z is the same everywhere, so the movie is 2D" in source.notes) == (2, True)
    assert open_source(path, options=SourceOptions(columns={"z": "z"})).ndim == 3


def test_areas_come_along_where_they_are_known(tmp_path):
    (batch,) = open_source(text(tmp_path / "a.csv", "t,y,x,area\n0,0,0,12.5\n0,1,1,\n")).frames()
    np.testing.assert_array_equal(batch.points.area, [12.5, np.nan])


def test_images_come_beside_the_points(table, tmp_path):
    images = tmp_path / "images.tif"
    tifffile.imwrite(images, np.arange(4 * 12, dtype=np.uint8).reshape(4, 3, 4), photometric="minisblack")
    source = open_source(table, options=SourceOptions(images={"dna": images}, frames=slice(1, None, 2)))
    assert source.shape_px == (3, 4)
    assert [int(b.images["dna"].min()) for b in source.frames()] == [12, 36]
    tifffile.imwrite(images, np.zeros((3, 3, 4), dtype=np.uint8), photometric="minisblack")
    refused(table, "channel dna in .* has no image for frame 3 of the table; got: 3 images", images={"dna": images})


def test_the_header_rows_of_trackmate_are_skipped(tmp_path):
    content = (
        "LABEL,ID,FRAME,POSITION_X,POSITION_Y\nLabel,Spot ID,Frame,X,Y\nLabel,ID,Frame,X,Y\n,,,(micron),(micron)\n"
    )
    path = text(tmp_path / "a.csv", content + "ID7,7,0,1.5,2.5\n")
    assert points_of(open_source(path)) == {(0, 7, (2.5, 1.5))}
    path.write_text(content + "ID7,7,0,1.5,2.5\nID8,8,0,oops,2.5\n")
    refused(path, r"a.csv line 6: column POSITION_X needs a number; got: 'oops'")


def test_large_ids_stay_whole(tmp_path):
    big = 2**53 + 1
    path = text(tmp_path / "a.csv", f"id,t,y,x,parent_id\n{big},0,0,0,\n7,1,0,0,{big}\n")
    assert links_of(open_source(path).lineages[0]) == {(big, 7)}


BAD = {
    "words": ("t,y,x\n0,1,2\n\n1,oops,2\n", r"a.csv line 4: column y needs a number; got: 'oops'"),
    "nan": ("t,y,x\n0,1,nan\n", r"line 2: column x needs a finite number below 1e.15; got: 'nan'"),
    "empty": ("t,y,x\n0,,2\n", r"line 2: column y needs a finite number below 1e.15; got: nothing"),
    "infinite": ("t,y,x\n0,1,2\n0,-inf,2\n", r"line 3: column y needs a finite number below 1e.15; got: '-inf'"),
    "negative frame": ("t,y,x\n0,1,2\n-1,1,2\n", r"line 3: column t needs a whole number of at least 0; got: '-1'"),
    "half frame": ("t,y,x\n0.0,1,2\n0.5,1,2\n", r"line 3: column t needs a whole number; got: '0.5'"),
    "no frame": ("t,y,x\n,1,2\n", r"line 2: column t needs a whole number; got: nothing"),
    "seconds": ("t,y,x\n1700000000,1,2\n", r"line 2: column t is 1700000000; expected: a frame number below 1,000,000"),
    "ids": ("id,t,y,x\n4,0,1,2\n5,0,1,2\n4,1,1,2\n", r"line 4: id 4 is there already; .*got: the same in line 2; try"),
    "labels": ("label,t,y,x\n4,0,1,2\n4,1,1,2\n4,0,1,2\n", r"line 4: label 4 is in frame 0 already; .*same in line 2"),
    "header": ("a,b,c\n0,1,2\n", r"no column that is clearly t or y or x; got: columns a, b, c; try: --columns t"),
    "short row": ("t,y,x\n0,1,2\n\n0,1\n", r"a.csv line 4: the row has 2 entries; expected: 3, one for each column"),
    "nothing": ("", r"a.csv is empty; expected: a table with a line of column names"),
    "twice": ("t,y,x,y\n0,1,2,3\n", r"has 2 columns y; expected: one; got: columns t, y, x, y"),
    "parent": ("id,t,y,x,parent_id\n1,0,0,0,\n2,1,0,0,9\n", r"line 3: column parent_id names id 9, which no row"),
    "itself": ("id,t,y,x,parent_id\n1,0,0,0,1\n", r"line 2: the link 1 -> 1 runs from frame 0 to frame 0; expected: a"),
    "backward": ("id,t,y,x,parent_id\n1,5,0,0,\n2,1,0,0,1\n", r"line 3: the link 1 -> 2 runs from frame 5 to frame 1"),
    "track": ("t,y,x,track\n0,0,0,1\n1,0,0,1\n1,2,2,1\n", r"line 4: track 1 is in frame 1 already; .*in line 3"),
    "half track": ("t,y,x,track\n0,0,0,1.5\n", r"line 2: column track needs a whole number; got: '1.5'"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "message"), BAD.values(), ids=BAD.keys())
def test_a_bad_table_is_refused_with_its_line(tmp_path, content, message):
    refused(text(tmp_path / "a.csv", content), message)


LINKS_BAD = {
    "unknown": ("source,target\n10,11\n10,99\n", r"links.csv line 3: the link names id 99, which no row"),
    "backward": ("source,target\n11,10\n", r"links.csv line 2: the link 11 -> 10 runs from frame 1 to frame 0"),
    "two parents": ("source,target\n10,12\n20,12\n", r"links.csv line 3: cell 12 has two parents; .*got: ids 10, 20"),
    "again": ("source,target\n10,12\n10,12\n", r"links.csv line 3: the link 10 -> 12 is there already"),
    "columns": ("a,b\n10,11\n", r"links.csv has no column that is clearly source or target; got: columns a, b; try"),
    "words": ("source,target\n10,x\n", r"links.csv line 2: column target needs a number; got: 'x'"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "message"), LINKS_BAD.values(), ids=LINKS_BAD.keys())
def test_bad_links_are_refused_with_their_line(table, tmp_path, content, message):
    refused(table, message, links=text(tmp_path / "links.csv", content))


def test_options_that_do_not_fit_are_refused(table, tmp_path):
    refused(table, r"has no column tt for t; got: columns id, t, y, x, parent_id, track", columns={"t": "tt"})
    with pytest.raises(
        ConfigError, match="frame is no name of a column here; expected: some of t, z, y, x, position, id"
    ):
        open_source(table, options=SourceOptions(columns={"frame": "t"}))
    refused(
        text(tmp_path / "a.csv", "t,y,x,parent\n0,0,0,\n"), "no column that is clearly id", columns={"parent": "parent"}
    )
    refused(tmp_path / "a.csv", "no column that is clearly track", truth=tmp_path)
    with pytest.raises(ConfigError, match=r"--truth of a table tells the parents of its tracks"):
        open_source(table, options=SourceOptions(truth=tmp_path, links=table))
    with pytest.raises(ConfigError, match="2D movie needs 2 positive numbers"):
        open_source(table, options=SourceOptions(scale_um=(1.0, -1.0)))
    with pytest.raises(ConfigError, match=r"needs 2 positive numbers; .*got: 0.65; try: 0.65,0.65"):
        open_source(table, options=SourceOptions(scale_um=(0.65,)))


def test_parents_that_contradict_the_table_are_refused(table, tmp_path):
    table.write_text(POINTS.replace("parent_id", "other"))
    refused(table, r"holds no track file; expected: man_track.txt, or a folder with one", truth=tmp_path)
    truth = text(tmp_path / "man_track.txt", "1 0 1 0\n4 2 3 1\n")
    refused(table, r"man_track.txt line 2: the table has parent 1 until frame 2, child 4 from frame 0", truth=truth)


def test_damaged_files_are_refused_by_name(tmp_path):
    for name, content in (
        ("a.parquet", b"PAR1 no"),
        ("a.csv.gz", b"no gzip"),
        ("b.csv.gz", gzip.compress(b"t,y,x\n" * 99)[:30]),
    ):
        (tmp_path / name).write_bytes(content)
        refused(tmp_path / name, rf"{name} cannot be read as a table")


def test_parquet_errors_name_row_and_type(tmp_path):
    pq.write_table(pa.table({"t": [0, 1], "y": [0.0, float("nan")], "x": [1, 2]}), tmp_path / "a.parquet")
    refused(tmp_path / "a.parquet", r"a.parquet row 1: column y needs a finite number below 1e.15; got: nan")
    pq.write_table(pa.table({"t": [0], "y": [True], "x": [1]}), tmp_path / "a.parquet")
    refused(tmp_path / "a.parquet", r"a.parquet: column y holds bool; expected: numbers")


def test_decimals_are_numbers(tmp_path):
    whole, parts = pa.decimal128(18, 0), pa.decimal128(4, 2)
    numbers = {"id": pa.array([7, 10**17], whole), "t": pa.array([0, 1], whole), "y": pa.array([0.5, 1.25]).cast(parts)}
    pq.write_table(pa.table({**numbers, "x": [1, 2], "size": numbers["y"]}), tmp_path / "a.parquet")
    points = [
        batch.points for batch in open_source(tmp_path / "a.parquet", options=SourceOptions(keep=("all",))).frames()
    ]
    assert [(p.label.item(), *p.position_px[0], p.properties["size"].item()) for p in points] == [
        (7, 0.5, 1.0, 0.5),
        (10**17, 1.25, 2.0, 1.25),
    ]


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        (["FRAME", "POSITION_X", "POSITION_Y", "POSITION_Z"], ["FRAME", "POSITION_Z", "POSITION_Y", "POSITION_X"]),
        (["centroid-0", "centroid-1", "Time Point"], ["Time Point", None, "centroid-0", "centroid-1"]),
        (["centroid-0", "centroid-1", "centroid-2", "t"], ["t", "centroid-0", "centroid-1", "centroid-2"]),
        (["Index", "value"], [None, None, None, None]),
    ],
)
def test_names_are_guessed_in_any_spelling(there, expected):
    assert [guess_column(key, there) for key in "tzyx"] == expected


def test_a_pipe_is_refused_and_not_waited_for(table, tmp_path):
    os.mkfifo(tmp_path / "links.csv")
    refused(table, "links.csv is no table; expected: a file", links=tmp_path / "links.csv")


@pytest.mark.parametrize(("alone", "hint"), [(False, "or --truth NN_GT tells them"), (True, "NAME tells them")])
def test_what_would_tell_parents_is_an_option_of_the_command(tmp_path, alone, hint):
    path = tmp_path / "a.csv"
    path.write_text("t,y,x,track\n0,1,1,1\n1,1,1,1\n")
    (note,) = (n for n in open_source(path, options=SourceOptions(alone=alone)).notes if "parents" in n)
    assert note.endswith(hint)
    assert ("--truth" in note) != alone
