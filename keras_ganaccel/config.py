"""The configuration of a run: frozen dataclasses and presets.

Names are Keras' own wherever Keras has one. Every field carries its range; a value outside, an
unknown key or a wrong type is refused in one line, in Python as in YAML. This module does not
import TensorFlow.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keras_ganaccel.errors import InvalidInputError, nearest
from keras_ganaccel.options import (
    ARMS,
    AUGMENTATIONS,
    FILTERS,
    IMAGE_ARMS,
    OBJECTIVES,
    Checked,
    option,
    replaced,
)


@dataclass(frozen=True)
class DataConfig(Checked, section="data"):
    """Where the data come from and how they are read.

    Args:
        source: ``"digits"``, ``"keras:NAME"``, ``"tfds:NAME"``, or a path.
        modality: What the samples are, such as ``"image"``; None finds it by the source.
        target: The column of labels, where the source has columns.
        drop: Columns to leave out.
        columns: Path of a YAML file that says what columns hold.
        groups: A column, or the path of a file with one group per row; a group stays on one side
            of every split.
        image_size: ``(height, width)`` to resize to; None keeps the size of arrays and takes the
            median size of image folders.
        labels_per_class: Rows per class to keep for training and validation; None keeps all.
        labels: Rows to keep for training and validation in all, stratified; None keeps all.
        unlabelled: Path of further samples without labels.
        value_range: The raw values that mean black and white; None finds them.
        skip_corrupt: Leave out unreadable files instead of refusing the folder.

    Example:
        >>> import keras_ganaccel as ga
        >>> ga.DataConfig(source="digits", labels_per_class=50).image_size is None
        True
    """

    source: str = "digits"
    image_size: tuple[int, int] | None = option(None, low=4, high=1024)
    labels_per_class: int | None = option(None, low=2)
    unlabelled: str | None = None
    value_range: tuple[float, float] | None = option(None, ascending=True)
    skip_corrupt: bool = False
    modality: str | None = None
    target: str | None = None
    drop: tuple[str, ...] = ()
    columns: str | None = None
    groups: str | None = None
    labels: int | None = option(None, low=4)


@dataclass(frozen=True)
class GanConfig(Checked, section="gan"):
    """The conditional GAN and its training.

    Args:
        enabled: False is the same journey without generated data.
        generator: ``"residual"`` (free of normalisation), ``"transposed"`` or ``"subpixel"``
            (class-conditional batch norm).
        discriminator: ``"residual"`` or ``"convolutional"``; both without batch norm.
        spectral_norm: Divide every discriminator kernel by its largest singular value.
        latent_dim: Length of the noise vector.
        width: Channels at full resolution; deeper blocks have more. None fits the image size.
        objective: The adversarial loss.
        learning_rate: Adam's, for both networks.
        beta_1: Adam's, for both networks.
        beta_2: Adam's, for both networks.
        steps: Generator updates.
        batch_size: Samples per step over all replicas.
        discriminator_steps: Discriminator updates per generator update.
        r1_weight: Weight of the gradient penalty on real samples.
        r2_weight: Weight of the gradient penalty on generated samples.
        wgan_gp_weight: Weight of the WGAN-GP penalty, which the objective ``"wasserstein"`` wants.
        lecam_weight: Weight of the LeCam regularisation, for little data.
        penalty_interval: Steps between two evaluations of the penalties.
        augmentation: DiffAugment policies, out of translation, cutout, colour, flip.
        adaptive_augmentation: Adjust its strength to the overfitting; else it is full, and leaks.
        ema_half_life: Samples after which an old generator weight counts half in the average.
        shared_generator_pass: One generator pass serves both updates.
        precision: ``"auto"``, ``"float32"`` or ``"mixed_bfloat16"``.
        steps_per_execution: Steps per call into TensorFlow.
        init_from: Folder of a run whose networks training starts from; None starts anew.
        largest_side: Samples with a longer side get no generator; None trains one whatever their
            size.
        evaluate_every: Steps between KID measurements on validation data; 0 for none.
        checkpoint_every: Steps between checkpoints.

    Example:
        >>> import keras_ganaccel as ga
        >>> ga.GanConfig(steps=3000, augmentation=("translation", "cutout")).generator
        'residual'
    """

    enabled: bool = True
    generator: str = option("residual", choices=("residual", "transposed", "subpixel"))
    discriminator: str = option("residual", choices=("residual", "convolutional"))
    spectral_norm: bool = False
    latent_dim: int = option(64, low=1, high=4096)
    width: int | None = option(None, low=4, high=1024)
    objective: str = option("relativistic", choices=OBJECTIVES)
    learning_rate: float = option(1e-3, low=0, high=1, open_low=True)
    beta_1: float = option(0.0, low=0, high=1, open_high=True)
    beta_2: float = option(0.99, low=0, high=1, open_high=True)
    steps: int = option(1500, low=1)
    batch_size: int = option(64, low=2, high=65536)
    discriminator_steps: int = option(1, low=1, high=16)
    r1_weight: float = option(10.0, low=0)
    r2_weight: float = option(10.0, low=0)
    wgan_gp_weight: float = option(0.0, low=0)
    lecam_weight: float = option(0.0, low=0)
    penalty_interval: int = option(4, low=1, high=64)
    augmentation: tuple[str, ...] = option(("translation",), choices=AUGMENTATIONS)
    adaptive_augmentation: bool = True
    ema_half_life: int = option(5000, low=0)
    shared_generator_pass: bool = False
    precision: str = option("auto", choices=("auto", "float32", "mixed_bfloat16"))
    steps_per_execution: int = option(20, low=1, high=1000)
    init_from: str | None = None
    largest_side: int | None = option(None, low=4)
    evaluate_every: int = option(300, low=0)
    checkpoint_every: int = option(300, low=1)


@dataclass(frozen=True)
class PoolConfig(Checked, section="pool"):
    """The pool of generated samples.

    Args:
        size: Samples kept after filtering.
        filters: Applied in this order, out of `FILTERS`; ``"discriminator"`` is rejection sampling,
            ``"density_ratio"`` that of cGAN-KD.
        generated_fraction: Share of generated samples in the mixed stream.
        generated_weight: Sample weight of a generated sample (a real one has 1).

    Example:
        >>> import keras_ganaccel as ga
        >>> ga.PoolConfig(generated_fraction=0.25).filters
        ('teacher_agreement',)
    """

    size: int = option(5000, low=16)
    filters: tuple[str, ...] = option(("teacher_agreement",), choices=FILTERS)
    generated_fraction: float = option(0.5, low=0, high=1, open_high=True)
    generated_weight: float = option(1.0, low=0, high=1)


@dataclass(frozen=True)
class TeacherConfig(Checked, section="teacher"):
    """The ensemble that the student learns from.

    Args:
        members: Out of ``"svm"``, ``"extra_trees"``, and architectures of `build_classifier`.
        size: Size of the Keras members.
        steps: Optimiser steps of each Keras member; None fits preset and data, see
            `journey.budget`.

    Example:
        >>> import keras_ganaccel as ga
        >>> ga.TeacherConfig(members=("svm", "convnet")).size
        'small'
    """

    members: tuple[str, ...] = ("svm", "extra_trees", "convnet", "convnet")
    size: str = option("small", choices=("tiny", "small", "base"))
    steps: int | None = option(None, low=1)


@dataclass(frozen=True)
class StudentConfig(Checked, section="student"):
    """The small classifier and how it is trained.

    Args:
        architecture: Name of a structure of `build_classifier`.
        size: Its size.
        activation: ``"relu"`` or ``"relu6"``.
        steps: Optimiser steps of the final training; None fits preset and data.
        batch_size: Samples per step over all replicas.
        optimizer: Name of a Keras optimizer.
        learning_rate: Its first learning rate; None fits preset and model.
        schedule: ``"cosine"`` or ``"constant"``.
        label_smoothing: Label smoothing of the cross-entropy.
        temperature: Softens teacher and student when distilling (Hinton).
        alpha: Weight of the labels' loss; the teacher's has ``1 - alpha``.
        augmentation: Out of shift, flip, cutout, mixup, cutmix.
        transfer_size: Augmented real samples that the teacher labels; None takes 20,000, or as
            many as fit in 256 MiB.

    Example:
        >>> import keras_ganaccel as ga
        >>> ga.StudentConfig(size="small").architecture
        'separable'
    """

    architecture: str = "separable"
    size: str = option("tiny", choices=("tiny", "small", "base"))
    activation: str = option("relu", choices=("relu", "relu6"))
    steps: int | None = option(None, low=1)
    batch_size: int = option(64, low=1, high=65536)
    optimizer: str = "adam"
    learning_rate: float | None = option(None, low=0, high=10, open_low=True)
    schedule: str = option("cosine", choices=("cosine", "constant"))
    label_smoothing: float = option(0.0, low=0, high=1, open_high=True)
    temperature: float = option(2.0, low=0, high=100, open_low=True)
    alpha: float = option(0.2, low=0, high=1)
    augmentation: tuple[str, ...] = option(
        ("shift", "cutout", "mixup"), choices=("shift", "flip", "cutout", "mixup", "cutmix")
    )
    transfer_size: int | None = option(10_000, low=1)


@dataclass(frozen=True)
class GateConfig(Checked, section="gate"):
    """The comparison that decides whether generated data are used.

    Args:
        arms: What is compared with real data only: ``"gan"`` (the pool mixed in evenly),
            ``"gan_first"`` (most of it early), ``"gan_disagreement"`` (what the student doubts, of
            the pool and of samples between classes), ``"pca_gaussian"`` and ``"pca_disagreement"``
            (a pool that costs nothing, as a yardstick), ``"unlabelled"`` (if there are any); of
            tables ``"spunge"``, ``"donors"``, ``"noise"``, ``"munge"``, ``"class_gaussian"`` and
            ``"smote_nc"``, see `make_source`.
        teacher_members: Members of the teacher that is trained for each pair; see
            `TeacherConfig`.
        pairs: Paired seeds and folds.
        steps: Optimiser steps per arm and pair; None fits preset and data.
        confidence: Level of the interval that must lie above zero.
        headroom_check: Before a GAN is trained, look whether a transfer set can help at all.
        headroom_rows: Where to look: on ``"folds"`` of the training rows, or on the rows of
            ``"validation"``, which costs nothing: teacher and student are those of the run.
        generate_anyway: Train the GAN and compare its arms in spite of missing headroom.

    Example:
        >>> import keras_ganaccel as ga
        >>> ga.GateConfig(pairs=10).headroom_rows
        'folds'
    """

    arms: tuple[str, ...] = option(("gan", "pca_gaussian", "unlabelled"), choices=ARMS)
    teacher_members: tuple[str, ...] = ("svm", "extra_trees")
    pairs: int = option(5, low=5, high=100)
    steps: int | None = option(None, low=1)
    confidence: float = option(0.95, low=0.5, high=1, open_low=True, open_high=True)
    headroom_check: bool = True
    headroom_rows: str = option("folds", choices=("folds", "validation"))
    generate_anyway: bool = False


@dataclass(frozen=True)
class CompressionConfig(Checked, section="compression"):
    """Pruning and quantization of the student.

    Args:
        technique: How `student_pruned_int8` is made.
        sparsity: Share of kernel elements that become zero.
        schedule: ``"polynomial"`` or ``"constant"`` pruning.
        steps: Optimiser steps of each fine-tuning; None fits preset and data.
        learning_rate: Adam's, while fine-tuning.
        calibration_samples: Training samples that set the integer ranges.

    Example:
        >>> import keras_ganaccel as ga
        >>> ga.CompressionConfig(technique="prune", sparsity=0.8).steps is None
        True
    """

    technique: str = option("pqat", choices=("prune", "qat", "pqat"))
    sparsity: float = option(0.7, low=0, high=1, open_high=True)
    schedule: str = option("polynomial", choices=("polynomial", "constant"))
    steps: int | None = option(None, low=1)
    learning_rate: float = option(1e-3, low=0, high=1, open_low=True)
    calibration_samples: int = option(300, low=1)


@dataclass(frozen=True)
class ModelConfig(Checked, section="model"):
    """The user's own student, instead of ours.

    Args:
        path: A ``.keras`` file.
        reinitialize: Start from new weights instead of fine-tuning those of the file.
        input_range: What the model takes, if not [0, 1].
        from_logits: Whether it returns logits; None looks at the last layer.
        allow_unsafe: Load a file that holds code (lambda layers).

    Example:
        >>> import keras_ganaccel as ga
        >>> ga.ModelConfig(path="mine.keras", input_range=(-1.0, 1.0)).reinitialize
        False
    """

    path: str | None = None
    reinitialize: bool = False
    input_range: tuple[float, float] | None = option(None, ascending=True)
    from_logits: bool | None = None
    allow_unsafe: bool = False


@dataclass(frozen=True)
class ReuseConfig(Checked, section="reuse"):
    """What an earlier run made and this one takes over.

    Args:
        generator: A ``generator.keras`` file; no GAN is trained.
        pool: A pool folder; nothing is generated.

    Example:
        >>> import keras_ganaccel as ga
        >>> ga.ReuseConfig(generator="runs/earlier/artifacts/generator.keras").pool is None
        True
    """

    generator: str | None = None
    pool: str | None = None


@dataclass(frozen=True)
class RunConfig(Checked):
    """Everything that decides what a run computes.

    Args:
        preset: The preset that it started from.
        seed: Seed of every random choice but the test split.
        strategy: ``"auto"``, ``"cpu:N"``, ``"mirrored"`` or ``"multiworker"``.
        data: The data, see `DataConfig`; likewise the others.

    Example:
        >>> import keras_ganaccel as ga
        >>> ga.RunConfig(seed=1, data=ga.DataConfig("mine.npz", labels_per_class=50)).gan.enabled
        True
    """

    preset: str = option("default", choices=("quick", "default", "best"))
    seed: int = option(0, low=0, high=2**31 - 1)
    strategy: str = "auto"
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    reuse: ReuseConfig = ReuseConfig()
    gan: GanConfig = GanConfig()
    pool: PoolConfig = PoolConfig()
    teacher: TeacherConfig = TeacherConfig()
    student: StudentConfig = StudentConfig()
    gate: GateConfig = GateConfig()
    compression: CompressionConfig = CompressionConfig()


PRESETS: Mapping[str, Mapping[str, Any]] = types.MappingProxyType(
    {
        "quick": {
            "gan.width": 16,
            "gan.steps": 800,
            "gan.largest_side": 16,
            "gan.evaluate_every": 400,
            "gan.checkpoint_every": 400,
            "pool.size": 2000,
            "teacher.members": ("svm", "convnet"),
            "student.transfer_size": 6000,
            "gate.headroom_rows": "validation",
            "gate.teacher_members": ("svm",),
            "gate.arms": ("gan", "unlabelled"),
            "compression.sparsity": 0.5,
        },
        "default": {},
        "best": {
            "gan.steps": 20000,
            "pool.size": 50000,
            "teacher.members": ("svm", "extra_trees", "convnet", "convnet", "resnet8", "resnet8"),
            "teacher.size": "base",
            "student.transfer_size": None,
            "gate.teacher_members": ("svm", "extra_trees", "convnet"),
            "gate.arms": IMAGE_ARMS,
            "gate.pairs": 10,
        },
    }
)


def preset(name: str = "default") -> RunConfig:
    """Returns the configuration of a preset: ``"quick"``, ``"default"`` or ``"best"``.

    Raises:
        InvalidInputError: The name is unknown.

    Example:
        >>> import keras_ganaccel as ga
        >>> ga.preset("quick").gan.steps < ga.preset().gan.steps
        True
    """
    if name not in PRESETS:
        raise InvalidInputError(f"Unknown preset. Received: {name!r}. {nearest(name, PRESETS)}")
    return with_values(RunConfig(preset=name), PRESETS[name])


def with_values(config: RunConfig, values: Mapping[str, Any]) -> RunConfig:
    """Returns a copy with some values replaced, checked like everything else.

    Args:
        config: The configuration to start from.
        values: Dotted names (``"gan.steps"``) and their new values.

    Raises:
        InvalidInputError: A name is unknown, or a value has the wrong type or range.

    Example:
        >>> import keras_ganaccel as ga
        >>> ga.with_values(ga.preset(), {"gan.steps": 10}).gan.steps
        10
    """
    for name, value in values.items():
        config = replaced(config, name, value)
    return config
