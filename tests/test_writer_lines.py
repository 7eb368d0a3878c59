"""Lines of text from columns: exact numbers, safe texts, groups with heads."""

import io
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackdb.storage.writers import lines
from trackdb.storage.writers.columns import as_arrow, missing


def written(rows):
    stream = io.BytesIO()
    lines.write_rows(stream, rows)
    return stream.getvalue().decode()


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_numbers_read_back_as_they_were(values):
    assert [float(text) for text in lines.texts(np.array(values)).to_pylist()] == values


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=1))
def test_single_precision_is_written_with_as_few_digits_as_it_has(values):
    column = np.array(values, dtype=np.float32)
    found = lines.texts(column).to_pylist()
    assert np.array_equal(np.array(found, dtype=np.float32), column)
    assert all(len(text) <= len("-1.17549435e-38") for text in found)


def test_what_is_missing_is_null_and_infinity_is_written_as_java_reads_it():
    assert lines.texts(np.array([1.5, np.nan, -np.inf])).to_pylist() == ["1.5", None, "-Infinity"]
    assert lines.texts(np.ma.masked_equal([3, 0], 0)).to_pylist() == ["3", None]
    assert lines.texts(np.array([True, False])).to_pylist() == ["true", "false"]
    assert lines.texts(np.array(["a", ""])).to_pylist() == ["a", None]


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\t\n\r<>&\"' "), min_size=1),
        min_size=1,
    )
)
def test_texts_come_back_through_an_xml_parser(texts):
    column = np.array(texts)
    expected = [text.replace("\ufffe", "\ufffd").replace("\uffff", "\ufffd") for text in column.tolist()]
    rows = lines.joined("<e", *lines.attributes({"a": column}, slice(0, len(column))), ">", lines.xml(column), "</e>")
    root = ElementTree.fromstring(f"<r>{written(rows)}</r>")
    assert [e.attrib.get("a", "") for e in root] == expected
    assert [e.text or "" for e in root] == expected


def test_what_xml_cannot_say_is_replaced():
    assert lines.xml_text("a\x00b\x1f\uffff") == "a\ufffdb\ufffd\ufffd"


def test_a_missing_value_takes_what_stands_around_it_along():
    z = np.array([1.0, np.nan])
    rows = lines.joined("<p", lines.piece(' z="', lines.texts(z), '"'), "/>")
    assert written(rows) == '<p z="1"/><p/>'


@pytest.mark.parametrize("size", [1, 2, 5])
def test_heads_stand_before_their_groups_wherever_rows_are_cut(size):
    heads, first = as_arrow(np.array(["A", "B", "C"])), np.array([0, 2, 3])
    row = np.arange(5)
    cut = [
        written(lines.joined(lines.at_rows(heads, first, part), lines.texts(row[part])))
        for part in lines.chunks(5, size)
    ]
    assert "".join(cut) == "A01B2C34"


def test_missing_is_nan_nothing_or_masked():
    assert missing(np.array([np.nan, 1])).tolist() == [True, False]
    assert missing(np.array(["", "x"])).tolist() == [True, False]
    assert missing(np.ma.masked_equal([0, 1], 0)).tolist() == [True, False]
    assert missing(np.array([0, 1])).tolist() == [False, False]
