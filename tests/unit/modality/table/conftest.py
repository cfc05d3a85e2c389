"""Tables that tests make, and the real ones where they are."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from keras_ganaccel.modality.table.column_file import read_options
from keras_ganaccel.modality.table.fit_table import fit_table
from keras_ganaccel.modality.table.kinds import type_columns
from keras_ganaccel.modality.table.read_table import read_table

REAL = Path(__file__).parents[5] / "shared" / "data" / "tables"
TARGETS = {"adult": "income"}


def _fitted(frame, y=None, **columns):
    """The specification of a frame, and the notes."""
    options = read_options(columns)
    frame = frame.reset_index(drop=True)
    typed, notes = type_columns(frame, options)
    y = np.arange(len(frame)) % 2 if y is None else np.asarray(y)
    names = tuple(f"class {label}" for label in range(int(y.max()) + 1))
    spec, found = fit_table(frame, typed, y, names, target="label", numbers=options.numbers)
    return spec, notes + found


def _real_table(name, rows=500):
    """A real table: its frame and a specification fitted on some of its rows."""
    if not REAL.is_dir():
        pytest.skip("the folder of real tables is not here")
    target = TARGETS.get(name, "class")
    options = read_options(target=target)
    table = read_table(REAL / f"{name}.csv", options)
    y = pd.factorize(table.labels, sort=True)[0]
    chosen = np.random.default_rng(0).permutation(len(y))[:rows]
    typed, _ = type_columns(table.frame, options)
    names = tuple(map(str, range(y.max() + 1)))
    spec, notes = fit_table(table.frame.iloc[chosen], typed, y[chosen], names, target=target)
    return table.frame, spec, notes


def _of_all_kinds(rows=60, seed=0):
    """A frame with a column of each kind, with and without missing values."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "number": rng.normal(100, 20, rows),
            "skewed": rng.exponential(1, rows) ** 3,
            "count": rng.poisson(3, rows),
            "far": 1_700_000_000 + rng.integers(0, 1000, rows),
            "flag": rng.random(rows) < 0.3,
            "word": rng.choice(["yes", "no"], rows),
            "city": rng.choice(["Bern", "Köln", "Łódź"], rows, p=[0.5, 0.3, 0.2]),
            "day": pd.Timestamp("2019-12-30") + pd.to_timedelta(rng.integers(0, 800, rows), "D"),
            "moment": pd.Timestamp("2024-02-28")
            + pd.to_timedelta(rng.integers(0, 10**6, rows), "s"),
        }
    )
    for name in list(frame):
        missing = frame[name].astype(object).where(rng.random(rows) > 0.2)
        frame[f"{name} with gaps"] = missing.infer_objects()
    return frame


@pytest.fixture(scope="session")
def fitted():
    """Fits a frame: `(frame, y=None, **what the file of columns says)`."""
    return _fitted


@pytest.fixture(scope="session")
def of_all_kinds():
    """Makes a frame with a column of each kind: `(rows=60, seed=0)`."""
    return _of_all_kinds


@pytest.fixture(scope="session")
def real_table():
    """Reads and fits a real table, or skips: `(name, rows=500)`."""
    return _real_table
