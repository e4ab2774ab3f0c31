"""The whole pipeline on a handful of real tasks: the real SmolLM2 and a scripted large model."""

from pathlib import Path

import pytest
from omegaconf import DictConfig, open_dict

from experiments import analyze, collect, prepare, report, run
from experiments.setup.config import load_config
from experiments.setup.results import read_results
from experiments.setup.trace import trace
from slm_orchestration import artifacts, tables
from slm_orchestration.tasks.task import from_table
from tests.experiments.by_hand import configured

DOMAINS = ("commonsense", "mathematics")
ROUTINGS = ("constant", "guess", "mixture", "oracle", "domain_table_given", "heuristic", "confidence", "adaptive")


def _configured(folder: Path, tasks: list, routing: str) -> DictConfig:
    cfg = configured(folder, f"routing={routing}")
    with open_dict(cfg):
        cfg.paths.profile = str(folder / "latency_profile.csv")
        cfg.inference.timed_rows = 2
        cfg.pool.small = ["smollm2-135m"]
        right = {task.task_id: task.reference for task in tasks}
        large = {"_target_": "slm_orchestration.models.scripted.ScriptedModel", "name": "large", "answers": right}
        cfg.pool.models = [cfg.pool.models[0], large]
        cfg.grade, cfg.only, cfg.max_seconds = "now", None, None  # keys of collect
    return cfg


@pytest.mark.real
@pytest.mark.timeout(1800)
def test_real_answers_become_a_paper(tmp_path, capsys):
    whole = load_config("suite=quick", f"paths.tasks={tmp_path / 'quick.parquet'}", config="prepare")
    prepare.main(whole)
    suite = tables.read(Path(whole.paths.tasks), tables.TASKS)
    handful = suite[suite["domain"].isin(DOMAINS) & suite["choices"].notna()].reset_index(drop=True)
    tasks = from_table(handful)
    tables.write(handful, tables.TASKS, tmp_path / "tasks.parquet", metadata={})

    collect.main(_configured(tmp_path, tasks, "constant"))
    answered = tables.read(tmp_path / "outcomes" / "smollm2-135m.parquet", tables.OUTCOMES)
    assert answered["quality"].notna().all()
    assert set(answered["finish_reason"]) == {"choice"}
    assert 0 < answered["quality"].mean() < 1

    for routing in ROUTINGS:
        run.main(_configured(tmp_path, tasks, routing))
    cfg = _configured(tmp_path, tasks, "constant")
    analyze.main(cfg)
    report.main(cfg)
    named, _ = report.describe(cfg, read_results(tmp_path / "results"))
    links = dict(trace(cfg, "adaptive.retention", named))
    assert links["run"].startswith(f"{tmp_path / 'results' / 'adaptive'}, configuration ")
    assert artifacts.sha256(tmp_path / "outcomes" / "smollm2-135m.parquet") in links["outcomes"]
    assert links["weights"] == f"smollm2-135m sha256 {cfg.pool.models[0].weights.sha256}"
    estimates = tables.read(tmp_path / "results" / "estimates.parquet", tables.ESTIMATES)
    quality = estimates.query("metric == 'quality' and domain == 'overall'").set_index("strategy")["estimate"]
    evaluation = answered[answered["split"] == "evaluation"]
    assert quality["always_smollm2-135m"] == pytest.approx(evaluation["quality"].mean())
    assert quality["always_large"] == 1.0
    assert (tmp_path / "paper" / "paper.pdf").read_bytes().startswith(b"%PDF")
    assert "always_smollm2-135m" in capsys.readouterr().out
