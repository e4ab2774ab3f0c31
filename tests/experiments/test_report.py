"""The report says where everything is, and every printed number is traced back to the weights."""

import json
import random
import re
from pathlib import Path

import pandas as pd
import pytest
from omegaconf import DictConfig

from experiments import report
from experiments.setup.manifest import ANALYSIS, write_manifest
from experiments.setup.results import read_results
from experiments.setup.trace import trace
from slm_orchestration import artifacts, tables
from slm_orchestration.report import paper
from tests.experiments.by_hand import configured
from tests.experiments.results_by_hand import MODELS, write_results
from tests.figures import tables_by_hand as by_hand

SOURCE = (Path(__file__).parents[2] / "paper/main.typ").read_text(encoding="utf-8")


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


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> DictConfig:
    cfg = configured(tmp_path_factory.mktemp("trace"))
    write_results(cfg)
    named, shown = report.describe(cfg, read_results(Path(cfg.paths.results)))
    paper.write_generated(shown, named, Path(cfg.paths.paper) / paper.GENERATED)
    return cfg


def links(printed: DictConfig, name: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for kind, identity in trace(printed, name, report.describe(printed, read_results(Path(printed.paths.results)))[0]):
        found.setdefault(kind, []).append(identity)
    return found


def test_ten_numbers_that_the_paper_prints_lead_to_outcomes_and_weights(printed: DictConfig):
    texts = json.loads((Path(printed.paths.paper) / "generated/numbers.json").read_text())
    named = sorted(set(re.findall(r'#(?:n|ci)\("([^"]+)"\)', SOURCE)))
    assert len(named) > 20
    from_runs = [name for name in named if texts[name]["table"] in ("estimates.parquet", "comparisons.parquet")]
    for name in random.Random(5).sample(from_runs, 10):
        found = links(printed, name)
        assert found["number"][0].startswith(f"{name} = {texts[name]['text']}")
        assert len(found["outcomes"]) == len(found["weights"]) == len(MODELS)
        for path, _, checksum in map(str.split, found["outcomes"]):
            assert artifacts.sha256(Path(path)) == checksum


def test_a_cell_names_its_row_its_table_and_the_run_of_its_strategy(printed: DictConfig):
    found = links(printed, "adaptive.cost_saving")
    results = Path(printed.paths.results)
    assert found["row"] == ["strategy=adaptive, domain=overall, metric=cost_saving"]
    assert found["table"] == [
        f"{results / 'estimates.parquet'} sha256 {artifacts.sha256(results / 'estimates.parquet')}",
    ]
    [made] = found["run"]
    assert re.fullmatch(rf"{results / 'all'}, configuration [0-9a-f]{{12}}", made)


def test_what_was_measured_elsewhere_leads_to_its_own_file_and_to_no_run(printed: DictConfig):
    found = links(printed, "claim.tasks.estimate")
    manifest = Path(printed.paths.outcomes) / "manifest.json"
    assert found["table"] == [f"{manifest} sha256 {artifacts.sha256(manifest)}"]
    assert "run" not in found and found["row"] == ["strategy=pool, domain=overall, metric=tasks: estimate"]


def test_what_was_explained_of_a_strategy_leads_to_its_table_and_its_run(printed: DictConfig):
    folder = Path(printed.paths.results) / "adaptive"
    folder.mkdir(exist_ok=True)
    parts = ("total", "between datasets", "within datasets")
    pd.DataFrame({"gain": parts, "value": [0.06, 0.05, 0.01]}).to_csv(folder / "between_within.csv", index=False)
    named, shown = report.describe(printed, read_results(Path(printed.paths.results)))
    paper.write_generated(shown, named, Path(printed.paths.paper) / paper.GENERATED)
    found = links(printed, "explained.total")
    assert found["number"] == ["explained.total = +0.060"] and found["row"] == ["gain=total"]
    assert found["table"][0].startswith(str(folder / "between_within.csv"))
    assert len(found["run"]) == 1 and len(found["weights"]) == len(MODELS)


def test_each_number_of_a_printed_table_is_named_with_its_row(printed: DictConfig):
    named, shown = report.describe(printed, read_results(Path(printed.paths.results)))
    texts = " | ".join(number.text for number in named.values())
    for table in shown:
        for row in table.rows:
            for cell in row[1:]:
                for digits in re.findall(r"[−+]?\d+(?:,\d{3})*(?:\.\d+)?", cell):
                    assert digits in texts, f"{table.name}: {cell}"


def test_an_unknown_name_is_refused_and_similar_names_are_given(printed: DictConfig):
    with pytest.raises(
        ValueError, match=r"no number is named 'adaptive\.cost_savings'; near are adaptive\.cost_saving"
    ):
        links(printed, "adaptive.cost_savings")


def test_a_printed_number_that_differs_from_its_table_is_refused(printed: DictConfig):
    path = Path(printed.paths.paper) / "generated/numbers.json"
    honest = path.read_text()
    entries = json.loads(honest)
    entries["adaptive.cost_saving"]["text"] = "99.00×"
    path.write_text(json.dumps(entries))
    with pytest.raises(ValueError, match=r"prints adaptive\.cost_saving as '99\.00×', where the tables have"):
        links(printed, "adaptive.cost_saving")
    path.write_text(honest)


def test_outcomes_that_the_run_did_not_read_are_refused(printed: DictConfig):
    path = Path(printed.paths.outcomes) / "small.parquet"
    honest = path.read_bytes()
    path.write_bytes(honest + b"\n")
    with pytest.raises(ValueError, match=r"small\.parquet is not the file that"):
        links(printed, "adaptive.cost_saving")
    path.write_bytes(honest)


def test_the_traced_name_is_a_word_or_a_setting():
    assert report.traced_name(["trace", "a.b", "suite=quick"]) == ("a.b", ["suite=quick"])
    assert report.traced_name(["suite=quick", "trace=a.b"]) == ("a.b", ["suite=quick"])
    assert report.traced_name(["suite=quick"]) == ("", ["suite=quick"])
    assert report.traced_name(["trace", "--help"]) == ("", ["trace", "--help"])
