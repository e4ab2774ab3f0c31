"""`experiments.run` on a suite by hand: its tables, its resumption and what it refuses."""

from pathlib import Path

import pandas as pd
import pytest

from experiments import run
from slm_orchestration import tables
from tests.experiments.by_hand import MODELS, configured, write_suite

STRATEGIES = {
    **{name: [name] for name in ("bandit_linucb", "bandit_thompson", "cascade_routing", "cascade_routing_greedy")},
    **{
        name: [name]
        for name in ("answer_scorer", "boosting", "bradley_terry", "knn", "length", "logistic", "matrix_factorization")
    },
    "adaptive": ["adaptive"],
    "confidence": ["confidence"],
    "constant": [f"always_{model}" for model in MODELS],
    "domain_table": ["domain_table_predicted"],
    "domain_table_given": ["domain_table_given"],
    "guess": ["guess"],
    "heuristic": ["heuristic"],
    "mixture": ["mixture"],
    "oracle": ["oracle"],
    "random": ["random"],
}


@pytest.fixture
def suite(tmp_path):
    write_suite(configured(tmp_path))
    return tmp_path


def _run(folder: Path, *overrides: str) -> dict:
    cfg = configured(folder, *overrides)
    run.main(cfg)
    results = Path(cfg.paths.results) / cfg.routing.name
    return {name: tables.read(results / f"{name}.parquet", schema) for name, schema in run.TABLES.items()}


@pytest.mark.parametrize("routing", STRATEGIES)
def test_every_strategy_decides_every_evaluation_task_at_every_threshold(suite, routing):
    made = _run(suite, f"routing={routing}")
    assert sorted(made["decisions"]["strategy"].unique()) == sorted(STRATEGIES[routing])
    per_threshold = made["decisions"].groupby(["strategy", "threshold"], dropna=False).size()
    assert set(per_threshold) == {60}
    thresholds = made["decisions"].groupby("strategy")["threshold"].nunique()
    assert set(thresholds) <= {0, 41}
    point = made["operating_points"].set_index("strategy").loc[STRATEGIES[routing][0]]
    assert point["tasks"] == 24


def test_a_fixed_operating_point_is_replayed_even_between_the_thresholds_of_the_grid(suite):
    made = _run(suite, "routing=heuristic", "operating_point=fixed", "operating_point.threshold=0.71")
    assert made["operating_points"]["threshold"].tolist() == [0.71]
    assert 0.71 in set(made["decisions"]["threshold"])


@pytest.mark.parametrize(
    ("aim", "reason"),
    [
        (["operating_point=same_quality"], "cheapest that keeps the most expensive model's quality"),
        (["operating_point=budget", "operating_point.share=0.3"], "highest quality for at most 0.3 of the most"),
        (["operating_point=best_quality"], "highest quality on calibration tasks at any cost"),
    ],
)
def test_the_operating_point_follows_the_aim(suite, aim, reason):
    made = _run(suite, "routing=length", *aim)
    [point] = made["operating_points"].to_dict("records")
    assert point["chosen_by"].startswith(reason)


@pytest.mark.parametrize("routing", ["constant", "guess"])
def test_a_guarantee_leaves_strategies_without_thresholds_as_they_are(suite, routing):
    aim = ["operating_point=retention_95"]
    guaranteed, plain = _run(suite, f"routing={routing}", *aim), _run(suite, f"routing={routing}")
    for name in ("decisions", "curves"):
        pd.testing.assert_frame_equal(guaranteed[name], plain[name])


def test_running_twice_gives_the_same_bytes_and_does_not_run_again(suite, monkeypatch):
    _run(suite, "routing=adaptive")
    folder = suite / "results" / "adaptive"
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}
    monkeypatch.setattr(run, "_run", lambda *_: pytest.fail("ran again"))
    _run(suite, "routing=adaptive")
    assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()} == before
    monkeypatch.undo()
    (folder / "config.yaml").unlink()
    _run(suite, "routing=adaptive")
    assert {name: content for name, (content, _) in before.items()} == {
        p.name: p.read_bytes() for p in folder.iterdir()
    }


def test_another_seed_or_other_outcomes_run_again(suite):
    first = _run(suite, "routing=bandit_thompson")
    other_seed = _run(suite, "routing=bandit_thompson", "seed=1")
    assert not first["decisions"].equals(other_seed["decisions"])


def test_the_router_pays_for_its_measured_overhead(suite):
    made = _run(suite, "routing=heuristic")
    at_one = made["decisions"].query("threshold == 1.0")
    assert (at_one["router_latency_s"] > 0).all()
    assert (at_one["cost_usd"] > 1e-6).all()
    assert (suite / "overhead.csv").read_text().startswith("strategy,single_p50_s")


def test_tasks_that_were_not_prepared_are_named_with_the_command_that_makes_them(tmp_path):
    with pytest.raises(ValueError, match=r"experiments\.prepare suite=standard"):
        _run(tmp_path, "routing=constant")


def test_a_model_that_has_not_answered_is_named(suite):
    (suite / "outcomes" / "qwen2.5-coder-1.5b.parquet").unlink()
    with pytest.raises(ValueError, match=r"qwen2\.5-coder-1\.5b"):
        _run(suite, "routing=constant")
