"""The file of a calibration: it comes back as it was written, and is refused for the wrong movie in words."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackdb.engine.posterior.calibration_file import (
    CalibrationFile,
    FittedMovie,
    as_toml,
    movie_of,
    read_calibration,
)
from trackdb.engine.posterior.learning import CostShifts
from trackdb.errors import CalibrationError, ConfigError

NUMBER = st.floats(-1e3, 1e3)
POSITIVE = st.floats(1e-3, 1e3)
WORD = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=12)
FILES = st.builds(
    CalibrationFile,
    WORD,
    st.dictionaries(WORD, POSITIVE, max_size=3),
    st.none() | st.builds(CostShifts, POSITIVE, NUMBER, NUMBER, NUMBER),
    st.lists(
        st.builds(FittedMovie, WORD, WORD, st.integers(0, 10**9), st.integers(0, 10**9), st.booleans()), max_size=3
    ).map(tuple),
)


@given(FILES)
def test_what_was_written_is_read(tmp_path_factory, written):
    file = tmp_path_factory.mktemp("cal") / "cal.toml"
    file.write_bytes(as_toml(written).encode())
    assert read_calibration(file) == written


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("format = ", "cannot be read"),
        ("format = 3", "format is 3, this trackdb reads 1 and 2"),
        ("x = 1", "no file of trackdb calibrate"),
        ("format = 1", "no file of trackdb calibrate"),
        ('format = 1\nscores = "d"\n[temperature]\nauto = -1', "temperature of auto is -1"),
        (
            'format = 2\nscores = "d"\n[temperature]\nauto = 1e-300',
            "auto is 1e-300, wanted a number within 0.001 .. 1000",
        ),
        ('format = 1\nscores = "d"\n[temperature]\nauto = nan', "temperature of auto is nan"),
        ('format = 1\nscores = "d"\n[temperature]\nauto = true', "temperature of auto is True"),
        ('format = 1\nscores = "d"\n[costs]\nhope = 1.0', "hope"),
        ('format = 1\nscores = "d"\n[costs]\nappear = inf', "costs.appear is inf"),
        (f'format = 1\nscores = "d"\n[costs]\nappear = {10**400}', "costs.appear is 1000"),
        (f"format = {'9' * 5000}", "cannot be read"),
        ('format = 1\nscores = "d"\n[costs]\ntemperature = 0', "costs.temperature is 0"),
        ('format = 2\nscores = "d"\n[costs]\ntemperature = 1e9', "costs.temperature is 1000000000.0, wanted a number"),
        ('format = 2\nscores = "d"\n[costs]\nend = -1e9', "costs.end is -1000000000.0, wanted a number within"),
        (
            'format = 2\nscores = "d"\n[[movies]]\nproject = "p"\ndataset = "d"\nlabelled = "no"',
            "movies.labelled = true or false",
        ),
        ('format = 1\nscores = "d"\n[[movies]]\nname = "x"', "no file of trackdb calibrate"),
    ],
)
def test_what_is_no_calibration_is_refused(tmp_path, text, message):
    file = tmp_path / "cal.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_calibration(file)


def test_a_file_that_is_not_there_and_a_folder_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read; reason: there is no such file; try: the file that trackdb"):
        read_calibration(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="cannot be read; reason: it is a folder"):
        read_calibration(tmp_path)


def test_a_file_of_the_first_format_is_read(tmp_path):
    """It had neither costs of ends nor movies without truth."""
    file = tmp_path / "cal.toml"
    file.write_text(
        'format = 1\nscores = "distance"\n[costs]\ntemperature = 1.18\nappear = 0.4\ndivision = -0.2\n'
        '[[movies]]\nproject = "p"\ndataset = "d"\ndaughters = 4211\nerrors = 130\n'
    )
    told = read_calibration(file)
    assert told.costs == CostShifts(1.18, 0.4, -0.2, end=0.0)
    assert told.movies == (FittedMovie("p", "d", 4211, 130, labelled=True),)


def test_what_was_learned_without_truth_is_for_the_same_movie_too(movie):
    chosen = movie.detection_set()
    own = replace(movie_of(movie, chosen), labelled=False)
    learned = CalibrationFile("distance", {}, CostShifts(end=-0.5), (own,))
    assert learned.costs_for(movie, chosen, "distance").end == -0.5
    assert learned.learned_of(movie, chosen)
    assert not CalibrationFile("distance", {}, CostShifts()).learned_of(movie, chosen)
    with pytest.raises(CalibrationError, match="by distance, those of movie are by overlap"):
        learned.costs_for(movie, chosen, "overlap")
    with pytest.raises(CalibrationError, match="auto: it was made without truth; known: none; try: trackdb solve"):
        learned.temperature_for("auto", movie, chosen, "distance")


def test_it_is_for_other_movies_with_the_same_scores_and_methods(movie):
    chosen = movie.detection_set()
    fitted = CalibrationFile("distance", {"auto": 1.5}, movies=(FittedMovie("elsewhere", chosen.movie.name),))
    assert fitted.temperature_for("auto", movie, chosen, "distance") == 1.5
    with pytest.raises(CalibrationError, match="by distance, those of movie are by overlap"):
        fitted.temperature_for("auto", movie, chosen, "overlap")
    with pytest.raises(CalibrationError, match="no temperature for the method softmax; known: auto"):
        fitted.temperature_for("softmax", movie, chosen, "distance")
    own = CalibrationFile("distance", {"auto": 1.5}, movies=(movie_of(movie, chosen),))
    with pytest.raises(CalibrationError, match="fitted on movie itself"):
        own.temperature_for("auto", movie, chosen, "distance")
