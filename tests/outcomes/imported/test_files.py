"""Every kind of file is read by one reader; what cannot be read rightly is refused with file and row."""

import datetime
import gzip

import numpy as np
import pandas as pd
import pytest

from slm_orchestration.outcomes.imported.files import ImportedError, read_file
from slm_orchestration.outcomes.imported.reader import ImportOptions, read_imported
from tests.outcomes.imported.by_hand import refusal, rows, written

HEAD = "task_id,model,quality\n"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", HEAD + "1,a,1\n2,a\n", "row 2 (row 3 in a spreadsheet): has 2 cells and the header 3"),
        ("a.csv", HEAD + "1,a,1,x\n", "row 1 (row 2 in a spreadsheet): has 4 cells and the header 3"),
        ("a.csv", HEAD + '1,"a,1\n', "line 2: cannot be read"),
        ("a.csv", "task_id,model,model\n1,a,1\n", "column 'model' occurs twice"),
        ("a.csv", (HEAD + "1,é,1\n").encode("latin-1"), "line 2: is not UTF-8 text"),
        ("a.csv.gz", gzip.compress(HEAD.encode() * 99, mtime=0)[:-9], "is cut off or not gzip"),
        ("a.csv.gz", b"no gzip", "is cut off or not gzip"),
        ("a.jsonl", '{"task_id": 1}\nnull\n', "row 2: is null, and a row is a JSON object"),
        ("a.jsonl", '{"task_id": "\\ud83d"}\n', "row 1: holds half a character"),
        ("a.jsonl", '{"task_id": 1', "row 1: is not JSON"),
        ("a.jsonl", '{"a": 1, "a": 2}\n', "row 1: is not JSON (the name 'a' occurs twice)"),
        ("a.jsonl", "[" * 100_000, "row 1: is nested too deeply"),
        ("a.json", '{"x": 1}', "0 lists of objects"),
        ("a.parquet", b"PAR1 no", "cannot be read"),
    ],
)
def test_a_broken_file_is_refused_with_its_name_and_place(tmp_path, name, content, said):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ImportedError) as error:
        read_file(path)
    assert str(error.value).startswith(str(path)) and said in str(error.value)


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("cost_usd", datetime.datetime(2026, 1, 1), "cost_usd is not a number"),
        ("cost_usd", datetime.timedelta(seconds=1), "cost_usd is not a number"),
        ("prompt_tokens", 1e19, "prompt_tokens must lie within 0 and 1e+09"),
        ("prompt", b"\xff", "prompt holds bytes that are not UTF-8 text"),
        ("cost_usd", "inf", "cost_usd must lie within 0 and infinity ('inf')"),
    ],
)
def test_a_value_of_another_kind_is_refused_and_never_read_as_a_number(tmp_path, column, value, said):
    message = refusal(written(tmp_path, rows().assign(**{column: [value] * 120}), "my.parquet"))
    assert "row 1: " in message and said in message


def test_durations_are_seconds_and_bytes_are_text(tmp_path):
    frame = rows().assign(
        latency_s=datetime.timedelta(milliseconds=1500), prompt=[f"café {row // 2}".encode() for row in range(120)]
    )
    imported = read_imported(written(tmp_path, frame, "my.parquet"))
    assert set(imported.outcomes["latency_s"]) == {1.5}
    assert set(imported.tasks["question"]) == {f"café {task}" for task in range(60)}


def test_a_trailing_comma_a_byte_order_mark_and_a_very_long_cell_are_read(tmp_path):
    (tmp_path / "a.csv").write_text(HEAD + "1,a,1,\n2,a,0,\n")
    assert read_file(tmp_path / "a.csv").to_dict("list") == {
        "task_id": ["1", "2"], "model": ["a", "a"], "quality": ["1", "0"]
    }  # fmt: skip
    (tmp_path / "b.jsonl").write_bytes(b'\xef\xbb\xbf{"task_id": 1}\n')
    assert read_file(tmp_path / "b.jsonl").to_dict("list") == {"task_id": [1]}
    (tmp_path / "c.csv").write_text(HEAD + f"1,{'a' * 200_000},1\n")
    assert len(read_file(tmp_path / "c.csv")["model"][0]) == 200_000


def test_objects_within_objects_are_columns_with_dots_and_signals_stay_whole(tmp_path):
    (tmp_path / "a.json").write_text('{"rows": [{"task": {"id": 7}, "signals": {"p": 0.5}}, {"score": NaN}]}')
    assert read_file(tmp_path / "a.json").to_dict("list") == {
        "task.id": [7, None], "signals": [{"p": 0.5}, None], "score": [None, None]
    }  # fmt: skip
    nested = pd.DataFrame({"task": [{"id": 7, "of": {"kind": "x"}}], "signals": [{"p": 0.5}]})
    assert read_file(written(tmp_path, nested, "a.parquet")).to_dict("list") == {
        "signals": [{"p": 0.5}], "task.id": [7], "task.of.kind": ["x"]
    }  # fmt: skip


def test_prices_are_read_by_the_same_rules(tmp_path):
    table = rows(prompt_tokens=100, completion_tokens=0).assign(model=lambda f: f["model"].map({"a": "7", "b": "NA"}))
    prices = tmp_path / "prices.csv"
    head = "model;usd_per_million_prompt_tokens;usd_per_million_completion_tokens\n"
    prices.write_text(head + "7;0,5;1\nNA;5;1\n")
    imported = read_imported(written(tmp_path, table), ImportOptions(token_prices=prices))
    costs = imported.outcomes.groupby("model")["cost_usd"].max().to_dict()
    assert costs == pytest.approx({"7": 5e-5, "NA": 5e-4})
    prices.write_text(head + "7;0,5;1\nNA;free;1\n")
    message = refusal(written(tmp_path, table), token_prices=prices)
    assert message == (
        f"{prices}, row 2 (row 3 in a spreadsheet): usd_per_million_prompt_tokens is not a number ('free')"
    )


def test_a_parquet_file_with_any_damaged_byte_is_read_or_named(tmp_path):
    path = written(tmp_path, rows(), "a.parquet")
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for place in rng.integers(len(whole), size=300):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ int(rng.integers(1, 256))]) + whole[place + 1 :])
        try:
            read_file(path)
        except ImportedError as error:
            assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
