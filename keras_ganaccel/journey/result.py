"""What `accelerate` returns."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from keras_ganaccel.report.ledger import Ledger
from keras_ganaccel.rundir import RunFolder

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class AccelerationResult:
    """A finished run. In a notebook it shows its ledger and sample grid.

    Args:
        folder: The run folder.

    Example:
        >>> import keras_ganaccel as ga
        >>> import pathlib
        >>> result = ga.AccelerationResult(pathlib.Path("saved_models/digits"))
        >>> result.ledger.stage("student_int8")["format"]
        'int8'
    """

    folder: Path

    @cached_property
    def ledger(self) -> Ledger:
        """Every figure of the run."""
        return Ledger.load(self.folder / "ledger.json")

    @cached_property
    def student(self) -> keras.Model:
        """The trained student, a Keras 3 model (float32, before compression)."""
        from keras_ganaccel.journey.user_model import load_model

        allow_unsafe = RunFolder(self.folder).config.model.allow_unsafe
        return load_model(self.folder / "artifacts" / "student.keras", allow_unsafe=allow_unsafe)

    @cached_property
    def artifacts(self) -> dict[str, Path]:
        """The delivered files by name without ending, such as ``"student_int8"``."""
        folder = self.folder / "artifacts"
        files = sorted(path for path in folder.glob("*") if path.name != "manifest.json")
        return {path.name.partition(".")[0]: path for path in files}

    @property
    def report(self) -> Path:
        """The report, one HTML file."""
        return self.folder / "report.html"

    def publish(self, name: str, root: str | os.PathLike[str] = "saved_models") -> Path:
        """Copies what is deployed, with ledger and manifest, to ``root/name``.

        Returns:
            The new folder.
        """
        from keras_ganaccel.journey.publish import publish

        return publish(self.folder, Path(root) / name)

    def __repr__(self) -> str:
        return f"AccelerationResult({str(self.folder)!r})\n{self.ledger!r}"

    def _repr_html_(self) -> str:
        from keras_ganaccel.report.html import samples_html

        return self.ledger._repr_html_() + samples_html(self.folder)
