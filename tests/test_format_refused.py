"""Files that cannot become a movie are refused with the reason, before anything in them is run."""

import pickle

import numpy as np
import pytest

from trackdb.errors import FormatError
from trackdb.storage.formats import open_source


class Evil:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code was run')",))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a.lT", r"a.lT is a LineageTree file: a Python pickle, .*try: to write it as Mastodon"),
        ("a_seg.npy", r"a_seg.npy is Cellpose's: a Python pickle, .*try: to save the masks as tif or png"),
        ("a.pkl", r"a.pkl is a Python pickle, .*try: to save it as CSV or Parquet"),
    ],
)
def test_code_in_a_pickle_is_never_run(tmp_path, name, reason):
    if name.endswith(".npy"):
        np.save(tmp_path / name, np.array([Evil()], dtype=object), allow_pickle=True)
    else:
        (tmp_path / name).write_bytes(pickle.dumps(Evil()))
    with pytest.raises(FormatError, match=reason):
        open_source(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"segmentationHypotheses": [{"id": 1}]}', r"a graph of hypotheses: .*without frame or position"),
        (
            '{// a comment\n"linking-hypotheses" : []}',
            r"a graph of hypotheses: .*try: to ingest that table, with --links",
        ),
        ('{"linkingResults": []}', r"a graph of hypotheses"),
        ('{"traxelToUniqueId": {}, "linkingHypotheses": []}', r"a graph of hytra's: .*by frame and label"),
        ('{"weights": [1]}', r"a.json holds the weights of a solver, and no cells; expected: cells"),
        ('{"cells": []}', r"a.json looks like no format that trackdb reads"),
        ("", r"a.json looks like no format that trackdb reads"),
    ],
)
def test_graphs_of_hypotheses_are_told_for_what_they_are(tmp_path, content, reason):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(FormatError, match=reason):
        open_source(tmp_path / "a.json")


def test_a_table_of_links_is_no_table_of_cells(tmp_path):
    path = tmp_path / "edges.csv"
    path.write_text("SPOT_SOURCE_ID,SPOT_TARGET_ID\n1,2\n")
    with pytest.raises(FormatError, match=r"edges.csv is a table of links, .*try: to ingest that one, with --links"):
        open_source(path)


def test_an_archive_of_arrays_is_told_with_what_it_holds(tmp_path):
    np.savez(tmp_path / "a.npz", images=np.zeros((2, 3, 3)), labels=np.zeros((2, 3, 3), int))
    with pytest.raises(FormatError, match=r"a.npz is an archive of 2 arrays, .*got: images, labels; try: to save each"):
        open_source(tmp_path / "a.npz")
    (tmp_path / "b.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:99])
    with pytest.raises(FormatError, match=r"b.npz cannot be read as npz; expected: a whole file"):
        open_source(tmp_path / "b.npz")
