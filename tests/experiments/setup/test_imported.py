"""`pool=imported`: every strategy that the columns allow runs, the others say why not."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments import analyze, report, run
from experiments.setup.config import entry, load_config
from experiments.setup.imported import files_asked
from slm_orchestration import tables
from tests.experiments.by_hand import configured


def write_outcomes(path: Path, *, tasks: int = 150, columns: tuple[str, ...] = ()) -> None:
    """Three models of growing skill; long prompts are hard."""
    rng = np.random.default_rng(0)
    hard = rng.random(tasks) < 0.5
    frames = []
    for model, skill, price in (("tiny", 0.3, 1.0), ("mid", 0.6, 4.0), ("big", 0.9, 20.0)):
        right = rng.random(tasks) < np.where(hard, skill * 0.6, skill)
        frames.append(
            pd.DataFrame(
                {
                    "task_id": [f"q{number}" for number in range(tasks)],
                    "model": model,
                    "quality": right.astype(float),
                    "domain": np.where(np.arange(tasks) % 3, "sums", "words"),
                    "prompt": [f"{'Prove that ' if h else ''}{n * 7919} is even." for n, h in enumerate(hard)],
                    "cost_usd": price * 1e-5,
                    "latency_s": price / 10,
                    "confidence": np.clip(rng.normal(0.5 + 0.3 * right, 0.1), 0.01, 0.99),
                    "output": np.where(right, "yes", "no"),
                    "completion_tokens": 5,
                }
            )
        )
    frame = pd.concat(frames)
    frame[["task_id", "model", "quality", "domain", *columns]].to_csv(path, index=False)


def imported(folder: Path, *overrides: str):
    return configured(folder, "pool=imported", f"outcomes={folder / 'my.csv'}", *overrides)


def ran(folder: Path, routing: str, *overrides: str) -> pd.DataFrame | None:
    cfg = imported(folder, f"routing={routing}", *overrides)
    run.main(cfg)
    path = Path(cfg.paths.results) / routing / "curves.parquet"
    return tables.read(path, tables.CURVES) if path.exists() else None


@pytest.mark.parametrize(
    ("columns", "skipped"),
    [
        ((), {"guess", "length", "confidence", "adaptive"}),
        (("prompt", "cost_usd"), {"guess", "confidence"}),
        (("prompt", "cost_usd", "latency_s", "confidence"), {"guess", "answer_scorer"}),
        (("prompt", "cost_usd", "confidence", "output", "completion_tokens"), {"guess"}),
    ],
)
def test_a_strategy_runs_if_its_columns_are_there_and_else_says_why_not(tmp_path, capsys, columns, skipped):
    write_outcomes(tmp_path / "my.csv", columns=columns)
    allowed = {"confidence"} if "confidence" in columns else set()
    for routing in sorted({"constant", "mixture", "guess", *allowed, *skipped}):
        assert (ran(tmp_path, routing) is None) == (routing in skipped)
        assert (f"{routing}: skipped, as" in capsys.readouterr().out) == (routing in skipped)


def test_without_dollars_or_seconds_calls_are_counted_and_the_columns_stay_null(tmp_path):
    write_outcomes(tmp_path / "my.csv", columns=("prompt",))
    for routing in ("constant", "mixture", "length", "oracle"):
        curves = ran(tmp_path, routing)
        assert curves[["cost_usd", "latency_s"]].isna().all(axis=None)
    analyze.main(imported(tmp_path))
    estimates = tables.read(tmp_path / "results" / "estimates.parquet", tables.ESTIMATES)
    overall = estimates[estimates["domain"] == "overall"].set_index(["strategy", "metric"])
    assert pd.notna(overall.loc[("length", "gain_over_mixture"), "estimate"])
    assert "calls" in overall.loc[("length", "gain_over_mixture"), "method"]
    for metric, words in (
        ("cost_saving", "no dollars"),
        ("latency_reduction", "no seconds"),
        ("cost_usd", "no dollars"),
    ):
        assert pd.isna(overall.loc[("length", metric), "estimate"])
        assert words in overall.loc[("length", metric), "method"]
    assert "no answer without a model" in overall.loc[("length", "retention_corrected"), "method"]
    report.main(imported(tmp_path))
    drawn = {path.stem for path in (tmp_path / "figures" / "my").glob("*.png")}
    assert drawn == {"deferral", "domain_heatmap", "forest"}


def test_small_models_are_all_but_the_most_expensive_unless_they_are_named(tmp_path):
    write_outcomes(tmp_path / "my.csv", columns=("cost_usd",))
    share = ran(tmp_path, "constant").query("domain == 'overall'").set_index("strategy")["small_share"]
    assert share.to_dict() == {"always_tiny": 1.0, "always_mid": 1.0, "always_big": 0.0}
    share = ran(tmp_path, "constant", "small=[tiny]").query("domain == 'overall'").set_index("strategy")["small_share"]
    assert share.to_dict() == {"always_tiny": 1.0, "always_mid": 0.0, "always_big": 0.0}


def test_two_files_of_one_name_are_refused_before_either_is_read():
    cfg = load_config("files=[a/my.csv,b/other.csv,b/my.parquet]", config="recorded")
    with pytest.raises(ValueError, match=r"^files: a/my.csv and b/my.parquet would both be 'my' in the table; rename"):
        files_asked(cfg)
    with pytest.raises(ValueError, match=r"files=\[...\] names no recorded outcomes"):
        files_asked(load_config(config="recorded"))
    assert files_asked(load_config("files=[a/my.csv,b/other.csv]", config="recorded"))[1] == Path("b/other.csv")


def test_results_lie_in_a_folder_named_after_the_file():
    cfg = configured(Path("x"), "pool=imported", "outcomes=data/my.outcomes.csv", "paths.results=${suite.name}")
    assert cfg.paths.results == "my"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["outcomes=my.csv"], "add pool=imported"),
        (["pool=imported"], "pool=imported needs outcomes="),
        (["pool=imported", "outcomes=none.csv"], "none.csv: no such file"),
        (["pool=imported", "outcomes=none.csv", "small=tiny"], "small=tiny: allowed is a list"),
    ],
)
def test_a_mistake_is_one_line(words, said, monkeypatch, capsys):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    monkeypatch.setattr(sys, "argv", ["run", *words, "tracking=off"])
    with pytest.raises(SystemExit) as stopped:
        entry(run.main, "experiments.run")
    assert stopped.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and said in lines[0]
