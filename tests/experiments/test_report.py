from pathlib import Path

import pytest
from omegaconf import DictConfig

from experiments import report
from slm_orchestration import tables
from tests.experiments.by_hand import configured
from tests.experiments.results_by_hand import write_results
from tests.figures import tables_by_hand as by_hand


@pytest.fixture
def cfg(tmp_path: Path) -> DictConfig:
    cfg = configured(tmp_path)
    write_results(cfg)
    return cfg


def contents(cfg: DictConfig) -> dict[str, bytes]:
    folders = [Path(cfg.paths.figures), Path(cfg.paths.paper)]
    return {str(path): path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}


def test_a_report_says_where_everything_lies_and_again_gives_the_same_bytes(cfg: DictConfig, capsys):
    report.main(cfg)
    printed = capsys.readouterr().out
    adaptive = next(line for line in printed.splitlines() if line.startswith("adaptive"))
    for cell in ("60.0\u00a0%", "0.875 [0.787, 0.962]", "2.00×", "+0.170 [+0.050, +0.300]", "beats the mixture"):
        assert cell in adaptive
    for path in (Path(cfg.paths.paper) / "paper.pdf", Path(cfg.paths.figures) / "cost_quality.pdf"):
        assert str(path) in printed
        assert path.read_bytes().startswith(b"%PDF")
    assert {path.suffix for path in Path(cfg.paths.figures).iterdir()} == {".pdf", ".png"}
    first = contents(cfg)
    report.main(cfg)
    assert contents(cfg) == first


def test_missing_estimates_name_the_command_that_makes_them(cfg: DictConfig):
    (Path(cfg.paths.results) / "estimates.parquet").unlink()
    with pytest.raises(
        ValueError, match=r"estimates\.parquet: not there yet; `python -m experiments\.analyze` makes it"
    ):
        report.main(cfg)


def test_estimates_of_other_runs_are_not_reported(cfg: DictConfig):
    (Path(cfg.paths.results) / "all/config.yaml").write_text("routing: another\n")
    with pytest.raises(ValueError, match=r"estimates\.parquet: made from other runs \(\w{12}\)"):
        report.main(cfg)


def test_results_without_a_competing_strategy_are_refused(cfg: DictConfig):
    alone = by_hand.estimates(["always_small", "always_large"])
    path = Path(cfg.paths.results) / "estimates.parquet"
    tables.write(alone, tables.ESTIMATES, path, metadata={})
    with pytest.raises(ValueError, match="needs the constants and one more strategy"):
        report.main(cfg)


def test_the_published_claims_are_those_of_the_list_each_with_comparison_scope_and_experiment():
    claims = {claim.name: claim for claim in report.published_claims()}
    assert len(claims) == 20
    assert all(claim.comparison and claim.scope and claim.experiment for claim in claims.values())
    assert claims["quality_absolute"].quote == claims["quality_relative"].quote == "≥ 95 %"
    assert claims["small_share"].target == 0.712
    assert claims["cost"].target == 8.3
    assert 1 / (1 - claims[claims["cost"].ceiling_from].target) == pytest.approx(3.47, abs=0.005)
    assert claims["together"].all_of == ("small_share", "latency", "cost", "quality_relative")
