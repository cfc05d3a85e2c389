import contextlib
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.export.metadata import ArtifactMetadata


def test_json_round_trip_of_any_names():
    metadata = ArtifactMetadata(
        ("Zürich", 'a "quoted" one', "字"), "softmax", (0.0, 255.0), (-1.0, 1.0), True, "int8"
    )
    assert ArtifactMetadata.from_json(metadata.to_json()) == metadata
    assert metadata.to_json() == metadata.to_json()
    later = metadata.to_json()[:-1] + b',"of_a_later_version":1}'
    assert ArtifactMetadata.from_json(later) == metadata


LIES = [
    b"{", b"\xff", b"[]", b"null", b'{"value_range":3}', b'{"output":"?"}', b'{"output":["a"]}',
    b"[" * 200_000, b'{"a":' * 200_000, b'{"value_range":[0,Infinity]}', b'{"value_range":[0,NaN]}',
    b'{"value_range":[0,1e999]}', b'{"value_range":[1,0]}', b'{"value_range":[1,1]}',
    b'{"value_range":["a","b"]}', b'{"value_range":[0,1,2]}', b'{"value_range":[false,true]}',
    b'{"value_range":[[0],[1]]}', b'{"value_range":"01"}', b'{"value_range":{"0":0,"1":1}}',
    b'{"value_range":[0,1e-320]}', b'{"value_range":[-1e308,1e308]}',
    b'{"input_range":[0,' + b"9" * 400 + b"]}", b'{"value_range":[0,' + b"9" * 5000 + b"]}",
    b'{"class_names":["a","a"]}', b'{"class_names":[1,2]}', b'{"class_names":"ab"}',
    b'{"class_names":["\\u001b[2J","b"]}', b'{"class_names":null}', b'{"raw_input":"no"}',
    b'{"raw_input":1}', b'{"quantization":8}', b'{"version":[]}',
    b'{"output":"logits","output":"softmax"}',
]  # fmt: skip


@pytest.mark.parametrize("text", LIES, ids=lambda text: text[:40].decode(errors="replace"))
def test_other_text_is_refused_in_one_line(text):
    with pytest.raises(InvalidInputError, match="cannot be read") as caught:
        ArtifactMetadata.from_json(text)
    assert str(caught.value).isprintable()


WORDS = st.text(st.sampled_from("ab\x1b\n\u2028 "), max_size=4)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=2),
    max_leaves=8,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from([*ArtifactMetadata.__dataclass_fields__, "more"]), JSON))
def test_any_json_is_read_or_refused(values):
    with contextlib.suppress(InvalidInputError):
        metadata = ArtifactMetadata.from_json(json.dumps(values).encode())
        assert np.isfinite([metadata.raw_scale, metadata.raw_offset]).all()
        assert ArtifactMetadata.from_json(metadata.to_json()) == metadata


@pytest.mark.parametrize("value_range", [(0.0, 255.0), (0.0, 16.0), (20.0, 220.0)])
@pytest.mark.parametrize("input_range", [(0.0, 1.0), (-1.0, 1.0)])
def test_raw_values_come_back(value_range, input_range):
    metadata = ArtifactMetadata(value_range=value_range, input_range=input_range)
    low, high = value_range
    raw = np.arange(int(low), int(high) + 1)
    x = raw * metadata.raw_scale + metadata.raw_offset
    np.testing.assert_allclose([x[0], x[-1]], input_range, atol=1e-12)
    np.testing.assert_array_equal(metadata.to_raw(x.astype(np.float32)), raw)


def test_values_that_do_not_fit():
    with pytest.raises(InvalidInputError, match="the lower first"):
        ArtifactMetadata(value_range=(1.0, 1.0))
    with pytest.raises(InvalidInputError, match="Did you mean 'softmax'"):
        ArtifactMetadata(output="sofmax")
