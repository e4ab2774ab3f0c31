"""Text while it is decoded: whole characters only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

_REPLACEMENT_CHARACTER = "\ufffd"  # decoders write it for bytes that are not, or not yet, a character


def whole_characters(text: str) -> str:
    """Return decoded text without a last character whose bytes are incomplete."""
    return text.rstrip(_REPLACEMENT_CHARACTER)


def text_chunks(tokens: Iterator[Sequence[int]], decode: Callable[[Sequence[int]], str]) -> Iterator[str]:
    """Yield the text that each further token adds, held back until its last character is complete.

    Each item of `tokens` extends the one before it. The chunks, joined, are the whole characters of the last item.
    """
    sent = ""
    for prefix in tokens:
        complete = whole_characters(decode(prefix))
        if len(complete) > len(sent):
            yield complete[len(sent) :]
            sent = complete
