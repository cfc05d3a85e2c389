"""The errors of the package: one base class, and each also is the builtin that it resembles.

The message is always one line: what was wrong, what was received, what to do. The command line
prints exactly that line and exits with `exit_code`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator


class GanAccelError(Exception):
    """Base class of everything that this package raises on purpose.

    Its text is one printable line, whatever names out of a stranger's file stand in it.

    Example:
        >>> import keras_ganaccel as ga
        >>> try:
        ...     ga.preset("defualt")
        ... except ga.GanAccelError as error:
        ...     print(error)
        Unknown preset. Received: 'defualt'. Did you mean 'default'?
    """

    exit_code = 1

    def __str__(self) -> str:
        line = " ".join(super().__str__().split())
        return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)


class InvalidInputError(GanAccelError, ValueError):
    """An argument, option, array or file does not fit.

    Example:
        >>> import keras_ganaccel as ga
        >>> try:
        ...     config = ga.with_values(ga.preset(), {"pool.generated_fraction": 1.4})
        ... except ValueError as error:  # An InvalidInputError is one.
        ...     print(error)
        `pool.generated_fraction` must be in [0, 1). Received: 1.4. Choose a value inside.
    """

    exit_code = 2


class MissingFileError(InvalidInputError, FileNotFoundError):
    """A file or folder that was named does not exist or cannot be read.

    Example:
        >>> import keras_ganaccel as ga
        >>> try:
        ...     ga.load_config("none.yaml")
        ... except FileNotFoundError as error:
        ...     print(error)
        The configuration cannot be read. Received: 'none.yaml'. Name a YAML file.
    """


class DamagedFileError(InvalidInputError):
    """A file that the package wrote is damaged, or is no longer what was written."""


class UnsafeModelError(InvalidInputError):
    """A model file holds code (a lambda) that would run when it is loaded.

    Example:
        >>> import keras_ganaccel as ga
        >>> import tempfile
        >>> import keras
        >>> import numpy as np
        >>> twice = keras.layers.Lambda(lambda x: 2 * x)
        >>> layers = [keras.Input((8, 8, 1)), twice, keras.layers.Flatten()]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     keras.Sequential(layers).save(f"{folder}/twice.keras")
        ...     try:
        ...         ga.predict(f"{folder}/twice.keras", np.zeros((1, 8, 8, 1), "float32"))
        ...     except ga.UnsafeModelError as error:
        ...         print(str(error).split(". ")[0])
        The model holds code (a lambda) that would run on loading
    """


class MissingExtraError(InvalidInputError, ImportError):
    """An optional dependency is needed and not installed.

    Example:
        >>> import keras_ganaccel as ga
        >>> try:
        ...     raise ga.MissingExtraError("The extra is missing. Received: none. Install it.")
        ... except ImportError as error:
        ...     error.exit_code
        2
    """


class UnsupportedLayerError(InvalidInputError, TypeError):
    """A layer or operation cannot be carried over to another framework or format.

    Example:
        >>> import keras_ganaccel as ga
        >>> import keras
        >>> twice = keras.layers.Lambda(lambda x: 2 * x, name="twice")
        >>> model = keras.Sequential([keras.Input((8, 8, 1)), twice, keras.layers.Flatten()])
        >>> try:
        ...     ga.to_tf_keras(model)
        ... except ga.UnsupportedLayerError as error:
        ...     "twice" in str(error)
        True
    """


class RunFailedError(GanAccelError, RuntimeError):
    """Training or another stage could not be brought to a good end.

    Example:
        >>> import keras_ganaccel as ga
        >>> import tempfile
        >>> import numpy as np
        >>> class Nothing:
        ...     name = "nothing"
        ...     def mask(self, x, y):
        ...         return np.zeros(len(x), bool)
        >>> x, y = np.random.default_rng(0).random((8, 4, 4, 1), np.float32), np.arange(8) % 2
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     options = {"num_classes": 2, "filters": [Nothing()]}
        ...     try:
        ...         ga.write_pool(f"{folder}/pool", ga.Smote.fit(x, y), 4, **options)
        ...     except ga.RunFailedError as error:
        ...         print(str(error).split(". ")[0])
        The filters accept too few samples of class 0
    """


class CheckpointError(GanAccelError, OSError):
    """No usable checkpoint was found where one is needed.

    Example:
        >>> import keras_ganaccel as ga
        >>> import pathlib
        >>> import tempfile
        >>> import numpy as np
        >>> spec = ga.DataSpec(8, 8, 1, ("zero", "one"))
        >>> networks = ga.build_generator(spec, 16, width=8), ga.build_discriminator(spec, width=8)
        >>> gan = ga.ConditionalGAN(*networks, latent_dim=16, num_classes=2)
        >>> x, y = np.zeros((32, 8, 8, 1), np.float32), np.arange(32) % 2
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     written = pathlib.Path(folder, "state-0000000500.ckpt").write_bytes(b"cut off")
        ...     try:
        ...         history = ga.train_gan(gan, x, y, steps=1000, checkpoint_dir=folder)
        ...     except ga.CheckpointError as error:
        ...         print(str(error).split(". ")[0])
        Every checkpoint is damaged
    """

    exit_code = 2


class EquivalenceError(GanAccelError, ArithmeticError):
    """Two models that must compute the same do not.

    Example:
        >>> import keras_ganaccel as ga
        >>> import keras
        >>> import tf_keras
        >>> class Half(keras.layers.Layer):
        ...     def call(self, x):
        ...         return x / 2
        >>> class Same(tf_keras.layers.Layer):
        ...     def call(self, x):
        ...         return x
        >>> ga.register_translator(Half, lambda layer: Same())
        >>> layers = [keras.Input((8, 8, 1)), Half(name="half"), keras.layers.Flatten()]
        >>> try:
        ...     ga.to_tf_keras(keras.Sequential(layers))
        ... except ga.EquivalenceError as error:
        ...     "half" in str(error)
        True
    """


class VerificationError(GanAccelError, AssertionError):
    """An exported artefact does not keep what was promised of it.

    Example:
        >>> import keras_ganaccel as ga
        >>> import pathlib
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     written = pathlib.Path(folder, "student.tflite").write_bytes(b"as it was")
        ...     manifest = ga.write_manifest(folder)
        ...     written = pathlib.Path(folder, "student.tflite").write_bytes(b"as it is not")
        ...     try:
        ...         ga.check_manifest(folder)
        ...     except ga.VerificationError as error:
        ...         print(str(error).split(". ")[1])
        Received: student.tflite has changed
    """


class RunInterrupted(KeyboardInterrupt):
    """A run was stopped by Ctrl-C or by a signal, and can be gone on with.

    Args:
        message: One line with the words that go on with it.
        folder: The run folder.
    """

    def __init__(self, message: str, folder: str) -> None:
        super().__init__(message)
        self.folder = folder


def nearest(name: str, options: Iterable[str]) -> str:
    """Ends an error message with the nearest known name, or with all of them.

    Args:
        name: What was received.
        options: The names that exist.

    Returns:
        A sentence such as ``"Did you mean 'default'?"``.

    Example:
        >>> nearest("defualt", ["quick", "default", "best"])
        "Did you mean 'default'?"
        >>> nearest("zzz", ["quick", "default"])
        "Choose one of 'default', 'quick'."
    """
    known = sorted(options)
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"Did you mean {close[0]!r}?"
    return "Choose one of " + ", ".join(repr(option) for option in known) + "."


def reason_of(error: BaseException, most: int = 200) -> str:
    r"""What somebody else's error says, fit for the middle of a message.

    Args:
        error: The error.
        most: Letters to keep.

    Returns:
        Its text in one line; its class where it says nothing.

    Example:
        >>> reason_of(ValueError("no such\n  file")), reason_of(NotImplementedError())
        ('no such file', 'NotImplementedError')
    """
    return " ".join(str(error).split())[:most] or type(error).__name__


def chain_of(error: BaseException) -> Iterator[BaseException]:
    """Yields an error and those that led to it, the newest first."""
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        following = following.__cause__ or following.__context__
