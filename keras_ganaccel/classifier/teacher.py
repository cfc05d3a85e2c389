"""The teacher: a mixed ensemble, far better on few labels than any of its members."""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import joblib
import keras
import numpy as np

from keras_ganaccel.classifier.members import answer_function, check_teacher, count_columns
from keras_ganaccel.classifier.outputs import (
    BINARY_LOGIT,
    BINARY_PROBABILITY,
    LOGITS,
    SOFTMAX,
    output_kind,
    probability_logits,
)
from keras_ganaccel.classifier.shallow import ShallowTeacher
from keras_ganaccel.classifier.train import train_classifier
from keras_ganaccel.errors import InvalidInputError, MissingFileError, nearest, reason_of
from keras_ganaccel.files import atomic_save, save_keras
from keras_ganaccel.json_files import write_json
from keras_ganaccel.modality.image.spec import DataSpec
from keras_ganaccel.modality.image.structures import architectures, build_classifier
from keras_ganaccel.seeds import derive_seed

logger = logging.getLogger(__name__)

SHALLOW = ("svm", "extra_trees")


class Ensemble:
    """Classifiers whose probabilities are averaged.

    Args:
        members: Keras models, anything with `predict_proba`, callables, other ensembles.
        weights: One positive number per member; equal by default.

    Raises:
        InvalidInputError: No members, one that cannot answer, or weights that do not fit.

    Example:
        >>> import keras_ganaccel as ga
        >>> import numpy as np
        >>> sure = lambda x: np.tile([[1.0, 0.0]], (len(x), 1))
        >>> torn = lambda x: np.tile([[0.5, 0.5]], (len(x), 1))
        >>> ga.Ensemble([sure, torn]).predict_proba(np.zeros((1, 8, 8, 1), "float32"))
        array([[0.75, 0.25]], dtype=float32)
    """

    def __init__(self, members: Sequence[Any], weights: Sequence[float] | None = None) -> None:
        if not members:
            raise InvalidInputError("An ensemble needs members. Received: none. Give at least one.")
        for member in members:
            check_teacher(member)
        raw = np.ones(len(members)) if weights is None else np.asarray(weights, np.float64)
        if raw.shape != (len(members),) or not np.all(np.isfinite(raw) & (raw > 0)):
            raise InvalidInputError(
                f"`weights` must be {len(members)} positive numbers. Received: {weights}. "
                "Give one per member."
            )
        self.members = list(members)
        self.weights = raw / raw.sum()

    @functools.cached_property
    def _answers(self) -> list[Callable[[np.ndarray], np.ndarray]]:
        classes = count_columns(self)
        return [answer_function(member, classes) for member in self.members]

    def __getstate__(self) -> dict[str, Any]:
        """Leaves out the traced functions, which cannot be pickled."""
        return {name: value for name, value in vars(self).items() if name != "_answers"}

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Averages the members' probabilities.

        Args:
            x: float32 ``(n, height, width, channels)`` in [0, 1].

        Returns:
            float32 ``(n, classes)``.
        """
        answers = [answer(x) for answer in self._answers]
        return np.tensordot(self.weights, answers, axes=1).astype(np.float32)

    def predict_logits(self, x: np.ndarray) -> np.ndarray:
        """The logarithms of `predict_proba`, bounded below: what a pool stores."""
        return probability_logits(self.predict_proba(x))

    def keras_model(self, name: str = "teacher") -> keras.Model:
        """One Keras model that averages the probabilities of the Keras members.

        It shares their weights and leaves out all other members, so it can be exported.

        Args:
            name: The name of the model.

        Returns:
            A functional model: ``image`` to probabilities ``(batch, classes)``.

        Raises:
            InvalidInputError: There is no Keras member.
        """
        kept = [
            (member, weight)
            for member, weight in zip(self.members, self.weights, strict=True)
            if isinstance(member, keras.Model)
        ]
        if not kept:
            raise InvalidInputError(
                "The ensemble has no Keras member, so it is no Keras model. Received: "
                f"{[type(member).__name__ for member in self.members]}. Add a convnet."
            )
        image = keras.Input(kept[0][0].input_shape[1:], name="image")
        total = sum(weight for _, weight in kept)
        shares = [
            keras.layers.Rescaling(weight / total, name=f"weight{index}")(
                _probabilities(member, image, index)
            )
            for index, (member, weight) in enumerate(kept)
        ]
        mean = keras.layers.Add(name="probabilities")(shares) if len(shares) > 1 else shares[0]
        return keras.Model(image, mean, name=name)

    def save(self, folder: str | Path) -> None:
        """Writes the ensemble into a folder.

        Keras members become ``.keras`` files; all others are pickled by joblib. A pickle runs
        code when it is loaded: load only folders that a run of your own wrote.

        Args:
            folder: Made if it does not exist.

        Raises:
            InvalidInputError: A member cannot be pickled, such as a lambda.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        files = []
        for index, member in enumerate(self.members):
            if isinstance(member, keras.Model):
                files.append(f"member{index}.keras")
                save_keras(folder / files[-1], member)
                continue
            files.append(f"member{index}.joblib")
            try:
                atomic_save(folder / files[-1], functools.partial(joblib.dump, member))
            except OSError:
                raise
            except Exception as error:
                raise InvalidInputError(
                    f"Member {index} of the ensemble cannot be saved. Received: "
                    f"{type(member).__name__} ({error}). Use a class or function of a module."
                ) from None
        write_json(folder / "ensemble.json", {"files": files, "weights": self.weights.tolist()})

    @classmethod
    def load(cls, folder: str | Path) -> Ensemble:
        """Reads what `save` wrote. It may hold pickles: only load folders that you trust.

        Raises:
            MissingFileError: The folder holds no ensemble, or one that is damaged or needs other
                versions of its members' packages.
        """
        folder = Path(folder)
        try:
            described = json.loads((folder / "ensemble.json").read_text(encoding="utf-8"))
            members = [_load_member(folder / name) for name in described["files"]]
            return cls(members, described["weights"])
        # A damaged or foreign pickle raises nearly anything.
        except Exception as error:
            reason = f"{type(error).__name__}: {reason_of(error, 100)}"
            raise MissingFileError(
                f"No ensemble can be read there. Received: {str(folder)!r} ({reason}). "
                "Name a folder that `Ensemble.save` wrote, with the packages that it was made with."
            ) from None


