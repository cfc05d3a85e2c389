import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ganaccel.distribution import Trainer, batch_layout, global_batch_mean

pytestmark = pytest.mark.train

X = np.random.default_rng(0).normal(size=(22, 3)).astype("float32")
Y = X @ np.array([1.0, 2.0, 3.0], "float32")


class Regression(Trainer):
    def __init__(self):
        super().__init__(name="regression")
        self.dense = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros", name="d")
        self.dense.build((None, 3))
        self.squared_error = keras.metrics.Mean(name="squared_error")
        self.built = True

    def train_step(self, data):
        x, y = data[:2]
        size, _ = batch_layout(tf.shape(x)[0])
        with tf.GradientTape() as tape:
            error = tf.square(self.dense(x)[:, 0] - y)
            loss = global_batch_mean(error, size)
        weights = self.dense.trainable_weights
        self.optimizer.apply(tape.gradient(loss, weights), weights)
        self.squared_error.update_state(error)

    def test_step(self, data):
        x, y = data[:2]
        self.squared_error.update_state(tf.square(self.dense(x)[:, 0] - y))


def _compiled(learning_rate=0.1, **options):
    model = Regression()
    model.compile(keras.optimizers.SGD(learning_rate), **options)
    return model


def _reference(learning_rate=0.1, epochs=2, batch=8):
    """The same training in NumPy: final weights and every epoch's mean squared error."""
    weights, history = np.zeros(3), []
    for _ in range(epochs):
        errors = []
        for start in range(0, len(X), batch):
            x, y = X[start : start + batch].astype(float), Y[start : start + batch]
            residual = x @ weights - y
            errors.extend(residual**2)
            weights = weights - learning_rate * 2 * x.T @ residual / len(x)
        history.append(np.mean(errors))
    return weights, history


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"steps_per_execution": 2},
        {"steps_per_execution": 10},
        {"run_eagerly": True},
        {"jit_compile": True},
    ],
)
def test_fit_is_gradient_descent_with_exact_means(options):
    model = _compiled(**options)
    batches = tf.data.Dataset.from_tensor_slices((X, Y)).batch(8)
    history = model.fit(batches, epochs=2, verbose=0).history
    weights, expected = _reference()
    np.testing.assert_allclose(model.dense.kernel.numpy()[:, 0], weights, rtol=1e-5)
    assert history.keys() == {"squared_error"}
    np.testing.assert_allclose(history["squared_error"], expected, rtol=1e-5)


def test_evaluate_weighs_uneven_batches_by_their_samples():
    model = _compiled(steps_per_execution=2)
    result = model.evaluate(X, Y, batch_size=8, verbose=0, return_dict=True)
    assert result["squared_error"] == pytest.approx(np.mean(Y**2), rel=1e-5)


def test_the_train_function_takes_as_many_steps_as_it_is_told():
    model = _compiled(0.0)
    train = model.make_train_function()
    iterator = iter(tf.data.Dataset.from_tensor_slices((X, Y)).batch(2))
    for steps, samples in ((3, 6), (5, 16), (20, 22)):
        train(iterator, steps)
        assert float(model.squared_error.count) == samples
    with pytest.raises(StopIteration):
        train(iterator, 1)


def test_train_on_batch():
    logs = _compiled(0.0).train_on_batch(X, Y, return_dict=True)
    assert float(logs["squared_error"]) == pytest.approx(np.mean(Y**2), rel=1e-5)


def test_mean_over_further_axes_and_the_global_batch():
    values = tf.constant([[1.0, 3.0], [5.0, 7.0]], tf.bfloat16)
    mean = global_batch_mean(values, 8)
    assert mean.dtype == tf.float32
    assert float(mean) == 1.0


def test_a_batch_of_one_replica_is_the_global_one():
    size, offset = batch_layout(5)
    assert (int(size), int(offset)) == (5, 0)
