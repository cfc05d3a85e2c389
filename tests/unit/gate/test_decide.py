import json

import numpy as np
import pytest

from keras_ganaccel.classifier.build import build_classifier
from keras_ganaccel.classifier.recipe import Recipe
from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.gate.arms import Arm
from keras_ganaccel.gate.compare import Score
from keras_ganaccel.gate.decide import ArmResult, broken, choose, surviving, utility_gate
from keras_ganaccel.gate.headroom import headroom
from keras_ganaccel.gate.statistics import PairedTest
from keras_ganaccel.generated.candidates import Pool
from keras_ganaccel.modality.image.spec import DataSpec

pytestmark = pytest.mark.train

RECIPE = Recipe(steps=200, batch_size=64, learning_rate=1e-2, augmentation=())

SHORT = Recipe(steps=5, batch_size=16, augmentation=())


@pytest.fixture
def student():
    return build_classifier(DataSpec(8, 16, 1, ("left", "right")), "mlp")


def _gate(student, task, arms, **arguments):
    return utility_gate(
        student, lambda x, y, seed: task.teacher, task.x, task.y, arms,
        **{"num_classes": 2, "recipe": RECIPE, "reinitialize": True, **arguments},
    )  # fmt: skip


def _noise(task, random):
    return Pool(random.random((300, 8, 16, 1)).astype("float32"), random.integers(0, 2, 300))


def _shuffled_labels(task, random):
    rows = random.integers(0, len(task.x), 300)
    return Pool(task.x[rows], random.permutation(task.y[rows]))


def _collapsed(task, random):
    one_each = np.stack([task.x[task.y == label][0] for label in (0, 1)])
    return Pool(one_each[np.arange(300) % 2], np.arange(300) % 2)


@pytest.mark.parametrize("generator", [_noise, _shuffled_labels, _collapsed])
def test_a_broken_generator_is_not_used(student, larger_digit, generator):
    pool = generator(larger_digit, np.random.default_rng(0))
    # Its samples are even called honest: nothing is kept back from the fold.
    arm = Arm(generator.__name__, pool, 0.5, learnt_from_labels=False)
    result = _gate(student, larger_digit, [arm])
    assert result.decision == "real_only"
    assert result.generated_fraction == 0
    rows = result.ledger()["arms"]
    assert [row["name"] for row in rows] == ["real_only", generator.__name__]
    assert rows[1]["seconds"] > 0


