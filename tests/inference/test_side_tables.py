import numpy as np
import pandas as pd
import pytest

from slm_orchestration.outcomes.side_tables import read_side_table, write_side_table
from slm_orchestration.outcomes.store import OutcomesError

STATES = pd.DataFrame(
    {
        "task_id": ["logic/made/0", "logic/made/1"],
        "model": ["small", "small"],
        "state": list(np.array([[0.5, -1], [2, 0]], np.float16)),
    }
)


def test_states_come_back_as_float16_rows(tmp_path):
    write_side_table(STATES, tmp_path, "states", "small", metadata={})
    read = read_side_table(tmp_path, "states", "small")
    assert np.stack(read["state"].tolist()).tolist() == [[0.5, -1.0], [2.0, 0.0]]
    assert read["state"][0].dtype == np.float16


def test_a_missing_table_names_the_command_and_a_changed_one_is_refused(tmp_path):
    with pytest.raises(
        OutcomesError, match=r"not recorded; run `python -m experiments\.collect .*inference\.states=true"
    ):
        read_side_table(tmp_path, "states", "small")
    write_side_table(STATES, tmp_path, "states", "small", metadata={})
    STATES.assign(task_id=["a", "b"]).to_parquet(tmp_path / "states" / "small.parquet")
    with pytest.raises(OutcomesError, match="is not the file that its manifest lists"):
        read_side_table(tmp_path, "states", "small")
