import base64
import xml.etree.ElementTree as ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot
from PIL import Image

from keras_ganaccel.report import plots

KID = [{"step": 500 * i, "kid": 0.1 / i, "kid_stderr": 0.01} for i in range(1, 6)]


def draws(values):
    return {
        "journey": lambda: plots.journey(values),
        "kid": lambda: plots.kid_over_steps(KID),
        "arms": lambda: plots.arms(values["gate"]),
        "stages": lambda: plots.stage_accuracy(values["stages"]),
        "size": lambda: plots.size_against_accuracy(values["stages"]),
        "latency": lambda: plots.latency(values["stages"]),
        "confusion": lambda: plots.confusion([[5, 1], [0, 9]], ["ant", "bee"]),
    }


def figure(plot, *arguments):
    """The figure itself, before it becomes a data URI."""
    return plot.__wrapped__(*arguments)


def points(axes):
    """What was plotted, one (x values, y values) per line."""
    return [(list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines]


def texts(axes):
    return [text.get_text() for text in axes.texts]


@pytest.mark.parametrize(
    "name", ["journey", "kid", "arms", "stages", "size", "latency", "confusion"]
)
def test_each_is_a_repeatable_svg_and_leaves_matplotlib_alone(ledger_values, name):
    before = dict(matplotlib.rcParams)
    uri = draws(ledger_values)[name]()
    kind, content = uri.split(",", 1)
    assert kind == "data:image/svg+xml;base64"
    assert ElementTree.fromstring(base64.b64decode(content)).tag.endswith("svg")
    assert draws(ledger_values)[name]() == uri
    assert dict(matplotlib.rcParams) == before
    assert pyplot.get_fignums() == []


def test_kid_has_its_band_and_its_best_marked():
    (axes,) = figure(plots.kid_over_steps, KID).axes
    assert points(axes)[0] == ([row["step"] for row in KID], [row["kid"] for row in KID])
    assert points(axes)[1] == ([2500.0], [0.02])
    band = axes.collections[0].get_paths()[0].vertices
    assert {round(y, 6) for x, y in band if x == 500.0} == {0.09, 0.11}
    assert "best: 0.0200 at step 2,500" in [t.get_text() for t in axes.get_legend().get_texts()]


def test_kid_can_be_one_value_and_negative():
    (axes,) = figure(plots.kid_over_steps, [{"step": 5, "kid": -1e-3, "kid_stderr": 0.1}]).axes
    assert axes.get_yscale() == "linear"
    wide = [{"step": i, "kid": 10.0**-i, "kid_stderr": 1e-3} for i in range(4)]
    assert figure(plots.kid_over_steps, wide).axes[0].get_yscale() == "log"


def test_arms_show_every_pair_and_the_gain_with_its_interval(ledger_values):
    accuracy, gain = figure(plots.arms, ledger_values["gate"]).axes
    names = [label.get_text() for label in accuracy.get_yticklabels()]
    assert names == ["real only", "gan 0.5", "smote 0.5"]
    assert [label.get_fontweight() for label in accuracy.get_yticklabels()][1] == "bold"
    pairs, mean = points(accuracy)[2:4]
    assert pairs == (pytest.approx([94.9, 95.9, 97.9]), [1, 1, 1])
    assert mean == (pytest.approx([96.2333333]), [1])
    interval, value = points(gain)[0:2]
    assert interval == (pytest.approx([-0.1, 1.9]), [1, 1])
    assert value == (pytest.approx([0.9]), [1])


def test_stages_show_wilsons_interval(ledger_values):
    (axes,) = figure(plots.stage_accuracy, ledger_values["stages"]).axes
    assert points(axes)[4:6] == [
        (pytest.approx([93.7, 96.7]), [2, 2]),
        (pytest.approx([95.7]), [2]),
    ]
    assert texts(axes) == ["97.8 %", "96.2 %", "95.7 %", "95.1 %"]


def test_size_shows_both_sizes_and_leaves_out_what_has_none(ledger_values):
    drawn = figure(plots.size_against_accuracy, ledger_values["stages"])
    (axes,) = drawn.axes
    assert points(axes)[0] == ([150.0], [pytest.approx(96.2)])
    assert points(axes)[2] == ([75.0], [pytest.approx(96.2)])
    named = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert named == ["student keras", "student int8", "student pruned int8", "compressed (gzip)"]


def test_latency_shows_the_percentiles_of_what_was_timed(ledger_values):
    (axes,) = figure(plots.latency, ledger_values["stages"]).axes
    assert points(axes)[::2] == [([0.04, 0.08], [0, 0]), ([0.04, 0.08], [1, 1])]
    assert points(axes)[1::2] == [([0.05], [0]), ([0.06], [1])]
    assert axes.get_xscale() == "log"
    assert texts(axes) == ["0.050 ms", "0.060 ms"]
    assert axes.get_xlabel() == "ms per sample, logarithmic (median, p10 to p90; threads: 1)"
    time = {**ledger_values["stages"][2]["latency_ms"], "threads": None}
    unknown = [{**ledger_values["stages"][2], "latency_ms": time}]
    assert "threads" not in figure(plots.latency, unknown).axes[0].get_xlabel()
    (empty,) = figure(plots.latency, ledger_values["stages"][:1]).axes
    assert empty.get_xlabel() == "nothing was timed"


def test_confusion_shows_counts_shaded_by_their_share():
    (axes,) = figure(plots.confusion, [[5, 0, 5], [0, 0, 0], [1, 0, 9]], ["a", "b", "c"]).axes
    np.testing.assert_allclose(
        np.square(axes.images[0].get_array()), [[0.5, 0, 0.5], [0, 0, 0], [0.1, 0, 0.9]]
    )
    assert texts(axes) == ["5", "5", "1", "9"]
    (many,) = figure(plots.confusion, np.eye(21, dtype=int), [str(i) for i in range(21)]).axes
    assert texts(many) == []


@pytest.mark.parametrize("channels", [1, 3])
def test_real_and_generated_samples_stand_side_by_side(tmp_path, channels):
    y = np.array([0, 1, 0, 1])
    x = np.ones((4, 6, 6, channels), np.float32)
    real, generated = (x * np.array([0.0, 0.5, 0.2, 0.7])[:, None, None, None], y), (1 - x, y)
    names = ["ant", "bee"]
    plots.save_real_and_generated(tmp_path / "grid.png", real, generated, names, columns=2)
    levels = set(np.asarray(Image.open(tmp_path / "grid.png").convert("L")).flat)
    assert {0, 51, 127, 178, 255} <= {level - (level == 128) - (level == 179) for level in levels}
    assert [path.name for path in tmp_path.iterdir()] == ["grid.png"]


def test_a_mosaic_puts_each_class_in_its_row():
    y = np.array([1, 0, 1, 1])
    x = np.arange(1, 5, dtype=np.float32)[:, None, None, None] / 10 * np.ones((4, 3, 2, 1))
    body = plots._mosaic(x, y, classes=2, columns=2)
    assert body.shape == (2 * 4, 2 * 3, 3)
    np.testing.assert_allclose(body[:3, :2], 0.2)
    np.testing.assert_allclose(body[4:7, :2], 0.1)
    np.testing.assert_allclose(body[4:7, 3:5], 0.3)
    np.testing.assert_array_equal(body[:3, 2:], 1.0)  # class 0 has one sample only
