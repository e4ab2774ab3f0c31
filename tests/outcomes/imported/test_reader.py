"""Recorded outcomes of other people's models: what is read, what is refused and in which words."""

import json
import os
from pathlib import Path

import pandas as pd
import pytest

from slm_orchestration.outcomes.imported.reader import ImportedError, ImportOptions, read_imported
from slm_orchestration.tasks.task import SPLITS

SHARED = Path(os.environ.get("SLM_ORCHESTRATION_SHARED") or Path(__file__).parents[3].parent / "shared")
ROUTELLM = SHARED / "external" / "routellm"


def rows(tasks: int = 60, **columns: object) -> pd.DataFrame:
    """Two models on so many tasks: a is right on every second one, b on all; b costs ten times as much."""
    frame = pd.DataFrame(
        [
            {"task_id": f"t{number:02d}", "model": model, "quality": float(model == "b" or number % 2)}
            for number in range(tasks)
            for model in ("b", "a")
        ]
    )
    return frame.assign(**columns)


def written(folder: Path, frame: pd.DataFrame, name: str = "my.csv") -> Path:
    path = folder / name
    if name.endswith(".parquet"):
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep="\t" if name.endswith(".tsv") else ",")
    return path


def refusal(path: Path, **selection: object) -> str:
    with pytest.raises(ImportedError) as error:
        read_imported(path, ImportOptions(**selection))
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("name", ["my.csv", "my.csv.gz", "my.tsv", "my.parquet"])
def test_three_columns_are_enough_and_what_is_missing_stays_null(tmp_path, name):
    imported = read_imported(written(tmp_path, rows(), name))
    assert imported.models == ("a", "b")
    assert imported.small == ("a",)
    assert imported.cost_unit == "calls"
    outcomes = imported.outcomes
    assert outcomes[["answer", "cost_usd", "latency_s", "prompt_tokens", "confidence"]].isna().all(axis=None)
    assert outcomes.groupby("model")["quality"].mean().to_dict() == {"a": 0.5, "b": 1.0}
    assert imported.tasks["question"].isna().all()
    assert imported.tasks["group"].tolist() == imported.tasks["task_id"].tolist()
    assert set(imported.tasks["split"]) <= set(SPLITS)
    assert set(imported.tasks["dataset"]) == {"my"}


@pytest.mark.parametrize(
    "change",
    [
        lambda f: f.assign(quality=f["quality"] == 1),
        lambda f: f.assign(quality=f["quality"].map({0.0: "no", 1.0: "Yes"})),
        lambda f: f.rename(columns={"task_id": "Task_ID", "model": " Model", "quality": "correct"}),
        lambda f: f.assign(model=f["model"] + " ", task_id=" " + f["task_id"]),
    ],
)
def test_the_same_outcomes_in_other_words_are_the_same(tmp_path, change):
    one, other = (read_imported(written(tmp_path, frame)) for frame in (rows(), change(rows())))
    assert one.outcomes.equals(other.outcomes)


def test_a_column_per_model_is_read_where_the_models_are_named(tmp_path):
    wide = (
        rows(group="g")
        .assign(group=lambda f: f["task_id"])
        .pivot(index=["task_id", "group"], columns="model", values="quality")
        .reset_index()
    )
    imported = read_imported(written(tmp_path, wide.assign(note="x")), ImportOptions(models=("a", "b")))
    assert imported.outcomes.groupby("model")["quality"].mean().to_dict() == {"a": 0.5, "b": 1.0}


def test_semicolons_decimal_commas_and_a_byte_order_mark_are_read(tmp_path):
    frame = rows(cost_usd=0.25).assign(quality=lambda f: f["quality"] / 2)
    text = frame.to_csv(index=False, sep=";", decimal=",")
    (tmp_path / "my.csv").write_text(text, encoding="utf-8-sig")
    outcomes = read_imported(tmp_path / "my.csv").outcomes
    assert outcomes.groupby("model")["quality"].mean().to_dict() == {"a": 0.25, "b": 0.5}
    assert set(outcomes["cost_usd"]) == {0.25}


