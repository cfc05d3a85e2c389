"""What a ledger's figures say in plain words: the verdict first, then what helped and what not.

Every comparison of two classifiers on the test split is paired, row by row; no difference is
called one that chance explains, and nothing is said from a handful of rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from keras_ganaccel.words import (
    FEW_ROWS,
    gained,
    interval,
    kilobytes,
    more_or_less,
    on_rows,
    percent,
    points,
)

TEACHER, RIVAL = "teacher", "rival"
_RIVALS = {"svm": "a one-line SVM", "boosted_trees": "boosted trees"}
# The file that the verdict is about, as far as there is one.
_DELIVERED = ("student_int8", "student_pruned_int8", "student_float32", "student_keras")
# How far a student may stay behind its teacher before that is the first thing to say.
_FAR = 0.01
# The interval of fewer says nothing.
_TELLING_PAIRS = 5
_TRAIN_LONGER = (
    "Try a longer preset (`--preset default` or `best`) or a larger student "
    "(`--set student.size=small` or `base`)."
)
_MORE_LABELS = "More labelled rows are what helps most here."


def verdict(values: Mapping[str, Any]) -> str:
    """Says in one or two sentences how good the delivered student is, and what to do if it is bad.

    Args:
        values: The content of a ledger.

    Returns:
        The worst that is true: too few rows to tell, no better than chance, behind the rival,
        behind its teacher; else how good it is.
    """
    row = _delivered(values)
    if row is None:
        return "No student was measured."
    rows = values["data"]["test"]
    reached = f"{_title(row)} is right on {percent(row['accuracy'])} of the {rows:,} test rows"
    if rows < FEW_ROWS:
        low, high = row["ci95"]
        return (
            f"Too few test rows to tell how good the student is: {_lower(reached)} "
            f"(95 % interval {percent(low)} to {percent(high)}). Supply a larger test set."
        )
    return (
        _no_better_than_chance(values, row)
        or _behind_the_rival(values, row)
        or _behind_the_teacher(values, row)
        or _good(values, row, reached)
    )


def findings(values: Mapping[str, Any]) -> list[str]:
    """Says what a run found, the verdict first.

    Args:
        values: The content of a ledger.

    Returns:
        Sentences, each of which stands on its own.
    """
    return [
        verdict(values),
        *_student_findings(values),
        *_rival_findings(values),
        *_compression_findings(values),
        *_gate_findings(values["gate"], values["data"]["train"]),
        *_gan_findings(values),
    ]


def rival_name(rival: Mapping[str, Any]) -> str:
    """Names the rival as a reader would."""
    return _RIVALS.get(rival["name"], rival["name"])


def named_references(values: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """What the student is held against, under the names that tables and plots show."""
    rival, teacher = values["rival"], values["teacher"]
    rows = []
    if rival:
        rows.append((rival_name(rival).removeprefix("a "), rival))
    if teacher:
        rows.append((f"teacher, ensemble of {len(teacher['members'])}", teacher))
    return rows


def uneven(counts: Sequence[int] | None) -> bool:
    """Whether the rows per class differ so much that accuracy misleads."""
    return counts is not None and len(counts) > 0 and max(counts) > 1.5 * max(min(counts), 1)


def largest_class(values: Mapping[str, Any]) -> tuple[str, float] | None:
    """The most frequent class of the test split and its share: what one answer for all gets."""
    counts = values["data"]["test_per_class"]
    if not counts or not sum(counts):
        return None
    most = max(range(len(counts)), key=lambda index: counts[index])
    return str(values["data"]["classes"][most]), counts[most] / sum(counts)


def _no_better_than_chance(values: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    most = largest_class(values)
    if most is None or row["ci95"][0] > most[1]:
        return ""
    name, share = most
    classes = len(values["data"]["classes"])
    better = "no better" if row["accuracy"] <= share else "hardly better"
    said = (
        f"The student is {better} than chance: {_lower(_title(row))} is right on "
        f"{percent(row['accuracy'])} of the test rows, and always answering {name!r} on "
        f"{percent(share)}"
    )
    if uneven(values["data"]["test_per_class"]):
        balanced = percent(row["balanced_accuracy"])
        said += f" (balanced accuracy {balanced}, by chance {percent(1 / classes)})"
    rival = values["rival"]
    if rival is not None and rival["ci95"][0] > share:
        return (
            f"{said}. The labels can be learnt, as {rival_name(rival)} reaches "
            f"{percent(rival['accuracy'])} on the same rows. {_TRAIN_LONGER}"
        )
    return f"{said}. Check that the labels belong to the samples. {_MORE_LABELS}"


def _behind_the_rival(values: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    found = _comparison(values, row["name"], RIVAL)
    if found is None or not _certain(found) or found["difference"] > 0:
        return ""
    rival = values["rival"]
    said = (
        f"The student is worse than {rival_name(rival)} on the same rows: "
        f"{percent(row['accuracy'])} of the test rows against {percent(rival['accuracy'])}, "
        f"{points(found['difference'])} behind ({_evidence(found)})."
    )
    return f"{said} {_remedy(values, row)}"


def _behind_the_teacher(values: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    found = _comparison(values, row["name"], TEACHER)
    if found is None or not _certain(found) or found["difference"] > -_FAR:
        return ""
    return (
        f"The student stays {points(found['difference'])} behind its teacher: "
        f"{percent(row['accuracy'])} of the test rows against "
        f"{percent(values['teacher']['accuracy'])} ({_evidence(found)})"
        f"{_beside_the_rival(values, row)}. {_remedy(values, row)}"
    )


def _good(values: Mapping[str, Any], row: Mapping[str, Any], reached: str) -> str:
    low, high = row["ci95"]
    said = f"{reached} (95 % interval {100 * low:.1f} to {100 * high:.1f} %)"
    if row["bytes"] is not None:
        said += f" in {kilobytes(row['bytes'])}"
    found = _comparison(values, row["name"], TEACHER)
    if found is not None:
        said += f", {_relation(found, 'its teacher', values['teacher']['accuracy'])}"
    return f"{said}{_beside_the_rival(values, row)}."


def _beside_the_rival(values: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    found = _comparison(values, row["name"], RIVAL)
    if found is None:
        return ""
    name, reached = rival_name(values["rival"]), values["rival"]["accuracy"]
    if _certain(found):
        return f", {_relation(found, name, reached)}"
    return f", no better than {name} on the same rows ({percent(reached)}; chance may explain it)"


def _relation(found: Mapping[str, Any], other: str, reached: float) -> str:
    """Places the first of a pair beside the second."""
    if not _certain(found):
        return f"level with {other} ({percent(reached)})"
    side = "ahead of" if found["difference"] > 0 else "behind"
    return f"{points(found['difference'])} {side} {other} ({percent(reached)})"


def _remedy(values: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    """What to do about a student that is behind, by where the points were lost."""
    lost = _comparison(values, row["name"], "student_float32")
    if lost is not None and _certain(lost) and lost["difference"] <= -_FAR:
        return (
            f"Quantization costs {points(lost['difference'])} of it: deliver "
            "student_float16.tflite or student_dynamic_range.tflite, or fine-tune for longer "
            "(a larger `compression.steps`)."
        )
    teacher = _comparison(values, TEACHER, RIVAL)
    if teacher is not None and (not _certain(teacher) or teacher["difference"] <= 0):
        behind = _comparison(values, row["name"], TEACHER)
        if behind is None or not _certain(behind):
            return f"Its teacher is no better than that either. {_MORE_LABELS}"
    return _TRAIN_LONGER


def _student_findings(values: Mapping[str, Any]) -> Iterator[str]:
    rows = {row["name"]: row for row in values["stages"]}
    student, member, teacher = (
        rows.get("student_keras"),
        rows.get("teacher_float32"),
        values["teacher"],
    )
    if not student:
        return
    said = (
        f"The student ({student['parameters']:,} parameters) reaches "
        f"{percent(student['accuracy'])} before it is exported"
    )
    if teacher:
        said += (
            f"; the ensemble that taught it ({' + '.join(teacher['members'])}) "
            f"{percent(teacher['accuracy'])}"
        )
    found = _comparison(values, "student_keras", TEACHER)
    if found is not None:
        said += f": {difference_in_words(found)}"
    yield said + "."
    if teacher and member and len(teacher["members"]) > 1:
        yield (
            "Of the teacher only the neural networks can be exported: teacher.tflite alone "
            f"reaches {percent(member['accuracy'])}."
        )


def _rival_findings(values: Mapping[str, Any]) -> Iterator[str]:
    rival = values["rival"]
    if not rival:
        return
    name = rival_name(rival)
    counted = f"{rival['training_rows']:,} of the {values['data']['train']:,} training rows"
    if rival["training_rows"] >= values["data"]["train"]:
        counted = "the same training rows"
    said = f"{name[0].upper()}{name[1:]} ({rival['recipe']}) on {counted}"
    row = _delivered(values)
    found = None if row is None else _comparison(values, row["name"], RIVAL)
    against = (
        "" if found is None or row is None else f"; {row['name']} has {difference_in_words(found)}"
    )
    yield f"{said} reaches {percent(rival['accuracy'])} of the test rows{against}."


def _compression_findings(values: Mapping[str, Any]) -> Iterator[str]:
    rows = {row["name"]: row for row in values["stages"]}
    plain = rows.get("student_float32")
    for name in ("student_int8", "student_pruned_int8"):
        row = rows.get(name)
        if row and plain:
            found = _comparison(values, name, "student_float32")
            told = "" if found is None else f" ({_evidence(found)})"
            yield (
                f"{name} {_cost(row, plain)}{told}: {percent(row['accuracy'])} instead of "
                f"{percent(plain['accuracy'])}, {kilobytes(row['bytes'])} instead of "
                f"{kilobytes(plain['bytes'])} ({kilobytes(row['gzip_bytes'])} compressed)."
            )


def _cost(row: Mapping[str, Any], plain: Mapping[str, Any]) -> str:
    difference = row["accuracy"] - plain["accuracy"]
    return "costs no accuracy" if difference >= 0 else f"costs {points(difference)} of accuracy"


def _gate_findings(gate: Mapping[str, Any], rows: int) -> Iterator[str]:
    rivals = [arm for arm in gate["arms"] if arm["name"] != "real_only" and arm["gain"] is not None]
    if gate["decision"] != "real_only":
        arm = next(arm for arm in rivals if arm["name"] == gate["decision"])
        yield (
            f"Generated data helped: the arm {arm['name']} {gained(arm['gain'])} on "
            f"{gate['pairs']} validation pairs ({_gain_interval(arm)}), so the student "
            f"was trained with {percent(gate['generated_fraction'], 0)} generated samples."
        )
    elif rivals and rows < FEW_ROWS:
        yield (
            f"Generated data were compared on {rows} labelled rows, too few to tell, so the "
            "student was trained on real data only."
        )
    elif rivals:
        best = max(rivals, key=lambda arm: arm["gain"])
        pairs = len(best["validation_accuracy"])
        told = f"{gained(best['gain'])} on {pairs} validation pairs"
        told += " and was given up" if pairs < _TELLING_PAIRS else f" ({_gain_interval(best)})"
        yield (
            f"Generated data did not help for certain: the best arm with it, {best['name']}, "
            f"{told}, so the student was trained on real data only."
        )
    else:
        yield "No generated data were compared; the student was trained on real data only."


def _gan_findings(values: Mapping[str, Any]) -> Iterator[str]:
    gan, rows = values["gan"], values["data"]["validation"]
    if not gan or gan["synthetic_only_accuracy"] is None or not gan["real_only_accuracy"]:
        return
    if rows < FEW_ROWS:
        yield (
            f"How useful generated samples are on their own was measured on {rows} validation "
            "rows, too few to tell."
        )
        return
    yield (
        "A classifier trained on generated samples alone is right on "
        f"{on_rows(gan['synthetic_only_accuracy'], rows, 'validation')}, "
        f"one trained on the real training split on {percent(gan['real_only_accuracy'])}."
    )


def _gain_interval(arm: Mapping[str, Any]) -> str:
    return f"95 % interval over all arms: {interval(*arm['gain_ci95'])}"


def difference_in_words(found: Mapping[str, Any]) -> str:
    """Writes a paired difference as a clause.

    Args:
        found: A row of the ledger's `comparisons`, or `PairedDifference.as_dict()`.

    Returns:
        By how many points the first is right more or less often, and what that rests on.
    """
    return f"{more_or_less(found['difference'], 1)} ({_evidence(found)})"


def _evidence(found: Mapping[str, Any]) -> str:
    """What a paired difference rests on: its interval, or the rows that chance explains."""
    if _certain(found):
        low, high = found["ci95"]
        return f"paired 95 % interval: {interval(low, high, 1)}"
    first, second = found["only_first"], found["only_second"]
    if not first + second:
        return "right on the same rows"
    counted = f"{first} row won" if first == 1 else f"{first} rows won"
    return f"{counted}, {second} lost: chance may explain it"


def _certain(found: Mapping[str, Any]) -> bool:
    return found["p_value"] < 0.05


def _comparison(values: Mapping[str, Any], first: str, second: str) -> Mapping[str, Any] | None:
    rows = (
        row for row in values["comparisons"] if (row["first"], row["second"]) == (first, second)
    )
    return next(rows, None)


def _delivered(values: Mapping[str, Any]) -> Mapping[str, Any] | None:
    rows = {row["name"]: row for row in values["stages"]}
    return next((rows[name] for name in _DELIVERED if name in rows), None)


def _title(row: Mapping[str, Any]) -> str:
    titles = {"student_int8": "The int8 file", "student_pruned_int8": "The pruned int8 file"}
    return titles.get(row["name"], "The student")


def _lower(text: str) -> str:
    return text[0].lower() + text[1:]
