"""A network of random weights, small enough for every batch to be checked against each prompt alone."""

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from slm_orchestration.models.local.decode import (
    ONE_AT_A_TIME,
    BatchLimits,
    Prompt,
    Sampling,
    generate,
    label_probabilities,
)

SMALL_BATCHES = BatchLimits(batch_tokens=90, prefill_tokens=24, prefill_prompts=3)
END = frozenset({3})


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "max_position_embeddings": 128}
    config = LlamaConfig(vocab_size=40, num_attention_heads=4, num_key_value_heads=2, initializer_range=0.4, **sizes)
    return LlamaForCausalLM(config).double().eval()


@pytest.fixture(scope="module")
def prompts():
    rng = np.random.default_rng(0)
    prefixes = {"a": rng.integers(4, 40, 9).tolist(), "b": rng.integers(4, 40, 12).tolist(), "c": []}
    made = []
    for number in range(12):
        group = "abc"[number % 3]
        own = rng.integers(4, 40, int(rng.integers(1, 12))).tolist()
        made.append(Prompt(prefixes[group] + own, int(rng.integers(1, 30)), group))
    return made


def generated(network, prompts, limits, sampling=None):
    found = [one for finished in generate(network, prompts, END, limits, sampling) for one in finished]
    assert sorted(index for index, _ in found) == list(range(len(prompts)))
    return dict(found)


def test_continuous_batching_generates_what_each_prompt_alone_does(network, prompts):
    together, alone = generated(network, prompts, SMALL_BATCHES), generated(network, prompts, ONE_AT_A_TIME)
    for index, prompt in enumerate(prompts):
        assert together[index].tokens == alone[index].tokens
        assert together[index].log_probabilities == pytest.approx(alone[index].log_probabilities, abs=1e-9)
        assert len(together[index].tokens) == prompt.max_new_tokens or together[index].tokens[-1] in END


def test_generation_equals_greedy_generation_of_transformers(network, prompts):
    for index, one in generated(network, prompts, SMALL_BATCHES).items():
        prompt = prompts[index]
        ids = torch.tensor([prompt.tokens])
        greedy = {"max_new_tokens": prompt.max_new_tokens, "do_sample": False, "eos_token_id": 3, "pad_token_id": 0}
        expected = network.generate(ids, attention_mask=torch.ones_like(ids), **greedy)
        assert one.tokens == expected[0, len(prompt.tokens) :].tolist()


def test_label_probabilities_are_those_of_a_plain_forward_pass(network, prompts):
    labels = [[5, 6]] * len(prompts)
    found = dict(one for batch in label_probabilities(network, prompts, labels, SMALL_BATCHES) for one in batch)
    for index, prompt in enumerate(prompts):
        with torch.inference_mode():
            plain = network(torch.tensor([prompt.tokens]))
        assert found[index] == pytest.approx(plain.logits[0, -1].float().softmax(-1)[[5, 6]].tolist(), rel=1e-6)


def test_a_sample_depends_on_its_own_seed_and_not_on_the_rest_of_the_batch(network, prompts):
    seeds = [(7, index) for index in range(len(prompts))]
    first = generated(network, prompts, SMALL_BATCHES, Sampling(1.0, seeds))
    half = generated(network, prompts[6:], ONE_AT_A_TIME, Sampling(1.0, seeds[6:]))
    assert [first[index + 6].tokens for index in range(6)] == [half[index].tokens for index in range(6)]
    other = generated(network, prompts, SMALL_BATCHES, Sampling(1.0, [(8, number) for number in range(len(prompts))]))
    assert [one.tokens for one in first.values()] != [one.tokens for one in other.values()]


def test_tokens_are_sampled_with_the_probabilities_of_the_network(network, prompts):
    prompt = Prompt(prompts[0].tokens, 1, "same")
    draws = 2000
    drawn = generated(
        network, [prompt] * draws, BatchLimits(1 << 30, 1 << 30, draws), Sampling(0.7, [(n,) for n in range(draws)])
    )
    with torch.inference_mode():
        expected = (network(torch.tensor([prompt.tokens])).logits[0, -1] / 0.7).softmax(-1).numpy()
    found = np.bincount([one.tokens[0] for one in drawn.values()], minlength=40) / draws
    # Five standard errors of a share, at most.
    assert np.abs(found - expected).max() < 5 * np.sqrt(0.25 / draws)
