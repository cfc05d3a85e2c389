import pytest


@pytest.fixture
def ledger_values():
    """A ledger as a run writes it, with every kind of null in it."""

    def stage(name, accuracy, size, latency):
        return {
            "name": name,
            "accuracy": accuracy,
            "ci95": [accuracy - 0.02, accuracy + 0.01],
            "bytes": size,
            "gzip_bytes": None if size is None else size // 2,
            "parameters": 9876,
            "latency_ms": latency,
        }

    def arm(name, gain):
        interval = None if gain is None else [gain - 0.01, gain + 0.01]
        accuracy = [0.94, 0.95, 0.97]
        return {
            "name": name,
            "validation_accuracy": [each + (gain or 0.0) for each in accuracy],
            "mean": sum(accuracy) / 3 + (gain or 0.0),
            "gain": gain,
            "gain_ci95": interval,
            "seconds": 3.0,
        }

    time = {"median": 0.05, "p10": 0.04, "p90": 0.08, "threads": 1}
    return {
        "data": {"classes": ["ant", "bee"], "train": 1005, "validation": 252, "test": 540},
        "gan": {
            "steps": 5000,
            "kid": 0.0123,
            "kid_stderr": 0.002,
            "synthetic_only_accuracy": 0.951,
            "real_only_accuracy": 0.97,
        },
        "gate": {
            "decision": "gan_0.5",
            "generated_fraction": 0.5,
            "pairs": 3,
            "arms": [arm("real_only", None), arm("gan_0.5", 0.009), arm("smote_0.5", -0.003)],
        },
        "stages": [
            stage("teacher_float32", 0.978, None, None),
            stage("student_keras", 0.962, 150_000, None),
            stage("student_int8", 0.957, 14_000, time),
            stage("student_pruned_int8", 0.951, 14_100, {**time, "median": 0.06}),
        ],
    }