def test_the_order_of_the_rows_changes_nothing(tmp_path):
    frame = rows(cost_usd=0.1, dataset="d").assign(prompt=lambda f: f["task_id"] + " as asked of " + f["model"])
    one, other = (
        read_imported(written(tmp_path, given, name))
        for given, name in ((frame, "one.csv"), (frame.sample(frac=1, random_state=0), "other.csv"))
    )
    assert one.tasks.equals(other.tasks)
    assert one.outcomes.equals(other.outcomes)
    assert (one.models, one.remarks) == (other.models, other.remarks)


def test_costs_order_the_models_whatever_their_quality(tmp_path):
    frame = rows()
    frame["cost_usd"] = frame["model"].map({"a": 0.01, "b": 0.001})
    imported = read_imported(written(tmp_path, frame))
    assert (imported.models, imported.small, imported.cost_unit) == (("b", "a"), ("b",), "usd")


def test_costs_that_some_answers_lack_are_not_used_and_counted(tmp_path):
    frame = rows()
    frame["cost_usd"] = frame["model"].map({"a": 0.01, "b": 0.001})
    frame.loc[frame.groupby("model").head(3).index, "cost_usd"] = None
    imported = read_imported(written(tmp_path, frame))
    assert imported.cost_unit == "calls"
    assert f"costs not used: 6 of {len(frame)} answers have none" in imported.remarks


def test_costs_follow_from_tokens_where_prices_are_given(tmp_path):
    prices = pd.DataFrame(
        {
            "model": ["a", "b"],
            "usd_per_million_prompt_tokens": [1.0, 10.0],
            "usd_per_million_completion_tokens": [2.0, 20.0],
        }
    )
    path = written(tmp_path, rows(prompt_tokens=100, completion_tokens=50))
    imported = read_imported(path, ImportOptions(token_prices=written(tmp_path, prices, "prices.csv")))
    means = imported.outcomes.groupby("model")["cost_usd"].mean()
    assert means["a"] == pytest.approx(100e-6 + 100e-6)
    assert means["b"] == pytest.approx(10 * means["a"])


def test_near_duplicates_share_a_group_and_so_a_split(tmp_path):
    frame = rows()
    frame["prompt"] = frame["task_id"].map(lambda name: f"{name} is a question about {int(name[1:]) ** 7} horses")
    twins = frame["task_id"].isin(["t03", "t40"])
    frame.loc[twins, "prompt"] = "Which of these nine words is the longest one that begins with a vowel?"
    tasks = read_imported(written(tmp_path, frame)).tasks.set_index("task_id")
    assert tasks.loc["t40", "group"] == tasks.loc["t03", "group"] == "t03"
    assert tasks["group"].nunique() == 59


def test_a_template_is_not_taken_for_one_task(tmp_path):
    frame = rows(200)
    words = " ".join(f"word{number}" for number in range(60))
    frame["prompt"] = "How many primes are there, " + words + ", up to " + frame["task_id"] + "?"
    imported = read_imported(written(tmp_path, frame))
    assert imported.tasks["group"].nunique() == 200
    assert "200 tasks follow templates" in " ".join(imported.remarks)


