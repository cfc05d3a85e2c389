"""The user's own model as the teacher: asked in its own terms, about samples of ours.

It was made for raw rows, under the user's names of classes. Generated samples exist only encoded,
so they are decoded for it; its answers are put into the order of the data's classes.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import joblib
import keras
import numpy as np
import pandas as pd
from scipy.special import softmax

from keras_ganaccel.classifier.estimator_file import load_estimator
from keras_ganaccel.classifier.members import ask, check_teacher, checked_probabilities
from keras_ganaccel.classifier.outputs import (
    input_shape,
    logits_of,
    output_kind,
    probability_logits,
)
from keras_ganaccel.data.spec import Spec
from keras_ganaccel.errors import (
    GanAccelError,
    InvalidInputError,
    MissingFileError,
    UnsafeModelError,
    reason_of,
)
from keras_ganaccel.keras_file import check_model_file

logger = logging.getLogger(__name__)

_PICKLES = (".pkl", ".pickle", ".joblib")
_CHECKED_ROWS = 512
_CHUNK = 16_384


@runtime_checkable
class Decodes(Protocol):
    """A specification that makes raw rows out of encoded ones, as that of tables does."""

    def decode(self, encoded: np.ndarray) -> pd.DataFrame:
        """Returns raw rows."""
        ...


class OwnTeacher:
    """A user's classifier that answers about encoded samples, in the order of the data's classes.

    Args:
        classifier: Anything with `predict_proba`, such as a pipeline of scikit-learn, XGBoost,
            LightGBM, CatBoost or AutoGluon; a Keras model; or a function that returns
            probabilities. Of tables it gets pandas frames with the raw columns, unless it is a
            Keras model whose input is an encoded row; of images it gets arrays in [0, 1].
        spec: The description of the data.
        raw: Raw rows of the training split, as ``LabelledData.x`` has them: what decoded rows are
            made to look like, and what the classifier is tried on.
        labels: Their integer labels, -1 for none.

    Raises:
        InvalidInputError: It cannot be asked, or its classes are not those of the data, or its
            answers are no probabilities.

    Example:
        >>> import keras_ganaccel as ga
        >>> import pandas as pd
        >>> from sklearn.ensemble import HistGradientBoostingClassifier
        >>> data = ga.load_data("tables:wine")
        >>> rows = data.splits.train
        >>> model = HistGradientBoostingClassifier(max_iter=5)
        >>> names = [data.spec.class_names[label] for label in data.y[rows]]
        >>> model = model.fit(data.x.iloc[rows], names)
        >>> teacher = ga.OwnTeacher(model, data.spec, data.x.iloc[rows], data.y[rows])
        >>> teacher.predict_proba(data.arrays("validation")[0]).shape[1]
        3
    """

    def __init__(
        self, classifier: Any, spec: Spec, raw: Any, labels: np.ndarray | None = None
    ) -> None:
        check_teacher(classifier)
        self.classifier = classifier
        self.spec = spec
        self.num_classes = spec.num_classes
        self._form = _form(classifier, spec)
        self._restore = _Restored(raw, spec) if self._form in ("frame", "columns") else None
        self._order: np.ndarray | None = None
        self.notes: tuple[str, ...] = ()
        classes = _stated_classes(classifier)
        if classes is not None:
            self._order = self._ordered(classes)
        self._try(raw, labels)

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Answers about encoded samples.

        Args:
            x: float32 ``(n, *sample_shape)``.

        Returns:
            float32 ``(n, classes)``.
        """
        if not len(x):
            return np.zeros((0, self.num_classes), np.float32)
        chunks = range(0, len(x), _CHUNK)
        return np.concatenate([self._answered(x[start : start + _CHUNK]) for start in chunks])

    def predict_logits(self, x: np.ndarray) -> np.ndarray:
        """The logarithms of `predict_proba`, bounded below: what a pool stores."""
        return probability_logits(self.predict_proba(x))

    def predict_raw(self, raw: Any) -> np.ndarray:
        """Answers about raw rows, without what encoding loses of them: float32 ``(n, classes)``."""
        if self._restore is None:
            return self._answered(self.spec.encode(raw))
        return self._asked(raw)

    def _answered(self, x: np.ndarray) -> np.ndarray:
        return self._asked(x if self._restore is None else self._restore(x))

    def _asked(self, samples: Any) -> np.ndarray:
        try:
            if self._form == "encoded":
                answers: Any = ask(self.classifier, samples)
            elif self._form == "columns":
                answers = _of_columns(self.classifier, samples)
            else:
                answer = getattr(self.classifier, "predict_proba", self.classifier)
                answers = answer(samples)
        except GanAccelError:
            raise
        # Somebody else's code raises anything.
        except Exception as error:
            raise InvalidInputError(
                f"The teacher could not answer. Received: {type(error).__name__} "
                f"({reason_of(error)}) from {type(self.classifier).__name__}. Give one that takes "
                "the raw rows of the data, with the columns that it was trained on."
            ) from None
        if isinstance(answers, pd.DataFrame):
            self._order = self._ordered(list(answers.columns))
        return self._probabilities(np.asarray(answers, np.float32))

    def _probabilities(self, answers: np.ndarray) -> np.ndarray:
        if (answers.ndim == 2 and answers.shape[1] == 1) or answers.ndim == 1:
            raise InvalidInputError(
                "A teacher must answer with one probability per class. Received: shape "
                f"{answers.shape}. Return both columns: numpy.stack([1 - p, p], axis=1)."
            )
        answers = checked_probabilities(answers, self.num_classes)
        if self._order is None:
            return answers
        ordered = np.empty_like(answers)
        ordered[:, self._order] = answers
        return ordered

    def _ordered(self, classes: Sequence[Any]) -> np.ndarray:
        order, note = class_order(classes, self.spec.class_names)
        if note:
            self._note(note)
        return order

    def _note(self, text: str) -> None:
        if text not in self.notes:
            logger.info(text)
            self.notes = (*self.notes, text)

    def _try(self, raw: Any, labels: np.ndarray | None) -> None:
        """Asks about real rows, in both forms, and notes how well it does."""
        rows = np.arange(min(len(raw), _CHECKED_ROWS))
        some = raw.iloc[rows] if isinstance(raw, pd.DataFrame) else raw[rows]
        if not len(rows):
            raise InvalidInputError(
                "A teacher is tried on real rows. Received: none. Give rows of the training split."
            )
        direct = self.predict_raw(some).argmax(axis=1)
        if self._restore is not None:
            same = float(np.mean(self.predict_proba(self.spec.encode(some)).argmax(1) == direct))
            self._note(
                f"Asked about encoded rows, the teacher answers {100 * same:.1f} % of "
                f"{len(rows)} training rows as it does raw."
            )
        known = None if labels is None else np.asarray(labels)[rows]
        if known is not None and (known >= 0).any():
            right = float(np.mean(direct[known >= 0] == known[known >= 0]))
            chance = float(np.bincount(known[known >= 0]).max() / (known >= 0).sum())
            if right < min(chance, 1.5 / self.num_classes):
                self._note(
                    f"The teacher is right on only {100 * right:.1f} % of {(known >= 0).sum()} "
                    "training rows: are its classes in another order than the data's?"
                )


