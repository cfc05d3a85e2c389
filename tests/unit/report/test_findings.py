"""What is said of a run: the worst that is true first, no signs to decipher, nothing unproven."""

import re

import pytest

from keras_ganaccel.report.findings import findings, verdict


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        ({"int8": 500, "teacher": 990}, "no better than chance: the int8 file is right on 50.0 %"),
        ({"int8": 510, "teacher": 990}, "hardly better than chance: the int8 file"),
        ({"int8": 510, "rival": 989}, "can be learnt, as a one-line SVM reaches 98.9 %"),
        ({"int8": 510, "rival": 505}, "Check that the labels belong to the samples"),
        ({"int8": 956, "rival": 989, "teacher": 993}, "worse than a one-line SVM on the same rows"),
        ({"int8": 956, "rival": 989, "teacher": 993}, "3.3 points behind"),
        ({"int8": 956, "rival": 989, "teacher": 993}, "--set student.size=small"),
        ({"int8": 956, "rival": 950, "teacher": 993}, "stays 3.7 points behind its teacher"),
        ({"int8": 956, "rival": 956, "teacher": 993}, "no better than a one-line SVM on the same"),
        ({"int8": 900, "float32": 985, "teacher": 990}, "Quantization costs 8.5 points"),
        ({"int8": 985, "teacher": 993, "rival": 960}, "0.8 points behind its teacher (99.3 %)"),
        ({"int8": 985, "teacher": 985, "rival": 960}, "level with its teacher (98.5 %)"),
        ({"int8": 985, "teacher": 985, "rival": 960}, "2.5 points ahead of a one-line SVM"),
        ({"int8": 985, "teacher": 985, "rival": 960}, "in 14.0 kB"),
        ({"int8": 19, "rows": 20}, "Too few test rows to tell"),
    ],
)
def test_the_first_sentence_is_the_worst_that_is_true(ledger, figures, words):
    assert words in verdict(ledger(**figures))


def test_a_student_that_answers_one_class_is_told_so_where_classes_are_uneven(ledger):
    said = verdict(ledger(int8=900, rival=950, shares=(9, 1), balanced=0.5))
    assert "always answering 'class 0' on 90.0 %" in said
    assert "balanced accuracy 50.0 %, by chance 50.0 %" in said


def test_a_difference_that_chance_explains_is_not_called_worse(ledger):
    # Both are wrong on 30 rows, 4 of them the other's: 974 to 970 of 1,000 with 12 crossed.
    values = ledger(int8=970, rival=974, teacher=975, crossed=12)
    found = next(row for row in values["comparisons"] if row["first"] == "student_int8")
    assert found["p_value"] > 0.05
    said = verdict(values)
    assert "worse" not in said
    assert "level with its teacher" in said
    assert "no better than a one-line SVM on the same rows (97.4 %; chance may explain it)" in said


def test_what_two_overlapping_intervals_hide_is_said(ledger):
    values = ledger(int8=950, rival=962)
    rows = {row["name"]: row for row in values["stages"]}
    assert rows["student_int8"]["ci95"][1] > values["rival"]["ci95"][0]
    assert "worse than a one-line SVM" in verdict(values)


def test_a_rival_on_a_part_of_the_rows_is_not_called_one_on_the_same(ledger):
    values = ledger(int8=950, rival=930)
    assert "on the same training rows" in " ".join(findings(values))
    values["rival"]["training_rows"] = 300
    assert "on 300 of the 800 training rows" in " ".join(findings(values))


def _arm(name, gain=None, ci=None, pairs=5):
    return {
        "name": name, "source": None, "validation_accuracy": [0.9] * pairs, "mean": 0.9,
        "gain": gain, "gain_ci95": ci, "seconds": 1.0,
    }  # fmt: skip


def _with_arms(values, *arms, **gate):
    values["gate"].update(arms=[_arm("real_only"), *arms], pairs=5, **gate)
    return " ".join(findings(values))


def test_it_never_claims_a_gain_that_was_not_found(ledger):
    text = _with_arms(ledger(), _arm("gan", 0.001, [-0.01, 0.012]))
    assert "did not help for certain" in text
    assert "gained 0.10 points on 5 validation pairs" in text
    assert "1.00 points less to 1.20 more" in text

    text = _with_arms(ledger(), _arm("gan", -0.02, [-0.4, 0.3], pairs=3))
    assert "gan, lost 2.00 points on 3 validation pairs and was given up" in text
    assert "30.00" not in text

    chosen = {"decision": "gan", "generated_fraction": 0.5}
    text = _with_arms(ledger(), _arm("gan", 0.02, [0.01, 0.03]), **chosen)
    assert "Generated data helped: the arm gan gained 2.00 points" in text
    assert "1.00 to 3.00 points more" in text

    assert "too few to tell" in _with_arms(ledger(train=20), _arm("gan", 0.1, [-0.4, 0.5]))
    assert "No generated data were compared" in " ".join(findings(ledger()))


def test_a_handful_of_validation_rows_gets_no_figure(ledger):
    values = ledger()
    values["gan"] = {"synthetic_only_accuracy": 0.875, "real_only_accuracy": 1.0}
    assert "is right on 87.5 % of 200 validation rows" in " ".join(findings(values))
    values["data"]["validation"] = 8
    text = " ".join(findings(values))
    assert "8 validation rows, too few to tell" in text
    assert "87.5" not in text


@pytest.mark.parametrize("int8", [10, 500, 900, 950, 1000])
@pytest.mark.parametrize("rival", [None, 500, 950, 1000])
@pytest.mark.parametrize("teacher", [None, 400, 960])
def test_no_sentence_holds_a_sign_or_a_gap(ledger, int8, rival, teacher):
    values = ledger(int8=int8, float32=950, rival=rival, teacher=teacher)
    for text in [*findings(values), _with_arms(values, _arm("gan", -0.0042, [-0.01, 0.001]))]:
        assert not re.search(r"(?<![\w.])[-+−]\d|None|nan|  |\.\.(?!\.)", text), text
        assert text[0].isupper() or text.startswith("student_")
        assert text.endswith((".", "base`)."))
