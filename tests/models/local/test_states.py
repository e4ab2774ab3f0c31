import pytest
import torch

from slm_orchestration.models.local.states import LAST, MEAN, default_layer, hidden_states
from tests.models.local.test_decode import network, prompts  # noqa: F401


@pytest.mark.parametrize("layer", [1, 2])
def test_states_are_those_of_a_plain_forward_pass(network, prompts, layer):  # noqa: F811
    tokens = [prompt.tokens for prompt in prompts]
    for pooling in (MEAN, LAST):
        batches = hidden_states(network, tokens, layer=layer, pooling=pooling, max_tokens=40, max_prompts=4)
        found = dict(one for batch in batches for one in batch)
        assert sorted(found) == list(range(len(tokens)))
        for index, one in enumerate(tokens):
            with torch.inference_mode():
                base = network.base_model
                base.norm, norm = torch.nn.Identity(), base.norm
                plain = base(torch.tensor([one]), output_hidden_states=True).hidden_states[layer][0]
                base.norm = norm
            expected = plain.mean(dim=0) if pooling == MEAN else plain[-1]
            assert found[index] == pytest.approx(expected.tolist(), rel=1e-5, abs=1e-6)


def test_a_layer_that_is_not_there_is_refused(network):  # noqa: F811
    depth = len(network.base_model.layers)
    assert default_layer(network) == round(depth * 2 / 3)
    with pytest.raises(ValueError, match=f"layer {depth + 1}: the network has layers 1 to {depth}"):
        next(hidden_states(network, [[1, 2]], layer=depth + 1, pooling=MEAN, max_tokens=40, max_prompts=4))
