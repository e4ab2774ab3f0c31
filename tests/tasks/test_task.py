from dataclasses import replace

from slm_orchestration.tasks.task import from_table, to_table
from tests.tasks.by_hand import graded_task


def test_tasks_are_equal_after_a_table_and_back():
    tasks = [graded_task("choice", "B", ["A", "B"]), replace(graded_task("exact", ["x"]), task_id="d/s/2")]
    assert from_table(to_table(tasks)) == tasks
