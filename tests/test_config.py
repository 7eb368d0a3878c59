"""Settings: later wins, what is unknown is refused by name, and what held is kept with the run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackdb.engine.config import Config, LinkConfig, SolveConfig, load_config, merge
from trackdb.engine.pipeline import link, score, solve
from trackdb.engine.posterior_config import temperature_options
from trackdb.errors import ConfigError


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home folder of its own; the file of the user's settings."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    file = tmp_path / "home" / ".config" / "trackdb" / "config.toml"
    file.parent.mkdir(parents=True)
    return file


@pytest.fixture
def store(tmp_path):
    """A folder that stands for a store."""
    (tmp_path / "a.trackdb").mkdir()
    return tmp_path / "a.trackdb"


def test_without_files_the_defaults_hold(home, store):
    assert load_config(store) == load_config() == Config()


def test_later_settings_win_and_leave_the_others(home, store, tmp_path):
    """Home, store, --config, options: each sets one key that all later ones set too, and one of its own."""
    extra = tmp_path / "extra.toml"
    home.write_text("[link]\nneighbors = 2\nmax_gap = 1\n[solve]\nlinker = 'greedy'\n")
    assert load_config(store).link == LinkConfig(neighbors=2, max_gap=1)
    (store / "trackdb.toml").write_text("[link]\nneighbors = 3\nmax_distance = 7\n")
    assert load_config(store).link == LinkConfig(max_distance=7.0, neighbors=3, max_gap=1)
    extra.write_text("[link]\nneighbors = 4\n[solve]\ntime_limit_s = 9\n")
    assert load_config(store, extra).link.neighbors == 4
    options = {"link": {"neighbors": 5, "max_gap": None}, "solve": {"backend": None}}
    final = load_config(store, extra, options)
    assert final.link == LinkConfig(max_distance=7.0, neighbors=5, max_gap=1)
    assert final.solve == SolveConfig(linker="greedy", time_limit_s=9)


def test_settings_of_one_store_do_not_hold_for_another(home, store, tmp_path):
    (store / "trackdb.toml").write_text("[link]\nneighbors = 3\n")
    assert load_config(tmp_path / "b.trackdb").link.neighbors == LinkConfig().neighbors


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[lnk]\nneighbors = 3\n", r"unknown table \[lnk\]; known: link, score, solve"),
        ("neighbors = 3\n", r"unknown table \[neighbors\]"),
        ("link = 3\n", r"unknown table \[link\]"),
        ("[link]\nneighbours = 3\n", r"unknown key neighbours in \[link\]; known: max_distance, neighbors, max_gap"),
        ("[link.neighbors]\nk = 3\n", "link.neighbors is .*, wanted a int"),
        ("[link]\nneighbors = 'ten'\n", "link.neighbors is 'ten', wanted a int"),
        ("[link]\nneighbors = 2.5\n", "link.neighbors is 2.5, wanted a int"),
        ("[link]\nneighbors = true\n", "link.neighbors is True, wanted a int"),
        ("[solve]\nrequire_optimal = 1\n", "solve.require_optimal is 1, wanted a bool"),
        ("[score]\nby = 7\n", "score.by is 7, wanted a str"),
        ('[score]\nscale = "guess"\n', "score.scale is 'guess', wanted one of auto, probability"),
        ("[link]\nneighbors = 0\n", "link.neighbors is 0, wanted 1 to 1,000,000"),
        ("[link]\nmax_gap = -1\n", "link.max_gap is -1"),
        ("[link]\nmax_distance = -1.5\n", "link.max_distance is -1.5"),
        ("[link]\nmax_distance = inf\n", "link.max_distance is inf"),
        ("[link]\nmax_distance = nan\n", "link.max_distance is nan"),
        ("[solve]\ntime_limit_s = -1\n", "solve.time_limit_s is -1"),
        ("[solve]\ntime_limit_s = nan\n", "solve.time_limit_s is nan"),
        ("[solve]\ntime_limit_s = inf\n", "solve.time_limit_s is inf"),
        ("[two_distance]\nbias = -1e4\n", r"two_distance.bias is -10000.0, wanted a number within \+-1000"),
        ("[solve]\nbackend = 'abacus'\n", "solve.backend is 'abacus', wanted one of matching, highs, motile"),
        (f"[link]\nneighbors = {10**30}\n", f"link.neighbors is {10**30}, wanted 1 to 1,000,000"),
        (f"[posterior]\ndraws = {10**30}\n", f"posterior.draws is {10**30}, wanted 1 to 1,000,000, or 0"),
        ("[posterior]\ndraws = -1\n", "posterior.draws is -1"),
        ("[posterior]\ndraws = nan\n", "posterior.draws is nan, wanted a int"),
        (f"[posterior]\nsweeps = {10**12}\n", "posterior.sweeps is 1000000000000"),
        (f"[posterior]\nseed = {2**63}\n", "posterior.seed is 9223372036854775808"),
        ("[posterior]\nsigma_px = 1e308\n", "posterior.sigma_px is"),
        (f"[lap]\nmax_gap = {10**30}\n", "lap.max_gap is"),
        (f"[link]\nmax_gap = {10**30}\n", "link.max_gap is"),
        (f"[solve]\nwindow = {10**18}\n", "solve.window is"),
        ("[link\n", "cannot be read"),
        (f"[link]\nmax_gap = {'9' * 5000}\n", "cannot be read"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_file_and_name(home, store, text, message):
    file = store / "trackdb.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message) as error:
        load_config(store)
    assert error.value.exit_code == 2


def test_a_wrong_key_names_the_file_it_stands_in(home, store):
    home.write_text("[link]\nneighbours = 3\n")
    with pytest.raises(ConfigError, match=str(home)):
        load_config(store)


def test_a_config_file_that_was_asked_for_has_to_exist(home, store, tmp_path):
    with pytest.raises(ConfigError, match=r"none\.toml"):
        load_config(store, tmp_path / "none.toml")


def test_settings_that_are_larger_than_any_are_not_read(home, store):
    with (store / "trackdb.toml").open("wb") as stream:
        stream.truncate(1 << 40)  # a hole, which takes no room
    with pytest.raises(ConfigError, match="1,099,511,627,776 bytes"):
        load_config(store)


def test_settings_that_are_no_text_are_refused(home, store):
    (store / "trackdb.toml").write_bytes(b"\xff\xfe[link]")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(store)


def test_an_unknown_linker_is_refused_before_any_work(home, solved):
    before = solved.meta()["commits"]
    with pytest.raises(ConfigError, match="magic"):
        solve(solved, solved.detection_set(), Config(solve=SolveConfig(linker="magic")))
    assert solved.meta()["commits"] == before


def test_a_whole_number_for_a_length_can_be_overridden_by_a_broken_one(home, store):
    home.write_text("[link]\nmax_distance = 12\n")
    config = load_config(store, overrides={"link": {"max_distance": 12.5}})
    assert config.link.max_distance == 12.5
    assert isinstance(load_config(store).link.max_distance, float)


links = st.builds(LinkConfig, max_distance=st.floats(0, 1e6), neighbors=st.integers(1, 50), max_gap=st.integers(0, 5))


@given(first=links, second=links)
def test_merging_gives_what_came_last_and_merging_nothing_changes_nothing(first, second):
    def as_file(config):
        return {"link": {"max_distance": config.max_distance, "neighbors": config.neighbors, "max_gap": config.max_gap}}

    merged = merge(merge(Config(), as_file(first), "a"), as_file(second), "b")
    assert merged.link == second
    assert merge(merged, {}, "c") == merge(merged, {"link": {}}, "c") == merged


def test_the_settings_that_held_are_kept_with_each_run(home, solved):
    chosen = solved.detection_set()
    link(solved, chosen, LinkConfig(max_distance=30.0, neighbors=4, max_gap=1))
    score(solved, chosen, name="again")
    solve(solved, chosen, Config(solve=SolveConfig(linker="greedy", time_limit_s=5.0)), scores="again")
    last = {run.kind: run.params for run in solved.runs()}
    assert {k: last["link"][k] for k in ("max_distance", "neighbors", "max_gap")} == {
        "max_distance": 30.0,
        "neighbors": 4,
        "max_gap": 1,
    }
    assert last["score"]["by"] == "distance"
    wanted = {"linker": "greedy", "backend": "matching", "time_limit_s": 5.0, "require_optimal": False}
    assert wanted.items() <= last["solve"].items()
    assert last["solve"]["scores"] == "again"


def test_a_temperature_or_the_file_that_tells_it_but_not_both(home, store):
    (store / "trackdb.toml").write_text('[posterior]\ncalibration = "old.toml"\ncalibrated = true\n')

    def settings(temperature, calibration):
        return load_config(store, overrides={"posterior": temperature_options(temperature, calibration)}).posterior

    assert settings(None, None).calibration == "old.toml"
    assert settings(None, "new.toml").calibration == "new.toml"
    fixed = settings(2.0, None)
    assert (fixed.temperature, fixed.calibrated, fixed.calibration) == (2.0, False, "")
    with pytest.raises(ConfigError, match="two temperatures; expected: one of them"):
        settings(2.0, "new.toml")
