"""The mixed stream against its contract, by counting and by a plain Python model of it."""

import os
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.mixing.interleave import generated_count
from keras_ganaccel.mixing.mix import mix_datasets

CLASSES = 5
FIRST_GENERATED = 10_000


def numbered(count, first=0):
    """Samples that carry their own number, labels in turn."""
    numbers = np.arange(count)
    return tf.data.Dataset.from_tensor_slices(
        ((first + numbers).astype(np.float32)[:, None], numbers % CLASSES)
    )


def real_of(count):
    return numbered(count)


def generated_of(count):
    return numbered(count, FIRST_GENERATED)


def ids(dataset):
    return [int(element[0][0]) for element in dataset.as_numpy_iterator()]


def is_generated(sample):
    return sample >= FIRST_GENERATED


@pytest.mark.train
@settings(max_examples=5, deadline=None)
@given(
    real=st.integers(1, 60),
    fraction=st.floats(0, 0.85),
    seed=st.integers(0, 2**31 - 1),
)
def test_a_pass_holds_every_real_sample_and_the_asked_number_of_generated_ones(
    real, fraction, seed
):
    needed = round(real * fraction / (1 - fraction))
    mixed = mix_datasets(real_of(real), generated_of(needed + 3), fraction, seed)
    for _ in range(2):
        samples = ids(mixed)
        assert sorted(s for s in samples if not is_generated(s)) == list(range(real))
        drawn = [s for s in samples if is_generated(s)]
        assert len(drawn) == len(set(drawn)) == needed == generated_count(real, fraction)
    assert len(mixed) == real + needed


@pytest.mark.train
def test_order_is_a_function_of_seed_and_epoch():
    def epochs(seed):
        mixed = mix_datasets(real_of(50), generated_of(40), 0.4, seed)
        return [ids(mixed) for _ in range(3)]

    tf.random.set_seed(1)
    first = epochs(0)
    tf.random.set_seed(2)
    assert epochs(0) == first
    assert epochs(1) != first
    assert len({tuple(epoch) for epoch in first}) == 3


@pytest.mark.train
def test_repeat_goes_through_the_same_epochs():
    again = mix_datasets(real_of(20), generated_of(20), 0.5, 3)
    mixed = mix_datasets(real_of(20), generated_of(20), 0.5, 3)
    assert ids(mixed.repeat(3)) == ids(again) + ids(again) + ids(again)


@pytest.mark.train
@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.75])
def test_generated_samples_are_evenly_spread(fraction):
    flags = [is_generated(s) for s in ids(mix_datasets(real_of(90), generated_of(300), fraction))]
    seen = np.cumsum(flags)
    expected = fraction * np.arange(1, len(flags) + 1)
    assert np.abs(seen - expected).max() <= 1 + 1e-9


@pytest.mark.train
def test_later_epochs_see_the_rest_of_a_larger_pool():
    mixed = mix_datasets(real_of(30), generated_of(100), 0.5)
    epochs = [{s for s in ids(mixed) if is_generated(s)} for _ in range(4)]
    assert not epochs[0] & epochs[1]
    assert not epochs[1] & epochs[2]
    assert len(set.union(*epochs)) == 100
    assert all(len(epoch) == 30 for epoch in epochs)


@pytest.mark.train
@pytest.mark.parametrize(
    "fraction",
    [
        0.3,
        {0: 0.5, 3: 0.2},
        lambda index: tf.where(index < 30, 0.9, tf.where(index < 90, 0.2, 0.0)),
    ],
    ids=["constant", "per class", "schedule"],
)
def test_starting_at_an_index_continues_exactly(fraction):
    def make(start):
        return mix_datasets(
            real_of(20), generated_of(100), fraction, 5, start_index=start, with_source=True
        )

    whole = make(0)
    stream = [sample for _ in range(5) for sample in ids(whole)]
    for start in (28, 63):
        restarted = make(start)
        found = ids(restarted) + ids(restarted)
        assert found == stream[start : start + len(found)]
        assert len(found) > 20


def test_small_windows_keep_the_contract_and_one_keeps_the_order():
    mixed = mix_datasets(real_of(50), generated_of(50), 0.5, shuffle_window=8)
    samples = ids(mixed)
    assert len(set(samples)) == 100
    reals = [s for s in samples if not is_generated(s)]
    assert reals != sorted(reals)
    assert all(abs(place - s) < 4 for place, s in enumerate(reals))
    kept = ids(mix_datasets(real_of(50), generated_of(50), 0.5, shuffle_window=1))
    assert [s for s in kept if not is_generated(s)] == list(range(50))


