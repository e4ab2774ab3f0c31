"""The report says where everything is, and refuses what was not made by one whole analysis."""

import re
from pathlib import Path

import pytest
from omegaconf import DictConfig

from experiments import report
from experiments.setup.manifest import ANALYSIS, write_manifest
from experiments.setup.results import read_results
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


def test_a_report_prints_all_paths_and_gives_the_same_bytes_again(cfg: DictConfig, capsys):
    report.main(cfg)
    printed = capsys.readouterr().out
    adaptive = next(line for line in printed.splitlines() if line.startswith("adaptive"))
    for cell in ("60.0\u00a0%", "0.875", "2.00×", "+0.170\u00a0[+0.050,\u00a0+0.300]", "better"):
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
        ValueError, match=r"estimates\.parquet: no such file; `python -m experiments\.analyze` makes it"
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
    write_manifest(path.with_name(ANALYSIS), [path.name])
    with pytest.raises(ValueError, match="needs the constants and one more strategy"):
        report.main(cfg)


def test_each_number_of_a_printed_table_is_named_with_its_row(cfg: DictConfig):
    named, shown = report.describe(cfg, read_results(Path(cfg.paths.results)))
    texts = " | ".join(number.text for number in named.values())
    for table in shown:
        for row in table.rows:
            for cell in row[1:]:
                for digits in re.findall(r"[−+]?\d+(?:,\d{3})*(?:\.\d+)?", cell):
                    assert digits in texts, f"{table.name}: {cell}"


def test_the_traced_name_is_a_word_or_a_setting():
    assert report.traced_name(["trace", "a.b", "suite=quick"]) == ("a.b", ["suite=quick"])
    assert report.traced_name(["suite=quick", "trace=a.b"]) == ("a.b", ["suite=quick"])
    assert report.traced_name(["suite=quick"]) == ("", ["suite=quick"])
    assert report.traced_name(["trace", "--help"]) == ("", ["trace", "--help"])
