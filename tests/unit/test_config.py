"""The configuration: presets, round trip, and one clear line for everything that is wrong."""

import dataclasses

import pytest

from keras_ganaccel import config as configuration
from keras_ganaccel.config import PRESETS, RunConfig, preset, with_values
from keras_ganaccel.config_file import from_dict, load_config, parse_settings, save_config, to_dict
from keras_ganaccel.errors import InvalidInputError, MissingFileError


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_survives_yaml(name, tmp_path):
    config = with_values(preset(name), {"seed": 7, "data.image_size": [24, 32]})
    save_config(config, tmp_path / "config.yaml")
    assert load_config(tmp_path / "config.yaml") == config


def test_defaults_lie_in_their_own_ranges():
    def leaves(values, prefix=""):
        for key, value in values.items():
            if isinstance(value, dict):
                yield from leaves(value, f"{prefix}{key}.")
            else:
                yield f"{prefix}{key}", value

    values = dict(leaves(to_dict(RunConfig())))
    assert with_values(RunConfig(), values) == RunConfig()


def test_configurations_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        preset().gan.steps = 3


def test_json_is_read_as_well(tmp_path):
    (tmp_path / "c.json").write_text('{"preset": "quick", "gan": {"learning_rate": 1e-3}}')
    config = load_config(tmp_path / "c.json")
    assert config.gan.learning_rate == 1e-3
    assert config.gan.steps == preset("quick").gan.steps


def test_a_number_without_a_dot_in_its_mantissa_is_a_number():
    assert with_values(preset(), parse_settings(["gan.learning_rate=1e-4"])).gan.learning_rate == (
        1e-4
    )


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("gan.step=3", "Did you mean 'gan.steps'?"),
        ("gann.steps=3", "Did you mean 'gan.steps'?"),
        ("gan.steps=0", "`gan.steps` must be in [1, ∞]. Received: 0."),
        ("gan.steps=true", "must be a whole number"),
        ("gan.steps=1.5", "must be a whole number"),
        ("gan.augmentation=cutout", "must be a list"),
        ("gan.augmentation=[cutuot]", "Did you mean 'cutout'?"),
        ("gan=3", "is a group of values"),
        ("seed.deep=3", "is a single value"),
        ("data.image_size=[28]", "a list of 2"),
        ("data.image_size=[2, 28]", "must be in [4, 1024]"),
        ("pool.generated_fraction=1.4", "must be in [0, 1). Received: 1.4."),
        ("pool.generated_fraction=1", "must be in [0, 1)"),
        ("gan.learning_rate=.nan", "must be in (0, 1]"),
        ("gan.learning_rate=fast", "must be a number"),
        ("gan.steps", "takes key=value"),
        ("gan.steps=[1", "cannot be read"),
    ],
)
def test_bad_settings_are_refused_in_one_line(setting, words):
    with pytest.raises(InvalidInputError) as caught:
        with_values(preset(), parse_settings([setting]))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_preset_suggests_the_nearest():
    with pytest.raises(InvalidInputError, match="Did you mean 'quick'"):
        preset("quik")


def test_a_missing_file_and_a_broken_one(tmp_path):
    with pytest.raises(MissingFileError):
        load_config(tmp_path / "none.yaml")
    (tmp_path / "broken.yaml").write_text("gan: [1")
    with pytest.raises(InvalidInputError, match="not valid YAML"):
        load_config(tmp_path / "broken.yaml")
    (tmp_path / "list.yaml").write_text("- 1")
    with pytest.raises(InvalidInputError, match="must be a mapping"):
        load_config(tmp_path / "list.yaml")


def test_from_dict_refuses_a_section_that_is_no_mapping():
    with pytest.raises(InvalidInputError, match="group of values"):
        from_dict({"gan": 3})


def test_every_field_is_documented():
    for cls in vars(configuration).values():
        if dataclasses.is_dataclass(cls) and cls is not RunConfig:
            for field in dataclasses.fields(cls):
                assert f"{field.name}:" in cls.__doc__, (cls, field.name)
