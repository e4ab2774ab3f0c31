"""The guard of the semantic cache: a canonical form of a conversation. Two requests are the same if it is equal.

Nothing is compared by likeness, so that what the guard does not know is a difference. It rewrites only what cannot
matter: the blanks around a sentence and its final full stop, how Unicode composes letters, a polite opening
("Please", "Could you please", "Hello,", "Question:"), the capital of a first word that is a question word or an
imperative, and "What's the". Everything else, each word, number, symbol, capital, line and blank, stays and must be
equal, in the same order.

Whatever speaks about its own wording, such as its letters or its politeness, is its own canonical form.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence

# Neither list needs to be complete: a word that is missing costs a miss.
_QUESTION_WORDS = "what which how who whose when where why is are was were do does did"
_IMPERATIVES = (
    "answer calculate classify compare compute convert define describe evaluate explain find give help identify name "
    "rewrite show simplify solve suggest summarise summarize translate write"
)
_FIRST_WORD = "|".join((*_QUESTION_WORDS.split(), *_IMPERATIVES.split()))
# Where a text speaks of these, its own spelling, length or politeness may be what is asked about.
_WORDING = re.compile(
    r"\b(?:character|letter|word|token|sentence|phrase|text|line|message|prompt|question|request|punctuat|full stop|"
    r"period|space|blank|capital(?! of\b)|case|spell|typ[eo]|typing|grammar|wording|unicode|encod|byte|length|count|"
    r"repeat|echo|verbatim|quot|polite|courte|manner|please|hello|greet|rude|say|said|ask|told|speak|spoke|language|"
    r"tone|formal|slang)",
    re.IGNORECASE,
)

_GREETING = re.compile(r"\A(?:Hi|Hello|Hey)(?: there)?[,!.] ")
_LABEL = re.compile(r"\A(?:Question|Quick question|Please answer|I would like to know|I'd like to know): ")
_PLEASE = re.compile(r"(?:[Pp]lease|(?:[Cc]an|[Cc]ould|[Ww]ill|[Ww]ould) you please) (?=[a-z])")
_STARTS = re.compile(rf"(?i:{_FIRST_WORD})\b")
_IMPERATIVE = re.compile(rf"(?:{'|'.join(_IMPERATIVES.split())})\b")
_WHATS_THE = re.compile(r"(what|who|where)['’]s (?=the )")
# One sentence in letters, digits and the lightest punctuation, with single blanks.
_PLAIN_SENTENCE = re.compile(r"[^\W_]+(?:(?:, |[ '’-])[^\W_]+)*[.?!]?")


def canonical(messages: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Return the conversation with its last message, if it is the user's, in canonical form."""
    kept = [dict(message) for message in messages]
    *earlier, last = kept
    if last["role"] == "user" and not any(_WORDING.search(message["content"]) for message in earlier):
        last["content"] = canonical_text(last["content"])
    return kept


def canonical_text(text: str) -> str:
    """Return the canonical form of a text; it is the text itself wherever a change of it could matter."""
    sentence = unicodedata.normalize("NFC", _without_opening(text.strip(" ")))
    if _WORDING.search(sentence):
        return text
    if not _PLAIN_SENTENCE.fullmatch(sentence):
        return _without_opening(text)
    # "Co." and "a.m." keep their full stop; so does a number.
    return sentence[:-1] if re.search(r"[a-z]{3}\.$", sentence) else sentence


def _without_opening(text: str) -> str:
    """Return `text` from its first question word or imperative, in lower case, or `text` itself if it starts otherwise.

    After a label such as "Question:" a question may start with any word.
    """
    unlabelled = _LABEL.sub("", text, count=1)
    otherwise = unlabelled if unlabelled.endswith("?") else text
    rest = _LABEL.sub("", _GREETING.sub("", text, count=1), count=1)
    if (please := _PLEASE.match(rest)) is not None:
        rest = rest[please.end() :]
        if not _IMPERATIVE.match(rest):
            return otherwise
        if please.group().lower() != "please " and rest.count("?") == 1:
            rest = rest.removesuffix("?")
    if not _STARTS.match(rest):
        return otherwise
    return _WHATS_THE.sub(r"\1 is ", rest[0].lower() + rest[1:], count=1)
