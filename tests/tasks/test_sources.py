"""Rows are read from where they lie, and what is no row is refused with its place."""

import gzip
import json
import zipfile

import pandas as pd
import pytest

from slm_orchestration.artifacts import ArtifactError, Wheel
from slm_orchestration.tasks.dataset import Dataset, Drafted, Refused, read
from slm_orchestration.tasks.forms import Choice, Free
from slm_orchestration.tasks.scoring import score
from slm_orchestration.tasks.sources import wheels
from slm_orchestration.tasks.sources.local import HubRows, LocalRows
from slm_orchestration.tasks.sources.reasoning_gym import ReasoningGym
from slm_orchestration.tasks.sources.recorded import RecordedNumbers
from slm_orchestration.tasks.sources.synthetic_tables import CHANGES, RecordTasks
from tests.tasks.reference_answers import right_answer

WHEEL = Wheel("carrier", "1.0", "0" * 64)
ROWS = [{"question": "Capital of France?", "answer": "Paris"}, {"question": "2 + 2?", "answer": "4"}]
FREE = Free(
    scorer="exact", instruction="Be brief.", question="{question}", reference="{answer}", reference_as="accepted"
)


@pytest.fixture
def carrier(tmp_path, monkeypatch):
    """Put files into a wheel that is already in the cache."""

    def put(files: dict[str, bytes]) -> Wheel:
        with zipfile.ZipFile(tmp_path / "carrier.whl", "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        monkeypatch.setattr(wheels, "fetch_wheel", lambda wheel: tmp_path / "carrier.whl")
        return WHEEL

    return put


def tasks_of(source, form=FREE, **more):
    dataset = Dataset(source=source, form=form, max_tokens=8, licence="MIT", origin="test", **more)
    return list(read("d", "s", dataset))


def test_lines_of_several_members_are_numbered_through(carrier):
    first, second = ("\n".join(map(json.dumps, rows)).encode() for rows in (ROWS, ROWS[:1]))
    carrier({"a.jsonl": first + b"\n\n", "b.jsonl.gz": gzip.compress(second)})
    rows = list(wheels.WheelLines(WHEEL, ["a.jsonl", "b.jsonl.gz"]).rows())
    assert [(row.number, row.where) for row in rows] == [(0, "a.jsonl:1"), (1, "a.jsonl:2"), (2, "b.jsonl.gz:1")]
    assert rows[1].fields == ROWS[1]


def test_a_missing_member_is_named(carrier):
    carrier({"a.jsonl": b""})
    with pytest.raises(ArtifactError, match=r"carrier 1.0 holds no file 'b.jsonl'"):
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


def write(folder, ending: str, rows: list[dict]) -> str:
    path = folder / f"mine{ending}"
    if ending == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif ending == ".csv":
        pd.DataFrame(rows).to_csv(path, index=False)
    else:
        pd.DataFrame(rows).to_parquet(path)
    return str(path)


@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".parquet"])
def test_a_file_of_ones_own_becomes_tasks(tmp_path, ending):
    tasks = [draft.task for draft in tasks_of(LocalRows(write(tmp_path, ending, ROWS)))]
    assert [task.task_id for task in tasks] == ["d/s/00000", "d/s/00001"]
    assert [task.question for task in tasks] == ["Capital of France?", "2 + 2?"]
    assert [score(task, right_answer(task)) for task in tasks] == [1, 1]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"question": "Who?"', "not valid JSON"),
        ('["a list"]', "expected a JSON object, found list"),
        ('{"question": "Who?"}', "the row has no field 'answer'"),
        ('{"question": "Who?", "answer": null}', "field 'answer' is null"),
        ('{"question": NaN, "answer": "x"}', "field 'question' is null"),
        ('{"question": "", "answer": "x"}', "is empty"),
        (json.dumps({"question": "long " * 5_000, "answer": "x"}), "the prompt has 25008 characters; at most 12000"),
        (json.dumps({"question": "x" * 10_000_000, "answer": "x"}), "at most 5000000 are read"),
        ("[" * 100_000, "not valid JSON"),
    ],
)
def test_a_malformed_line_is_refused_with_its_place_and_reason(tmp_path, line, reason):
    path = tmp_path / "mine.jsonl"
    path.write_text(f"{json.dumps(ROWS[0])}\n{line}\n{json.dumps(ROWS[1])}\n")
    first, refused, last = tasks_of(LocalRows(str(path)))
    assert isinstance(first, Drafted) and isinstance(last, Drafted)
    assert isinstance(refused, Refused) and refused.where == "mine.jsonl:2"
    assert reason in refused.reason


def test_a_short_row_of_a_table_is_refused(tmp_path):
    (tmp_path / "mine.csv").write_text("question,answer\nWho?\nWhat?,this\n")
    refused, kept = tasks_of(LocalRows(str(tmp_path / "mine.csv")))
    assert refused == Refused("mine.csv:2", "the row has more or fewer cells than the header")
    assert kept.task.question == "What?"


