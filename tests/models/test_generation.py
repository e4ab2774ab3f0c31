"""A network of random weights, small enough for every batch to be checked against each prompt alone."""

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from slm_orchestration.models.local.decode import (
    ALONE,
    Bounds,
    Prompt,
    Sampling,
    final_states,
    label_probabilities,
    write,
)

CROWDED = Bounds(batch_tokens=90, read_tokens=24, read_rows=3)
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
    beginnings = {"a": rng.integers(4, 40, 9).tolist(), "b": rng.integers(4, 40, 12).tolist(), "c": []}
    made = []
    for number in range(12):
        kind = "abc"[number % 3]
        own = rng.integers(4, 40, int(rng.integers(1, 12))).tolist()
        made.append(Prompt(beginnings[kind] + own, int(rng.integers(1, 30)), kind))
    return made


def written(network, prompts, bounds, sampling=None):
    found = [one for finished in write(network, prompts, END, bounds, sampling) for one in finished]
    assert sorted(place for place, _ in found) == list(range(len(prompts)))
    return dict(found)


def test_a_batch_that_prompts_enter_and_leave_writes_what_each_alone_does(network, prompts):
    together, alone = written(network, prompts, CROWDED), written(network, prompts, ALONE)
    for place, prompt in enumerate(prompts):
        assert together[place].tokens == alone[place].tokens
        assert together[place].log_probabilities == pytest.approx(alone[place].log_probabilities, abs=1e-9)
        assert len(together[place].tokens) == prompt.limit or together[place].tokens[-1] in END


def test_writing_equals_greedy_generation_of_transformers(network, prompts):
    for place, one in written(network, prompts, CROWDED).items():
        prompt = prompts[place]
        ids = torch.tensor([prompt.tokens])
        bare = {"do_sample": False, "eos_token_id": 3, "pad_token_id": 0}
        expected = network.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=prompt.limit, **bare)
        assert one.tokens == expected[0, len(prompt.tokens) :].tolist()


def test_label_probabilities_and_states_are_those_of_a_plain_pass(network, prompts):
    labels = [[5, 6]] * len(prompts)
    found = dict(one for portion in label_probabilities(network, prompts, labels, CROWDED) for one in portion)
    states = dict(one for portion in final_states(network, prompts, CROWDED) for one in portion)
    for place, prompt in enumerate(prompts):
        with torch.inference_mode():
            plain = network(torch.tensor([prompt.tokens]), output_hidden_states=True)
        assert found[place] == pytest.approx(plain.logits[0, -1].float().softmax(-1)[[5, 6]].tolist(), rel=1e-6)
        assert states[place] == pytest.approx(plain.hidden_states[-1][0, -1].tolist(), rel=1e-6)


def test_a_sample_depends_on_its_own_seed_and_not_on_its_neighbours(network, prompts):
    seeds = [(7, place) for place in range(len(prompts))]
    first = written(network, prompts, CROWDED, Sampling(1.0, seeds))
    half = written(network, prompts[6:], ALONE, Sampling(1.0, seeds[6:]))
    assert [first[place + 6].tokens for place in range(6)] == [half[place].tokens for place in range(6)]
    assert [one.tokens for one in first.values()] != [
        one.tokens
        for one in written(network, prompts, CROWDED, Sampling(1.0, [(8, n) for n, _ in enumerate(prompts)])).values()
    ]


def test_tokens_are_drawn_with_the_probabilities_of_the_network(network, prompts):
    prompt = Prompt(prompts[0].tokens, 1, "same")
    draws = 2000
    drawn = written(
        network, [prompt] * draws, Bounds(1 << 30, 1 << 30, draws), Sampling(0.7, [(n,) for n in range(draws)])
    )
    with torch.inference_mode():
        expected = (network(torch.tensor([prompt.tokens])).logits[0, -1] / 0.7).softmax(-1).numpy()
    found = np.bincount([one.tokens[0] for one in drawn.values()], minlength=40) / draws
    # Five standard errors of a share, at most.
    assert np.abs(found - expected).max() < 5 * np.sqrt(0.25 / draws)
