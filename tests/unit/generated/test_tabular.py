"""Rows that sources make: valid column by column, and distributed as they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import keras_ganaccel as ga

NAMES = ("noise", "spunge", "munge", "donors", "smote_nc", "class_gaussian")
# Two numbers, the second of which may be missing; a category of three values.
LAYOUT = ga.RowLayout(columns=((0,), (1, 2), (3, 4, 5)), numbers=(0, 1))


@pytest.fixture(scope="module")
def table() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    y = np.arange(120) % 3
    numbers = generator.normal(size=(120, 2)) + y[:, None]
    missing = generator.random(120) < 0.2
    numbers[missing, 1] = 0.25
    span = np.eye(3)[(y + (generator.random(120) < 0.3)) % 3]
    return np.column_stack([numbers, missing, span]).astype(np.float32), y


def make(name: str, table: Any, **options: Any) -> Any:
    return ga.make_source(name, x=table[0], y=table[1], layout=LAYOUT, **options)


@pytest.mark.parametrize("name", NAMES)
def test_every_row_is_valid(name: str, table: Any) -> None:
    x, _ = table
    rows = make(name, table).sample(np.arange(300) % 3, 0)
    assert rows.shape == (300, 6)
    assert rows.dtype == np.float32
    assert set(np.unique(rows[:, 2:])) <= {0.0, 1.0}
    np.testing.assert_array_equal(rows[:, 3:].sum(axis=1), 1.0)
    assert (rows[:, :2] >= x[:, :2].min(axis=0)).all()
    assert (rows[:, :2] <= x[:, :2].max(axis=0)).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_depends_on_its_number_and_label_alone(name: str, table: Any) -> None:
    source, labels = make(name, table), np.arange(70) % 3
    whole = source.sample(labels, 40)
    parts = [source.sample(labels[a:b], 40 + a) for a, b in ((0, 1), (1, 33), (33, 70))]
    np.testing.assert_array_equal(whole, np.concatenate(parts))
    assert not np.array_equal(whole, make(name, table, seed=1).sample(labels, 40))
    assert source.describe() == make(name, table).describe()
    assert source.describe() != make(name, table, seed=1).describe()


@pytest.mark.parametrize("name", NAMES)
def test_labels_that_no_row_has_are_refused(name: str, table: Any) -> None:
    with pytest.raises(ga.errors.InvalidInputError, match="no sample of some classes"):
        make(name, table).sample(np.array([0, 7]), 0)
    assert make(name, table).sample(np.array([-1, -1]), 0).shape == (2, 6)


def test_columns_that_are_taken_over_come_whole(table: Any) -> None:
    x, _ = table
    for name in ("spunge", "donors"):
        rows = make(name, table).sample(np.full(200, -1), 0)
        for column in LAYOUT.columns:
            places = list(column)
            real = {tuple(row) for row in x[:, places].tolist()}
            assert {tuple(row) for row in rows[:, places].tolist()} <= real


def test_spunge_draws_the_share_of_columns_anew() -> None:
    x = np.arange(400, dtype=np.float32).reshape(100, 4)
    rows = ga.Spunge.fit(x, np.zeros(100, int), share=0.3).sample(np.zeros(4000, int), 0)
    owners = (rows // 4).astype(int)
    # The base row is that of most columns; a column drawn anew hits it once in a hundred.
    base = np.array([np.bincount(row).argmax() for row in owners])
    clear = np.array([np.bincount(row).max() > 2 for row in owners])
    anew = (owners[clear] != base[clear, None]).mean()
    share = 0.3 * 0.99
    k = np.arange(2)
    chances = np.array([(1 - share) ** 4, 4 * share * (1 - share) ** 3])
    assert anew == pytest.approx(float((k / 4 * chances).sum() / chances.sum()), abs=0.015)


def test_noise_has_the_scale_of_the_columns() -> None:
    # Two far rows give the columns their ends; all others are zero.
    x = np.zeros((100, 2), np.float32)
    x[:2] = [[-10, -100], [10, 100]]
    rows = ga.NoisyRows.fit(x, np.zeros(100, int), scale=0.5).sample(np.zeros(20_000, int), 0)
    around_zero = rows[np.abs(rows[:, 0]) < 5]
    assert len(around_zero) == pytest.approx(19_600, abs=80)
    np.testing.assert_allclose(around_zero.mean(axis=0) / x.std(axis=0), 0.0, atol=0.02)
    np.testing.assert_allclose(around_zero.std(axis=0), 0.5 * x.std(axis=0), rtol=0.02)
    assert abs(np.corrcoef(around_zero.T)[0, 1]) < 0.03


def test_munge_is_spread_around_the_neighbour() -> None:
    x = np.array([[0.0], [1.0], [100.0], [103.0], [-1000.0], [1000.0]])
    rows = ga.Munge.fit(x, np.array([0, 0, 1, 1, 2, 3]), share=1.0, variance=2.0).sample(
        np.ones(4000, int), 0
    )
    assert rows.mean() == pytest.approx(101.5, abs=0.15)
    # Half around each of two places three apart, with a standard deviation of 3 / 2.
    assert rows.std() == pytest.approx(np.hypot(1.5, 1.5), abs=0.1)


def test_donors_are_near_in_the_columns_that_stay() -> None:
    generator = np.random.default_rng(2)
    first = generator.random(300)
    x = np.column_stack([first, first, first]).astype(np.float32)
    rows = ga.DonorRows.fit(x, np.zeros(300, int), neighbours=3).sample(np.zeros(500, int), 0)
    # All columns are equal in the data, so what is taken over must be nearly equal, too.
    assert np.ptp(rows, axis=1).max() < 0.06
    assert (np.ptp(rows, axis=1) > 0).mean() > 0.5


def test_smote_nc_lies_between_rows_of_a_class(table: Any) -> None:
    x, y = table
    source = make("smote_nc", table)
    labels = np.arange(200) % 3
    rows = source.sample(labels, 0)
    for label in range(3):
        own = x[y == label][:, :2]
        made = rows[labels == label][:, :2]
        # On a line between two rows of the class: the two distances add up to theirs.
        to_rows = np.linalg.norm(made[:, None] - own, axis=2)
        between = to_rows[:, :, None] + to_rows[:, None, :]
        apart = np.linalg.norm(own[:, None] - own, axis=2)
        assert np.abs(between - apart).min(axis=(1, 2)).max() < 1e-5


def test_a_lone_row_of_a_class_is_its_own_neighbour() -> None:
    x, y = np.array([[0.0, 1.0], [5.0, 5.0], [6.0, 6.0]]), np.array([0, 1, 1])
    rows = ga.SmoteNC.fit(x, y).sample(np.zeros(5, int), 0)
    np.testing.assert_array_equal(rows, np.tile([[0.0, 1.0]], (5, 1)))


def test_the_class_gaussian_has_the_moments_of_the_class() -> None:
    generator = np.random.default_rng(3)
    factor = np.array([[1.0, 0.0], [0.8, 0.6]])
    x = generator.normal(size=(2000, 2)) @ factor.T + [3.0, -1.0]
    source = ga.ClassGaussian.fit(x, np.zeros(2000, int), shrinkage=0.0)
    rows = source.sample(np.zeros(20_000, int), 0)
    np.testing.assert_allclose(rows.mean(axis=0), x.mean(axis=0), atol=0.03)
    np.testing.assert_allclose(np.cov(rows.T), np.cov(x.T), atol=0.05)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (ga.NoisyRows, {"scale": 0.0}, "`scale` must be above 0"),
        (ga.Spunge, {"share": 1.5}, r"`share` must be in \(0, 1\]"),
        (ga.Munge, {"variance": 0.0}, "`variance` must be above 0"),
        (ga.DonorRows, {"shares": (0.5, 0.1)}, "two rising shares"),
        (ga.SmoteNC, {"k": 0}, "`k` must be at least 1"),
        (ga.ClassGaussian, {"shrinkage": 2.0}, r"`shrinkage` must be in \[0, 1\]"),
        (ga.Spunge, {"layout": ga.RowLayout.of_numbers(2)}, "The layout must fit the rows"),
    ],
)
def test_options_out_of_range_are_refused(kind: Any, options: Any, message: str) -> None:
    with pytest.raises(ga.errors.InvalidInputError, match=message):
        kind.fit(np.zeros((4, 3)), np.arange(4) % 2, **options)


def test_samples_that_are_no_rows_are_refused() -> None:
    with pytest.raises(ga.errors.InvalidInputError, match="needs rows"):
        ga.Spunge.fit(np.zeros((4, 8, 8, 1)), np.arange(4) % 2)
    with pytest.raises(ga.errors.InvalidInputError, match="must belong to one column"):
        ga.RowLayout(columns=((0,), (0, 1)), numbers=(0,))
