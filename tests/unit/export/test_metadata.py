import numpy as np
import pytest

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


@pytest.mark.parametrize("text", [b"{", b"\xff", b"[]", b'{"value_range":3}', b'{"output":"?"}'])
def test_other_text_is_refused(text):
    with pytest.raises(InvalidInputError, match="cannot be read"):
        ArtifactMetadata.from_json(text)


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