def test_a_missing_file_and_an_unknown_ending_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none.jsonl: no such file"):
        list(LocalRows(str(tmp_path / "none.jsonl")).rows())
    with pytest.raises(ValueError, match="unknown ending"):
        list(LocalRows(str(tmp_path / "mine.txt")).rows())


def test_the_number_that_recorded_right_answers_end_in_is_the_reference(tmp_path):
    answers = [
        ("How much?", True, "3 + 4 = 7, so $7.", False, "8"),
        ("How many?", True, "1,200 of 3", True, "#### 1200"),  # 1,200 is not the last number of the first
        ("How long?", True, "It takes 1,200 s.", True, "#### 1200"),
        ("How far?", False, "1", False, "2"),
    ]
    table = pd.DataFrame(answers, columns=["prompt", "a", "a_response", "b", "b_response"])
    table.to_csv(tmp_path / "gsm8k.csv", index=False)
    found = [row.fields for row in RecordedNumbers(str(tmp_path), "gsm8k.csv").rows()]
    assert found[0] == {"question": "How much?", "answer": "7"}
    assert "end in different numbers" in str(found[1][""])
    assert found[2] == {"question": "How long?", "answer": "1200"}
    assert "no recorded answer is right" in str(found[3][""])


def test_recorded_answers_need_a_folder_and_their_columns(tmp_path):
    with pytest.raises(ValueError, match="Name its folder, as in clone=path/to/RouteLLM"):
        list(RecordedNumbers(None, "gsm8k.csv").rows())
    (tmp_path / "gsm8k.csv").write_text("prompt,a\nWho?,True\n")
    with pytest.raises(ValueError, match="column '<model>_response' is missing"):
        list(RecordedNumbers(str(tmp_path), "gsm8k.csv").rows())


def test_a_row_whose_reference_is_known_to_be_wrong_is_refused(tmp_path):
    kept, refused = tasks_of(LocalRows(write(tmp_path, ".jsonl", ROWS)), wrong=[1])
    assert isinstance(kept, Drafted)
    assert refused == Refused("mine.jsonl:2", "its reference is known to be wrong")


def test_a_limit_keeps_the_same_rows_whatever_their_number(tmp_path):
    rows = [{"question": f"Number {number}?", "answer": "x"} for number in range(40)]
    few, more = (
        [draft.task.task_id for draft in tasks_of(LocalRows(write(tmp_path, ".jsonl", rows)), limit=limit)]
        for limit in (5, 10)
    )
    assert len(few) == 5 and set(few) < set(more) and few == sorted(few)


def test_rows_of_the_datasets_library_become_tasks(tmp_path):
    datasets = pytest.importorskip("datasets")
    rows = [{"question": "Which is red?", "choices": ["sky", "blood"], "answer": 1}]
    datasets.DatasetDict({"test": datasets.Dataset.from_list(rows)}).save_to_disk(str(tmp_path / "saved"))
    form = Choice(question="{question}", answer="{answer}", options_field="choices", answer_is="number")
    (draft,) = tasks_of(HubRows(str(tmp_path / "saved"), "test"), form)
    assert f"{draft.task.reference}. blood" in draft.task.question


def test_a_dataset_of_the_hub_needs_a_pinned_revision():
    with pytest.raises(ValueError, match="openai/gsm8k: a dataset of the hub needs a pinned `revision`"):
        list(HubRows("openai/gsm8k", "test", "main").rows())


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("shown_as", ["csv", "json"])
def test_changes_of_records_are_the_same_for_the_same_seed_only(change, shown_as):
    made = [list(RecordTasks(change, 5, seed, shown_as=shown_as).rows()) for seed in (1, 1, 2)]
    assert made[0] == made[1] != made[2]


def test_totals_of_records_add_up():
    for row in RecordTasks("total", 20, seed=3).rows():
        lines = [line.split(",") for line in row.fields["data"].splitlines()[1:]]
        totals: dict[str, int] = {}
        for _, city, _, quantity in lines:
            totals[city] = totals.get(city, 0) + int(quantity)
        assert json.loads(row.fields["result"]) == totals


def test_generated_rows_are_the_same_for_the_same_seed_and_the_verifier_knows_them():
    made = [list(ReasoningGym("basic_arithmetic", 3, seed, [{"max_digits": 1}, {}]).rows()) for seed in (1, 1, 2)]
    assert made[0] == made[1] != made[2] and len(made[0]) == 6
    form = Free(scorer="verifier", instruction="", question="{question}", reference="{verifier}")
    for draft in tasks_of(ReasoningGym("basic_arithmetic", 3, 1, [{"max_digits": 1}, {}]), form):
        assert score(draft.task, right_answer(draft.task)) == 1
        assert score(draft.task, "Answer: no") == 0
        assert score(draft.task, "(" * 5_000) == 0
