import pytest
import torch

from slm_orchestration.models.local.device import processor_name, resolved_device, resolved_dtype


def test_a_device_or_dtype_that_is_not_available_is_named_with_those_that_are():
    with pytest.raises(ValueError, match=r"inference\.device is 'tpu'; this machine offers auto, cpu"):
        resolved_device("tpu")
    with pytest.raises(ValueError, match=r"inference\.dtype is 'int8'; allowed are auto, float32"):
        resolved_dtype("int8", "cpu")


def test_auto_means_the_graphics_processor_where_there_is_one():
    assert resolved_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    assert resolved_device("cpu") == "cpu"
    assert resolved_dtype("float16", "cpu") == "float16"
    assert resolved_dtype("auto", "cpu") in ("float32", "bfloat16")


def test_the_processor_has_a_name():
    assert processor_name().strip()
