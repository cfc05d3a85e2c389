"""Keras 3 layers that run inside a tf_keras model as they are.

On the TensorFlow backend a Keras 3 layer computes on TensorFlow's tensors, so a tf_keras layer that
owns the weights can call it. That carries over what tf_keras lacks, and the user's own layers;
pruning and quantization do not look inside.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
import tf_keras

from keras_ganaccel.compression.bridge.configs import require_float32
from keras_ganaccel.compression.bridge.registry import (
    UncarriedLayerError,
    find_translator,
    is_refused,
    translators,
)
from keras_ganaccel.compression.bridge.untracked import Untracked
from keras_ganaccel.errors import EquivalenceError, reason_of

# Layers that pruning, clustering and quantization work on: hosting would hide their kernels.
_COMPRESSED = (
    keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D, keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose, keras.layers.Conv3DTranspose, keras.layers.SeparableConv1D,
    keras.layers.SeparableConv2D, keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D,
    keras.layers.Dense, keras.layers.Embedding, keras.layers.BatchNormalization,
)  # fmt: skip


class HostedLayer(tf_keras.layers.Layer):
    """Calls a Keras 3 layer with weights of its own; the Keras 3 layer is only read.

    Args:
        layer: A built Keras 3 layer.
        **kwargs: Those of every tf_keras layer.

    Example:
        >>> import keras, tensorflow as tf
        >>> layer = keras.layers.RMSNormalization()
        >>> layer.build((None, 2))
        >>> HostedLayer(layer)(tf.constant([[3.0, 3.0]])).numpy().round(3).tolist()
        [[1.0, 1.0]]
    """

    def __init__(self, layer: keras.layers.Layer, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._hosted = Untracked(layer)
        self.supports_masking = True

    @property
    def hosted_name(self) -> str:
        """The class of the Keras 3 layer, such as ``"RMSNormalization"``."""
        return type(self._hosted.value).__name__

    @property
    def draws(self) -> bool:
        """Whether the layer keeps the state of a random generator."""
        layer = self._hosted.value
        return len(layer.variables) > len(layer.weights)

    def build(self, input_shape: Any) -> None:
        """Makes a variable for each one of the Keras 3 layer."""
        layer = self._hosted.value
        self._weights_of_layer = [
            tf.Variable(
                variable.numpy(),
                trainable=self.trainable and variable.trainable,
                name=variable.path.replace("/", "_"),
            )
            for variable in layer.weights
        ]
        known = {id(variable) for variable in layer.weights}
        self._states = Untracked(
            {
                id(variable): tf.Variable(variable.numpy(), trainable=False)
                for variable in layer.variables
                if id(variable) not in known
            }
        )
        super().build(input_shape)

    def call(self, inputs: Any, training: bool | None = None, **kwargs: Any) -> Any:
        """Computes what the Keras 3 layer does, its losses and updated statistics included."""
        return self._computed(inputs, training, **kwargs)

    @tf.autograph.experimental.do_not_convert  # as in Keras 3
    def _computed(self, inputs: Any, training: bool | None, **kwargs: Any) -> Any:
        layer = self._hosted.value
        owners = {**dict(self._owners(layer)), **self._states.value}
        if layer._call_has_training_arg and training is not None:
            kwargs["training"] = training
        outputs, updated, losses = layer.stateless_call(
            [tf.convert_to_tensor(owners[id(v)]) for v in layer.trainable_variables],
            [tf.convert_to_tensor(owners[id(v)]) for v in layer.non_trainable_variables],
            inputs,
            return_losses=True,
            **kwargs,
        )
        if training is not False:
            for variable, value in zip(layer.non_trainable_variables, updated, strict=True):
                if not variable.trainable or id(variable) in self._states.value:
                    owners[id(variable)].assign(value)
        for loss in losses:
            self.add_loss(loss)
        return outputs

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Passes a mask on where the Keras 3 layer does."""
        layer = self._hosted.value
        return layer.compute_mask(inputs, mask) if layer.supports_masking else None

    def weight_pairs(
        self, layer: keras.layers.Layer, name: str
    ) -> list[tuple[keras.Variable, tf.Variable]]:
        """Pairs the weights of the Keras 3 layer, or of a copy of it, with the variables here.

        Raises:
            EquivalenceError: It is another layer.
        """
        mine, own = [tuple(v.shape) for v in layer.weights], self._weights_of_layer
        if mine != [tuple(v.shape) for v in own]:
            raise EquivalenceError(
                f"The layer {name!r} is not the one that was carried over. Received: weights "
                f"{mine}. Pass the model that the tf_keras one came from."
            )
        return list(zip(layer.weights, own, strict=True))

    def _owners(self, layer: keras.layers.Layer) -> list[tuple[int, tf.Variable]]:
        pairs = zip(layer.weights, self._weights_of_layer, strict=True)
        return [(id(variable), own) for variable, own in pairs]


def carried_over(layer: keras.layers.Layer, name: str) -> Any:
    """Makes the tf_keras layer that takes the place of a Keras 3 one.

    Args:
        layer: A built Keras 3 layer.
        name: Its name in the flattened graph, for errors.

    Returns:
        Its translation; where there is none, or none with its settings, a `HostedLayer`.

    Raises:
        UncarriedLayerError: It is refused, or has a kernel to prune and a setting that tf_keras
            does not have.
    """
    if type(layer) not in translators() and not is_refused(type(layer)):
        return host(layer)
    try:
        return find_translator(layer, name).translate(layer)
    except UncarriedLayerError:
        if isinstance(layer, _COMPRESSED) or is_refused(type(layer)):
            raise
        return host(layer)


def host(layer: keras.layers.Layer) -> HostedLayer:
    """Carries a Keras 3 layer over by calling it.

    Args:
        layer: A built Keras 3 layer.

    Returns:
        The unbuilt tf_keras layer.

    Raises:
        UncarriedLayerError: It does not compute in float32, or no copy of it can be made, into
            which the trained weights could go.
    """
    require_float32(layer)
    try:
        type(layer).from_config(layer.get_config())
    except Exception as error:  # the user's own code
        raise UncarriedLayerError(
            layer.name,
            type(layer).__name__,
            f"no copy of it can be made ({reason_of(error, 150)})",
            "Give it a `get_config` that returns the arguments of its constructor.",
        ) from error
    return HostedLayer(layer)