def test_unknown_cardinality_of_the_real_source():
    real = real_of(35).filter(lambda x, y: True)
    mixed = mix_datasets(real, generated_of(40), 0.4)
    for _ in range(2):
        samples = ids(mixed)
        assert sum(map(is_generated, samples)) == round(35 * 0.4 / 0.6)
        assert len(set(samples)) == len(samples) == 35 + round(35 * 0.4 / 0.6)


@pytest.mark.train
def test_class_fractions_count_per_class():
    labels = np.array([0] * 40 + [1] * 10 + [2] * 5)
    real = tf.data.Dataset.from_tensor_slices((np.zeros((55, 1), np.float32), labels))
    fractions = {0: 0.0, 1: 0.5, 2: 0.9}
    mixed = mix_datasets(real, generated_of(300), fractions, with_source=True)
    seen = []
    for _ in range(2):
        samples = list(mixed.as_numpy_iterator())
        assert len(mixed) == len(samples) == 55 + 10 + 45
        drawn = [int(y) for x, y, source in samples if source == 1]
        assert np.bincount(drawn, minlength=CLASSES).tolist() == [0, 10, 45, 0, 0]
        numbers = [int(x[0]) for x, y, source in samples if source == 1]
        assert len(set(numbers)) == 55
        seen.append(set(numbers))
    # 60 samples of class 2 are there and 45 are wanted; of class 1 10 of 60.
    assert seen[0] != seen[1]


