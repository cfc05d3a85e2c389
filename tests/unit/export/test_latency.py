import pytest

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.export import latency
from keras_ganaccel.export.latency import measure_latency

pytestmark = pytest.mark.train


class Clock:
    """Time passes only in the calls themselves."""

    def __init__(self, monkeypatch):
        self.now, self.order = 0.0, []
        monkeypatch.setattr(latency.time, "perf_counter", lambda: self.now)

    def call(self, name, durations):
        durations = iter(durations)

        def run():
            self.order.append(name)
            self.now += next(durations)

        return run


def test_calls_alternate_and_warm_ones_do_not_count(monkeypatch):
    clock = Clock(monkeypatch)
    slow = clock.call("a", [9.0, 9.0, *(0.001 * n for n in range(1, 12))])
    fast = clock.call("b", [9.0, 9.0, *[0.002] * 11])
    found = measure_latency({"a": slow, "b": fast}, repeats=11, warmup=2, threads=3)
    assert clock.order == ["a", "a", "b", "b"] + ["a", "b"] * 11
    assert found["a"].median == pytest.approx(6.0)
    assert found["a"].p10 == pytest.approx(2.0)
    assert found["a"].p90 == pytest.approx(10.0)
    assert found["b"].as_dict() == pytest.approx(
        {"median": 2.0, "p10": 2.0, "p90": 2.0, "threads": 3}
    )


def test_no_repeats_is_refused():
    with pytest.raises(InvalidInputError, match="`repeats` must be at least 1"):
        measure_latency({"a": lambda: None}, repeats=0)
