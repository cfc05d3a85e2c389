"""The whole journey in one call: from labelled data to a verified TFLite file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_ganaccel.config import GanConfig, ReuseConfig, RunConfig, preset, with_values
from keras_ganaccel.data.labelled import LabelledData
from keras_ganaccel.data.spec import Spec
from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.integrity import Loss
from keras_ganaccel.journey.budget import fitted, for_modality
from keras_ganaccel.journey.progress import Progress, Silent, make_progress
from keras_ganaccel.journey.result import AccelerationResult
from keras_ganaccel.journey.user_model import check_model_file, check_student, load_model
from keras_ganaccel.modality.load import load_configured
from keras_ganaccel.paths import MEMORY
from keras_ganaccel.rundir import RunFolder, check_out_folder, save_splits

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


def accelerate(
    model: keras.Model | str | os.PathLike[str] | None = None,
    data: LabelledData
    | str
    | os.PathLike[str]
    | Sequence[Any]
    | Mapping[str, Any]
    | tf.data.Dataset
    | None = None,
    config: RunConfig | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
    resume: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    profile: bool = False,
    only: Sequence[str] | None = None,
) -> AccelerationResult:
    """Trains, distils, compresses, exports and verifies a small classifier.

    Args:
        model: Your own Keras 3 classifier or a `.keras` file, which keeps its weights and is
            fine-tuned; None takes our own student. The model handed in is not changed.
        data: What `load_data` takes or returns: a `LabelledData`, a source such as ``"digits"``
            or a path, arrays ``(x, y)`` or ``(x_train, y_train, x_test, y_test)``, a mapping of
            them, or a finite `tf.data.Dataset`; None takes `config.data.source`.
        config: All settings; the default preset if None.
        out: The run folder to make; a new one under ``runs/`` if None.
        resume: An earlier run folder to go on with. Its configuration is kept; hand in `model`
            and `data` again if they were objects in memory.
        progress: What is told how far the run is; by default a display that fits the terminal or
            notebook.
        profile: Write a TensorFlow profile of the run to ``profile/`` in its folder.
        only: The stages to do, such as ``("data", "gan")``; None does them all.

    Returns:
        The result: `.ledger`, `.student`, `.artifacts`, `.report`.

    Raises:
        InvalidInputError: The data, the model or the settings do not fit; nothing is written.
        RunFailedError: A stage could not be brought to a good end.

    Example:
        >>> import keras_ganaccel as ga
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:  # doctest: +ELLIPSIS
        ...     options = {"config": ga.preset("quick"), "out": f"{folder}/run", "only": ["data"]}
        ...     result = ga.accelerate(data="digits", **options)
        ...     (result.folder / "splits.npz").is_file()
        [1/1] data ... 10 classes, 8x8x1, 1005 to train on, 252 to validate, 540 to test
        True
    """
    earlier = None if resume is None else _reopen(resume, config, out)
    loss = None if earlier is None else earlier.check()
    if earlier is not None and earlier.finished and loss is None:
        return AccelerationResult(earlier.path)
    settings = resolve(config or preset(), model, data) if earlier is None else earlier.config
    if out is not None and settings.strategy != "multiworker":
        check_out_folder(out)
    if earlier is None:
        _check_apart(settings.data.source, Path("runs") if out is None else out)
    loaded = load_for_run(settings, data)
    if earlier is not None:
        _check_same_data(earlier, loaded)
    else:
        settings = fitted_to(settings, loaded)
    strategy, network = _start(settings, loaded, model)
    assumed = None
    if network is not None and earlier is None:
        settings, assumed = _with_assumptions(settings, network, loaded)

    from keras_ganaccel.distribution import is_chief
    from keras_ganaccel.journey.context import Journey
    from keras_ganaccel.journey.work import travel
    from keras_ganaccel.journey.workers import folder_of_worker

    progress = (progress or make_progress()) if is_chief(strategy) else Silent()
    with ExitStack() as block:

        def chiefs_folder() -> RunFolder:
            run = earlier or _create(out, loaded, settings)
            block.enter_context(run.held())
            if earlier is not None:
                for note in _restored(earlier, loaded, loss):
                    progress.note(note)
            return run

        run = folder_of_worker(strategy, chiefs_folder)
        if assumed is not None:
            progress.note(assumed)
        block.enter_context(_profiler(run.path / "profile" if profile else None))
        return travel(Journey(run, loaded, strategy, progress, network), only)


def resolve(config: RunConfig, model: Any, data: Any) -> RunConfig:
    """Writes into the configuration where model and data come from.

    Args:
        config: The settings.
        model: As `accelerate` takes it.
        data: As `accelerate` takes it.

    Returns:
        The configuration that the run folder keeps; what lies in memory is named ``"memory"``.
    """
    values: dict[str, Any] = {}
    if isinstance(data, (str, os.PathLike)):
        values["data.source"] = os.fspath(data)
    elif data is not None:
        values["data.source"] = MEMORY
    if isinstance(model, (str, os.PathLike)):
        values["model.path"] = os.fspath(model)
    elif model is not None:
        values["model.path"] = MEMORY
    return with_values(config, values)


def load_for_run(config: RunConfig, data: Any = None) -> LabelledData:
    """Loads the data of a run, without importing TensorFlow where its source allows that.

    Args:
        config: The resolved configuration.
        data: What lies in memory, where the configuration says so.

    Raises:
        InvalidInputError: The data cannot be used, or are not at hand.
    """
    if isinstance(data, LabelledData):
        return data
    in_memory = config.data.source == MEMORY
    if in_memory and data is None:
        raise InvalidInputError(
            "The run was started on arrays in memory. Received: no data. "
            "Resume it from Python: accelerate(data=..., resume=...)."
        )
    return load_configured(config.data, config.seed, data if in_memory else None)


def fitted_to(config: RunConfig, data: LabelledData) -> RunConfig:
    """Fills in what the configuration leaves to the data; see `journey.budget.fitted`."""
    config = for_modality(config, data.spec.modality)
    return fitted(config, len(data.splits.train), len(data.spec.class_names))


def _reopen(
    folder: str | os.PathLike[str], config: RunConfig | None, out: str | os.PathLike[str] | None
) -> RunFolder:
    if config is not None or out is not None:
        raise InvalidInputError(
            "A resumed run keeps its configuration and folder. Received: `resume` together with "
            "`config` or `out`. Leave those out."
        )
    return RunFolder(folder)


def _split_rows(data: LabelledData) -> dict[str, np.ndarray]:
    return {name: getattr(data.splits, name) for name in ("train", "validation", "test")}


def _check_apart(source: str, out: str | os.PathLike[str]) -> None:
    """Refuses to write into the data folder: what is written would be taken for data later."""
    folder, place = os.path.realpath(os.path.expanduser(source)), os.path.realpath(out)
    if source and os.path.isdir(folder) and Path(place).is_relative_to(folder):
        raise InvalidInputError(
            f"The out folder must not lie in the data folder. Received: {os.fspath(out)!r} in "
            f"{source!r}. Choose another by --out: a run in there would be read as a class."
        )


def _create(out: str | os.PathLike[str] | None, data: LabelledData, config: RunConfig) -> RunFolder:
    def make(path: str | os.PathLike[str]) -> RunFolder:
        return RunFolder.create(path, config, lambda folder: save_splits(folder, _split_rows(data)))

    if out is not None:
        return make(out)
    while True:
        path = _new_folder(data.name, config)
        try:
            return make(path)
        except InvalidInputError:
            # Another run, started at the same time, may have taken the name.
            if not path.exists():
                raise


def _restored(run: RunFolder, data: LabelledData, loss: Loss | None) -> Iterator[str]:
    """Makes a run fit to go on, and tells what there is to say of that."""
    remark = run.other_surroundings()
    run.restore(_split_rows(data), loss)
    if remark is not None:
        yield remark
    if loss is not None:
        yield f"Missing: {loss.missing}. These stages are done again: {', '.join(loss.stages)}."


def _check_same_data(run: RunFolder, data: LabelledData) -> None:
    record = run.record("data")
    if not run.has_splits(_split_rows(data)) or (
        record is not None and record["fingerprint"] != data.fingerprint()
    ):
        raise InvalidInputError(
            f"The data are not those that the run began with. Received: {data.name!r}. "
            "Restore them, or start a new run."
        )


def _load_user_model(config: RunConfig, model: Any) -> keras.Model | None:
    path = config.model.path
    if path is None:
        return None
    if path == MEMORY:
        if model is None:
            raise InvalidInputError(
                "The run was started on a model in memory. Received: no model. "
                "Resume it from Python: accelerate(model, resume=...)."
            )
        return model
    return load_model(path, allow_unsafe=config.model.allow_unsafe)


def _start(
    config: RunConfig, data: LabelledData, model: Any
) -> tuple[tf.distribute.Strategy, keras.Model | None]:
    """Starts TensorFlow's devices, and refuses what only Keras can tell to be wrong."""
    from keras_ganaccel.classifier.outputs import check_model_fits
    from keras_ganaccel.distribution import make_strategy
    from keras_ganaccel.journey.names import check_names

    # First of all: anything that makes a variable starts the devices as they are.
    strategy = make_strategy(config.strategy)
    check_names(config)
    network = _load_user_model(config, model)
    if network is not None:
        check_model_fits(network, data.spec)
        check_student(network, config)
    _check_reuse(config.reuse, data.spec)
    check_first_networks(config.gan)
    if config.reuse.generator is not None and "discriminator" in config.pool.filters:
        raise InvalidInputError(
            "The filter 'discriminator' needs the discriminator of the same training. "
            "Received: a generator of another run. Leave the filter out."
        )
    return strategy, network


