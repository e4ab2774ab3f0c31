"""Text while it is decoded, from bytes that end anywhere."""

from itertools import accumulate

import pytest

from slm_orchestration.models.local.text_chunks import text_chunks, whole_characters


def decode(written):
    return bytes(written).decode("utf-8", errors="replace")


def chunks_of(*parts):
    return list(text_chunks(accumulate(map(list, parts)), decode))


def test_a_character_of_several_tokens_is_streamed_when_it_is_complete():
    smile = "🙂".encode()
    assert chunks_of(b"a", smile[:1], smile[1:3], smile[3:] + b"b", b"c") == ["a", "🙂b", "c"]


@pytest.mark.parametrize("cut", [1, 2, 3, 5])
def test_the_chunks_join_to_the_text_however_the_bytes_are_cut(cut):
    text = "naïve 漢字 👩‍🚀, é!".encode()
    assert "".join(chunks_of(*[text[at : at + cut] for at in range(0, len(text), cut)])) == text.decode()


def test_a_last_character_that_is_incomplete_is_not_shown():
    assert chunks_of(b"ab", b"\xe2\x82") == ["ab"]
    assert whole_characters("ab\ufffd") == "ab"
    assert chunks_of(b"ab", b"\xe2", b"c") == ["ab", "\ufffdc"]
    assert chunks_of(b"") == []
