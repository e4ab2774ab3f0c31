"""A printed number leads to its row, its run, the outcomes and the weights; a link that does not hold is named."""

import json
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
from omegaconf import DictConfig

from experiments import report
from experiments.setup.config import load_config
from experiments.setup.results import read_results
from experiments.setup.trace import trace
from slm_orchestration import artifacts
from slm_orchestration.report import paper
from slm_orchestration.report.numbers import Number
from tests.experiments.by_hand import configured
from tests.experiments.results_by_hand import MODELS, write_results

SOURCE = (Path(__file__).parents[3] / "paper/main.typ").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> DictConfig:
    cfg = configured(tmp_path_factory.mktemp("trace"))
    write_results(cfg)
    named, shown = report.describe(cfg, read_results(Path(cfg.paths.results)))
    paper.write_generated(shown, named, Path(cfg.paths.paper) / paper.GENERATED)
    return cfg


def described(printed: DictConfig) -> dict[str, Number]:
    return report.describe(printed, read_results(Path(printed.paths.results)))[0]


def links(printed: DictConfig, name: str, named: dict[str, Number] | None = None) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for kind, identity in trace(printed, name, named or described(printed)):
        found.setdefault(kind, []).append(identity)
    return found


def test_ten_numbers_that_the_paper_prints_lead_to_outcomes_and_weights(printed: DictConfig):
    texts = json.loads((Path(printed.paths.paper) / "generated/numbers.json").read_text())
    named = sorted(set(re.findall(r'#(?:n|ci)\("([^"]+)"\)', SOURCE)))
    assert len(named) > 20
    from_runs = [name for name in named if texts[name]["table"] in ("estimates.parquet", "comparisons.parquet")]
    known = described(printed)
    for name in random.Random(5).sample(from_runs, 10):
        found = links(printed, name, known)
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


def test_what_a_study_of_all_strategies_found_leads_to_its_committed_table_and_the_weights(printed: DictConfig):
    table = Path(printed.paths.expected) / "certified.csv"
    table.parent.mkdir(exist_ok=True)
    table.write_text("strategy,target,threshold,retention,cost_saving\nadaptive,0.95,0.1,1.02,1.5\n")
    named, shown = report.describe(printed, read_results(Path(printed.paths.results)))
    paper.write_generated(shown, named, Path(printed.paths.paper) / paper.GENERATED)
    found = links(printed, "certified.adaptive.95.cost_saving")
    assert found["number"] == ["certified.adaptive.95.cost_saving = 1.50×"]
    assert found["table"] == [f"{table} sha256 {artifacts.sha256(table)}"]
    assert len(found["weights"]) == len(MODELS)


@contextmanager
def written(path: Path, content: bytes) -> Iterator[None]:
    """Put other bytes into a file for a while."""
    honest = path.read_bytes()
    path.write_bytes(content)
    yield
    path.write_bytes(honest)


def test_an_unknown_name_is_refused_and_similar_names_are_given(printed: DictConfig):
    with pytest.raises(
        ValueError, match=r"no number is named 'adaptive\.cost_savings'; near are adaptive\.cost_saving"
    ):
        links(printed, "adaptive.cost_savings")


def test_a_printed_number_that_differs_from_its_table_is_refused(printed: DictConfig):
    path = Path(printed.paths.paper) / "generated/numbers.json"
    entries = json.loads(path.read_text())
    entries["adaptive.cost_saving"]["text"] = "99.00×"
    said = r"prints adaptive\.cost_saving as '99\.00×', where the tables have"
    with written(path, json.dumps(entries).encode()), pytest.raises(ValueError, match=said):
        links(printed, "adaptive.cost_saving")


def test_outcomes_that_the_run_did_not_read_are_refused(printed: DictConfig):
    path = Path(printed.paths.outcomes) / "small.parquet"
    said = r"small\.parquet is not the file that"
    with written(path, path.read_bytes() + b"\n"), pytest.raises(ValueError, match=said):
        links(printed, "adaptive.cost_saving")


def test_before_anything_is_printed_the_command_that_prints_is_named(printed: DictConfig, tmp_path: Path):
    elsewhere = printed.copy()
    elsewhere.paths.paper = str(tmp_path)
    with pytest.raises(
        ValueError, match=r"numbers\.json: nothing is printed yet; `python -m experiments\.report` makes"
    ):
        links(elsewhere, "adaptive.cost_saving")


def test_an_edited_configuration_of_a_run_no_longer_leads_to_its_decisions(printed: DictConfig):
    path = Path(printed.paths.results) / "all/config.yaml"
    named, said = described(printed), r"all: config\.yaml is \w{12}, and decisions\.parquet was made by \w{12}; run it"
    with written(path, path.read_bytes() + b"seed: 1\n"), pytest.raises(ValueError, match=said):
        trace(printed, "adaptive.cost_saving", named)


def test_the_weights_are_those_that_the_outcomes_of_each_model_name(printed: DictConfig):
    assert links(printed, "adaptive.cost_saving")["weights"] == [
        "large sha256 large, by hand",
        "small sha256 small, by hand",
    ]


def test_a_table_of_other_peoples_outcomes_has_no_numbers_to_trace():
    cfg = load_config("pool=imported", "outcomes=mine.csv")
    with pytest.raises(ValueError, match=r"recorded answers; leave out pool=imported"):
        report.print_trace(cfg, "adaptive.retention")
