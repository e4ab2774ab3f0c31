"""The bridge joins two sides by their questions, whatever the order of the options."""

import os
from pathlib import Path

import pandas as pd
import pytest

from experiments.prepare import configured
from experiments.setup.config import load_config
from slm_orchestration.outcomes.imported.bridge import bridge, question_key
from slm_orchestration.outcomes.imported.reader import ImportedError, read_imported
from slm_orchestration.tasks.dataset import DraftTask, read_dataset
from slm_orchestration.tasks.task import Task, to_table

SHARED = Path(os.environ.get("SLM_ORCHESTRATION_SHARED") or Path(__file__).parents[3].parent / "shared")
_SPLITS = ("fit", "calibration", "evaluation")


def task(number: int) -> Task:
    question = f"What is {number} + 1?\nA. {number + 1}\nB. {number}"
    return Task(
        **{"task_id": f"expert_knowledge/mmlu/{number}", "domain": "expert_knowledge", "dataset": "mmlu"},
        **{"group": f"g{number}", "split": _SPLITS[number % 3], "question": question, "choices": ["A", "B"]},
        **{"messages": [{"role": "user", "content": question}], "reference": "A", "scorer": "choice", "max_tokens": 4},
    )


def sides(folder, first: int):
    """Return our tasks 0..59 and the others' outcomes on `first`.. of them, with the options the other way round."""
    tasks = to_table([task(number) for number in range(60)])
    rows = [
        {"task_id": f"theirs/{n}", "dataset": "mmlu", "domain": "arithmetic", "model": model, "quality": right}
        | {"prompt": f"What is {n} + 1?\nA. {n}\nB. {n + 1}\nAnswer:"}
        for n in range(first, first + 60)
        for model, right in (("mixtral", n % 2), ("gpt-4", 1))
    ]
    path = folder / "theirs.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    others = read_imported(path)
    own = others.outcomes[others.outcomes["model"] == "mixtral"].head(60).reset_index(drop=True)
    return tasks, own.assign(task_id=tasks["task_id"], model="tiny", quality=0.0), others


def test_questions_are_joined_whatever_the_order_of_their_options(tmp_path):
    joined = bridge(*sides(tmp_path, 20)[:2], ["tiny"], sides(tmp_path, 20)[2])
    assert joined.models == ("tiny", "mixtral", "gpt-4")
    assert joined.small == ("tiny", "mixtral")
    assert set(joined.tasks["task_id"]) == {f"expert_knowledge/mmlu/{number}" for number in range(20, 60)}
    means = joined.outcomes.groupby("model")["quality"].agg(["mean", "size"])
    assert means["size"].tolist() == [40, 40, 40]
    assert means["mean"].to_dict() == {"tiny": 0.0, "mixtral": 0.5, "gpt-4": 1.0}
    assert set(joined.tasks["domain"]) == {"arithmetic"}
    assert "protocols differ" in " ".join(joined.remarks)


def test_nothing_in_common_is_refused(tmp_path):
    tasks, own, others = sides(tmp_path, 100)
    with pytest.raises(ImportedError, match="no question that both sides answered"):
        bridge(tasks, own, ["tiny"], others)


def test_white_space_labels_and_the_request_to_answer_make_no_difference():
    def same(one: str, other: str) -> bool:
        return question_key(one, one) == question_key(other, other)

    assert same("Who?\nA. I\nB.  you", "Who? \nA. you\nB. I\nAnswer:")
    assert not same("Who?\nA. I\nB. you", "Who?\nA. I\nB. they")


def test_a_question_with_other_functions_on_offer_is_another_one():
    theirs = 'How far?\n\nFunctions: [{"name": "walk", "parameters": {}}, {"name": "drive", "parameters": {}}]'
    shown = 'Functions:\n{"name":"drive","parameters":{}}\n{"name":"walk","parameters":{}}\n\nHow far?'
    assert question_key(theirs, theirs) == question_key("How far?", shown)
    assert question_key(theirs, theirs) != question_key("How far?", shown.replace("walk", "fly"))


@pytest.mark.skipif(not (SHARED / "outcomes/bfcl_v1.parquet").exists(), reason="no recorded function calls here")
def test_function_calls_meet_those_that_others_recorded():
    datasets = configured(load_config("domain=[bridge_bfcl]", config="prepare"))
    items = [item for key, dataset in datasets.items() for item in read_dataset(*key, dataset)]
    tasks = [item.task for item in items if isinstance(item, DraftTask)]
    ours = {question_key(task.question, task.messages[-1]["content"]) for task in tasks}
    prompts = pd.read_parquet(SHARED / "outcomes/bfcl_v1.parquet", columns=["prompt"])["prompt"].unique()
    assert len(ours & {question_key(text, text) for text in prompts}) == 1228
    assert len(tasks) == 1240
