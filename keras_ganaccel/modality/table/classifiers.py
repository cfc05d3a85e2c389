"""Networks for the rows of tables: small, fully quantizable, multiplying in dense layers alone.

An encoded row is one vector, so one int8 tensor goes in. A category's span is zero but for one
place: a linear layer over it is an embedding, and is put in front where it saves parameters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras

from keras_ganaccel.errors import InvalidInputError, nearest
from keras_ganaccel.initial_weights import seeded_initializers

if TYPE_CHECKING:
    from keras_ganaccel.modality.table.table_spec import TableSpec

#: Hidden units: of the tiny one as many as its parameters allow.
WIDTHS = {"tiny": (32,), "small": (64, 32), "base": (256, 128)}
ARCHITECTURES = ("table_mlp",)
ACTIVATIONS = ("relu", "relu6")
_MOST_PARAMETERS_OF_TINY = 2_000
_LEAST_UNITS = 8
# What an embedding has to save in parameters: its operations take some 750 bytes of a file.
_SAVED_PARAMETERS = 1_000


def build_table_classifier(
    spec: TableSpec,
    architecture: str = "table_mlp",
    size: str = "tiny",
    *,
    activation: str = "relu",
    dropout: float = 0.0,
    seed: int = 0,
    name: str | None = None,
) -> keras.Model:
    """Builds a classifier of encoded rows.

    Args:
        spec: The description of the table.
        architecture: ``"table_mlp"``: hidden layers behind embeddings where those make it smaller.
        size: ``"tiny"`` (one hidden layer of at most 32 units, and at most 2,000 parameters where
            rows are not too long for 8 units), ``"small"`` (64 and 32) or ``"base"`` (256 and 128).
        activation: ``"relu"`` or ``"relu6"``.
        dropout: Share of the features that are dropped before the last layer, in [0, 1).
        seed: Seed of the initial weights.
        name: Name of the model; what was built, by default.

    Returns:
        A functional model: input ``row``, float32 ``(batch, width)``; output ``logits``, float32
        ``(batch, num_classes)``.

    Raises:
        InvalidInputError: An unknown name, or a value out of range.

    Example:
        >>> import keras_ganaccel as ga
        >>> data = ga.load_data("tables:wine")
        >>> model = build_table_classifier(data.spec)
        >>> model.output_shape, model.count_params() <= 2_000
        ((None, 3), True)
    """
    for argument, value, choices in (
        ("architecture", architecture.lower(), ARCHITECTURES),
        ("size", size, tuple(WIDTHS)),
        ("activation", activation, ACTIVATIONS),
    ):
        if value not in choices:
            raise InvalidInputError(
                f"Unknown `{argument}`. Received: {value!r}. {nearest(str(value), choices)}"
            )
    if not 0.0 <= dropout < 1.0:
        raise InvalidInputError(
            f"`dropout` must be in [0, 1). Received: {dropout}. Pass 0 to drop nothing."
        )
    widths = WIDTHS[size]
    if size == "tiny":
        widths = (_affordable_units(spec, widths[0]),)
    with seeded_initializers(seed):
        row = keras.Input(spec.sample_shape, name="row")
        x = _embedded(row, spec, widths[0])
        for index, width in enumerate(widths):
            x = keras.layers.Dense(width, kernel_initializer="he_normal", name=f"dense{index}")(x)
            # ReLU layers, not strings: converters and TF-MOT fuse them with the layer before.
            limit = 6.0 if activation == "relu6" else None
            x = keras.layers.ReLU(max_value=limit, name=f"dense{index}_{activation}")(x)
        if dropout:
            x = keras.layers.Dropout(dropout, name="dropout")(x)
        # Logits stay float32 under a mixed-precision policy.
        logits = keras.layers.Dense(spec.num_classes, name="logits", dtype="float32")(x)
    return keras.Model(row, logits, name=name or f"table_mlp_{size}")


def embedding_widths(spans: tuple[slice, ...], units: int) -> tuple[int, ...]:
    """How long the embedding of each category is in front of a hidden layer; 0 for none.

    The square root of the values suffices to tell them apart with room to spare. It is put there
    where the file gets smaller by it: in front of wide layers, and for categories of many values.

    Args:
        spans: The places of each category.
        units: Units of the first hidden layer.

    Returns:
        One number per span.

    Example:
        >>> embedding_widths((slice(0, 2), slice(2, 102)), units=32)
        (0, 10)
    """
    found = []
    for span in spans:
        values = span.stop - span.start
        length = int(values**0.5 + 0.999)
        # Numbers of the embedding with its bias, and of the hidden layer behind it.
        with_it = (values + 1) * length + length * units
        found.append(length if with_it + _SAVED_PARAMETERS < values * units else 0)
    return tuple(found)


def _embedded(row: keras.KerasTensor, spec: TableSpec, units: int) -> keras.KerasTensor:
    lengths = embedding_widths(spec.spans, units)
    if not any(lengths):
        return row
    parts, start = [], 0
    for index, (span, length) in enumerate(zip(spec.spans, lengths, strict=True)):
        if not length:
            continue
        if span.start > start:
            parts.append(row[:, start : span.start])
        dense = keras.layers.Dense(length, name=f"embedding{index}")
        parts.append(dense(row[:, span]))
        start = span.stop
    if start < spec.sample_shape[0]:
        parts.append(row[:, start:])
    return keras.layers.Concatenate(name="embedded")(parts) if len(parts) > 1 else parts[0]


def _affordable_units(spec: TableSpec, most: int) -> int:
    """The most units of one hidden layer within the parameters of a tiny network."""
    for units in range(most, _LEAST_UNITS, -1):
        if _count(spec, units) <= _MOST_PARAMETERS_OF_TINY:
            return units
    return _LEAST_UNITS


def _count(spec: TableSpec, units: int) -> int:
    lengths = embedding_widths(spec.spans, units)
    values = [span.stop - span.start for span in spec.spans]
    embedded = [(count + 1) * length for count, length in zip(values, lengths, strict=True)]
    replaced = [
        count - length if length else 0 for count, length in zip(values, lengths, strict=True)
    ]
    width = spec.sample_shape[0] - sum(replaced)
    return sum(embedded) + (width + 1) * units + (units + 1) * spec.num_classes
