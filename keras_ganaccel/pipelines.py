"""What every `tf.data` pipeline of the package has in common: it ends when it is done.

TensorFlow tunes the parallelism and the buffers of a pipeline in a thread of its own, whose period
starts at 10 ms and doubles. The end of an iterator waits until the present period is over: a
training of 43 s was followed by 39 s of waiting. So the tuner is off in every pipeline that is
iterated here, and parallelism and buffers are set by hand.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

# Batches that are made ready while the one before them is trained on, and calls at once that make
# them: the slicing and decoding done here take far less than a step.
READ_AHEAD = 2
PARALLEL_CALLS = 2


def without_autotuner(dataset: Any) -> Any:
    """Switches TensorFlow's tuner off in a pipeline, so that its end does not wait.

    Args:
        dataset: A `tf.data.Dataset`, a user's too. Anything else, such as a distributed dataset,
            which takes no options, is returned as it is.

    Returns:
        The same elements in the same order. ``AUTOTUNE`` in a user's pipeline stands for
        TensorFlow's fixed defaults then.

    Example:
        >>> dataset = without_autotuner(tf.data.Dataset.range(3))
        >>> dataset.options().autotune.enabled, [int(x) for x in dataset]
        (False, [0, 1, 2])
    """
    if not isinstance(dataset, tf.data.Dataset):
        return dataset
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