def test_agreement_with_a_model_is_quality_and_is_called_a_proxy(tmp_path):
    frame = rows().drop(columns="quality")
    frame["output"] = ["Paris", " paris "] * 59 + ["Paris", "Rome"]
    imported = read_imported(written(tmp_path, frame), ImportOptions(quality="agreement_with:b"))
    assert imported.outcomes.groupby("model")["quality"].sum().to_dict() == {"a": 59.0, "b": 60.0}
    assert "a proxy" in imported.remarks[0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f.drop(columns="model"), ["column 'model' is missing", "task_id, model, quality"]),
        (lambda f: f.pivot(index="task_id", columns="model", values="quality").reset_index(), ["models=[a,b]"]),
        (lambda f: f.assign(signals="{'p_true': 1}"), ["row 1: signals must be JSON", "p_true"]),
        (lambda f: f.assign(repeat=1), ["column repeat", "no row has it"]),
        (lambda f: f.rename(columns={"quality": "score"}), ["column 'quality' is missing", "The file has", "score"]),
        (lambda f: f.iloc[:0], ["holds no rows"]),
        (lambda f: f.assign(quality=f["quality"] * 100), ["row 1:", "quality must lie within 0 and 1", "percentages"]),
        (
            lambda f: f.assign(quality=f["quality"].where(f.index != 6)),
            ["row 7: quality is missing", "unanswered=drop"],
        ),
        (lambda f: f.assign(quality=f["quality"].astype(str).where(f.index != 6, "good")), ["row 7", "not a number"]),
        (lambda f: pd.concat([f, f.iloc[[4]]]), ["row 121", "repeats the task and model"]),
        (lambda f: f.drop(index=5), ["'a' has no row for 1 of 60 tasks, first 't02'", "unanswered=drop", "59 tasks"]),
        (lambda f: f.assign(model=f["model"].replace("a", "guess")), ["is called 'guess'", "rename it"]),
        (lambda f: f[f["model"] == "a"], ["at least 2 models", "found a"]),
        (lambda f: f.assign(cost_usd=-1.0), ["row 1", "cost_usd must lie within 0"]),
        (lambda f: f.assign(task_id=f["task_id"].where(f.index != 2, "")), ["row 3: task_id is missing"]),
        (lambda f: f.assign(dataset=["x", "y"] * 60), ["row 2", "another dataset"]),
        (lambda f: f.iloc[:20], ["10 tasks in 10 groups", "at least 5 are needed"]),
        (lambda f: f.assign(split=["fit"] * 60 + ["evaluation"] * 60, group="g"), ["into 2 splits", "keep near"]),
    ],
)
def test_malformed_rows_are_refused_with_file_row_and_reason(tmp_path, change, said):
    path = written(tmp_path, change(rows()))
    message = refusal(path)
    assert message.startswith(str(path))
    assert [part for part in said if part not in message] == []


@pytest.mark.parametrize(
    ("selection", "said"),
    [
        ({"models": ("a", "c")}, ["no 'c'", "they are b, a"]),
        ({"small": ("x",)}, ["small='x' is not a model", "a, b"]),
        ({"small": ("a", "b")}, ["every model"]),
        ({"datasets": ("mmlu",)}, ["no 'mmlu'", "not given"]),
        ({"unanswered": "skip"}, ["refuse or drop"]),
        ({"quality": "agreement"}, ["agreement_with:<model>"]),
        ({"quality": "agreement_with:c"}, ["is not a model of the file", "b, a"]),
        ({"quality": "agreement_with:a"}, ["column output"]),
        ({"token_prices": Path("none.csv")}, ["none.csv", "no such file"]),
    ],
)
def test_an_impossible_selection_is_refused(tmp_path, selection, said):
    message = refusal(written(tmp_path, rows()), **selection)
    assert [part for part in said if part not in message] == []


def test_files_that_are_no_outcomes_are_refused_in_one_line(tmp_path):
    assert "no such file" in refusal(tmp_path / "none.csv")
    assert "holds neither" in refusal(tmp_path)
    (tmp_path / "broken.parquet").write_bytes(b"not parquet")
    assert "cannot be read" in refusal(tmp_path / "broken.parquet")
    (tmp_path / "empty.csv").write_bytes(b"")
    assert "is empty" in refusal(tmp_path / "empty.csv")
    (tmp_path / "other.csv").write_bytes("task_id,model,quality,prompt\n1,a,1,é\n".encode("latin-1"))
    assert "save it as UTF-8" in refusal(tmp_path / "other.csv")
    (tmp_path / "tabs.csv").write_text(rows().to_csv(index=False, sep="\t"))
    assert read_imported(tmp_path / "tabs.csv").models == ("a", "b")
    (tmp_path / "my.xlsx").write_bytes(b"")
    assert ".csv, .csv.gz, .tsv, .parquet, .jsonl" in refusal(tmp_path / "my.xlsx")


