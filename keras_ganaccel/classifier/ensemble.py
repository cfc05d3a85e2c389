"""An ensemble: classifiers of any kind whose probabilities are averaged, and its folder."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_ganaccel.classifier.estimator_file import load_estimator, save_estimator
from keras_ganaccel.classifier.held_out import Evidence
from keras_ganaccel.classifier.members import answer_function, check_teacher, count_columns
from keras_ganaccel.classifier.outputs import (
    BINARY_LOGIT,
    BINARY_PROBABILITY,
    LOGITS,
    SOFTMAX,
    output_kind,
    probability_logits,
)
from keras_ganaccel.errors import (
    InvalidInputError,
    MissingFileError,
    UnsafeModelError,
    reason_of,
)
from keras_ganaccel.files import save_keras
from keras_ganaccel.json_files import write_json


class Ensemble:
    """Classifiers whose probabilities are averaged.

    Args:
        members: Keras models, anything with `predict_proba`, callables, other ensembles.
        weights: One positive number per member; equal by default.
        evidence: What is known of the kinds of members from rows that they did not learn from.

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

    def __init__(
        self,
        members: Sequence[Any],
        weights: Sequence[float] | None = None,
        evidence: Sequence[Evidence] = (),
    ) -> None:
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
        self.evidence = tuple(evidence)

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

        Keras members become ``.keras`` files, estimators files of skops: no pickles.

        Args:
            folder: Made if it does not exist.

        Raises:
            InvalidInputError: A member cannot be saved without code, such as a lambda.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        files = [save_member(folder, f"member{i}", each) for i, each in enumerate(self.members)]
        described = {
            "files": files,
            "weights": self.weights.tolist(),
            "evidence": [dataclasses.asdict(each) for each in self.evidence],
        }
        write_json(folder / "ensemble.json", described)

    @classmethod
    def load(cls, folder: str | Path, *, trusted: Collection[str] = ()) -> Ensemble:
        """Reads what `save` wrote. No code runs that the folder brings with it.

        Args:
            folder: The folder.
            trusted: Full names of types of members to trust, beside scikit-learn's and our own.

        Raises:
            MissingFileError: The folder holds no ensemble, or one that is damaged or needs other
                versions of its members' packages.
            UnsafeModelError: A member is of a type that is not trusted.
        """
        folder = Path(folder)
        try:
            described = json.loads((folder / "ensemble.json").read_text(encoding="utf-8"))
            members = [load_member(folder / name, trusted) for name in described["files"]]
            evidence = [Evidence(**each) for each in described.get("evidence", ())]
            return cls(members, described["weights"], evidence)
        except UnsafeModelError:
            raise
        # A damaged or foreign file raises nearly anything.
        except Exception as error:
            reason = f"{type(error).__name__}: {reason_of(error, 100)}"
            raise MissingFileError(
                f"No ensemble can be read there. Received: {str(folder)!r} ({reason}). "
                "Name a folder that `Ensemble.save` wrote, with the packages that it was made with."
            ) from None


def save_member(folder: Path, stem: str, member: Any) -> str:
    """Writes a Keras model or an estimator into a folder, and returns the file's name."""
    name = f"{stem}.keras" if isinstance(member, keras.Model) else f"{stem}.skops"
    if isinstance(member, keras.Model):
        save_keras(folder / name, member)
    else:
        save_estimator(folder / name, member)
    return name


def load_member(path: Path, trusted: Collection[str] = ()) -> Any:
    """Reads what `save_member` wrote."""
    if path.suffix == ".keras":
        return keras.models.load_model(path, compile=False)
    return load_estimator(path, trusted=trusted)


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
