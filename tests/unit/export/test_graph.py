import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ganaccel.export.graph import canonical_function, has_loops

ROWS = (tf.TensorSpec((1, 5, 3), tf.float32, name="rows"),)


def recurrent(prefix, cell=keras.layers.LSTM):
    keras.utils.set_random_seed(0)
    rows = keras.Input((5, 3), name=prefix + "rows")
    x = cell(4, return_sequences=True, name=prefix + "cell")(rows)
    x = keras.layers.GRU(4, name=prefix + "gru")(x)
    model = keras.Model(rows, keras.layers.Dense(2, name=prefix + "dense")(x), name=prefix + "m")
    return canonical_function(lambda x: [model(x, training=False)], ROWS, ["scores"])


def body(function):
    """The graph without what TensorFlow itself names when it traces."""
    graph_def = function.graph.as_graph_def()
    nodes = [(n.name, n.op, tuple(n.input)) for n in graph_def.node]
    functions = sorted(f.signature.name for f in graph_def.library.function)
    return nodes, functions


@pytest.mark.train
def test_names_leave_no_trace():
    first, second = recurrent("z"), recurrent("another_")
    assert body(first) == body(second)
    assert len(body(first)[1]) >= 4
    assert body(recurrent("z", cell=keras.layers.SimpleRNN)) != body(first)


def test_the_values_stay():
    keras.utils.set_random_seed(0)
    image = keras.Input((5, 3), name="rows")
    model = keras.Model(image, keras.layers.Conv1D(4, 3, activation="gelu", name="conv")(image))
    function = canonical_function(lambda x: [model(x, training=False)], ROWS, ["scores"])
    x = np.random.default_rng(0).normal(size=(1, 5, 3)).astype(np.float32)
    found = function(tf.constant(x))["scores"].numpy()
    np.testing.assert_allclose(found, model.predict(x, verbose=0), atol=1e-6)


def test_inputs_keep_their_order_even_if_one_is_not_used():
    specs = [tf.TensorSpec((1,), tf.float32, name=name) for name in ("first", "second", "third")]
    function = canonical_function(lambda a, b, c: [c - a], specs, ["difference"])
    one, two, ten = (tf.constant([value]) for value in (1.0, 2.0, 10.0))
    assert function(one, two, ten)["difference"].numpy().tolist() == [9.0]


def test_loops_are_seen():
    assert has_loops(recurrent("z"))
    plain = canonical_function(lambda x: [x + 1.0], ROWS, ["more"])
    assert not has_loops(plain)
