"""Scores of generated tables, against SDMetrics and closed forms."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import keras_ganaccel as ga


def frame(
    generator: np.random.Generator, n: int, shift: float, shares: list[float]
) -> pd.DataFrame:
    a = generator.normal(shift, 1, n)
    b = 0.6 * a + generator.normal(size=n) * (1 + shift)
    c = generator.choice(list("uvwx"), n, p=shares)
    d = np.where(generator.random(n) < 0.3, "p", "q")
    made = pd.DataFrame({"a": np.round(a, 3), "b": np.round(b, 3), "c": c, "d": d})
    made.loc[::7, "b"] = np.nan
    return made


@pytest.fixture(scope="module")
def tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    generator = np.random.default_rng(5)
    real = frame(generator, 60, 0, [0.4, 0.3, 0.2, 0.1])
    generated = frame(generator, 50, 0.5, [0.1, 0.5, 0.4, 0])
    generated.loc[3, "c"] = "new"
    return real, generated


def test_the_scores_are_those_of_sdmetrics(tables: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    # SDMetrics 0.32.0 on the same two frames.
    expected = {
        "a": (0.5333333333333333, 0.9234762979683974, 1.0),
        "b": (0.8011204481792717, 1.0, 0.7857142857142857),
        "c": (0.6666666738888887, 0.75, 0.98),
        "d": (0.98, 1.0, 1.0),
    }
    of_pairs = {
        ("a", "b"): 0.9368734902173944,
        ("c", "d"): 0.6666666666666666,
        ("a", "c"): 0.4966666666666666,
    }
    scores = ga.table_scores(*tables)
    for column in scores.columns:
        found = (column.shape, column.coverage, column.adherence)
        assert found == pytest.approx(expected[column.name], abs=1e-7)
    found_pairs = {pair.names: pair.score for pair in scores.pairs}
    assert len(found_pairs) == 6
    for names, score in of_pairs.items():
        assert found_pairs[names] == pytest.approx(score, abs=1e-12)
    assert scores.mean_shape == pytest.approx(np.mean([row[0] for row in expected.values()]))


def test_a_table_is_like_itself_and_a_far_one_unlike(
    tables: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    real, _ = tables
    same = ga.table_scores(real, real)
    assert all((c.shape, c.coverage, c.adherence) == (1.0, 1.0, 1.0) for c in same.columns)
    assert same.mean_pair == pytest.approx(1.0)
    far = real.assign(a=real.a + 100, c="z")
    scores = {column.name: column for column in ga.table_scores(real, far).columns}
    assert (scores["a"].shape, scores["a"].coverage, scores["a"].adherence) == (0.0, 0.0, 0.0)
    assert (scores["c"].shape, scores["c"].coverage, scores["c"].adherence) == (0.0, 0.0, 0.0)


def test_columns_that_shuffling_tears_apart_score_less(
    tables: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    generator = np.random.default_rng(0)
    half = generator.exponential(size=2000)
    a = np.concatenate([half, -half])  # the fifth of the ten bins ends where c changes
    real = pd.DataFrame({"a": a, "b": -a, "c": np.where(a > 0, "x", "y")})
    torn = real.apply(lambda column: generator.permutation(column))
    scores = {pair.names: pair.score for pair in ga.table_scores(real, torn).pairs}
    assert all(column.shape == 1.0 for column in ga.table_scores(real, torn).columns)
    assert scores["a", "b"] == pytest.approx(0.5, abs=0.03)
    # Of two halves that go together wholly, half of the mass is elsewhere.
    assert scores["a", "c"] == pytest.approx(0.5, abs=0.03)


def test_columns_without_spread_and_categories_that_are_numbers() -> None:
    real = pd.DataFrame({"one": [1.0, 1.0, 1.0, 1.0], "code": [1, 1, 2, 3]})
    generated = pd.DataFrame({"one": [1.0, 2.0], "code": [1, 9]})
    scores = ga.table_scores(real, generated, categories=["code"])
    assert scores.columns[0].coverage == 1.0
    assert scores.columns[0].adherence == 0.5
    assert scores.columns[1] == ga.ColumnScores("code", 0.5, pytest.approx(1 / 3), 0.5)
    both = ga.table_scores(real, generated)
    # A column without spread correlates with nothing, two generated rows wholly.
    assert both.pairs[0].score == pytest.approx(0.5)


def test_tables_that_cannot_be_compared_are_refused() -> None:
    real = pd.DataFrame({"a": [1.0, 2.0]})
    with pytest.raises(ga.errors.InvalidInputError, match="the same columns"):
        ga.table_scores(real, pd.DataFrame({"b": [1.0]}))
    with pytest.raises(ga.errors.InvalidInputError, match="must hold values"):
        ga.table_scores(real, pd.DataFrame({"a": [np.nan]}))
