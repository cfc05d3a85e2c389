"""Where the training runs: strategies, means that are exact over replicas, and the trainer.

Keras 3 alone does not train under `MultiWorkerMirroredStrategy`, averages metrics over replicas
without their counts, and leaves it to each custom step to divide by the right batch size.
`Trainer` and `global_batch_mean` settle this for every model of the package.
"""

from keras_ganaccel.distribution.checks import refusals, require
from keras_ganaccel.distribution.replicas import (
    batch_layout,
    bytes_from_chief,
    distribute_stream,
    global_batch_mean,
    global_batch_total,
    learning_rate_of,
    sum_over_workers,
)
from keras_ganaccel.distribution.strategies import (
    BFLOAT16_FLAGS,
    choose_precision,
    cpu_flags,
    is_chief,
    is_multi_worker,
    make_strategy,
)
from keras_ganaccel.distribution.trainer import Trainer

__all__ = [
    "BFLOAT16_FLAGS",
    "Trainer",
    "batch_layout",
    "bytes_from_chief",
    "choose_precision",
    "cpu_flags",
    "distribute_stream",
    "global_batch_mean",
    "global_batch_total",
    "is_chief",
    "is_multi_worker",
    "learning_rate_of",
    "make_strategy",
    "refusals",
    "require",
    "sum_over_workers",
]
