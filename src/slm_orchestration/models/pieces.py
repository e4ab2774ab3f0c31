"""Text in pieces, from tokens that come one by one: a piece never ends within a character."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

# What a decoder puts in place of bytes that are no character, or not yet.
_NO_CHARACTER = "\ufffd"


def text_pieces(tokens: Iterator[Sequence[int]], decode: Callable[[Sequence[int]], str]) -> Iterator[str]:
    """Yield what each further token adds to the text, once its characters are whole; joined, the decoded last tokens.

    Every item of `tokens` begins with the one before it, and `decode` gives each the text of its bytes in order.
    """
    given, text = "", ""
    for written in tokens:
        text = decode(written)
        whole = text.rstrip(_NO_CHARACTER)
        if len(whole) > len(given):
            yield whole[len(given) :]
            given = whole
    if len(text) > len(given):
        yield text[len(given) :]
