"""Which tasks are answered together: a pure function of their lengths."""

from __future__ import annotations

from collections.abc import Sequence


def plan(prompt_tokens: Sequence[int], new_tokens: Sequence[int], token_budget: int) -> list[list[int]]:
    """Return batches of positions; each position is in exactly one.

    A batch holds at most `token_budget` tokens, padding and room for the answers included, unless one task alone needs
    more. Tasks of like answer length and like prompt length share a batch, so that little is padded.
    """
    if token_budget < 1:
        raise ValueError(f"token_budget is {token_budget}; it must be at least 1")
    lengths = list(zip(prompt_tokens, new_tokens, strict=True))
    order = sorted(range(len(lengths)), key=lambda place: (lengths[place][1].bit_length(), lengths[place][0], place))
    batches: list[list[int]] = []
    widest = 0
    for place in order:
        widest_with = max(widest, sum(lengths[place]))
        same_kind = batches and lengths[place][1].bit_length() == lengths[batches[-1][0]][1].bit_length()
        if same_kind and widest_with * (len(batches[-1]) + 1) <= token_budget:
            batches[-1].append(place)
            widest = widest_with
        else:
            batches.append([place])
            widest = sum(lengths[place])
    return batches
