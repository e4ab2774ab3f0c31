"""A result is reproduced, or the file and the number that differ are named."""

import json
from pathlib import Path

import pandas as pd
import pytest
from omegaconf import DictConfig

from experiments import verify
from slm_orchestration import tables
from slm_orchestration.report import reference
from tests.experiments.by_hand import configured
from tests.experiments.results_by_hand import write_results


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> DictConfig:
    folder = tmp_path_factory.mktemp("verify")
    cfg = configured(folder, f"paths.expected={folder / 'expected'}")
    write_results(cfg)
    return cfg


@pytest.fixture
def cfg(made: DictConfig) -> DictConfig:
    write_results(made)
    verify.accept(made)
    return made


def multiply_one_estimate(cfg: DictConfig, factor: float) -> None:
    path = Path(cfg.paths.results) / "estimates.parquet"
    frame, about = tables.read(path, tables.ESTIMATES), tables.read_metadata(path)
    chosen = (frame["strategy"] == "adaptive") & (frame["metric"] == "quality") & (frame["domain"] == "overall")
    assert chosen.sum() == 1
    frame.loc[chosen, "estimate"] *= factor
    tables.write(frame, tables.ESTIMATES, path, metadata=about)


def elsewhere(cfg: DictConfig) -> None:
    path = Path(cfg.paths.expected) / "reference.json"
    content = json.loads(path.read_text())
    content["platform"]["numpy"] = "another"
    path.write_text(json.dumps(content))


def test_the_same_results_are_reproduced_byte_for_byte(cfg: DictConfig, capsys: pytest.CaptureFixture):
    verify.main(cfg)
    assert "files have the bytes that" in capsys.readouterr().out


def test_on_the_same_platform_one_byte_is_a_difference(cfg: DictConfig):
    with (Path(cfg.paths.results) / "hull.json").open("a") as stream:
        stream.write("\n")
    with pytest.raises(ValueError, match=r"not reproduced: all numbers agree .*; results/hull\.json has other bytes"):
        verify.main(cfg)


def test_a_number_that_differs_is_named_with_both_values(cfg: DictConfig):
    multiply_one_estimate(cfg, 1 + 1e-6)
    where = r"ESTIMATES: strategy=adaptive, domain=overall, metric=quality: estimate is 0\.7\d+, the reference has 0\.7"
    with pytest.raises(ValueError, match=f"not reproduced: {where}; results/estimates.parquet has other bytes"):
        verify.main(cfg)


def test_elsewhere_numbers_may_differ_by_rounding_and_not_by_more(cfg: DictConfig, capsys: pytest.CaptureFixture):
    elsewhere(cfg)
    multiply_one_estimate(cfg, 1 + 1e-12)
    verify.main(cfg)
    assert "another platform (numpy); 6 of 7 files have the same" in capsys.readouterr().out
    multiply_one_estimate(cfg, 1 + 1e-6)
    with pytest.raises(ValueError, match="metric=quality: estimate is"):
        verify.main(cfg)


def test_a_missing_file_is_named(cfg: DictConfig):
    (Path(cfg.paths.results) / "all/curves.parquet").unlink()
    with pytest.raises(ValueError, match=r"results/all/curves\.parquet is missing"):
        verify.main(cfg)


def test_other_settings_and_other_suites_are_not_compared(cfg: DictConfig, capsys: pytest.CaptureFixture):
    seed, cfg.seed = cfg.seed, 1
    verify.main(cfg)
    cfg.seed = seed
    assert "other settings than these (seed)" in capsys.readouterr().out
    (Path(cfg.paths.expected) / "reference.json").unlink()
    verify.main(cfg)
    assert "holds no reference" in capsys.readouterr().out


def test_a_row_that_only_one_table_has_is_a_difference():
    schema = tables.OPERATING_POINTS
    one = {"strategy": ["adaptive"], "threshold": [0.5], "chosen_by": ["by hand"], "tasks": [4]}
    frame = tables.conform(pd.DataFrame(one), schema)
    assert reference.different_numbers(frame, frame, schema) == []
    assert reference.different_numbers(frame.iloc[:0], frame, schema) == [
        "OPERATING_POINTS: strategy=adaptive is missing"
    ]
    assert reference.different_numbers(frame, frame.iloc[:0], schema) == [
        "OPERATING_POINTS: strategy=adaptive is not in the reference"
    ]
