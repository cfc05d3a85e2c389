"""The front end of a table as C99: tables of constants, and one function that goes through them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from keras_ganaccel.modality.table.table_spec import TableSpec

_PER_LINE = 8

_HEADER = """\
/* The front end of a table: from the raw form of a row to the vector that the model takes.
 *
 * Compile it without -ffast-math, which forgets what NAN is.
 *
 * Numbers, NAN for a missing one:
{numbers}
 * Categories, FRONTEND_UNKNOWN for a value that frontend_category does not find:
{categories}
 */
#ifndef FRONTEND_H_
#define FRONTEND_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {{
#endif

#define FRONTEND_NUMBERS {count}
#define FRONTEND_CATEGORIES {spans}
#define FRONTEND_WIDTH {width}
#define FRONTEND_UNKNOWN (-1)

/* Encodes one row: FRONTEND_NUMBERS numbers and FRONTEND_CATEGORIES indices to FRONTEND_WIDTH
 * floats. Either pointer may be null where there is nothing to point to. */
void frontend_encode(const float *numbers, const int32_t *categories, float *encoded);

/* Finds the index of a value, in UTF-8 and without white space around it, of a category; a null
 * pointer stands for a missing one. */
int32_t frontend_category(int32_t category, const char *value);

#ifdef __cplusplus
}}
#endif