def test_an_oracle_is_used_where_there_is_headroom(student, larger_digit):
    pool = Pool(larger_digit.withheld, np.full(2000, -1))
    oracle = Arm("oracle", pool, 0.9, learnt_from_labels=False, seconds=100.0)
    before = student.get_weights()
    result = _gate(student, larger_digit, [oracle])
    assert result.decision == "oracle"
    assert result.generated_fraction == 0.9
    gate = result.ledger()
    assert json.loads(json.dumps(gate, allow_nan=False)) == gate
    real, row = gate["arms"]
    assert real["gain"] is None
    assert len(row["validation_accuracy"]) == gate["pairs"] == 5
    assert row["gain"] == pytest.approx(row["mean"] - real["mean"])
    assert row["gain_ci95"][0] < row["gain"] < row["gain_ci95"][1]
    assert row["seconds"] > 100
    for old, new in zip(before, student.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def _headroom(student, task, teacher, **arguments):
    return headroom(
        student, teacher, task.x, task.y,
        **{"num_classes": 2, "recipe": RECIPE, "reinitialize": True, "pairs": 2, **arguments},
    )  # fmt: skip


def test_a_student_far_behind_its_teacher_has_headroom(student, larger_digit):
    found = _headroom(student, larger_digit, lambda x, y, seed: larger_digit.teacher)
    assert found.present
    assert found.gap.mean > 0.05
    assert "something to gain" in found.finding()
    scores = [[score.accuracy for score in found.teacher], [s.accuracy for s in found.distilled]]
    assert found.gap.mean == pytest.approx(np.mean(scores[0]) - np.mean(scores[1]))


class Brightness:
    """A teacher that hardly knows more than chance."""

    def predict_proba(self, x):
        p = np.clip(0.5 + x[:, :, :8].mean(axis=(1, 2, 3)) - x[:, :, 8:].mean(axis=(1, 2, 3)), 0, 1)
        return np.stack([1 - p, p], axis=1)


def test_a_student_that_reaches_its_teacher_has_none(student, larger_digit):
    found = _headroom(student, larger_digit, lambda x, y, seed: Brightness())
    assert not found.present
    assert "no more than half a point is to be gained" in found.finding()
    assert "%, 0.0 points behind it" in found.finding() or "ahead of it" in found.finding()


def test_the_gate_takes_over_what_the_headroom_check_measured(student, larger_digit, tmp_path):
    asked = []

    def teacher(x, y, seed):
        asked.append(len(x))
        return larger_digit.teacher

    state = tmp_path / "pairs.json"
    found = _headroom(student, larger_digit, teacher, pairs=5, recipe=SHORT, state_file=state)
    assert len(asked) == 5
    result = utility_gate(
        student, teacher, larger_digit.x, larger_digit.y, [],
        num_classes=2, recipe=SHORT, reinitialize=True, state_file=state,
    )  # fmt: skip
    assert len(asked) == 5
    assert result.arms[0].scores == found.distilled
    assert result.decision == "real_only"


def _result(name, accuracy, log_loss, pairs=5, agreement=None, dropped=False):
    """An arm with given p-values and mean gains."""
    tests = [PairedTest(mean, mean - 0.1, mean + 0.1, p) for mean, p in (accuracy, log_loss)]
    scores = tuple(Score(0.9, 0.1, 1.0, agreement) for _ in range(pairs))
    return ArmResult(Arm(name), scores, tests[0], tests[1], dropped, 1.0)


REAL = ArmResult(
    Arm("real_only"), tuple(Score(0.9, 0.1, 1.0) for _ in range(5)), None, None, False, 1.0
)


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ([_result("a", (0.02, 0.001), (0.01, 0.3))], "a"),
        # A gain in log-loss alone, with accuracy no worse.
        ([_result("a", (0.0, 0.5), (0.02, 0.001))], "a"),
        ([_result("a", (-0.01, 0.9), (0.02, 0.001))], "real_only"),
        ([_result("a", (0.02, 0.001), (-0.01, 0.9))], "real_only"),
        # Two-sided 95 % over two measures: 0.0125 is the limit for the first.
        ([_result("a", (0.02, 0.013), (0.01, 0.3))], "real_only"),
        ([_result("a", (0.02, 0.012), (0.01, 0.3))], "a"),
        ([_result("a", (0.02, 0.012), (0.01, 0.3)), _result("b", (0.0, 1), (0, 1))], "real_only"),
        ([_result("a", (0.01, 1e-5), (0.1, 1e-5)), _result("b", (0.02, 1e-5), (0.0, 0.5))], "b"),
        ([_result("a", (0.02, 1e-5), (0.01, 0.3), pairs=4)], "real_only"),
        ([_result("a", (0.02, 1e-5), (0.01, 0.3), dropped=True)], "real_only"),
        ([_result("a", (0.02, 1e-5), (0.01, 0.3), agreement=0.05)], "real_only"),
        ([_result("a", (0.02, 1e-5), (0.01, 0.3), agreement=0.2)], "a"),
        ([], "real_only"),
    ],
)
def test_the_choice(results, expected):
    assert choose([REAL, *results], len(results), 0.95).name == expected


def test_halving_gives_up_the_lower_half_as_far_as_it_gained_nothing():
    gains = {"a": (0.01, 0.02), "b": (0.0, 0.01), "c": (-0.01, -0.02), "d": (0.01, -0.03)}
    assert surviving(gains, 1) == set("abcd")
    assert surviving(gains, 2) == set("abd")
    assert surviving({"a": (-0.01, -0.1)}, 2) == {"a"}
    assert surviving({"a": (-0.01, -0.1)}, 3) == set()
    assert surviving({"a": (-0.01, 0.1)}, 3) == {"a"}


def test_only_labels_next_to_chance_are_broken():
    assert broken([Score(0.9, 0.1, 1.0, 0.0), Score(0.9, 0.1, 1.0, 0.15)])
    assert not broken([Score(0.9, 0.1, 1.0, 0.15), Score(0.9, 0.1, 1.0, 0.2)])
    assert not broken([Score(0.9, 0.1, 1.0, None)])


def test_bad_arguments_are_refused(student, larger_digit):
    pool = Pool(larger_digit.withheld, np.full(2000, -1))
    with pytest.raises(InvalidInputError, match="at least 5"):
        _gate(student, larger_digit, [], pairs=4)
    with pytest.raises(InvalidInputError, match="names"):
        _gate(student, larger_digit, [Arm("a", pool, 0.5), Arm("a", pool, 0.3)])
    with pytest.raises(InvalidInputError, match="two samples"):
        utility_gate(
            student, lambda x, y, seed: larger_digit.teacher, larger_digit.x[:3],
            np.array([0, 1, 1]), [], num_classes=2, recipe=RECIPE,
        )  # fmt: skip