def build_teacher(
    spec: DataSpec,
    x: np.ndarray,
    y: np.ndarray,
    *,
    members: Sequence[str] = ("svm", "extra_trees", "convnet", "convnet"),
    size: str = "base",
    steps: int = 1500,
    batch_size: int = 64,
    augmentation: Sequence[str] = ("shift", "mixup"),
    seed: int = 0,
    verbose: int = 0,
    progress: Callable[[int, int, str], None] | None = None,
) -> Ensemble:
    """Trains an ensemble on labelled samples.

    Time and memory grow with the samples and no faster: see `ShallowTeacher`.

    Args:
        spec: The description of the data.
        x: float32 ``(n, height, width, channels)`` in [0, 1].
        y: Integer labels ``(n,)``; rows with -1 are left out. Two samples a class suffice.
        members: Out of ``"svm"``, ``"extra_trees"``, and names of `build_classifier`.
        size: Size of the Keras members.
        steps: Optimizer steps of each Keras member.
        batch_size: Samples per step.
        augmentation: Policies for the Keras members. The others see every image shifted by a
            pixel, if ``"shift"`` is among these.
        seed: Seed of weights, order, augmentation and trees; each member has its own.
        verbose: How much `fit` shows.
        progress: Called before each member with its index, how many there are, and its name.

    Returns:
        The ensemble, equally weighted.

    Raises:
        InvalidInputError: An unknown member, or fewer than two classes.

    Example:
        >>> import keras_ganaccel as ga
        >>> data = ga.load_data("digits", labels_per_class=20)
        >>> x, y = data.arrays("train")
        >>> teacher = ga.build_teacher(data.spec, x, y, members=("svm",))
        >>> teacher.predict_proba(x[:3]).shape
        (3, 10)
    """
    known = (*SHALLOW, *architectures())
    for member in members:
        if member.lower() not in {name.lower() for name in known}:
            raise InvalidInputError(
                f"Unknown member of the teacher. Received: {member!r}. {nearest(member, known)}"
            )
    labelled = np.asarray(y) >= 0
    x, y = np.asarray(x, np.float32), np.asarray(y).astype(np.int64)
    if not labelled.all():
        x, y = x[labelled], y[labelled]
    if len(np.unique(y)) < 2:
        raise InvalidInputError(
            f"A teacher needs samples of two classes. Received: {len(np.unique(y))}. Label more."
        )
    trained: list[Any] = []
    for index, member in enumerate(members):
        own_seed = derive_seed(seed, "teacher", index)
        logger.info("Training member %d of the teacher: %s", index, member)
        if progress is not None:
            progress(index, len(members), member)
        if member in SHALLOW:
            shallow = ShallowTeacher(member, spec.num_classes, own_seed, "shift" in augmentation)
            trained.append(shallow.fit(x, y))
            continue
        model = build_classifier(spec, member, size, seed=own_seed, name=f"{member}{index}")
        train_classifier(
            model,
            (x, y),
            steps=steps,
            batch_size=batch_size,
            augmentation=augmentation,
            seed=own_seed,
            verbose=verbose,
        )
        trained.append(model)
    return Ensemble(trained)


def _load_member(path: Path) -> Any:
    if path.suffix == ".keras":
        return keras.models.load_model(path, compile=False)
    return joblib.load(path)


def _probabilities(member: keras.Model, image: keras.KerasTensor, index: int) -> keras.KerasTensor:
    """A member's probabilities with one column per class, made of layers that export."""
    outputs, kind = member(image), output_kind(member)
    if kind == LOGITS:
        return keras.layers.Softmax(name=f"softmax{index}")(outputs)
    if kind == SOFTMAX:
        return outputs
    if kind == BINARY_LOGIT:
        outputs = keras.layers.Activation("sigmoid", name=f"sigmoid{index}")(outputs)
    assert kind in (BINARY_LOGIT, BINARY_PROBABILITY)
    other = keras.layers.Rescaling(-1.0, 1.0, name=f"other{index}")(outputs)
    return keras.layers.Concatenate(name=f"both{index}")([other, outputs])
