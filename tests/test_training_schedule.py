"""How large steps are, and how settings become a recipe."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackdb.engine.config import load_config
from trackdb.engine.train_config import SIZES, TrainConfig
from trackdb.engine.training.schedule import share_of_rate
from trackdb.errors import ConfigError


def test_the_rate_rises_in_a_line_and_falls_as_a_half_wave():
    shares = [share_of_rate(epoch, 100, 10) for epoch in (0, 5, 10, 55, 100, 120)]
    assert shares == pytest.approx([0.01, 0.505, 1, 0.5005, 0.001, 0.001])


def test_without_a_warm_up_the_first_step_is_the_largest():
    assert share_of_rate(0, 4, 0) == 1


@given(st.integers(1, 200), st.integers(0, 250), st.floats(0, 1))
def test_a_rate_is_never_more_than_the_highest_nor_less_than_the_last(epochs, warmup, part):
    assert 0.001 <= share_of_rate(part * epochs, epochs, warmup) <= 1


@given(st.floats(0, 1), st.floats(0, 1))
def test_after_the_warm_up_rates_only_fall(a, b):
    earlier, later = sorted([10 + 90 * a, 10 + 90 * b])
    assert share_of_rate(earlier, 100, 10) >= share_of_rate(later, 100, 10)


def test_the_paper_is_the_default_and_what_is_given_wins():
    assert TrainConfig().recipe() == SIZES["paper"]
    recipe = TrainConfig(size="small", window=6, augment=0, dropout=0.0).recipe()
    assert (recipe.window, recipe.augment, recipe.d_model) == (6, 0, 64)


def test_warm_up_and_patience_follow_the_epochs_unless_they_are_given():
    recipe = TrainConfig(epochs=30).recipe()
    assert (recipe.warmup, recipe.patience) == (3, 5)
    assert TrainConfig(epochs=2).recipe().patience == 3
    assert TrainConfig(epochs=30, warmup=0, patience=2).recipe().warmup == 0


def test_a_recipe_tells_its_steps():
    assert TrainConfig(samples_per_epoch=17, batch=8).recipe().steps == 3


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": "huge"},
        {"window": 1},
        {"epochs": 0},
        {"augment": 4},
        {"lr": 0.0},
        {"lr": float("nan")},
        {"dropout": 1.0},
        {"d_model": 20},
        {"precision": "8"},
        {"device": "tpu"},
        {"max_tokens": 3},
        {"validation_share": 0.0},
        {"clip": -2.0},
        {"warmup": -2},
        {"time_limit_s": -1.0},
        {"augment": 0, "each_frame": True},
        {"seed": -1},
        {"weigh": "all"},
        {"match_threshold": 1.0},
    ],
)
def test_settings_that_cannot_be_are_refused_by_name(wrong):
    with pytest.raises(ConfigError, match=f"train.{next(reversed(wrong))}"):
        TrainConfig(**wrong)


def test_a_settings_file_tells_of_a_training(tmp_path):
    (tmp_path / "train.toml").write_text('[train]\nsize = "small"\nd_model = 32\nlr = 0.5\nclip = 2\n')
    config = load_config(None, tmp_path / "train.toml", {"train": {"epochs": 7, "lr": None}}).train
    assert (config.recipe().d_model, config.recipe().lr, config.recipe().epochs) == (32, 0.5, 7)
