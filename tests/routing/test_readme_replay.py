"""A router fitted and replayed from Python in a dozen lines, as the README shows it."""

import numpy as np
import pandas as pd

from slm_orchestration.outcomes.imported.reader import read_imported
from slm_orchestration.routing import Overhead, RoutedStrategy, Utility, imported_matrix, replay
from slm_orchestration.routing.features import LatentSemantics
from slm_orchestration.routing.routers.knn import NearestTasksRouter


def test_a_dozen_lines_fit_a_router_and_replay_its_thresholds(tmp_path, capsys):
    path = tmp_path / "outcomes.csv"
    rows = []
    for number in range(300):
        hard = number % 2
        prompt = f"prove the theorem {number}" if hard else f"add the numbers {number}"
        rows.append((f"task-{number}", prompt, "small", 1.0 - hard, 1.0))
        rows.append((f"task-{number}", prompt, "large", 1.0, 10.0))
    pd.DataFrame(rows, columns=["task_id", "prompt", "model", "quality", "cost_usd"]).to_csv(path, index=False)

    outcomes = imported_matrix(read_imported(path))
    fit, calibration, evaluation = (outcomes.where(split) for split in ("fit", "calibration", "evaluation"))
    strategy = RoutedStrategy("knn", NearestTasksRouter(LatentSemantics(16, seed=0), (5, 10)), Utility())
    choices = strategy.fit(fit, calibration).choose(evaluation, np.linspace(0, 1, 5))["knn"]
    curve = replay.curves(replay.replay("knn", choices, evaluation, overhead=Overhead()), evaluation)
    overall = curve[curve["domain"] == "overall"]
    print(overall[["threshold", "quality", "cost_usd", "small_share"]].to_string(index=False))

    hard_share = evaluation.tasks["question"].str.startswith("prove").mean()
    # At .25 a hard task gains .75·1 - .25·.9 from the large model; at 1 only cost counts.
    assert overall["quality"].tolist()[1] == 1.0
    assert np.isclose(overall["cost_usd"].tolist()[1], 1 + 9 * hard_share)
    assert overall["cost_usd"].tolist()[-1] == 1.0
    assert "small_share" in capsys.readouterr().out
