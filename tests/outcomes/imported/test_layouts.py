"""Files with more than one model per row: RouteLLM's, RouterBench's, and a column per model."""

import json
import os
from pathlib import Path

import pandas as pd
import pytest

from slm_orchestration.outcomes.imported.layouts import is_routerbench, is_wide, read_routellm, routellm_folder
from slm_orchestration.outcomes.imported.reader import ImportedError, ImportOptions, read_imported
from tests.outcomes.imported.by_hand import rows, written

SHARED = Path(os.environ.get("SLM_ORCHESTRATION_SHARED") or Path(__file__).parents[3].parent / "shared")
ROUTELLM = SHARED / "external" / "routellm"


def test_a_column_per_model_is_read_where_the_models_are_named(tmp_path):
    wide = (
        rows(group="g")
        .assign(group=lambda f: f["task_id"])
        .pivot(index=["task_id", "group"], columns="model", values="quality")
        .reset_index()
    )
    imported = read_imported(written(tmp_path, wide.assign(note="x")), ImportOptions(models=("a", "b")))
    assert imported.outcomes.groupby("model")["quality"].mean().to_dict() == {"a": 0.5, "b": 1.0}


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


def test_a_turn_of_mt_bench_is_a_task_whose_quality_is_the_score_over_ten(tmp_path):
    responses, bench = tmp_path / "mmlu" / "responses", tmp_path / "mt_bench"
    for folder in (responses, bench):
        folder.mkdir(parents=True)
    pd.DataFrame({"prompt": ["Is 1 odd?"], "small": [True]}).to_csv(responses / "mmlu_anatomy.csv", index=False)
    question = {"question_id": 81, "category": "writing", "turns": ["Write.", "Rewrite."]}
    (bench / "question.jsonl").write_text(json.dumps(question) + "\n\n")
    judged = [{"question_id": 81, "model": "small", "turn": turn, "score": 10 - turn} for turn in (1, 2)]
    (bench / "judgements.jsonl").write_text("".join(json.dumps(line) + "\n" for line in judged))
    table, remarks = read_routellm(tmp_path)
    turns = table[table["dataset"] == "mt_bench"]
    assert turns["task_id"].tolist() == ["mt_bench/81/1", "mt_bench/81/2"]
    assert turns["quality"].tolist() == [0.9, 0.8]
    assert turns["prompt"].tolist() == ["Write.", "Write.\n\nRewrite."]
    assert turns["group"].nunique() == 1
    assert "a model's opinion" in remarks[-1]
    (bench / "question.jsonl").unlink()
    with pytest.raises(ImportedError, match=r"question\.jsonl: no such file"):
        read_routellm(tmp_path)


def test_a_folder_that_is_not_routellms_is_not_taken_for_one(tmp_path):
    assert routellm_folder(tmp_path) is None
    (tmp_path / "mmlu" / "responses").mkdir(parents=True)
    assert routellm_folder(tmp_path) == tmp_path
    with pytest.raises(ImportedError, match=r"holds no mmlu_<subject>\.csv"):
        read_routellm(tmp_path)


def test_a_table_is_told_by_its_columns():
    bench = pd.DataFrame(columns=["sample_id", "eval_name", "x", "x|total_cost"])
    assert is_routerbench(bench) and not is_routerbench(bench.drop(columns="x|total_cost"))
    wide = pd.DataFrame(columns=["task_id", "a", "b"])
    assert is_wide(wide, ["a", "b"])
    assert not is_wide(wide, ["a", "c"]) and not is_wide(wide, None) and not is_wide(wide.assign(model="a"), ["a", "b"])
