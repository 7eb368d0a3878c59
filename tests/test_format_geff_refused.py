"""GEFFs that are wrong, lie, or lead elsewhere are refused, with the place of the mistake."""

import json
import os
import shutil
import sys

import numpy as np
import pytest

from trackdb.errors import ConfigError, FormatError
from trackdb.storage.formats import SourceOptions, open_source

from .graph_files import LINKS, SPOTS, changed_geff, links_by_place, replaced_array, write_geff

pytest.importorskip("geff", reason="the extra geff is not installed")

N = len(SPOTS)


def refused(path, message, **options):
    with pytest.raises(FormatError, match=message):
        open_source(path, options=SourceOptions(**options))


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("nodes/ids", [*range(N - 1), 3], r"nodes/ids row 17: id 3 is there already; .* the same in row 3"),
        (
            "nodes/ids",
            list(range(N - 1)),
            r"nodes/props/t/values does not fit; expected: 17 rows, as nodes/ids; got: shape \(18,\)",
        ),
        ("nodes/ids", np.arange(2 * N).reshape(N, 2), r"nodes/ids holds no ids; expected: one id a row"),
        ("nodes/ids", np.arange(N) - 1, r"nodes/ids row 0 is negative"),
        ("nodes/ids", np.arange(N, dtype=np.uint64) + 2**63, r"nodes/ids row 0 is no whole number"),
        ("edges/ids", [(10, 99)], r"edges/ids row 0: edge 10 -> 99 names a node that is not there"),
        ("edges/ids", [(10, 10)], r"edges/ids row 0: edge 10 -> 10 ties a node to itself"),
        ("edges/ids", [(10, 20)], r"edges/ids row 0: edge 10 -> 20 lies within a frame"),
        ("edges/ids", [(10, 11), (10, 11)], r"edges/ids row 1: the edge is there already; got: the same in row 0"),
        ("edges/ids", [[10, 11, 12]], r"edges/ids holds no ids; expected: two ids a row; got: shape \(1, 3\)"),
        ("nodes/props/t/values", np.arange(N) - 1, r"props/t/values row 0 is no frame; .* got: -1"),
        ("nodes/props/t/values", np.arange(N) * 10**6, r"props/t/values row 1 is no frame"),
        (
            "nodes/props/t/values",
            np.arange(N) + 0.5,
            r"t/values is not what the metadata say; expected: int64; got: float64",
        ),
        ("nodes/props/y/values", np.where(np.arange(N) == 4, np.nan, 1.0), r"values row 4: a cell has no place"),
        ("nodes/props/y/values", np.where(np.arange(N) == 4, 1e20, 1.0), r"values row 4: a cell has no place"),
        (
            "nodes/props/y/values",
            np.zeros((N, 2)),
            r"y/values does not fit; expected: one number a node; got: shape \(18, 2\)",
        ),
    ],
)
def test_arrays_that_are_wrong_are_named(tmp_path, name, values, message):
    path = write_geff(tmp_path / "a.zarr")
    values = np.asarray(values)
    refused(replaced_array(path, name, values.astype(np.int64) if values.dtype == np.int32 else values), message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"directed": "maybe"}, "directed: Input should be a valid boolean"),
        ({"axes": [{"name": "t", "type": "tempo"}]}, "axes.0.type: Input should be 'space', 'time' or 'channel'"),
        ({"axes": [{"name": "t", "type": "time"}]}, "has no axes of space; expected: two or three; got: axes t"),
        ({"axes": [{"name": "y", "type": "space"}, {"name": "x", "type": "space"}]}, "has no axis of time"),
        (
            {"axes": [{"name": name, "type": kind} for name, kind in (("w", "time"), ("y", "space"), ("x", "space"))]},
            "has no property w; got: properties t, x, y",
        ),
        ({"more": 1}, "more: Extra inputs are not permitted"),
        ({"geff_version": "new"}, "geff_version: String should match pattern"),
    ],
)
def test_metadata_that_are_wrong_are_told(tmp_path, change, message):
    refused(changed_geff(write_geff(tmp_path / "a.zarr"), lambda told: told.update(change)), message)


def test_axes_of_different_units_are_refused(tmp_path):
    path = write_geff(tmp_path / "a.zarr")
    changed_geff(path, lambda told: told["axes"][1].update(unit="micrometer"))
    refused(path, "the axes of space have different units; expected: one; got: .*micrometer")
    path = write_geff(tmp_path / "b.zarr", scale=(0.5, -0.5))
    refused(path, "the scale of an axis is wrong")


