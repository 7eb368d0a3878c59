"""What a store tells of the links of a solution besides the links: probability, pins, other solutions."""

import numpy as np
import pytest

from trackdb.storage.duckdb_store import DuckDBStore

from .exported import answer, ids, tracking
from .movies import copied


def by_label(found, values):
    """Return what is told of each link, by the ids in the table of both cells."""
    label = found.cells.label
    pairs = zip(label[found.source].tolist(), label[found.target].tolist(), strict=True)
    return dict(zip(pairs, values.tolist(), strict=True))


def test_probabilities_are_those_of_the_newest_finished_posterior(rich):
    found = tracking(rich)
    assert found.evidence.posterior == "newer"
    known = {link: p for link, p in by_label(found, found.evidence.probability).items() if not np.isnan(p)}
    assert known == {(2, 4): 0.75, (1, 3): 0.5}


def test_a_solution_without_a_posterior_has_no_probabilities(rich):
    found = tracking(rich, "ilp-1")
    assert found.evidence.posterior is None
    assert np.isnan(found.evidence.probability).all()


def test_a_choice_that_was_not_undone_pins_the_links_to_its_daughters(rich):
    found = tracking(rich)
    pinned = {link: who for link, who in by_label(found, found.evidence.pinned_by).items() if who}
    assert pinned == {(2, 4): "bob", (2, 5): "bob", (3, 6): "ana"}  # the undoing of the choice for 3 was undone


@pytest.mark.parametrize(
    ("undone", "pinned"),
    [
        (["k2"], {(3, 6)}),
        (["k2", "k2-undo"], {(2, 4), (3, 6)}),
        (["k2-undo"], {(3, 6)}),
    ],
    ids=[
        "an undone choice pins nothing",
        "what it replaced may come back",
        "of two that exclude each other neither pins",
    ],
)
def test_what_counts_and_nothing_else_excludes_pins(rich, tmp_path, undone, pinned):
    store = DuckDBStore(copied(rich.path, tmp_path / "rich.trackdb"))
    with store.writing() as connection:
        for number, key in enumerate(undone):
            answer(connection, f"again-{number}", "undo", undo_of=key)
    found = tracking(store)
    assert {link for link, who in by_label(found, found.evidence.pinned_by).items() if who} == pinned


def test_every_link_knows_in_which_other_solutions_it_is(rich):
    found = tracking(rich, "merged")
    assert set(found.evidence.also_in) == {"truth", "ilp-1"}
    in_truth = by_label(found, found.evidence.also_in["truth"])
    assert {link for link, there in in_truth.items() if not there} == {(7, 9)}


def test_cells_and_links_are_told_in_rows_of_the_cells_alone(rich):
    found, number = tracking(rich), ids(rich)
    assert found.cells.id.tolist() == sorted(number.values())
    assert found.n_left_out == 0
    assert (found.n_gaps, found.n_merges, tracking(rich, "merged").n_merges) == (1, 0, 2)
    parent = {int(found.cells.label[i]): int(found.cells.label[p]) for i, p in enumerate(found.parent) if p >= 0}
    assert parent == {3: 1, 4: 2, 5: 2, 6: 3, 7: 5, 9: 6, 10: 4}


def test_a_name_that_is_taken_is_told_apart_unless_it_says_the_same(rich):
    found = tracking(rich)
    other = {"name": found.track, "y": found.track}
    assert [*found.extras(other)] == ["source_name", "brightness"]
    assert [*found.extras(found.properties)] == []
    assert [*found.extras(other | {"source_name": found.track})] == ["source_source_name", "brightness"]
