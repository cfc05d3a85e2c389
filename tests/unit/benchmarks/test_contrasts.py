"""Paired contrasts: against SciPy, and no claim where there is none to make."""

import numpy as np
import pytest
from PIL import Image
from scipy.stats import ttest_rel

from keras_ganaccel.benchmarks.contrasts import markdown, plot, summarize

KD = [0.90, 0.92, 0.91, 0.95, 0.93]
GAN = [0.91, 0.94, 0.91, 0.96, 0.95]
ORACLE = [0.92, 0.96, 0.93, 0.97, 0.96]


def rows(seeds=5, **arms):
    return [
        {"arm": arm, "seed": str(seed), "accuracy": str(values[seed]), "steps_to_target": "100"}
        for arm, values in arms.items()
        for seed in range(seeds)
    ]


def by_arm(summary):
    return {entry["arm"]: entry for entry in summary}


def test_gains_and_intervals_are_those_of_the_paired_t_test():
    found = by_arm(
        summarize(rows(kd=KD, gan=GAN, oracle=ORACLE), ("kd", "gan", "oracle"), ("accuracy",), "kd")
    )
    expected = ttest_rel(GAN, KD).confidence_interval(0.95)
    assert found["gan"]["gain"] == pytest.approx(np.mean(GAN) - np.mean(KD))
    assert (found["gan"]["low"], found["gan"]["high"]) == pytest.approx(tuple(expected))
    share = (np.mean(GAN) - np.mean(KD)) / (np.mean(ORACLE) - np.mean(KD))
    assert found["gan"]["recovered"] == pytest.approx(share)
    assert found["kd"]["gain"] is None


def test_only_seeds_that_both_arms_have_are_paired():
    measured = [*rows(kd=KD), *rows(seeds=3, gan=GAN)]
    found = by_arm(summarize(measured, ("kd", "gan"), ("accuracy",), "kd"))["gan"]
    assert list(found["gains"]) == [0, 1, 2]
    assert found["gain"] == pytest.approx(np.mean(np.subtract(GAN, KD)[:3]))


def test_sooner_is_a_gain():
    measured = rows(kd=KD) + rows(gan=GAN)
    for row in measured:
        row["steps_to_target"] = "80" if row["arm"] == "gan" else "100"
    found = by_arm(summarize(measured, ("kd", "gan"), ("steps_to_target",), "kd"))
    assert found["gan"]["gain"] == 20


def timed(seconds, cost):
    return [
        {"arm": arm, "seed": str(seed), "seconds_to_target": str(value), "pool_seconds": cost[arm]}
        for arm, values in seconds.items()
        for seed, value in enumerate(values)
    ]


def test_a_pool_breaks_even_when_what_it_saves_has_made_up_for_its_making():
    figures = ("seconds_to_target", "pool_seconds")
    measured = timed(
        {"kd": [10, 14], "gan": [8, 12], "pca": [11, 15]}, {"kd": "", "gan": "90", "pca": "1"}
    )
    summary = summarize(measured, ("kd", "gan", "pca"), figures, "kd")
    found = by_arm(summary)
    assert found["gan"]["break_even"] == pytest.approx(90 / 2)
    assert found["pca"]["break_even"] is None
    assert found["kd"]["break_even"] is None
    lines = markdown(summary, figures).splitlines()
    assert lines[0].endswith("| trainings to break even |")
    assert [line.rsplit("|", 2)[1].strip() for line in lines[2:]] == ["", "45", "never"]


def test_few_seeds_claim_nothing():
    few = summarize(rows(4, kd=KD, gan=GAN, oracle=ORACLE), ("kd", "gan", "oracle"),
                    ("accuracy",), "kd")  # fmt: skip
    assert by_arm(few)["gan"]["recovered"] is None
    line = next(line for line in markdown(few, ("accuracy",)).splitlines() if "| gan |" in line)
    assert " to " not in line

    many = summarize(rows(kd=KD, gan=GAN, oracle=ORACLE), ("kd", "gan", "oracle"),
                     ("accuracy",), "kd")  # fmt: skip
    line = next(line for line in markdown(many, ("accuracy",)).splitlines() if "| gan |" in line)
    assert " to " in line
    assert "| +1.20 |" in line


def test_an_oracle_that_may_gain_nothing_measures_no_share():
    doubtful = [0.95, 0.88, 0.93, 0.95, 0.91]
    found = summarize(rows(kd=KD, gan=GAN, oracle=doubtful), ("kd", "gan", "oracle"),
                      ("accuracy",), "kd")  # fmt: skip
    assert by_arm(found)["gan"]["recovered"] is None


def test_the_picture_can_be_opened(tmp_path):
    summary = summarize(rows(kd=KD, gan=GAN), ("kd", "gan"), ("accuracy",), "kd")
    plot(tmp_path / "gains.png", summary, "accuracy", "P2")
    with Image.open(tmp_path / "gains.png") as picture:
        assert picture.width > picture.height > 100
