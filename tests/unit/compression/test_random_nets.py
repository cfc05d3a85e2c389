"""On nets drawn at random the trained, returned and exported model agree, and promises hold."""

import keras
import numpy as np
import pytest

import keras_ganaccel as ga
from keras_ganaccel.compression.kernels import kernel_table, sparsity_of, total_size
from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.export.inspect import inspect_tflite
from keras_ganaccel.export.interpreter import TFLiteRunner

pytestmark = pytest.mark.train

TECHNIQUES = ("pqat", "qat", "pcqat", "prune", "cqat", "structured_qat", "cluster")


def rms(values):
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))


def compressed_or_refused(model, data, technique, sparsity):
    try:
        return ga.compress(
            model, data, technique=technique, sparsity=sparsity, number_of_clusters=6,
            macs_fraction=0.9, steps=3, seed=0,
        )  # fmt: skip
    except InvalidInputError as error:
        if "cannot be reached" in str(error) or "no kernel to cluster" in str(error):
            return None
        raise


def check(seed, random_net, frozen_weights, tmp_path):
    rng = np.random.default_rng(seed)
    model, technique = random_net(seed), TECHNIQUES[seed % len(TECHNIQUES)]
    sparsity = float(rng.choice([0.3, 0.5, 0.7]))
    x, y = rng.random((96, 12, 12, 3)).astype("float32"), rng.integers(0, 4, 96)
    given = [w.copy() for w in model.get_weights()]
    stay = frozen_weights(model)
    made = compressed_or_refused(model, (x, y), technique, sparsity)
    for old, new in zip(given, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    if made is None:
        return
    for old, new in zip(stay.values(), frozen_weights(made.keras_model).values(), strict=True):
        np.testing.assert_array_equal(old, new)

    aware = made.tf_keras_model
    path = ga.export_tflite(made, tmp_path / "net.tflite", "float32" if aware is None else "int8")
    facts = inspect_tflite(path)
    file = TFLiteRunner(facts.content).run(x)
    returned = np.asarray(made.keras_model(x, training=False))
    if aware is None:
        np.testing.assert_allclose(file, returned, atol=1e-4 * np.abs(returned).max())
    else:
        trained = np.asarray(aware(x, training=False))
        step = facts.outputs[0].scales[0] if facts.outputs[0].scales else np.ptp(trained) / 255
        assert rms(file - trained) < 4 * step
        assert rms(returned - trained) < 8 * step
        assert made.promises["int8"] is True
        assert not [t.name for t in facts.tensors if t.dtype == "float32"]
    if "p" in technique.replace("structured", ""):
        assert facts.sparsity >= made.promises["sparsity"] - 0.005 >= sparsity - 0.01
    if "c" in technique.replace("structured", "") and "number_of_clusters" in made.promises:
        most = max(k.distinct_per_channel for k in facts.kernels if not k.is_depthwise)
        assert most <= made.promises["number_of_clusters"]


# The last one has an average pool between concatenations, whose scale must be that of its input.
FEW = (0, 1, 2, 36)


@pytest.mark.parametrize("seed", FEW)
def test_forms_agree_and_promises_are_kept(seed, random_net, frozen_weights, tmp_path):
    check(seed, random_net, frozen_weights, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", sorted(set(range(45)) - set(FEW)))
def test_many_more(seed, random_net, frozen_weights, tmp_path):
    check(seed, random_net, frozen_weights, tmp_path)


def test_the_table_counts_every_kernel_once():
    text = keras.Input((12,), dtype="int32")
    x = keras.layers.Embedding(20, 8, name="embedding")(text)
    x = x + keras.layers.MultiHeadAttention(2, 4, name="attention")(x, x)
    x = keras.layers.Bidirectional(keras.layers.GRU(4, return_sequences=True), name="both")(x)
    x = keras.layers.SeparableConv1D(6, 3, name="separable")(x)
    x = keras.layers.Conv1DTranspose(6, 3, trainable=False, name="transpose")(x)
    model = keras.Model(text, keras.layers.Dense(3, name="logits")(x[:, 0]))
    table = kernel_table(model)
    assert len({kernel.name for kernel in table}) == len(table)
    by_layer = {}
    for kernel in table:
        by_layer.setdefault(kernel.layer, []).append(kernel)
    assert {name: len(kernels) for name, kernels in by_layer.items()} == {
        "embedding": 1, "attention": 4, "both": 4, "separable": 2, "transpose": 1, "logits": 1,
    }  # fmt: skip
    counted = sum(w.value.size if hasattr(w.value, "size") else np.size(w) for w in model.weights
                  if w.path.split("/")[-1].endswith(("kernel", "embeddings")))  # fmt: skip
    assert total_size(table) == counted
    refused = {kernel.name: kernel.refusal for kernel in table if kernel.refusal}
    assert set(refused) == {"separable/depthwise_kernel", "transpose/kernel"}
    assert "frozen" in refused["transpose/kernel"]
    by_layer["logits"][0].variable.assign(np.zeros((6, 3)))
    assert sparsity_of(model) == pytest.approx(18 / counted)