def _with_assumptions(
    config: RunConfig, network: keras.Model, data: LabelledData
) -> tuple[RunConfig, str]:
    """Writes into the configuration what the user's model takes, and says so in one line."""
    from keras_ganaccel.classifier.assumptions import assume_on

    found = assume_on(
        network,
        data,
        input_range=config.model.input_range,
        from_logits=config.model.from_logits,
    )
    return with_values(config, {"model.input_range": found.input_range}), found.sentence


def check_first_networks(gan: GanConfig) -> None:
    """Refuses a run without networks that training is to start from, before anything is trained.

    Raises:
        InvalidInputError: There are none, or they cannot be loaded.
    """
    if gan.enabled and gan.init_from is not None:
        for name in ("generator.keras", "discriminator.keras"):
            check_model_file(Path(gan.init_from) / "artifacts" / name)


def _check_reuse(reuse: ReuseConfig, spec: Spec) -> None:
    """Refuses a generator or a pool of an earlier run that was made for other data."""
    from keras_ganaccel.gan.trained import TrainedGenerator
    from keras_ganaccel.generated.pool import read_facts

    shapes = {}
    if reuse.generator is not None:
        shapes["generator"] = TrainedGenerator.load(reuse.generator, spec.num_classes).sample_shape
    if reuse.pool is not None:
        shapes["pool"] = tuple(read_facts(reuse.pool).shape)
    for name, shape in shapes.items():
        if shape != spec.sample_shape:
            raise InvalidInputError(
                f"The {name} does not fit the data. Received: samples {shape} for data "
                f"{spec.sample_shape}. Name one that was made for such data."
            )


def _new_folder(name: str, config: RunConfig) -> Path:
    stem = f"{name}-{config.preset}-seed{config.seed}"
    number = 1
    while (path := Path("runs") / (stem if number == 1 else f"{stem}-{number}")).exists():
        number += 1
    return path


@contextmanager
def _profiler(folder: Path | None) -> Iterator[None]:
    if folder is None:
        yield
        return
    import tensorflow as tf

    tf.profiler.experimental.start(str(folder))
    try:
        yield
    finally:
        tf.profiler.experimental.stop()