def test_class_fractions_take_evenly_from_a_source_of_many():
    fractions = {0: 0.5, 1: 0.5}
    mixed = mix_datasets(real_of(50), generated_of(1000), fractions, shuffle_window=1)
    numbers = [s - FIRST_GENERATED for s in ids(mixed) if is_generated(s)]
    for label in (0, 1):
        places = np.array([s // CLASSES for s in numbers if s % CLASSES == label])
        assert len(places) == 10
        assert np.diff(places).tolist() == [20] * 9


@pytest.mark.train
def test_class_fractions_from_an_endless_source():
    mixed = mix_datasets(real_of(50), generated_of(20).repeat(), {0: 0.9, 1: 0.5}, with_source=True)
    drawn = [int(y) for _, y, source in mixed.as_numpy_iterator() if source]
    assert np.bincount(drawn).tolist() == [90, 10]
    lacking = generated_of(20).filter(lambda x, y: y != 1).repeat()
    with pytest.raises(tf.errors.InvalidArgumentError, match="run dry of a class"):
        ids(mix_datasets(real_of(50), lacking, {1: 0.5}))


def reference_schedule(fraction, reals, passes):
    """First-order noise shaping in exact arithmetic, pass by pass."""
    index, result = 0, []
    for _ in range(passes):
        total, left, flags = 0.5, reals, []
        while left:
            before = np.floor(total)
            total += fraction(index)
            flags.append(int(np.floor(total) - before))
            left -= 1 - flags[-1]
            index += 1
        result.append(flags)
    return result


def _rising(index):
    if index < 64:
        return tf.cast(index, tf.float64) / 64
    return tf.constant(0.5, tf.float64)


@pytest.mark.train
@pytest.mark.parametrize(
    ("schedule", "same"),
    [
        (lambda i: tf.where(i < 40, 1.0, 0.0), lambda i: 1.0 if i < 40 else 0.0),
        (lambda i: 0.25, lambda i: 0.25),
        (_rising, lambda i: i / 64 if i < 64 else 0.5),
    ],
    ids=["synthetic first", "constant", "rising"],
)
def test_schedules_follow_the_global_index_over_epochs(schedule, same):
    mixed = mix_datasets(real_of(30), generated_of(200), schedule, with_source=True)
    flags = [[int(source) for _, _, source in mixed.as_numpy_iterator()] for _ in range(3)]
    assert flags == reference_schedule(same, 30, 3)


@pytest.mark.train
def test_schedules_are_checked():
    for schedule in (lambda i: 1.5, lambda i: 1.0):
        with pytest.raises(InvalidInputError, match="schedule"):
            mix_datasets(real_of(5), generated_of(5), schedule)


def test_too_small_a_source_is_refused_before_the_first_element():
    with pytest.raises(InvalidInputError, match=r"at least 50 samples\. Received: 49"):
        mix_datasets(real_of(50), generated_of(49), 0.5)
    with pytest.raises(ValueError, match=r"at least 10 samples of class 2\. Received: 9"):
        mix_datasets(real_of(50), generated_of(47), {2: 0.5})
    with pytest.raises(ValueError, match="at least 40"):
        mix_datasets(real_of(50), generated_of(39), lambda i: tf.where(i < 40, 1.0, 0.0))


@pytest.mark.parametrize(
    "fraction", [0.5, {1: 0.5}, lambda i: 0.5], ids=["constant", "per class", "schedule"]
)
def test_a_source_of_unknown_size_that_runs_dry_is_an_error(fraction):
    short = generated_of(45).filter(lambda x, y: y == 0)
    mixed = mix_datasets(real_of(50), short, fraction)
    with pytest.raises(tf.errors.InvalidArgumentError, match="run dry"):
        ids(mixed)


def test_weights_and_source_flags():
    mixed = mix_datasets(
        real_of(10), generated_of(10), 0.5, generated_weight=0.25, with_source=True
    )
    for x, _, weight, source in mixed.as_numpy_iterator():
        assert int(source) == is_generated(int(x[0]))
        assert weight == (0.25 if source else 1.0)
        assert weight.dtype == np.float32

    def weigh(dataset):
        return dataset.map(lambda x, y: (x, y, tf.constant(2.0)))

    mixed = mix_datasets(weigh(real_of(9)), weigh(generated_of(9)), 0.5, generated_weight=0.5)
    assert sorted(float(w) for _, _, w in mixed.as_numpy_iterator()) == [1.0] * 9 + [2.0] * 9


def test_soft_labels_ride_along():
    def soften(dataset):
        return dataset.map(lambda x, y: (x, {"label": y, "teacher_logits": tf.repeat(x, 3)}))

    for fraction in (0.5, {0: 0.5, 1: 0.5, 2: 0.5, 3: 0.5, 4: 0.5}):
        mixed = mix_datasets(
            soften(real_of(10)), soften(generated_of(20)), fraction, generated_weight=1.0
        )
        elements = list(mixed.as_numpy_iterator())
        assert len(elements) == 20
        for x, y, _ in elements:
            assert y["teacher_logits"].tolist() == [x[0]] * 3
            assert y["label"] == int(x[0]) % CLASSES


@pytest.mark.parametrize("fraction", [-0.1, 1.0, 1.4, float("nan"), "half", {0: 1.0}])
def test_fractions_out_of_range_are_refused(fraction):
    with pytest.raises(InvalidInputError, match=r"must be in \[0, 1\)"):
        mix_datasets(real_of(5), generated_of(5), fraction)


def test_sources_that_do_not_fit_are_refused():
    real = real_of(5)
    cases = {
        "equal element specs": generated_of(5).map(lambda x, y: (tf.cast(x, tf.uint8), y)),
        "tf.data.Dataset": np.zeros(3),
    }
    for message, generated in cases.items():
        with pytest.raises(InvalidInputError, match=message):
            mix_datasets(real, generated, 0.1)
    with pytest.raises(InvalidInputError, match="unbatched"):
        mix_datasets(real.batch(2), real.batch(2), 0.1)
    with pytest.raises(InvalidInputError, match="finite"):
        mix_datasets(real.repeat(), real, 0.1)
    with pytest.raises(InvalidInputError, match="integer labels"):
        one_hot = real.map(lambda x, y: (x, tf.one_hot(y, CLASSES)))
        mix_datasets(one_hot, one_hot, {0: 0.1})
    with pytest.raises(InvalidInputError, match="at least one sample"):
        mix_datasets(real.take(0), real, 0.1)
    for options in ({"start_index": -1}, {"generated_weight": -1.0}, {"shuffle_window": 0}):
        with pytest.raises(InvalidInputError, match=next(iter(options))):
            mix_datasets(real, real, 0.1, **options)


@pytest.mark.train
@pytest.mark.parametrize(
    ("real_dtype", "generated_dtype", "mixed"),
    [("int32", "int64", "int64"), ("int64", "int32", "int64"), ("uint8", "int32", "int32")],
)
@pytest.mark.parametrize("fraction", [0.5, dict.fromkeys(range(CLASSES), 0.5)])
def test_integer_labels_of_other_widths_mix(real_dtype, generated_dtype, mixed, fraction):
    def labelled(dataset, dtype):
        return dataset.map(lambda x, y: (x, tf.cast(y, dtype)))

    found = mix_datasets(
        labelled(real_of(10), real_dtype), labelled(generated_of(20), generated_dtype), fraction
    )
    expected = mix_datasets(real_of(10), generated_of(20), fraction)
    assert found.element_spec[1].dtype == mixed
    pairs = zip(found.as_numpy_iterator(), expected.as_numpy_iterator(), strict=True)
    for (x, y), (wanted_x, wanted_y) in pairs:
        assert x == wanted_x
        assert y == wanted_y


def test_floats_of_another_width_become_the_real_ones():
    double = generated_of(20).map(lambda x, y: (tf.cast(x, tf.float64), y))
    mixed = mix_datasets(real_of(10), double, 0.5)
    assert mixed.element_spec == real_of(10).element_spec
    assert len(list(mixed)) == 20


def opaque(dataset, shape):
    """Hides the shape of the samples, as `tf.numpy_function` does."""

    def hide(x, y):
        x = tf.numpy_function(lambda value: value, [x], tf.float32)
        return (x if shape is None else tf.ensure_shape(x, shape)), y

    return dataset.map(hide)


@pytest.mark.train
@pytest.mark.parametrize("shape", [None, (None,)])
def test_shapes_that_are_not_told_are_those_of_the_first_sample(shape):
    expected = [x.numpy().tolist() for x, _ in mix_datasets(real_of(5), generated_of(9), 0.5)]
    for sources in (
        (opaque(real_of(5), shape), opaque(generated_of(9), shape)),
        (opaque(real_of(5), shape), generated_of(9)),
        (real_of(5), opaque(generated_of(9), shape)),
    ):
        mixed = mix_datasets(*sources, 0.5)
        assert mixed.element_spec == real_of(5).element_spec
        assert [x.numpy().tolist() for x, _ in mixed] == expected


def test_ragged_samples_are_refused_in_one_line():
    rows = tf.ragged.constant([[[1.0], [2.0]], [[3.0]]], ragged_rank=1)
    ragged = tf.data.Dataset.from_tensor_slices((rows, [0, 1]))
    with pytest.raises(InvalidInputError, match="dense tensors") as caught:
        mix_datasets(ragged, ragged, 0.3)
    assert "\n" not in str(caught.value)


@pytest.mark.train
def test_fits_directly():
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).random((40, 3)).astype(np.float32)
    y = (x[:, 0] > 0.5).astype(np.int64)
    real = tf.data.Dataset.from_tensor_slices((x, y))
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="logits")])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.1), loss, metrics=["accuracy"])
    mixed = mix_datasets(real, real, generated_fraction=0.3, seed=0)
    history = model.fit(mixed.batch(16), epochs=12, verbose=0)
    assert history.history["accuracy"][-1] > 0.85
    steps = model.fit(mixed.repeat().batch(7), epochs=2, steps_per_epoch=5, verbose=0)
    assert len(steps.history["loss"]) == 2


@pytest.mark.train
def test_on_two_replicas():
    """The global stream under a mirrored strategy is the one of a single device."""
    script = """
        import keras, numpy as np, tensorflow as tf
        from keras_ganaccel.mixing.mix import mix_datasets
        cpu = tf.config.list_physical_devices("CPU")[0]
        two = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(cpu, two)
        x = np.arange(60, dtype=np.float32)[:, None]
        real = tf.data.Dataset.from_tensor_slices((x, np.arange(60) % 2))
        alone = mix_datasets(real, real.map(lambda x, y: (-x - 1, y)), 0.4, 1)
        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
        with strategy.scope():
            mixed = mix_datasets(real, real.map(lambda x, y: (-x - 1, y)), 0.4, 1)
            model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(2, name="logits")])
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            model.compile("adam", loss)
        distributed = strategy.experimental_distribute_dataset(mixed.batch(8))
        for _ in range(2):
            found = [
                float(value)
                for batch in distributed
                for part in strategy.experimental_local_results(batch[0])
                for value in part.numpy().ravel()
            ]
            assert found == [float(x[0]) for x, _ in alone.as_numpy_iterator()], found
        assert len(model.fit(mixed.batch(8), epochs=2, verbose=0).history["loss"]) == 2
    """
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
