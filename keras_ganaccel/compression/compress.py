"""Makes a classifier smaller: one call for every technique."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_ganaccel.classifier.outputs import num_classes, output_kind
from keras_ganaccel.compression.arguments import check_numbers
from keras_ganaccel.compression.bridge import UncarriedLayerError, uncarried_layers
from keras_ganaccel.compression.cluster import cluster, cluster_plan, distinct_values
from keras_ganaccel.compression.describe import achieved, describe
from keras_ganaccel.compression.finetune import (
    FineTuner,
    Progress,
    first_samples,
    training_stream,
)
from keras_ganaccel.compression.graph import flatten
from keras_ganaccel.compression.kernels import kernel_table, sparsity_of, total_size
from keras_ganaccel.compression.plain import in_float32, with_keras_activations
from keras_ganaccel.compression.prepare import prepare
from keras_ganaccel.compression.preserve import preserved
from keras_ganaccel.compression.prune import prune, prune_plan
from keras_ganaccel.compression.quantize import QuantizedModel, quantize
from keras_ganaccel.compression.quantizers import ONE_HOT
from keras_ganaccel.compression.structured import structured_prune
from keras_ganaccel.compression.tfmot import needs_no_autograph
from keras_ganaccel.data.inputs import ModelInputs
from keras_ganaccel.errors import InvalidInputError, UnsupportedLayerError, nearest
from keras_ganaccel.initial_weights import check_finite_weights

logger = logging.getLogger(__name__)

TECHNIQUES: Mapping[str, tuple[str, ...]] = {
    "ptq": (),
    "prune": ("prune",),
    "cluster": ("cluster",),
    "qat": ("qat",),
    "pqat": ("prune", "qat"),
    "cqat": ("cluster", "qat"),
    "pcqat": ("prune", "cluster", "qat"),
    "structured": ("structured",),
    "structured_qat": ("structured", "qat"),
    "structured_pqat": ("structured", "prune", "qat"),
}
_PROOF_SAMPLES = 8
_NAMED = 3


@dataclass(frozen=True)
class Compressed:
    """A compressed classifier.

    Args:
        keras_model: The user's structure with the compressed weights, a Keras 3 model in float32.
        tf_keras_model: The quantization-aware trained tf_keras model; None for techniques without
            such a training, whose `keras_model` is what is exported.
        technique: How it was made.
        promises: What an exported file must keep: ``sparsity`` (share of zeros among all kernel
            elements, at least), ``number_of_clusters`` (distinct values per output channel of the
            layers that were clustered, at most), ``int8`` (all operations are int8).
        report: One row per layer: what was applied, and what it led to.

    Example:
        >>> import keras_ganaccel as ga
        >>> import keras
        >>> data = ga.load_data("digits")
        >>> layers = [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)]
        >>> model = keras.Sequential(layers)
        >>> options = {"technique": "prune", "sparsity": 0.5, "steps": 1}
        >>> compressed = ga.compress(model, data.arrays("train"), **options)
        >>> compressed.technique, round(compressed.promises["sparsity"], 2)
        ('prune', 0.5)
    """

    keras_model: keras.Model
    tf_keras_model: Any
    technique: str
    promises: Mapping[str, Any]
    report: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)

    def concrete_function(self, batch_size: int | None = 1) -> Any:
        """Makes the function that the TFLite converter takes.

        `tf.lite.TFLiteConverter.from_keras_model` only knows Keras 3; a tf_keras model goes through
        ``from_concrete_functions([f], model)``, where ``model`` keeps its variables alive::

            converter = tf.lite.TFLiteConverter.from_concrete_functions(
                [compressed.concrete_function()], compressed.tf_keras_model
            )
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.inference_input_type = converter.inference_output_type = tf.int8

        The ranges are inside: no representative dataset is needed. Layer names depend on the
        structure alone, so that equal weights give equal files.

        Args:
            batch_size: Samples per call; None leaves it open.

        Returns:
            A concrete function from what the model takes, ``(batch_size, ...)`` in the range of the
            model's training data, to what it puts out. A single input is called ``image``, several
            have the names of the model's.

        Raises:
            InvalidInputError: The technique has no quantization-aware trained model.
        """
        if self.tf_keras_model is None:
            raise InvalidInputError(
                f"Only quantization-aware techniques have a graph of their own. "
                f"Received: {self.technique!r}. Export `keras_model`."
            )
        model, inputs = self.tf_keras_model, ModelInputs.of(self.keras_model)
        names = inputs.names if len(inputs.names) > 1 else ("image",)
        signature = [
            tf.TensorSpec((batch_size, *tensor.shape[1:]), tensor.dtype, name=name)
            for tensor, name in zip(model.inputs, names, strict=True)
        ]

        def forward(*tensors: tf.Tensor) -> tf.Tensor:
            return model(inputs.packed(tensors), training=False)

        traced = tf.function(
            forward, input_signature=signature, autograph=not needs_no_autograph(model)
        )
        return traced.get_concrete_function()


_POSITIVE = frozenset({"batch_size", "calibration_samples", "learning_rate", "temperature"})


def compress(
    model: keras.Model,
    data: Any,
    *,
    technique: str = "pqat",
    teacher: Any = None,
    sparsity: float = 0.5,
    schedule: str = "polynomial",
    policy: str | Mapping[str, float] = "global",
    number_of_clusters: int = 16,
    macs_fraction: float = 0.5,
    steps: int = 600,
    learning_rate: float = 1e-3,
    batch_size: int = 64,
    temperature: float = 2.0,
    alpha: float = 0.2,
    calibration_samples: int = 300,
    from_logits: bool | None = None,
    seed: int = 0,
    dry_run: bool = False,
    on_progress: Progress | None = None,
) -> Compressed:
    """Compresses a trained Keras 3 classifier and fine-tunes what it costs.

    Args:
        model: A built, trained classifier. It is not changed.
        data: Training data: ``(x, y)`` arrays with x in the model's range (float32, or whole
            numbers where the model looks them up; for several inputs a list, tuple or dict of
            arrays), or a batched `tf.data.Dataset` of ``(x, y)`` or
            ``(x, {"label": ..., "teacher_logits": ...})``.
        technique: One of `TECHNIQUES`: ``"prune"``, ``"cluster"``, ``"qat"``, the combinations
            ``"pqat"``, ``"cqat"``, ``"pcqat"`` that keep zeros and clusters while training for
            int8; ``"structured"``, which removes channels, alone or before these; or ``"ptq"``,
            which leaves all to the quantization at export.
        teacher: The teacher to distil from, see `training_stream`; None learns from the labels.
        sparsity: Share of zeros among all kernel elements, for techniques that prune.
        schedule: ``"polynomial"`` or ``"constant"`` pruning.
        policy: How the zeros are spread over the layers; see `prune_plan`.
        number_of_clusters: Distinct values per kernel, for techniques that cluster.
        macs_fraction: Share of the multiplications to keep, for structured pruning.
        steps: Optimiser steps of each fine-tuning; a combination has several.
        learning_rate: Adam's first one; quantization-aware training after another stage has half.
        batch_size: For arrays.
        temperature: Softens teacher and student.
        alpha: Weight of the labels' loss where there is a teacher.
        calibration_samples: How many training samples set the first integer ranges.
        from_logits: What the model puts out; None looks at its last layer.
        seed: Seed of the order of the data.
        dry_run: Change nothing; the result's ``report`` says per layer what would apply.
        on_progress: Called with the steps done and their total over all stages.

    Returns:
        The compressed model with what it promises.

    Raises:
        InvalidInputError: An unknown technique or value, a model that is no classifier of one
            output, or data that do not fit it.
        UnsupportedLayerError: The technique fine-tunes, and the bridge does not carry over all
            layers; they are named with the reasons. ``"ptq"`` and a dry run do not need it.
    """
    if technique not in TECHNIQUES:
        raise InvalidInputError(
            f"Unknown technique. Received: {technique!r}. {nearest(technique, TECHNIQUES)}"
        )
    check_numbers(
        {
            "sparsity": sparsity,
            "number_of_clusters": number_of_clusters,
            "macs_fraction": macs_fraction,
            "steps": steps,
            "learning_rate": learning_rate,
            "batch_size": batch_size,
            "temperature": temperature,
            "alpha": alpha,
            "calibration_samples": calibration_samples,
            "seed": seed,
        },
        _POSITIVE,
    )
    check_finite_weights(model)
    stages = TECHNIQUES[technique]
    plain = with_keras_activations(in_float32(model))
    inputs = ModelInputs.of(plain)
    calibration = first_samples(data, calibration_samples, inputs)
    if not stages:
        # Nothing is trained, so that neither labels nor a single output are needed.
        return Compressed(plain, None, technique, {}, achieved(describe(plain), plain))
    _check_classifier(model)
    kind = output_kind(plain, from_logits)
    classes = num_classes(plain, kind)
    stream, distil = training_stream(
        data, teacher, classes=classes, batch_size=batch_size, seed=seed, inputs=inputs
    )
    refused = uncarried_layers(plain)
    if not dry_run:
        _check_carried(plain, technique, refused)
    job = _Job(
        model=plain,
        technique=technique,
        tuner=FineTuner(stream, kind, classes, distil, temperature, alpha),
        calibration=calibration,
        steps=steps,
        learning_rate=learning_rate,
        on_progress=_shifted(on_progress, steps, len(stages)),
    )
    if dry_run:
        planned = set() if refused else set(stages)
        pruned = job.prune_plan(sparsity, policy) if "prune" in planned else None
        clustered = cluster_plan(job.model, number_of_clusters) if "cluster" in planned else None
        rows = describe(job.model, pruned=pruned, clustered=clustered)
        return Compressed(job.model, None, technique, {}, rows)
    for stage in stages:
        if stage == "prune":
            job.prune(sparsity, schedule, policy)
        elif stage == "cluster":
            job.cluster(number_of_clusters)
        elif stage == "structured":
            job.structured(macs_fraction)
        else:
            job.quantize()
    return job.result()


def check_technique(model: keras.Model, technique: str) -> None:
    """Refuses a classifier that a technique could not fine-tune, before anything is trained.

    Args:
        model: A built Keras 3 classifier.
        technique: One of `TECHNIQUES`.

    Raises:
        InvalidInputError: It is no classifier of one output.
        UnsupportedLayerError: The technique fine-tunes, and the bridge does not carry over all
            layers; or it computes with encodings that eight bits cannot hold.
    """
    if not TECHNIQUES[technique]:
        return
    _check_classifier(model)
    plain = with_keras_activations(in_float32(model))
    _check_carried(plain, technique, uncarried_layers(plain))


def _check_carried(
    plain: keras.Model, technique: str, refused: Mapping[str, UncarriedLayerError]
) -> None:
    if refused:
        raise _uncarried(plain, technique, refused)
    if "qat" in TECHNIQUES[technique]:
        _check_encodings(plain)


@dataclass
class _Job:
    """A model on its way through the stages of a technique."""

    model: keras.Model
    technique: str
    tuner: FineTuner
    calibration: tuple[np.ndarray, ...]
    steps: int
    learning_rate: float
    on_progress: Callable[[int], Progress | None]
    pruned: dict[str, float] = field(default_factory=dict)
    clustered: dict[str, int] = field(default_factory=dict)
    quantized: QuantizedModel | None = None
    stage: int = 0

    def prune_plan(self, sparsity: float, policy: str | Mapping[str, float]) -> dict[str, float]:
        uncounted = 0
        if "qat" in TECHNIQUES[self.technique]:
            prepared = kernel_table(prepare(self.model).model)
            uncounted = total_size(prepared) - total_size(kernel_table(self.model))
        return prune_plan(self.model, sparsity, policy, uncounted=uncounted)

    def prune(self, sparsity: float, schedule: str, policy: str | Mapping[str, float]) -> None:
        self.pruned = self.prune_plan(sparsity, policy)
        self.model = prune(self.model, self.tuner, self.pruned, schedule=schedule, **self._common())

    def cluster(self, number_of_clusters: int) -> None:
        self.clustered = cluster_plan(self.model, number_of_clusters)
        self.model = cluster(
            self.model,
            self.tuner,
            self.clustered,
            preserve_sparsity=bool(self.pruned),
            **self._common(),
        )

    def structured(self, macs_fraction: float) -> None:
        self.model = structured_prune(
            self.model, self.tuner, macs_fraction=macs_fraction, **self._common()
        )

    def quantize(self) -> None:
        common = self._common()
        if self.pruned or self.clustered:
            common["learning_rate"] /= 2
        del common["samples"]
        self.quantized = quantize(
            self.model,
            self.tuner,
            self.calibration,
            preserve=lambda prepared: preserved(
                prepared, zeros=frozenset(self.pruned), clusters=frozenset(self.clustered)
            ),
            **common,
        )
        self.model = self.quantized.keras_model

    def result(self) -> Compressed:
        promises: dict[str, Any] = {}
        exported = self.quantized.prepared.model if self.quantized is not None else self.model
        if self.pruned:
            promises["sparsity"] = sparsity_of(exported)
        if self.clustered:
            # Folding a batch norm gives each output channel values of its own, but no more of them.
            plan = self.clustered if self.quantized is not None else None
            kept = promises["number_of_clusters"] = distinct_values(self.model, plan)
            if kept > max(self.clustered.values()):
                logger.warning(
                    "`number_of_clusters` holds for what is clustered; kernels that stay as they "
                    "are have up to %d distinct values, and no fewer are promised.",
                    kept,
                )
        if self.quantized is not None:
            promises["int8"] = self.quantized.fully_quantized
        aware = self.quantized.tf_keras_model if self.quantized is not None else None
        rows = describe(
            self.model,
            pruned=self.pruned or None,
            clustered=self.clustered or None,
            quantized=self.quantized,
        )
        return Compressed(self.model, aware, self.technique, promises, achieved(rows, self.model))

    def _common(self) -> dict[str, Any]:
        self.stage += 1
        return {
            "steps": self.steps,
            "learning_rate": self.learning_rate,
            "samples": tuple(array[:_PROOF_SAMPLES] for array in self.calibration),
            "on_progress": self.on_progress(self.stage - 1),
        }


def _check_classifier(model: keras.Model) -> None:
    """Refuses models that are trained otherwise than this package can.

    Raises:
        InvalidInputError: There is not one output ``(batch, classes)``.
    """
    outputs = list(getattr(model, "outputs", None) or ())
    if outputs and (len(outputs) > 1 or len(outputs[0].shape) != 2):
        received = ", ".join(str(tuple(tensor.shape)) for tensor in outputs)
        raise InvalidInputError(
            f"A classifier has one output (batch, classes). Received: {model.name!r} with "
            f"{received}. Compress keras.Model(model.inputs, output) for one of its outputs, or "
            "export it with `export_tflite`."
        )


def _check_encodings(model: keras.Model) -> None:
    """Refuses one-hot encodings in an int8 file, whose values there are not ones and zeros.

    Raises:
        UnsupportedLayerError: There is one; it is named.
    """
    kinds = {step.name: type(step.operation).__name__ for step in flatten(model).steps}
    found = [f"{name!r} ({kind})" for name, kind in kinds.items() if kind in ONE_HOT]
    if found:
        raise UnsupportedLayerError(
            "A one-hot encoding does not keep its values in 'int8'. "
            f"Received: {', '.join(found[:_NAMED])}. Encode in front of the model, look up with "
            "Embedding, or choose 'prune' or 'cluster' and export 'dynamic_range'."
        )


def _uncarried(
    model: keras.Model, technique: str, refused: Mapping[str, UncarriedLayerError]
) -> UnsupportedLayerError:
    """The error for a technique that fine-tunes a model which the bridge does not carry over."""
    named = "; ".join(
        f"{name!r} ({error.kind}): {error.reason}" for name, error in list(refused.items())[:_NAMED]
    )
    more = f"; and {len(refused) - _NAMED} more" if len(refused) > _NAMED else ""
    return UnsupportedLayerError(
        f"The technique {technique!r} fine-tunes in tf_keras, to which not every layer of "
        f"{model.name!r} can be carried over. Received: {named}{more}. Replace them, register a "
        "translator with `bridge.register_translator`, or choose 'ptq', which does not need it."
    )


def _shifted(
    on_progress: Progress | None, steps: int, stages: int
) -> Callable[[int], Progress | None]:
    """Turns the progress of one stage into that of all."""

    def of_stage(stage: int) -> Progress | None:
        if on_progress is None:
            return None
        return lambda done, _: on_progress(stage * steps + done, stages * steps)

    return of_stage
