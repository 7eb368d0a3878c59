"""Columns of Arrow as numpy has them."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trackdb.storage.rows import floats, ints


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(-100, 100), max_size=4), max_size=4), st.integers(0, 3))
@pytest.mark.parametrize("kind", [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.float32(), pa.float64()])
def test_numbers_of_any_type_and_cut_come_out_as_they_are(kind, parts, skipped):
    column = pa.chunked_array([pa.array(part, kind) for part in parts], kind).slice(skipped)
    wanted = [number for part in parts for number in part][skipped:]
    assert ints(pa.table({"a": column}), "a").tolist() == wanted
    found = floats(pa.table({"a": column}), "a")
    assert found.dtype == np.float64
    assert found.tolist() == wanted


@pytest.mark.parametrize("kind", [pa.float32(), pa.float64(), pa.int32(), pa.int64()])
def test_what_is_null_is_no_number(kind):
    column = pa.chunked_array([pa.array([7, None, 3], kind), pa.array([None, 5], kind)]).slice(1)
    np.testing.assert_array_equal(floats(pa.table({"a": column}), "a"), [np.nan, 3, np.nan, 5])


@settings(deadline=None)
@given(st.lists(st.lists(st.one_of(st.none(), st.integers(-100, 100)), max_size=9), max_size=4), st.integers(0, 3))
@pytest.mark.parametrize("kind", [pa.int32(), pa.int64()])
def test_a_number_stands_in_the_place_of_null(kind, parts, skipped):
    column = pa.chunked_array([pa.array(part, kind) for part in parts], kind).slice(skipped)
    wanted = [7 if number is None else number for part in parts for number in part][skipped:]
    found = ints(pa.table({"a": column}), "a", null=7)
    assert found.dtype == np.int64
    assert found.tolist() == wanted


def test_truth_values_are_counted():
    assert ints(pa.table({"a": pa.chunked_array([[True, False], [True]])}), "a").tolist() == [1, 0, 1]


def test_pandas_is_not_loaded_for_numbers():
    program = (
        "import sys, duckdb; from trackdb.storage.rows import floats\n"
        "rows = duckdb.sql('select unnest([1.5::float, null]) as a').to_arrow_table()\n"
        "assert floats(rows, 'a')[0] == 1.5; print('pandas' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"