def load_teacher(
    path: str | os.PathLike[str],
    *,
    trusted: Collection[str] = (),
    allow_unsafe: bool = False,
) -> Any:
    """Reads a user's teacher from a file; no code of the file runs unless that is allowed.

    Args:
        path: A `.keras` file (loaded in Keras' safe mode), or an estimator that `skops.io.dump`
            wrote, under any other name.
        trusted: Full names of types to trust in a file of skops, beside scikit-learn's.
        allow_unsafe: Also read pickles (`.pkl`, `.pickle`, `.joblib`), lambdas in Keras files, and
            all types. They may run code: only for files that you made.

    Returns:
        What `OwnTeacher` takes.

    Raises:
        MissingFileError: The file cannot be read.
        UnsafeModelError: It could run code, or holds types that are not trusted; they are named.
        InvalidInputError: It holds no classifier.

    Example:
        >>> import tempfile
        >>> import keras_ganaccel as ga
        >>> from skops.io import dump
        >>> from sklearn.linear_model import LogisticRegression
        >>> model = LogisticRegression().fit([[0.0], [1.0]], ["no", "yes"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     dump(model, f"{folder}/model.skops")
        ...     ga.load_teacher(f"{folder}/model.skops").classes_.tolist()
        ['no', 'yes']
    """
    path = Path(path)
    if not path.is_file() or not os.access(path, os.R_OK):
        raise MissingFileError(
            f"The teacher's file cannot be read. Received: {str(path)!r}. Name a .keras file, or "
            "an estimator that skops.io.dump wrote."
        )
    if path.suffix == ".keras":
        loaded = _load_keras(path, allow_unsafe)
    elif path.suffix.lower() in _PICKLES:
        loaded = _load_pickle(path, allow_unsafe)
    else:
        loaded = load_estimator(path, trusted=trusted, trust_all=allow_unsafe)
    try:
        check_teacher(loaded)
    except InvalidInputError:
        raise InvalidInputError(
            "The teacher's file must hold a classifier with `predict_proba`. Received: "
            f"{type(loaded).__name__} in {str(path)!r}. Save the fitted pipeline; wrap what only "
            "decides in CalibratedClassifierCV."
        ) from None
    return loaded