def test_tasks_that_a_model_did_not_answer_are_dropped_only_on_request(tmp_path):
    path = written(tmp_path, rows().drop(index=5))
    imported = read_imported(path, ImportOptions(unanswered="drop"))
    assert len(imported.tasks) == 59
    assert "1 of 60 tasks dropped" in " ".join(imported.remarks)


def test_the_order_of_rows_changes_nothing(tmp_path):
    frame = rows(domain="logic")
    one = read_imported(written(tmp_path, frame))
    other = read_imported(written(tmp_path, frame.sample(frac=1, random_state=1)))
    pd.testing.assert_frame_equal(one.tasks, other.tasks)
    assert one.models == other.models


def test_routerbench_has_its_quality_under_the_name_of_the_model(tmp_path):
    table = pd.DataFrame(
        {
            "sample_id": [f"mmlu.{number}" for number in range(60)],
            "prompt": [f"['Question {number}']" for number in range(60)],
            "eval_name": "mmlu-anatomy",
            "x/small": 0.0,
            "y/large": 1.0,
            "x/small|model_response": "B",
            "y/large|model_response": "A",
            "x/small|total_cost": 0.001,
            "y/large|total_cost": 0.01,
            "oracle_model_to_route_to": "y/large",
        }
    )
    imported = read_imported(written(tmp_path, table, "routerbench.parquet"))
    assert (imported.models, imported.cost_unit) == (("x/small", "y/large"), "usd")
    assert imported.outcomes.groupby("model")["quality"].mean().tolist() == [0.0, 1.0]
    assert set(imported.tasks["dataset"]) == {"mmlu-anatomy"}


def test_routellm_layout_is_read_without_the_prompts_that_it_calls_contaminated(tmp_path):
    mmlu, gsm8k = tmp_path / "routellm" / "evals" / "mmlu" / "responses", tmp_path / "routellm" / "evals" / "gsm8k"
    for folder in (mmlu, gsm8k):
        folder.mkdir(parents=True)
    wide = pd.DataFrame({"prompt": [f"Is {n} odd?" for n in range(50)], "mixtral": [True, False] * 25, "gpt-4": True})
    wide.to_csv(mmlu / "mmlu_anatomy.csv", index=False)
    wide.assign(prompt="gsm " + wide["prompt"]).to_csv(gsm8k / "gsm8k_responses.csv", index=False)
    (gsm8k / "contaminated_prompts.jsonl").write_text(json.dumps({"eval_prompt": "gsm Is 1 odd?"}) + "\n")
    for place in (tmp_path, tmp_path / "routellm", tmp_path / "routellm" / "evals"):
        imported = read_imported(place)
        assert imported.tasks["dataset"].value_counts().to_dict() == {"mmlu": 50, "gsm8k": 49}
        assert imported.models == ("mixtral", "gpt-4")


@pytest.mark.real
@pytest.mark.skipif(not ROUTELLM.exists(), reason="RouteLLM's files are not at hand")
def test_the_published_values_of_single_models_come_out_of_routellms_own_files():
    outcomes = read_imported(ROUTELLM, ImportOptions(datasets=("mmlu", "gsm8k"))).outcomes
    means = outcomes.groupby(["dataset", "model"])["quality"].agg(["mean", "size"])
    percent = (100 * means["mean"]).round(2)
    gpt, mixtral = "gpt-4-1106-preview", "mistralai/Mixtral-8x7B-Instruct-v0.1"
    assert (percent["mmlu", gpt], percent["mmlu", mixtral]) == (80.58, 68.08)
    assert (percent["gsm8k", gpt], percent["gsm8k", mixtral]) == (85.77, 63.73)
    assert means["size"].to_dict() == {
        ("gsm8k", gpt): 1307, ("gsm8k", mixtral): 1307, ("mmlu", gpt): 14042, ("mmlu", mixtral): 14042
    }  # fmt: skip
