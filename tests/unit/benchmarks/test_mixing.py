import pytest

from keras_ganaccel.benchmarks.mixing import benchmark_memory


@pytest.mark.slow
def test_memory_does_not_grow_with_the_pool_that_is_trained_on():
    found = benchmark_memory(image_shape=(32, 32, 3), sizes=(4_000, 24_000))
    # Held in memory, the larger pool alone would take 245 MB more, and twice that in tensors.
    peaks = found["peak_megabytes"]
    assert peaks["24000"] - peaks["4000"] < 80
    assert found["over_tensorflow_megabytes"]["24000"] < 700
