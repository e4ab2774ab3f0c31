import pytest
import torch
from transformers import Qwen2Config

from slm_orchestration.models.local.device import fitting_tokens, processor_name, resolved_device, resolved_dtype


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


def test_a_batch_fits_into_the_memory_with_the_logits_of_its_rows():
    config = Qwen2Config(
        num_hidden_layers=24, num_key_value_heads=2, num_attention_heads=14, hidden_size=896, vocab_size=151_936
    )
    free = 8 << 30
    tokens = fitting_tokens(config, free, itemsize=2)
    # Keys and values of 64 numbers in 2 heads and 24 layers, and three rows of float32 logits for 128 tokens.
    assert tokens * (2 * 24 * 2 * 64 * 2 + 3 * 4 * 151_936 / 128) == pytest.approx(0.6 * free, rel=1e-5)
    assert fitting_tokens(config, free, itemsize=4) < tokens
    assert fitting_tokens(config, 1 << 50, itemsize=2) == 1 << 19
    assert fitting_tokens(config, 0, itemsize=2) == 1
