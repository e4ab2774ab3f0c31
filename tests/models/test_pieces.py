"""Text in pieces, with bytes in the place of tokens."""

from itertools import accumulate

import pytest

from slm_orchestration.models.local.model import text_pieces


def decode(written):
    return bytes(written).decode("utf-8", errors="replace")


def pieces_of(*parts):
    return list(text_pieces(accumulate(map(list, parts)), decode))


def test_a_character_of_several_tokens_comes_when_it_is_whole():
    smile = "🙂".encode()
    assert pieces_of(b"a", smile[:1], smile[1:3], smile[3:] + b"b", b"c") == ["a", "🙂b", "c"]


@pytest.mark.parametrize("cut", [1, 2, 3, 5])
def test_the_pieces_joined_are_the_text_however_the_bytes_are_cut(cut):
    text = "naïve 漢字 👩‍🚀, é!".encode()
    assert "".join(pieces_of(*[text[at : at + cut] for at in range(0, len(text), cut)])) == text.decode()


def test_bytes_that_never_become_a_character_come_at_the_end_as_the_decoder_shows_them():
    assert pieces_of(b"ab", b"\xe2\x82") == ["ab", "\ufffd"]
    assert pieces_of(b"ab", b"\xe2", b"c") == ["ab", "\ufffdc"]
    assert pieces_of(b"") == []
