"""The packaged datasets against their own references: needs the packages, which are downloaded once."""

import json
from dataclasses import replace
from itertools import islice, pairwise

import pytest

from experiments.prepare import configured
from experiments.setup.config import load_config
from slm_orchestration.tasks.dataset import DraftTask, read_dataset
from slm_orchestration.tasks.scoring import score
from slm_orchestration.tasks.task import Task
from tests.tasks.reference_answers import right_answer

pytestmark = pytest.mark.real
DATASETS = configured(load_config("suite=quick", config="prepare"))
# Unit tests run in the sandbox, which has its own tests.
PACKAGED = [key for key, dataset in DATASETS.items() if getattr(dataset.form, "scorer", "choice") != "unit_tests"]


def first_tasks(key: tuple[str, str], count: int | None) -> list[Task]:
    drafts = (item for item in read_dataset(*key, replace(DATASETS[key], limit=None)) if isinstance(item, DraftTask))
    return [draft.task for draft in islice(drafts, count)]


@pytest.mark.parametrize("key", PACKAGED, ids=lambda key: key[1])
def test_the_reference_scores_one_and_the_empty_answer_does_not(key):
    tasks = first_tasks(key, 12)
    assert tasks
    for task in tasks:
        assert score(task, right_answer(task)) == 1, (task.task_id, task.reference)
        if task.scorer != "function_call" or json.loads(task.reference)["calls"]:
            assert score(task, "") == 0, task.task_id


@pytest.mark.parametrize("key", PACKAGED, ids=lambda key: key[1])
def test_another_tasks_reference_is_right_only_where_it_is_the_same(key):
    tasks = [task for task in first_tasks(key, 12) if task.scorer not in ("set_f1", "token_f1")]
    for task, other in pairwise(tasks):
        answer = right_answer(other)
        same = answer.casefold() == right_answer(task).casefold()
        assert (score(task, answer) == 1) == same, (task.task_id, other.task_id)


BFCL = [name for domain, name in DATASETS if domain == "tool_use" and "irrelevance" not in name]


@pytest.mark.parametrize("name", BFCL)
def test_every_accepted_call_scores_one_and_altered_calls_score_zero(name):
    for task in first_tasks(("tool_use", name), None):
        right = right_answer(task)
        assert score(task, right) == 1, (task.task_id, right)
        for wrong in (
            "[]",
            right.replace("(", "_other(", 1),
            right.replace("(", "(unknown_parameter=1, ", 1),
            f"[{right[1:-1]}, f()]",
        ):
            assert score(task, wrong) == 0, (task.task_id, wrong)


@pytest.mark.parametrize("name", ["bfcl_irrelevance", "bfcl_live_irrelevance"])
def test_where_no_function_fits_any_call_is_wrong(name):
    for task in first_tasks(("tool_use", name), 50):
        function = json.loads(task.reference)["functions"][0]["name"]
        assert score(task, "[]") == score(task, "None of the functions can do that.") == 1
        assert score(task, f"[{function}()]") == score(task, f"{function}(a=1)") == 0
