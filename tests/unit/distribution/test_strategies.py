import pytest
import tensorflow as tf

from keras_ganaccel.distribution import (
    bytes_from_chief,
    choose_precision,
    distribute_stream,
    is_chief,
    is_multi_worker,
    make_strategy,
    strategies,
)
from keras_ganaccel.errors import InvalidInputError


def test_auto_on_a_cpu_is_the_default_strategy():
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("there is an accelerator")
    assert make_strategy("auto") is tf.distribute.get_strategy()


@pytest.mark.parametrize(
    ("flags", "precision"),
    [
        ("flags\t\t: fpu avx512f amx_bf16 amx_tile", "mixed_bfloat16"),
        ("flags\t\t: fpu avx512f avx512_bf16", "mixed_bfloat16"),
        ("flags\t\t: fpu avx2 avx512f", "float32"),
        ("Features\t: fp asimd", "float32"),
    ],
)
def test_auto_precision_follows_the_cpu(monkeypatch, tmp_path, flags, precision):
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("there is an accelerator")
    described = tmp_path / "cpuinfo"
    described.write_text(f"processor\t: 0\n{flags}\nprocessor\t: 1\n")
    monkeypatch.setattr(strategies, "_CPU_DESCRIPTION", described)
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    assert choose_precision("auto")[0] == precision


def test_auto_precision_is_float32_where_nothing_describes_the_cpu(monkeypatch, tmp_path):
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("there is an accelerator")
    monkeypatch.setattr(strategies, "_CPU_DESCRIPTION", tmp_path / "missing")
    assert choose_precision("auto")[0] == "float32"


def test_one_logical_cpu_is_mirrored():
    strategy = make_strategy("cpu:1")
    assert isinstance(strategy, tf.distribute.MirroredStrategy)
    assert strategy.num_replicas_in_sync == 1


def test_logical_cpus_cannot_be_made_once_tensorflow_has_started():
    tf.constant(1)
    with pytest.raises(InvalidInputError, match="already started its devices"):
        make_strategy("cpu:7")


@pytest.mark.parametrize("name", ["mirorred", "cpu:0", "cpu:", "gpu"])
def test_unknown_names_are_refused(name):
    with pytest.raises(InvalidInputError, match="Unknown strategy"):
        make_strategy(name)


def test_a_memory_limit_must_be_positive():
    with pytest.raises(InvalidInputError, match="memory_limit_mb"):
        make_strategy("auto", memory_limit_mb=0)


@pytest.mark.parametrize(
    "config", ["", "{", "[]", '{"cluster": {"worker": ["a:1"]}, "task": {"index": 1}}']
)
def test_several_workers_need_tf_config(monkeypatch, config):
    monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(InvalidInputError, match="TF_CONFIG"):
        make_strategy("multiworker")


def test_precision_is_checked():
    assert choose_precision("mixed_bfloat16") == ("mixed_bfloat16", "asked for")
    with pytest.raises(InvalidInputError, match="Unknown precision"):
        choose_precision("float16")


def test_a_single_process_is_its_own_chief():
    strategy = make_strategy("cpu:1")
    assert is_chief(strategy)
    assert is_chief()
    assert not is_multi_worker(strategy)
    assert bytes_from_chief(strategy, b"abc") == b"abc"
    assert bytes_from_chief(strategy, None) is None


def test_a_batch_must_divide_among_the_replicas():
    class TwoReplicas:
        num_replicas_in_sync = 2

    with pytest.raises(InvalidInputError, match="multiple of the 2 replicas"):
        distribute_stream(TwoReplicas(), lambda _: None, 7)


@pytest.mark.parametrize(("limit", "left"), [("AVX2", False), ("avx2_vnni", False), ("ALL", True)])
def test_a_cpu_whose_kernels_are_held_below_avx512_counts_as_one_without(
    monkeypatch, tmp_path, limit, left
):
    described = tmp_path / "cpuinfo"
    described.write_text("flags : avx2 avx512f avx512_bf16 amx_bf16\n")
    monkeypatch.setattr(strategies, "_CPU_DESCRIPTION", described)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    flags = strategies.cpu_flags()
    assert "avx2" in flags
    assert ("avx512f" in flags) == ("amx_bf16" in flags) == left
