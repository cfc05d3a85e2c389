import numpy as np
import pytest

from keras_ganaccel.metrics.proportions import paired_difference, wilson_interval


@pytest.fixture
def ledger():
    """Makes a whole ledger of today's schema from how many of its test rows each gets right.

    Whoever is right on fewer rows is right on a subset of the other's, but for `crossed` rows.
    """

    def make(
        *, rows=1000, teacher=None, rival=None, float32=None, int8=900, crossed=0, shares=(1, 1),
        balanced=None, train=800,
    ):  # fmt: skip
        float32 = int8 if float32 is None else float32
        counts = {"student_float32": float32, "student_int8": int8}
        counts |= {"teacher": teacher} if teacher is not None else {}
        counts |= {"rival": rival} if rival is not None else {}
        right = {name: np.roll(np.arange(rows) < n, crossed * (name[0] == "s"))
                 for name, n in counts.items()}  # fmt: skip

        def scores(name):
            share = counts[name] / rows
            return {
                "accuracy": share, "ci95": list(wilson_interval(counts[name], rows)),
                "balanced_accuracy": share if balanced is None else balanced, "macro_f1": share,
            }  # fmt: skip

        def stage(name):
            return {
                "name": name, "file": f"artifacts/{name}.tflite", "format": "int8", **scores(name),
                "agreement": 0.99, "bytes": 14000, "gzip_bytes": 12000, "parameters": 9000,
                "sparsity": 0.0, "latency_ms": None, "dtype_in": "int8", "dtype_out": "int8",
                "input": {"shape": [1, 8, 8, 1], "scale": 1.0, "offset": 0.0},
                "log_loss": 0.1, "calibration_error": 0.01, "auc": 0.99, "robust": None,
            }  # fmt: skip

        pairs = [("teacher", "rival"), ("student_int8", "student_float32")]
        pairs += [(f"student_{form}", other) for form in ("float32", "int8")
                  for other in ("teacher", "rival")]  # fmt: skip
        each = [rows * share // sum(shares) for share in shares]
        return {
            "schema": 2,
            "data": {
                "name": "data", "modality": "image", "train": train, "validation": 200,
                "classes": [f"class {i}" for i in range(len(shares))], "test": rows,
                "test_per_class": each, "duplicates_removed": 0,
            },
            "seed": 0,
            "teacher": {"members": ["svm", "convnet"], **scores("teacher"), "log_loss": 0.1,
                        "calibration_error": 0.0, "auc": 1.0} if teacher is not None else None,
            "rival": {"name": "svm", "recipe": "StandardScaler, SVC", "training_rows": train,
                      "validation_accuracy": 0.9, "tried": {"svm": 0.9}, "seconds": 1.0,
                      **scores("rival")} if rival is not None else None,
            "gan": None,
            "gate": {"decision": "real_only", "generated_fraction": 0.0, "pairs": 0, "arms": [],
                     "headroom": None},
            "stages": [stage("student_float32"), stage("student_int8")],
            "comparisons": [
                {"first": a, "second": b, **paired_difference(right[a], right[b]).as_dict()}
                for a, b in pairs if a in right and b in right
            ],
        }  # fmt: skip

    return make


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
        "teacher": {"members": ["svm", "convnet"], "accuracy": 0.993},
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