def class_order(classes: Sequence[Any], class_names: Sequence[str]) -> tuple[np.ndarray, str]:
    """Finds the data's class of each of a teacher's columns.

    Classes fit by name, whether text, numbers or truth values: 1, 1.0, True and "1" are one class
    where the data have a class "1". Whole numbers from 0 on that fit no names are taken for the
    data's own numbers of its classes, which are in sorted order.

    Args:
        classes: The teacher's classes, in the order of its columns.
        class_names: The data's.

    Returns:
        int64 ``(classes,)``, and a sentence where numbers were taken for places, else "".

    Raises:
        InvalidInputError: It lacks a class, has another, or has one twice.

    Example:
        >>> class_order(["yes", "no"], ["no", "yes"])[0]
        array([1, 0])
        >>> class_order([False, True], ["0", "1"])[0]
        array([0, 1])
    """
    for spelt in (_spellings, _numbers_of_truth):
        places: dict[str, int] = {}
        for place, name in enumerate(class_names):
            for each in spelt(name):
                places.setdefault(each, place)
        found = [
            next((places[each] for each in spelt(one) if each in places), None) for one in classes
        ]
        known = [place for place in found if place is not None]
        if len(known) == len(classes) and sorted(known) == list(range(len(class_names))):
            return np.array(known), ""
        if known:
            break
    count = len(class_names)
    if not known and [str(_plain(each)) for each in classes] == list(map(str, range(count))):
        first = ", ".join(f"{i} is {name!r}" for i, name in enumerate(class_names[:3]))
        more = ", ..." if count > 3 else ""
        return np.arange(count), f"The teacher's classes are taken for numbers: {first}{more}."
    here = {place for place in found if place is not None}
    lacking = [name for place, name in enumerate(class_names) if place not in here]
    foreign = [str(one) for one, place in zip(classes, found, strict=True) if place is None]
    said = [f"none for {_some(lacking)}"] if lacking else []
    said += [f"{_some(foreign)} besides"] if foreign else []
    raise InvalidInputError(
        "The teacher's classes must be those of the data. Received: a teacher with "
        f"{' and '.join(said) or 'a class twice'}. Train it on the same labels, which are "
        f"{_some(list(class_names))}."
    )


