"""Hidden states of prompts: the output of one decoder layer, averaged over a prompt's tokens or at its last token."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from slm_orchestration.models.local.prefill import prefill_batches

MEAN, LAST = "mean", "last"


def default_layer(network: Any) -> int:
    """Return the layer at two thirds of a network's depth, counted from 1."""
    return round(len(network.base_model.layers) * 2 / 3)


@torch.inference_mode()
def hidden_states(
    network: Any, prompts: Sequence[list[int]], *, layer: int, pooling: str, max_tokens: int, max_prompts: int
) -> Iterator[list[tuple[int, list[float]]]]:
    """Yield, per batch of prompts of similar length, the index of a prompt and its state (float32).

    The state is the output of layer `layer`, counted from 1; later layers are not computed. `pooling` is "mean" (over
    the prompt's tokens) or "last" (at its last token). Raises ValueError for a layer that the network does not have.
    """
    depth = len(network.base_model.layers)
    if not 1 <= layer <= depth:
        raise ValueError(f"layer {layer}: the network has layers 1 to {depth}")
    for batch in prefill_batches(prompts, ["all"] * len(prompts), max_tokens=max_tokens, max_prompts=max_prompts):
        tokens = [prompts[index] for index in batch.indices]
        width = max(map(len, tokens))
        # Prompts are padded on the left with token 0, which the mask hides.
        ids = torch.tensor([[0] * (width - len(one)) + one for one in tokens], device=network.device)
        mask = torch.tensor([[0] * (width - len(one)) + [1] * len(one) for one in tokens], device=network.device)
        output = _layer_output(network, ids, mask, layer).float()
        if pooling == LAST:
            pooled = output[:, -1]
        else:
            pooled = (output * mask[:, :, None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)
        yield list(zip(batch.indices, pooled.tolist(), strict=True))


class _Reached(Exception):
    """Ends a forward pass at the layer whose output is wanted."""

    def __init__(self, output: torch.Tensor) -> None:
        self.output = output


def _layer_output(network: Any, ids: torch.Tensor, mask: torch.Tensor, layer: int) -> torch.Tensor:
    def stop(module: Any, inputs: Any, output: Any) -> None:
        raise _Reached(output[0] if isinstance(output, tuple) else output)

    hook = network.base_model.layers[layer - 1].register_forward_hook(stop)
    position_ids = (mask.cumsum(dim=-1) - 1).clamp(min=0)
    try:
        network.base_model(input_ids=ids, attention_mask=mask, position_ids=position_ids, use_cache=False)
    except _Reached as reached:
        return reached.output
    finally:
        hook.remove()
    raise AssertionError("a forward pass reaches every layer")
