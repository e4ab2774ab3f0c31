"""A result is reproduced, or the file and the number that differ are named."""

import json
from pathlib import Path

import pytest
from omegaconf import DictConfig

from experiments import verify
from slm_orchestration import tables
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


def change_reference(cfg: DictConfig, *, platform: dict[str, str], code: dict[str, str] | None = None) -> None:
    path = Path(cfg.paths.expected) / "reference.json"
    content = json.loads(path.read_text())
    content["platform"] |= platform
    if code:
        content["code"] = code[""]
    path.write_text(json.dumps(content))


def test_the_same_results_are_reproduced_byte_for_byte(cfg: DictConfig, capsys: pytest.CaptureFixture):
    verify.main(cfg)
    assert capsys.readouterr().out.splitlines()[1] == "8 of 8 files have the reference's bytes"


def test_a_file_with_other_bytes_and_the_same_numbers_is_named_and_reproduced(
    cfg: DictConfig, capsys: pytest.CaptureFixture
):
    (Path(cfg.paths.results) / "hull.json").unlink()
    verify.main(cfg)
    said = capsys.readouterr().out
    assert said.startswith("reproduced: ")
    assert "7 of 8 files have the reference's bytes; results/hull.json is missing" in said


def test_a_strategy_that_differs_gets_one_line_with_its_choices_and_its_largest_difference(
    cfg: DictConfig, capsys: pytest.CaptureFixture
):
    capsys.readouterr()
    multiply_one_estimate(cfg, 1 + 1e-6)
    with pytest.raises(ValueError, match="not reproduced") as error:
        verify.main(cfg)
    line, cause = capsys.readouterr().out.splitlines()
    assert str(error.value) == "not reproduced: 1 of 9 strategies differ"
    assert line.startswith("  adaptive: 0 of ")
    assert " choices and 1 cells differ, at most " in line
    assert line.endswith(" of an interval (quality, overall)")
    assert cause.startswith("likely cause: tables that were edited")


def test_the_cause_names_what_is_different_the_likeliest_first(cfg: DictConfig, capsys: pytest.CaptureFixture):
    multiply_one_estimate(cfg, 1.1)
    change_reference(cfg, platform={"numpy": "another", "BLAS kernels": "Elbrus x 8"}, code={"": "before"})
    capsys.readouterr()
    with pytest.raises(ValueError, match="not reproduced"):
        verify.main(cfg)
    causes = capsys.readouterr().out.splitlines()[1:]
    assert "not another); `make setup` installs the lock" in causes[0]
    assert "the code has changed since" in causes[1]
    assert "another machine (BLAS kernels)" in causes[2]


def test_numbers_may_differ_by_rounding_and_not_by_more(cfg: DictConfig, capsys: pytest.CaptureFixture):
    multiply_one_estimate(cfg, 1 + 1e-12)
    change_reference(cfg, platform={"numpy": "another"})
    verify.main(cfg)
    assert "7 of 8 files have the reference's bytes; others may differ in last digits" in capsys.readouterr().out


def test_other_settings_and_other_suites_are_not_compared(cfg: DictConfig, capsys: pytest.CaptureFixture):
    seed, cfg.seed = cfg.seed, 1
    verify.main(cfg)
    cfg.seed = seed
    assert "other settings than these (seed)" in capsys.readouterr().out
    (Path(cfg.paths.expected) / "reference.json").unlink()
    verify.main(cfg)
    assert "holds no reference" in capsys.readouterr().out
