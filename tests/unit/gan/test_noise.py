import numpy as np
import pytest
import tensorflow as tf

from keras_ganaccel.gan.noise import noise_rows, uniform_rows


def test_a_row_is_that_of_its_block_of_256():
    block = tf.random.stateless_normal((256, 3), [7, 2], alg="philox").numpy()
    rows = noise_rows(7, [512, 700, 767], 3).numpy()
    np.testing.assert_array_equal(rows, block[[0, 188, 255]])


@pytest.mark.parametrize("draw", [noise_rows, uniform_rows])
def test_rows_do_not_depend_on_their_company(draw):
    indices = np.array([3, 10**12, 255, 256, 3])
    together = draw(1, indices, 5).numpy()
    alone = [draw(1, [index], 5).numpy()[0] for index in indices]
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(together[0], together[4])
    assert len(np.unique(together[:4])) == 20


def test_rows_depend_on_the_seed():
    assert not np.array_equal(noise_rows(1, [0], 8), noise_rows(2, [0], 8))


def test_rows_have_the_distribution_that_they_should():
    normal = noise_rows(0, np.arange(20_000), 2).numpy()
    uniform = uniform_rows(0, np.arange(20_000), 2).numpy()
    np.testing.assert_allclose(normal.mean(0), 0, atol=0.03)
    np.testing.assert_allclose(normal.std(0), 1, atol=0.03)
    np.testing.assert_allclose(np.corrcoef(normal.T)[0, 1], 0, atol=0.03)
    assert uniform.min() >= 0
    assert uniform.max() < 1
    np.testing.assert_allclose(np.quantile(uniform, [0.25, 0.75]), [0.25, 0.75], atol=0.02)