class _Restored:
    """Decodes rows and makes them look like raw ones: all columns, in order, of their types."""

    def __init__(self, raw: pd.DataFrame, spec: Spec) -> None:
        if not isinstance(spec, Decodes) or not isinstance(raw, pd.DataFrame):
            raise InvalidInputError(
                "A teacher of raw rows needs a pandas frame of them. Received: "
                f"{type(raw).__name__}. Give rows of `data.x`."
            )
        self._decode = spec.decode
        self._like = raw.iloc[:0]
        decoded = spec.decode(spec.encode(raw))
        self._absent = {
            name: _commonest(raw[name]) for name in raw.columns if name not in decoded.columns
        }
        # What stands for rare categories is a word of ours: the commonest of them takes its place.
        self._rare: dict[Any, tuple[Any, Any]] = {}
        for name in decoded.columns:
            values = decoded[name]
            if values.dtype.kind not in "biufcmM":
                foreign = ~values.isin(raw[name].dropna().unique()) & values.notna()
                words = set(values[foreign].to_numpy())
                if len(words) == 1:
                    where = foreign.to_numpy()
                    self._rare[name] = (words.pop(), _commonest(raw[name][where]))

    def __call__(self, encoded: np.ndarray) -> pd.DataFrame:
        decoded = self._decode(encoded)
        columns: Mapping[Any, Any] = {
            name: self._column(decoded, name, kind) for name, kind in self._like.dtypes.items()
        }
        return pd.DataFrame(columns, index=decoded.index, columns=self._like.columns)

    def _column(self, decoded: pd.DataFrame, name: Any, kind: Any) -> Any:
        if name in self._absent:
            return pd.Series([self._absent[name]] * len(decoded), index=decoded.index, dtype=kind)
        values = decoded[name]
        if name in self._rare:
            word, value = self._rare[name]
            values = values.where(values != word, value)
        try:
            return values.astype(kind)
        except (TypeError, ValueError):
            # Whole numbers where this row misses one: pandas holds them as floats.
            return values


def _commonest(values: pd.Series) -> Any:
    modes = values.mode()
    return modes.iloc[0] if len(modes) else values.iloc[0]


def _form(classifier: Any, spec: Spec) -> str:
    """What the classifier takes: encoded samples, frames, or columns by the names of inputs."""
    if not isinstance(spec, Decodes):
        return "encoded"
    if not isinstance(classifier, keras.Model):
        return "frame"
    shape = input_shape(classifier)
    if shape is not None and tuple(shape) == spec.sample_shape:
        return "encoded"
    return "columns"


def _of_columns(model: keras.Model, frame: pd.DataFrame) -> np.ndarray:
    """Asks a Keras model whose inputs are columns, by their names."""
    columns = {each.name: frame[each.name].to_numpy()[:, None] for each in model.inputs}
    outputs = model(columns, training=False)
    return softmax(np.asarray(logits_of(outputs, output_kind(model))), axis=1)


def _stated_classes(classifier: Any) -> Sequence[Any] | None:
    """The classes that a classifier says it has; AutoGluon calls them `class_labels`."""
    for name in ("classes_", "class_labels"):
        classes = getattr(classifier, name, None)
        if classes is not None and not callable(classes):
            return np.asarray(classes).ravel().tolist()
    return None


def _plain(value: Any) -> Any:
    """1.0 and NumPy's 1 as 1."""
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return int(value)
    return value


def _spellings(value: Any) -> tuple[str, ...]:
    text = str(_plain(value)).strip()
    try:
        number = float(text)
    except ValueError:
        return (text,)
    return (text, str(int(number))) if number.is_integer() else (text, repr(number))


def _numbers_of_truth(value: Any) -> tuple[str, ...]:
    text = _spellings(value)[-1].lower()
    return ({"true": "1", "false": "0"}.get(text, text),)


def _some(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:3])) + (", ..." if len(names) > 3 else "")


def _load_keras(path: Path, allow_unsafe: bool) -> keras.Model:
    check_model_file(path, allow_unsafe=allow_unsafe)
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=not allow_unsafe)
    except Exception as error:
        raise InvalidInputError(
            f"The teacher's file cannot be loaded ({reason_of(error)}). Received: {str(path)!r}. "
            "Register custom layers, or save the model anew."
        ) from None


def _load_pickle(path: Path, allow_unsafe: bool) -> Any:
    if not allow_unsafe:
        raise UnsafeModelError(
            f"A pickle runs code when it is loaded. Received: {str(path)!r}. Save the teacher by "
            "skops.io.dump, or pass --allow-unsafe (allow_unsafe=True) if you made the file."
        )
    try:
        return joblib.load(path)
    except Exception as error:
        raise InvalidInputError(
            f"The teacher's file cannot be loaded ({reason_of(error)}). Received: {str(path)!r}. "
            "Save it anew, with the packages that are installed here."
        ) from None
