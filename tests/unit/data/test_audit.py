import numpy as np

from keras_ganaccel.data.audit import audit
from keras_ganaccel.data.rows import row_keys
from keras_ganaccel.data.split import Splits, make_splits


def clean(rows=120, classes=2):
    x = np.random.default_rng(0).random((rows, 4, 4, 1))
    return x, np.arange(rows) % classes


def test_clean_data_raise_no_warning():
    x, y = clean()
    found = audit(y, make_splits(y), row_keys(x), class_names=("a", "b"))
    assert found.warnings == ()
    assert found.rows == 120
    assert np.sum(list(found.class_counts.values()), axis=0).tolist() == [60, 60]
    assert (found.duplicates_across_splits, found.duplicates_removed) == (0, 0)


def test_imbalance_and_tiny_and_missing_classes_are_named():
    x, _ = clean()
    y = np.zeros(120, int)
    y[:3] = 1
    splits = Splits(np.arange(0, 60), np.arange(60, 80), np.arange(80, 120))
    warnings = audit(y, splits, row_keys(x), class_names=("cat", "dog")).warnings
    assert "Classes are imbalanced: 57 training samples of 'cat', 3 of 'dog'." in warnings
    assert "Fewer than 10 training samples: 'dog'." in warnings
    assert "No validation sample: 'dog'." in warnings
    assert "No test sample: 'dog'." in warnings


def test_duplicates_and_conflicts_are_counted():
    x, y = clean()
    x[1] = x[0]  # a repeated training sample, with another label
    x[70] = x[100]  # validation equals test
    splits = Splits(np.arange(0, 60), np.arange(60, 80), np.arange(81, 120), np.array([80]))
    found = audit(y, splits, row_keys(x), unlabelled=7, unlabelled_removed=2)
    assert found.duplicates_removed == 3
    assert found.duplicates_across_splits == 4
    assert found.unlabelled == 7
    assert found.warnings == (
        "3 samples equal a validation or test sample and were taken out of training.",
        "1 validation samples equal a test sample.",
        "1 training samples repeat another one.",
        "1 samples occur with different labels.",
    )


def test_findings_and_skipped_files_are_told_with_the_rest():
    x, y = clean()
    found = audit(
        y,
        make_splits(y),
        row_keys(x),
        findings=("1 samples are almost constant.",),
        skipped=("a.png",),
        notes=("First.",),
    )
    assert found.warnings == (
        "First.",
        "Files that could not be read: 1. Left out.",
        "1 samples are almost constant.",
    )
    assert found.skipped == ("a.png",)
