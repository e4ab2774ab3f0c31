from dataclasses import replace

import pytest

from slm_orchestration.tasks.task import from_table, to_table
from tests.tasks.by_hand import graded_task


def test_tasks_are_equal_after_a_table_and_back():
    tasks = [graded_task("choice", "B", ["A", "B"]), replace(graded_task("exact", ["x"]), task_id="d/s/2")]
    assert from_table(to_table(tasks)) == tasks


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"split": "test"}, "d/s/1: split='test': allowed is pilot, fit, calibration, evaluation"),
        ({"choices": []}, "d/s/1: messages must not be empty, and choices be null where there are none"),
        ({"messages": []}, "d/s/1: messages must not be empty"),
    ],
)
def test_a_table_with_an_impossible_task_is_refused(changed, reason):
    table = to_table([replace(graded_task("exact", ["x"]), **changed)])
    with pytest.raises(ValueError, match=reason):
        from_table(table)
