"""Watching a GAN while it trains: pictures, distances, curves, and a watchdog.

All of them count optimiser steps, work under ``steps_per_execution`` and over several calls of
`fit`. Those that remember something offer ``get_state()`` (a dict whose values are NumPy arrays
or JSON values) and ``set_state(state)``, which a checkpoint carries, so that a resumed training
goes on exactly as it would have.
"""

from keras_ganaccel.gan.callbacks.distance import KIDCallback
from keras_ganaccel.gan.callbacks.log import MetricsLog
from keras_ganaccel.gan.callbacks.pictures import SampleGrid, TensorBoardImages
from keras_ganaccel.gan.callbacks.watchdog import Watchdog

__all__ = ["KIDCallback", "MetricsLog", "SampleGrid", "TensorBoardImages", "Watchdog"]
