"""A number of the paper is followed to the weights, and a chain that does not hold is refused."""

import json
import random
import re
from pathlib import Path

import pytest
from omegaconf import DictConfig

from experiments import report
from experiments.results import read_results
from experiments.trace import asked_for, chain
from slm_orchestration import artifacts
from slm_orchestration.report import paper
from tests.experiments.by_hand import configured
from tests.experiments.results_by_hand import MODELS, write_results

SOURCE = (Path(__file__).parents[2] / "paper/main.typ").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def cfg(tmp_path_factory: pytest.TempPathFactory) -> DictConfig:
    cfg = configured(tmp_path_factory.mktemp("trace"))
    write_results(cfg)
    named, shown = report.describe(cfg, read_results(Path(cfg.paths.results)))
    paper.write_generated(shown, named, Path(cfg.paths.paper) / paper.GENERATED)
    return cfg


def links(cfg: DictConfig, name: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for kind, identity in chain(cfg, name, report.describe):
        found.setdefault(kind, []).append(identity)
    return found


def test_ten_numbers_that_the_paper_prints_lead_to_outcomes_and_weights(cfg: DictConfig):
    named = sorted(set(re.findall(r'#(?:n|ci)\("([^"]+)"\)', SOURCE)))
    assert len(named) > 20
    printed = json.loads((Path(cfg.paths.paper) / "generated/numbers.json").read_text())
    for name in random.Random(5).sample(named, 10):
        found = links(cfg, name)
        assert found["number"][0].startswith(f"{name} = {printed[name]['text']}")
        assert len(found["outcomes"]) == len(found["weights"]) == len(MODELS)
        for path, _, checksum in map(str.split, found["outcomes"]):
            assert artifacts.sha256(Path(path)) == checksum


def test_a_cell_names_its_row_its_table_and_the_run_of_its_strategy(cfg: DictConfig):
    found = links(cfg, "adaptive.cost_saving")
    results = Path(cfg.paths.results)
    assert found["row"] == ["strategy=adaptive, domain=overall, metric=cost_saving"]
    assert found["table"] == [
        f"{results / 'estimates.parquet'} sha256 {artifacts.sha256(results / 'estimates.parquet')}",
    ]
    [made] = found["run"]
    assert re.fullmatch(rf"{results / 'all'}, configuration [0-9a-f]{{12}}", made)


def test_an_unknown_name_is_refused_with_those_that_are_near(cfg: DictConfig):
    with pytest.raises(
        ValueError, match=r"no number is named 'adaptive\.cost_savings'; near are adaptive\.cost_saving"
    ):
        links(cfg, "adaptive.cost_savings")


def test_a_number_printed_otherwise_than_its_table_has_it_is_refused(cfg: DictConfig):
    path = Path(cfg.paths.paper) / "generated/numbers.json"
    honest = path.read_text()
    entries = json.loads(honest)
    entries["adaptive.cost_saving"]["text"] = "99.00×"
    path.write_text(json.dumps(entries))
    with pytest.raises(ValueError, match=r"prints adaptive\.cost_saving as '99\.00×', where the tables have"):
        links(cfg, "adaptive.cost_saving")
    path.write_text(honest)


def test_outcomes_that_the_run_did_not_read_break_the_chain(cfg: DictConfig):
    path = Path(cfg.paths.outcomes) / "small.parquet"
    honest = path.read_bytes()
    path.write_bytes(honest + b"\n")
    with pytest.raises(ValueError, match=r"small\.parquet: not the file that .* read"):
        links(cfg, "adaptive.cost_saving")
    path.write_bytes(honest)


def test_a_user_asks_in_words_or_as_a_setting():
    assert asked_for(["trace", "a.b", "suite=quick"]) == ("a.b", ["suite=quick"])
    assert asked_for(["suite=quick", "trace=a.b"]) == ("a.b", ["suite=quick"])
    assert asked_for(["suite=quick"]) == ("", ["suite=quick"])
    assert asked_for(["trace", "--help"]) == ("", ["trace", "--help"])
