import json

import pytest

from slm_orchestration.tasks.sources.synthetic_tables import CHANGES, RecordTasks


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
