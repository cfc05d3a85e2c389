"""Estimators in files that run no code when they are read: skops' format, and never a pickle."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import skops.io

from keras_ganaccel.errors import InvalidInputError, MissingFileError, UnsafeModelError, reason_of
from keras_ganaccel.files import atomic_save

#: What scikit-learn's own estimators are made of beyond what skops itself trusts, and our own.
#: They hold numbers and names, or compute; none reads files, writes them, or calls what is not
#: trusted itself.
TRUSTED = frozenset(
    {
        "collections.OrderedDict",
        "functools.partial",
        "keras_ganaccel.classifier.kernel_machine.KernelMachine",
        "keras_ganaccel.classifier.shallow.ShallowTeacher",
        "numpy.dtype",
        "numpy.number",
        "scipy._lib.array_api_compat.numpy._aliases.asarray",
        "scipy.interpolate._bsplines.BSpline",
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.calibration._TemperatureScaling",
        "sklearn.compose._column_transformer.make_column_selector",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.feature_selection._univariate_selection.chi2",
        "sklearn.feature_selection._univariate_selection.f_classif",
        "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
        "sklearn.gaussian_process.kernels.ConstantKernel",
        "sklearn.gaussian_process.kernels.Product",
        "sklearn.gaussian_process.kernels.RBF",
        "sklearn.metrics._scorer._PassthroughScorer",
        "sklearn.model_selection._split.StratifiedKFold",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        "sklearn.tree._tree.Tree",
        "sklearn.utils._bunch.Bunch",
        "sklearn.utils.validation.check_array",
    }
)


def save_estimator(path: str | os.PathLike[str], estimator: Any) -> None:
    """Writes an estimator, atomically, in a file that `load_estimator` reads.

    Args:
        path: The file. Its folder must exist.
        estimator: Of scikit-learn, of a package in its manner, or of a class in a module.

    Raises:
        InvalidInputError: It holds what cannot be written without code, such as a lambda.
    """

    def write(file: Path) -> None:
        skops.io.dump(estimator, file)
        # These are written by their names, under which nobody would find them again.
        hidden = [name for name in skops.io.get_untrusted_types(file=file) if "<" in name]
        if hidden:
            raise ValueError(f"it holds {', '.join(hidden)}")

    try:
        atomic_save(path, write)
    except OSError:
        raise
    # What an estimator is made of, and so what its parts raise, is unknown.
    except Exception as error:
        raise InvalidInputError(
            f"An estimator cannot be saved by skops. Received: {type(estimator).__name__} "
            f"({reason_of(error, 120)}). Use classes and functions of modules."
        ) from None


def load_estimator(
    path: str | os.PathLike[str], *, trusted: Collection[str] = (), trust_all: bool = False
) -> Any:
    """Reads an estimator that skops wrote, and refuses types that nobody trusts.

    Args:
        path: The file.
        trusted: Full names of types to trust beside scikit-learn's and those of skops' own list.
        trust_all: Trust whatever the file holds: only for files that you made.

    Returns:
        The estimator.

    Raises:
        MissingFileError: The file cannot be read.
        UnsafeModelError: It holds other types; they are named.
        InvalidInputError: It is no such file, or needs packages that are not here.
    """
    path = Path(path)
    if not path.is_file() or not os.access(path, os.R_OK):
        raise MissingFileError(
            f"The estimator's file cannot be read. Received: {str(path)!r}. Name a file that "
            "skops.io.dump wrote."
        )
    try:
        found = skops.io.get_untrusted_types(file=path)
        unknown = [] if trust_all else sorted(set(found) - TRUSTED - set(trusted))
        if not unknown:
            return skops.io.load(path, trusted=found)
    # A damaged or foreign file raises nearly anything.
    except Exception as error:
        kind = "" if zipfile.is_zipfile(path) else "it is no zip archive; "
        raise InvalidInputError(
            f"The estimator cannot be read ({kind}{reason_of(error, 160)}). Received: "
            f"{str(path)!r}. Save it by skops.io.dump, with the packages that are installed here."
        ) from None
    raise UnsafeModelError(
        f"The file holds types that are not trusted: {', '.join(unknown)}. Received: "
        f"{str(path)!r}. If you know where it comes from, name them by --trust "
        f"{','.join(unknown)} (trusted=...)."
    )