#endif /* FRONTEND_H_ */
"""

_ENCODE = """\
void frontend_encode(const float *numbers, const int32_t *categories, float *encoded) {
  float *out = encoded;
  int i;
  (void)numbers;
  (void)categories;
"""

_CURVES = """\
  for (i = 0; i < CURVES; ++i) {
    const float value = numbers[curve_source[i]];
    const int first = curve_first[i], last = curve_first[i + 1] - 1;
    int k = first;
    if (value != value) {
      *out++ = curve_fill[i];
      continue;
    }
    while (k < last && value >= knot[k + 1]) ++k;
    if (k == last || value <= knot[k]) {
      *out++ = score[k];
    } else {
      *out++ = score[k] + (value - knot[k]) * slope[k];
    }
  }
"""

_CYCLES = """\
  for (i = 0; i < CYCLES; ++i) {
    const float value = numbers[cycle_source[i]];
    const int known = value == value;
    *out++ = known ? sinf(value * cycle_factor[i]) : 0.0f;
    *out++ = known ? cosf(value * cycle_factor[i]) : 0.0f;
  }
"""

_FLAGS = """\
  for (i = 0; i < FLAGS; ++i) {
    const float value = numbers[flag_source[i]];
    *out++ = value != value ? 1.0f : 0.0f;
  }
"""

_SPANS = """\
  for (i = 0; i < FRONTEND_CATEGORIES; ++i) {
    int32_t place;
    for (place = 0; place < span_size[i]; ++place) *out++ = categories[i] == place ? 1.0f : 0.0f;
  }
"""

_CATEGORY = """\
int32_t frontend_category(int32_t category, const char *value) {
  int32_t place;
  if (category < 0 || category >= FRONTEND_CATEGORIES) return FRONTEND_UNKNOWN;
  if (!value) return missing_index[category];
  for (place = value_first[category]; place < value_first[category + 1]; ++place) {
    if (!strcmp(value_of[place], value)) return place - value_first[category];
  }
  return other_index[category];
}
"""

_NO_CATEGORY = """\
int32_t frontend_category(int32_t category, const char *value) {
  (void)category;
  (void)value;
  return FRONTEND_UNKNOWN;
}
"""


def c_header(spec: TableSpec) -> str:
    """The text of ``frontend.h``."""
    numbers, indices = spec.raw_names
    return _HEADER.format(
        numbers=_listed(numbers),
        categories=_listed(indices),
        count=len(numbers),
        spans=len(indices),
        width=spec.arithmetic.width,
    )


def c_source(spec: TableSpec) -> str:
    """The text of ``frontend.c``."""
    arithmetic = spec.arithmetic
    tables, body = [], [_ENCODE]
    if arithmetic.curves:
        tables += _curve_tables(spec)
        body.append(_CURVES)
    if arithmetic.cycles:
        factors = [2 * np.pi / period for _, period in arithmetic.cycles]
        tables += [
            f"#define CYCLES {len(factors)}",
            _ints("cycle_source", [source for source, _ in arithmetic.cycles]),
            _floats("cycle_factor", factors),
        ]
        body.append(_CYCLES)
    if arithmetic.flags:
        tables += [f"#define FLAGS {len(arithmetic.flags)}", _ints("flag_source", arithmetic.flags)]
        body.append(_FLAGS)
    if arithmetic.spans:
        tables += [_ints("span_size", arithmetic.spans), *_value_tables(spec)]
        body.append(_SPANS)
    look_up = _CATEGORY if arithmetic.spans else _NO_CATEGORY
    includes = ['#include "frontend.h"', "", "#include <math.h>", "#include <string.h>", ""]
    return "\n".join([*includes, *tables, "", "".join(body) + "}", "", look_up])


def _curve_tables(spec: TableSpec) -> list[str]:
    curves = [curve for _, curve in spec.arithmetic.curves]
    slopes: list[float] = []
    for curve in curves:
        knots = np.array(curve.knots, np.float32).astype(np.float64)
        slopes += [*(np.diff(curve.scores) / np.diff(knots)).tolist(), 0.0]
    return [
        f"#define CURVES {len(curves)}",
        _ints("curve_source", [source for source, _ in spec.arithmetic.curves]),
        _ints("curve_first", np.cumsum([0, *(len(curve.knots) for curve in curves)]).tolist()),
        _floats("curve_fill", [curve.fill for curve in curves]),
        _floats("knot", [knot for curve in curves for knot in curve.knots]),
        _floats("score", [score for curve in curves for score in curve.scores]),
        _floats("slope", slopes),
    ]


def _value_tables(spec: TableSpec) -> list[str]:
    columns = spec.categories
    firsts = np.cumsum([0, *(len(column.values) for column in columns)]).tolist()
    # An array of C must not be empty.
    values = [_quoted(value) for column in columns for value in column.values] or ["0"]
    return [
        _ints("value_first", firsts),
        _array("const char *const", "value_of", values),
        _ints("other_index", [column.unknown for column in columns]),
        _ints("missing_index", [column.unstated for column in columns]),
    ]


def _ints(name: str, values: Sequence[int]) -> str:
    return _array("const int32_t", name, map(str, values))


def _floats(name: str, values: Iterable[float]) -> str:
    # Nine digits tell all of float32 apart; a point makes a number one of floating point.
    texts = [f"{float(np.float32(value)):.9g}" for value in values]
    return _array("const float", name, [f"{t if set('.e') & set(t) else t + '.0'}f" for t in texts])


def _array(kind: str, name: str, values: Iterable[str]) -> str:
    items = list(values)
    lines = [
        "  " + ", ".join(items[start : start + _PER_LINE])
        for start in range(0, len(items), _PER_LINE)
    ]
    return f"static {kind} {name}[{len(items)}] = {{\n" + ",\n".join(lines) + "};"


def _quoted(text: str) -> str:
    """A string of C, in ASCII; octal escapes end by themselves after three digits."""
    plain = set(range(32, 127)) - set(b'"\\?')
    return '"' + "".join(chr(b) if b in plain else f"\\{b:03o}" for b in text.encode()) + '"'


def _listed(names: Sequence[str]) -> str:
    lines = [f" *   {place} {_comment(name)}" for place, name in enumerate(names)]
    return "\n".join(lines) or " *   none"


def _comment(text: str) -> str:
    """Text that neither ends a comment nor a line, nor joins the next one."""
    plain = "".join(letter if letter.isprintable() else "?" for letter in text)
    return plain.replace("*/", "* /").replace("/*", "/ *").replace("\\", "/").replace("??", "? ?")
