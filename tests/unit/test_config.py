"""The configuration: presets, round trip, and one clear line for everything that is wrong."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_ganaccel import config as configuration
from keras_ganaccel.config import PRESETS, RunConfig, preset, with_values
from keras_ganaccel.config_file import (
    config_yaml,
    from_dict,
    load_config,
    parse_settings,
    save_config,
    to_dict,
)
from keras_ganaccel.errors import InvalidInputError, MissingFileError
from keras_ganaccel.gan.options import GanOptions


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


def test_every_setting_is_read_somewhere():
    folder = Path(configuration.__file__).parent
    files = (path for path in folder.rglob("*.py") if path.name != "config.py")
    source = "\n".join(path.read_text(encoding="utf-8") for path in files)
    unread = [
        f"{section.name}.{field.name}"
        for section in dataclasses.fields(RunConfig)
        if dataclasses.is_dataclass(section.default)
        for field in dataclasses.fields(section.default)
        if not re.search(rf"(settings|config|\b{section.name}|part\))\.{field.name}\b", source)
    ]
    # The options of the game are read by their names, all at once.
    game = {f"gan.{field.name}" for field in dataclasses.fields(GanOptions)}
    assert not set(unread) - game


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
        ("gan.steps=0", "`gan.steps` must be in [1, ∞). Received: 0."),
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
        ("gan.r1_weight=.inf", "must be in [0, ∞). Received: inf."),
        ("data.value_range=[255, 0]", "two numbers, the lower first. Received: [255, 0]."),
        ("model.input_range=[1, 1]", "two numbers, the lower first"),
        ("model.input_range=[0, .inf]", "a finite number. Received: inf."),
        ("gan.steps", "takes key=value"),
        ("gan.steps=[1", "cannot be read"),
    ],
)
def test_bad_settings_are_refused_in_one_line(setting, words):
    with pytest.raises(InvalidInputError) as caught:
        with_values(preset(), parse_settings([setting]))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "setting",
    [
        "gan.steps=0", "gan.steps=1.5", "gan.learning_rate=.nan", "gan.augmentation=[cutuot]",
        "gan.enabled=1", "pool.generated_fraction=1", "gate.pairs=4", "student.alpha=2",
        "compression.technique=ptq", "data.image_size=[2, 28]", "data.value_range=[1, 0]",
        "data.labels_per_class=1", "model.from_logits=maybe", "reuse.pool=3", "seed=-1",
        "teacher.members=svm", "preset=qiuck",
    ],
)  # fmt: skip
def test_a_configuration_made_in_python_is_checked_in_the_words_of_yaml(setting):
    ((name, value),) = parse_settings([setting]).items()
    with pytest.raises(InvalidInputError) as of_yaml:
        with_values(preset(), {name: value})
    section, _, field = name.rpartition(".")
    kind = type(getattr(preset(), section)) if section else RunConfig
    with pytest.raises(InvalidInputError) as of_python:
        kind(**{field: value})
    assert str(of_python.value) == str(of_yaml.value)
    with pytest.raises(InvalidInputError, match="Received"):
        dataclasses.replace(kind(), **{field: value})


@settings(deadline=None)
@given(st.data())
def test_any_value_of_any_field_is_taken_as_it_will_be_read_back_or_refused(data):
    sections = {
        f.name: type(f.default)
        for f in dataclasses.fields(RunConfig)
        if dataclasses.is_dataclass(f.default)
    }
    section = data.draw(st.sampled_from(sorted(sections)))
    field = data.draw(st.sampled_from(dataclasses.fields(sections[section])))
    scalars = st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4),
        st.sampled_from(["svm", "cutout", "residual", b"x", Path("a"), np.int8(8), np.bool_(1)]),
        st.sampled_from([np.float32(0.5), np.arange(2), {}, set()]),
    )  # fmt: skip
    value = data.draw(scalars | st.lists(scalars, max_size=3) | st.lists(scalars).map(tuple))
    try:
        config = RunConfig(**{section: sections[section](**{field.name: value})})
    except InvalidInputError as error:
        config, message = None, str(error)
    if config is None:
        assert message.startswith((f"`{section}.{field.name}` must be", "Unknown value of"))
        assert "\n" not in message
        return
    assert from_dict(yaml.safe_load(config_yaml(config))) == config


def test_a_section_must_be_of_its_own_kind():
    with pytest.raises(InvalidInputError, match="`gan` must be a GanConfig"):
        RunConfig(gan={"steps": 10})
    with pytest.raises(InvalidInputError, match="`gan` must be a GanConfig"):
        RunConfig(gan=RunConfig().pool)


def test_unknown_preset_suggests_the_nearest():
    with pytest.raises(InvalidInputError, match="Did you mean 'quick'"):
        preset("quik")


def test_a_missing_file_and_a_broken_one(tmp_path):
    with pytest.raises(MissingFileError):
        load_config(tmp_path / "none.yaml")
    (tmp_path / "broken.yaml").write_text("gan: [1")
    with pytest.raises(InvalidInputError, match="not valid YAML"):
        load_config(tmp_path / "broken.yaml")
    for text in (
        "[" * 5000,
        "seed: " + "9" * 5000,
        "seed: 1\nseed: 2",
        "gan: {steps: 1, steps: 2}",
    ):
        (tmp_path / "broken.yaml").write_text(text)
        with pytest.raises(InvalidInputError, match="not valid YAML") as caught:
            load_config(tmp_path / "broken.yaml")
        assert "\n" not in str(caught.value)
        with pytest.raises(InvalidInputError, match="cannot be read"):
            parse_settings([f"gan={text}" if "[" in text else f"gan={{{text}, {text}}}"])
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
