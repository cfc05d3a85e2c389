"""The initial weights of a model: drawn by seed, and drawn anew."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from keras_ganaccel.clones import give_weights, sublayers
from keras_ganaccel.errors import InvalidInputError, reason_of
from keras_ganaccel.seeds import derive_seed


@contextmanager
def seeded_initializers(seed: int) -> Iterator[None]:
    """Layers created inside draw their initial weights as a function of `seed` alone.

    Keras initializers without a seed of their own take one from Python's `random`, whose state is
    put back afterwards: nothing outside is disturbed.

    Args:
        seed: Seed of the initial weights.
    """
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)


def reinitialize(model: keras.Model, seed: int) -> None:
    """Gives a model new initial weights in place, by its layers' own initializers.

    Args:
        model: Any built model with a configuration (functional, sequential, or subclassed with
            `get_config`).
        seed: Seed of the new weights; also replaces the seeds that its initializers carry.

    Raises:
        InvalidInputError: The model cannot be rebuilt from its configuration.
    """
    try:
        config = _without_seeds(model.get_config())
        with seeded_initializers(seed):
            fresh = type(model).from_config(config)
            if not fresh.built:
                fresh.build(model.input_shape)
        # What a layer was adapted to is no weight that training finds.
        adapted = [
            (layer, layer.get_weights())
            for layer in sublayers(model)
            if isinstance(layer, keras.layers.Normalization)
        ]
        model.set_weights(fresh.get_weights())
        for layer, weights in adapted:
            give_weights(layer, weights)
    except (NotImplementedError, TypeError, ValueError, AttributeError) as error:
        raise InvalidInputError(
            f"The model {model.name!r} cannot be given new weights: its configuration does not "
            f"rebuild it. Received: {reason_of(error, 120)!r}. Implement `get_config`."
        ) from None


def check_finite_weights(model: keras.Model) -> None:
    """Refuses a model of which nothing can come any more.

    Args:
        model: Any built model.

    Raises:
        InvalidInputError: Weights of it are NaN or infinite.
    """
    for variable in model.weights:
        values = variable.numpy()
        if values.dtype.kind in "fV" and not np.isfinite(values.astype(np.float32)).all():
            raise InvalidInputError(
                f"The weights of the model must be finite numbers. Received: NaN or infinity in "
                f"{variable.path!r}. Train it again with a smaller learning rate."
            )


def seed_random_layers(model: keras.Model, seed: int) -> None:
    """Makes what layers such as dropout draw from now on a function of a seed.

    A loaded model begins with another state in every process.

    Args:
        model: Any built model.
        seed: Each layer has its own numbers all the same.
    """
    states = [item for item in model.variables if item.path.endswith("seed_generator_state")]
    for index, state in enumerate(states):
        state.assign([derive_seed(seed, "layer", index), 0])


def _without_seeds(value: Any) -> Any:
    """A configuration whose initializers have no seed of their own."""
    if isinstance(value, dict):
        copy = {key: _without_seeds(item) for key, item in value.items()}
        if copy.get("module") == "keras.initializers" and "seed" in copy.get("config", {}):
            copy["config"]["seed"] = None
        return copy
    if isinstance(value, (list, tuple)):
        return type(value)(_without_seeds(item) for item in value)
    return value
