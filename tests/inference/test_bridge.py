"""The bridge joins two sides by their questions, whatever the order of the options."""

import pandas as pd
import pytest

from slm_orchestration.inference.bridge import bridge, same_question
from slm_orchestration.inference.imported import ImportedError, read_imported
from slm_orchestration.tasks.task import Task, to_table

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
    assert same_question("Who?\nA. I\nB.  you") == same_question("Who? \nA. you\nB. I\nAnswer:")
    assert same_question("Who?\nA. I\nB. you") != same_question("Who?\nA. I\nB. they")
