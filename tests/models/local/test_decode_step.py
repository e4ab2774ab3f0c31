"""A decode step over slots, on a network of random weights; a graph is replayed by computing what it holds again."""

from contextlib import contextmanager

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.integrations import sdpa_attention

from slm_orchestration.models.local.decode_step import DecodeStep
from slm_orchestration.models.local.kv_cache import SlottedCache
from slm_orchestration.models.local.prefill import Prefiller

PROMPTS = ([5, 6, 7, 8, 9], [10, 11, 12])


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "max_position_embeddings": 128}
    config = LlamaConfig(vocab_size=40, num_attention_heads=4, num_key_value_heads=2, initializer_range=0.4, **sizes)
    return LlamaForCausalLM(config).double().eval()


def _step(network, *, block):
    """Return a step over three slots, the second of which is empty, with room for 8 more tokens."""
    prefilled = Prefiller(network).prefill(PROMPTS, 0)
    slots = SlottedCache(network.device, rows=3, capacity=13, length=5, block=block)
    for layer in prefilled.cache.layers:
        slots.add_layer(layer)
    slots.insert([0, 2], prefilled.cache, [0, 1], prefilled.mask)
    return DecodeStep(network, slots)


def _plain(network, tokens):
    return network(torch.tensor([tokens])).logits[0, -1]


@torch.inference_mode()
@pytest.mark.parametrize("block", [1, 4, 64])
def test_logits_are_those_of_a_plain_forward_pass_whatever_the_block(network, block):
    step, rows = _step(network, block=block), [list(prompt) for prompt in PROMPTS]
    for tokens in ([13, 0, 14], [15, 0, 16], [17, 0, 18]):
        logits = step(tokens)
        for row, slot in ((0, 0), (1, 2)):
            rows[row].append(tokens[slot])
            assert torch.allclose(logits[slot], _plain(network, rows[row]), atol=1e-12)


@torch.inference_mode()
def test_keys_are_not_expanded_to_the_query_heads(network, monkeypatch):
    step = _step(network, block=1)

    def expanded(*_):
        raise AssertionError("keys or values are copied for each query head")

    monkeypatch.setattr(sdpa_attention, "repeat_kv", expanded)
    step([13, 0, 14])


class _Graph:
    """Stands for a CUDA graph: a replay computes the captured logits again, in place, plus `error`."""

    replays = 0
    error = 0.0

    def replay(self):
        _Graph.replays += 1
        self.logits.copy_(self.step._logits_of(self.columns) + self.error)


@pytest.fixture
def captured(network, monkeypatch):
    """Return a step with blocks of four columns that captures graphs, and the list of the columns of each capture."""
    step, columns, logits_of = _step(network, block=4), [], DecodeStep._logits
    monkeypatch.setattr(_Graph, "replays", 0)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", _Graph)

    @contextmanager
    def graph(made, pool):
        made.step, made.columns = step, step.slots.columns.read
        columns.append(made.columns)
        yield
        made.logits = capturing[-1]

    capturing = []

    def recorded():
        capturing.append(logits_of(step))
        return capturing[-1]

    def of_columns(read):
        assert step.slots.columns.read == read
        return logits_of(step)

    step._captures, step._logits, step._logits_of = True, recorded, of_columns
    monkeypatch.setattr(torch.cuda, "graph", graph)
    return step, columns


@torch.inference_mode()
def test_one_graph_serves_a_block_of_columns_and_gives_the_same_logits(network, captured):
    step, columns = captured
    rows = list(PROMPTS[0])
    for number in range(8):
        rows.append(13 + number)
        logits = step([13 + number, 0, 14])
        assert torch.allclose(logits[0], _plain(network, rows), atol=1e-12)
    # Columns 6 to 8 are read with the first graph, 9 to 12 with the second, 13 with the third.
    assert columns == [8, 12, 16]
    assert _Graph.replays == 3 + 2 + 3  # one for each comparison, and one for each further step


@torch.inference_mode()
def test_a_graph_whose_logits_differ_is_not_used(network, captured, monkeypatch):
    step, columns = captured
    monkeypatch.setattr(_Graph, "error", 10.0)
    with pytest.warns(UserWarning, match="decoding without a CUDA graph.*its logits differ by"):
        step([13, 0, 14])
    assert torch.allclose(step([15, 0, 16])[0], _plain(network, [*PROMPTS[0], 13, 15]), atol=1e-12)
    assert (columns, _Graph.replays) == ([8], 1)


@torch.inference_mode()
def test_a_graph_that_cannot_be_captured_is_not_used(network, captured, monkeypatch):
    step, _ = captured

    @contextmanager
    def failing(made, pool):
        raise RuntimeError("operation not permitted when stream is capturing\nmore")
        yield

    monkeypatch.setattr(torch.cuda, "graph", failing)
    with pytest.warns(UserWarning, match="slower: operation not permitted when stream is capturing$"):
        step([13, 0, 14])
    assert torch.allclose(step([15, 0, 16])[0], _plain(network, [*PROMPTS[0], 13, 15]), atol=1e-12)