def zarray(path, **changes):
    """Change what an array of Zarr 2 says of itself."""
    file = path / ".zarray"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        (
            "nodes/ids",
            {"shape": [10**12]},
            r"nodes/ids declares more than it holds",
        ),
        (
            "edges/ids",
            {"shape": [10**12, 2]},
            r"edges/ids declares more than it holds; got: shape \(1000000000000, 2\)",
        ),
        ("edges/ids", {"chunks": [10**12, 2]}, r"edges/ids declares more than it holds"),
        ("edges/ids", {"shape": [200_000, 2], "chunks": [1, 2]}, r"edges/ids declares 200,000 chunks; got: 3 files"),
        ("edges/ids", {"dtype": "<u2"}, r"edges/ids"),
        (
            "nodes/props/y/values",
            {"dtype": "<f4"},
            r"y/values is not what the metadata say; expected: float64; got: float32",
        ),
        ("nodes/props/y/values", {"chunks": [5]}, r"nodes/props/y/values"),
        (
            "nodes/props/name/values",
            {"compressor": {"id": "pickle"}},
            r"name/values is compressed by pickle; expected: a codec",
        ),
        ("nodes/props/y/values", {"compressor": {"id": "who"}}, r"nodes/props/y/values cannot be read"),
        ("nodes/props/y/values", {"shape": [-4]}, r"nodes/props/y/values"),
        ("nodes/props/y/values", {"zarr_format": 7}, r"nodes/props/y/values cannot be read"),
    ],
)
def test_arrays_that_lie_are_refused_before_memory_is_taken(tmp_path, name, changes, message):
    import resource

    path = write_geff(tmp_path / "a.zarr", props={"name": np.array(["a"] * N, dtype=np.dtypes.StringDType())})
    zarray(path / name, **changes)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(path, message)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000


def test_chunks_that_are_cut_or_foreign_are_refused(tmp_path):
    for kind, harm in (("v2", lambda b: b[: len(b) // 2]), ("v3", lambda b: b"zarr" * 20), ("v3", lambda b: b"")):
        path = tmp_path / f"{kind}.zarr"
        write_geff(path, zarr_format=int(kind[1]))
        (chunk,) = (file for file in (path / "edges/ids").rglob("*") if file.is_file() and "z" not in file.name)
        chunk.write_bytes(harm(chunk.read_bytes()))
        refused(path, r"edges/ids cannot be read")


def test_files_of_others_are_not_read(tmp_path):
    path = write_geff(tmp_path / "a.zarr")
    (tmp_path / "secret").write_bytes(b"secret")
    chunk = path / "nodes/props/y/values/0"
    chunk.unlink()
    chunk.symlink_to(tmp_path / "secret")
    refused(path, r"values/0 is a link that leads out of .*a.zarr; expected: files of its own")
    chunk.unlink()
    chunk.symlink_to(path / "gone")
    refused(path, r"values/0 cannot be read")
    chunk.unlink()
    os.mkfifo(chunk)
    refused(path, r"values/0 is no file")


def test_links_within_the_store_are_followed(tmp_path):
    path = write_geff(tmp_path / "a.zarr")
    chunk = path / "nodes/props/y/values/0"
    chunk.rename(path / "kept")
    chunk.symlink_to(path / "kept")
    assert links_by_place(open_source(path)) == LINKS
    (tmp_path / "door.zarr").symlink_to(path)
    assert links_by_place(open_source(tmp_path / "door.zarr")) == LINKS


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"geff": 3}', '{"geff": {}}', "[" * 100_000, '{"geff": {"axes": 1e999}}']
)
def test_attributes_that_are_broken_are_refused(tmp_path, text):
    path = write_geff(tmp_path / "a.geff")
    (path / ".zattrs").write_text(text)
    refused(path, r"a.geff")


@pytest.mark.parametrize(
    "name", ["nodes", "edges", "nodes/ids", "edges/ids", "nodes/props", "nodes/props/t", "nodes/props/y/values"]
)
def test_what_is_missing_is_named(tmp_path, name):
    path = write_geff(tmp_path / "a.geff")
    shutil.rmtree(path / name)
    refused(path, r"a.geff")


def test_many_properties_of_nothing_are_refused(tmp_path):
    import zarr

    path = write_geff(tmp_path / "a.zarr", geff_version="0.3")
    n = 200_000
    replaced_array(path, "nodes/ids", np.arange(n))
    zarr.create_array(path / "nodes/props/p0/values", shape=(n,), dtype="f8", zarr_format=2)
    for k in range(1, 400):
        shutil.copytree(path / "nodes/props/p0", path / f"nodes/props/p{k}")
    refused(path, "declares 403 properties of 200,000 nodes, and holds few bytes")


def test_the_package_that_is_missing_is_named(tmp_path, monkeypatch):
    path = write_geff(tmp_path / "a.zarr")
    monkeypatch.setitem(sys.modules, "geff_spec", None)
    with pytest.raises(
        ConfigError, match=r'is a GEFF, for which a package is missing; try: pip install "trackdb\[geff\]"'
    ):
        open_source(path)


def test_options_of_other_formats_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="--columns says nothing about a GEFF"):
        open_source(write_geff(tmp_path / "a.geff"), options=SourceOptions(columns={"t": "frame"}))
