import dataclasses

import numpy as np
import pytest

from keras_ganaccel.classifier.build import build_classifier
from keras_ganaccel.classifier.recipe import Recipe
from keras_ganaccel.gate.arms import Arm
from keras_ganaccel.gate.compare import PairedComparison, num_folds, paired_rows
from keras_ganaccel.gate.decide import utility_gate
from keras_ganaccel.generated.candidates import Pool
from keras_ganaccel.modality.image.spec import DataSpec

pytestmark = pytest.mark.train

RECIPE = Recipe(steps=6, batch_size=8, augmentation=("shift",), transfer_size=40)


@pytest.fixture
def student():
    return build_classifier(DataSpec(8, 16, 1, ("left", "right")), "mlp", dropout=0.2)


def test_folds_hold_out_every_row_once_per_repetition():
    y = np.repeat([0, 1, 2], [7, 12, 9])
    assert num_folds(y, 5) == 5
    assert num_folds(y, 50) == 7
    assert num_folds(np.repeat([0, 1], 500), 50) == 10
    for repetition in (0, 1):
        held_out = [paired_rows(y, 5 * repetition + fold, 5, seed=3)[1] for fold in range(5)]
        np.testing.assert_array_equal(np.sort(np.concatenate(held_out)), np.arange(28))
    first, second = (paired_rows(y, pair, 5, seed=3)[1] for pair in (0, 5))
    assert not np.array_equal(first, second)
    training, held_out = paired_rows(y, 2, 5, seed=3)
    assert not set(training) & set(held_out)
    assert set(y[training]) == {0, 1, 2}


def test_nothing_that_is_held_out_reaches_teacher_pool_or_filter(student, larger_digit):
    x, y = larger_digit.x[:40].copy(), larger_digit.y[:40]
    x[:, 0, 0, 0] = np.linspace(0, 1, 40)  # a mark that tells every row
    seen = {"teacher": [], "source": []}

    def teacher(x, y, seed):
        seen["teacher"].append({float(mark) for mark in x[:, 0, 0, 0]})
        return larger_digit.teacher

    def source(x, y, seed):
        seen["source"].append({float(mark) for mark in x[:, 0, 0, 0]})
        return Pool(x, y)

    comparison = PairedComparison(
        student, teacher, x, y, num_classes=2, recipe=RECIPE, pairs=5, seed=0
    )
    for pair in range(5):
        comparison.arm_score(Arm("fitted", source, 0.5), pair)
        comparison.teacher_score(pair)
    for kind in seen.values():
        assert len(kind) == 5  # one teacher for all that a pair measures
        for pair, marks in enumerate(kind):
            training, held_out = paired_rows(y, pair, 5, seed=0)
            assert marks == {float(mark) for mark in x[training, 0, 0, 0]}
            assert not marks & {float(mark) for mark in x[held_out, 0, 0, 0]}


class StoppedError(Exception):
    """What a killed process looks like from inside."""


def _scores(result):
    return [
        (each.arm.name, each.dropped, [dataclasses.replace(s, seconds=0) for s in each.scores])
        for each in result.arms
    ]


def test_a_killed_gate_goes_on_to_the_same_result(student, larger_digit, tmp_path):
    pool = Pool(larger_digit.withheld[:50], np.full(50, -1))
    arms = [Arm("one", pool, 0.5), Arm("two", pool, 0.3, schedule="generated_first")]

    def run(state, stop_after=None, progress=None):
        def count(done, total, text):
            if stop_after is not None and done >= stop_after:
                raise StoppedError
            if progress is not None:
                progress.append(text)

        return utility_gate(
            student, lambda x, y, seed: larger_digit.teacher, larger_digit.x[:60],
            larger_digit.y[:60], arms, num_classes=2, recipe=RECIPE, seed=4,
            state_file=state, progress=count,
        )  # fmt: skip

    whole = run(tmp_path / "whole.json")
    for stop_after in (1, 5):
        with pytest.raises(StoppedError):
            run(tmp_path / "killed.json", stop_after)
    resumed = run(tmp_path / "killed.json")
    assert _scores(resumed) == _scores(whole)
    assert resumed.decision == whole.decision
    # The finished ones come from the file, with the seconds that they took.
    again = run(tmp_path / "whole.json")
    assert [each.scores for each in again.arms] == [each.scores for each in whole.arms]


def test_every_arm_starts_from_the_students_own_weights(student, larger_digit):
    comparison = PairedComparison(
        student, lambda x, y, seed: larger_digit.teacher, larger_digit.x[:40],
        larger_digit.y[:40], num_classes=2, recipe=RECIPE, pairs=5, seed=0,
    )  # fmt: skip
    before = student.get_weights()
    scores = [comparison.arm_score(Arm("real_only"), 0), comparison.arm_score(Arm("again"), 0)]
    assert dataclasses.replace(scores[0], seconds=0) == dataclasses.replace(scores[1], seconds=0)
    assert not np.array_equal(before[0], student.get_weights()[0])
    comparison.close()
    for old, new in zip(before, student.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_state_file_of_another_comparison_is_not_believed(student, larger_digit, tmp_path):
    def comparison(**changes):
        arguments = {"num_classes": 2, "recipe": RECIPE, "pairs": 5, "seed": 0, **changes}
        return PairedComparison(
            student, lambda x, y, seed: larger_digit.teacher, larger_digit.x[:40],
            larger_digit.y[:40], state_file=tmp_path / "state.json", **arguments,
        )  # fmt: skip

    comparison().teacher_score(0)
    assert comparison()._results
    for changes in (
        {"seed": 1},
        {"recipe": dataclasses.replace(RECIPE, temperature=3.0)},
        {"pairs": 10},
        {"reinitialize": True},
    ):
        assert not comparison(**changes)._results


def test_a_pairs_own_student_doubts_after_it_has_learnt_from_real_samples(
    student, larger_digit, monkeypatch
):
    asked = []

    def most_doubted(pool, teacher, doubting, keep, seed):
        training, _ = paired_rows(larger_digit.y, len(asked), 5, seed=0)
        seen = doubting(larger_digit.x[training]).argmax(axis=1)
        asked.append((teacher, keep, np.mean(seen == larger_digit.y[training])))
        return Pool(pool.x[:20], pool.y[:20])

    monkeypatch.setattr("keras_ganaccel.gate.arms.most_doubted", most_doubted)
    comparison = PairedComparison(
        student, lambda x, y, seed: larger_digit.teacher, larger_digit.x, larger_digit.y,
        num_classes=2, recipe=Recipe(steps=200, learning_rate=1e-2, augmentation=()),
        pairs=5, seed=0, reinitialize=True,
    )  # fmt: skip
    pool = Pool(larger_digit.withheld, np.full(2000, -1))
    arm = Arm("doubted", pool, 0.5, doubted=0.25, learnt_from_labels=False)
    scores = [comparison.arm_score(arm, pair) for pair in range(2)]
    assert [(teacher, keep) for teacher, keep, _ in asked] == [(larger_digit.teacher, 0.25)] * 2
    # It was trained, and each pair begins anew.
    assert min(accuracy for _, _, accuracy in asked) > 0.65
    assert scores[0].accuracy != scores[1].accuracy
