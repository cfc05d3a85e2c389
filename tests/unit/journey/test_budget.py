"""Steps fit preset, rows and classes; what is given stays; the user's weights are spared."""

import dataclasses

import pytest

from keras_ganaccel.config import PRESETS, preset, with_values
from keras_ganaccel.journey.budget import EFFORTS, fitted, for_modality

PARTS = ("teacher", "student", "gate", "compression")


@pytest.mark.parametrize("name", PRESETS)
def test_nothing_is_left_open_and_a_second_time_changes_nothing(name):
    config = fitted(preset(name), rows=1_000, classes=10)
    assert all(getattr(config, part).steps >= 1 for part in PARTS)
    assert config.student.learning_rate > 0
    assert fitted(config, rows=50_000, classes=100) == config


def test_few_rows_of_ten_classes_take_what_the_preset_means():
    config = fitted(preset(), rows=100, classes=10)
    assert dataclasses.asdict(EFFORTS["default"]) == {
        **{part: getattr(config, part).steps for part in PARTS},
        "passes": 10,
        "learning_rate": config.student.learning_rate,
    }


def test_every_row_is_seen_as_often_as_the_preset_means():
    config = fitted(preset(), rows=40_000, classes=10)
    assert config.student.steps * config.student.batch_size == 10 * 40_000
    assert config.teacher.steps / EFFORTS["default"].teacher == pytest.approx(
        config.student.steps / EFFORTS["default"].student, rel=0.01
    )


def test_more_classes_take_more_steps_and_fewer_take_no_less():
    steps = [fitted(preset(), rows=100, classes=n).student.steps for n in (2, 10, 40, 1000)]
    assert steps == [2000, 2000, 4000, 20_000]


def test_given_steps_stay_as_they_are():
    config = with_values(preset("quick"), {"student.steps": 7, "student.learning_rate": 0.5})
    config = fitted(config, rows=60_000, classes=100)
    assert (config.student.steps, config.student.learning_rate) == (7, 0.5)
    assert config.teacher.steps > EFFORTS["quick"].teacher


@pytest.mark.parametrize(
    ("model", "rate"),
    [
        ({}, 1e-2),
        ({"model.path": "mine.keras"}, 3e-3),
        ({"model.path": "mine.keras", "model.reinitialize": True}, 1e-2),
    ],
)
def test_weights_that_somebody_trained_are_fine_tuned_gently(model, rate):
    config = fitted(with_values(preset("quick"), model), rows=100, classes=10)
    assert config.student.learning_rate == rate


def test_who_gives_the_steps_of_the_generator_gets_one():
    config = fitted(with_values(preset("quick"), {"gan.steps": 20}), rows=100, classes=10)
    assert config.gan.largest_side is None
    assert config.gate.generate_anyway
    usual = fitted(preset("quick"), rows=100, classes=10)
    assert usual.gan.largest_side == 16
    assert not usual.gate.generate_anyway


def test_a_preset_means_other_settings_for_tables_but_not_where_the_user_set_them():
    config = with_values(preset("quick"), {"gate.arms": ("noise",), "teacher.members": ("mlp",)})
    found = for_modality(config, "table")
    assert found.student.architecture == "table_mlp"
    assert not found.gan.enabled
    assert found.gate.arms == ("noise",)
    assert found.teacher.members == ("mlp",)
    assert for_modality(config, "image") == config
