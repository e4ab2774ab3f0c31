"""A user's run changes no recorded evidence: measurements go to data/live, and recordings are refused."""

from pathlib import Path

import pytest

from experiments import collect, run
from experiments.setup.committed import is_committed, require_writable, written_to
from experiments.setup.config import ROOT, load_config
from experiments.setup.overheads import read_overheads
from slm_orchestration.routing import replay
from tests.experiments.by_hand import configured, write_suite


def test_measurements_go_to_a_folder_of_the_users_own_unless_they_are_to_be_recorded() -> None:
    table = Path("data/outcomes/faults.csv")
    assert written_to(load_config(), table) == Path("data/live/faults.csv")
    assert written_to(load_config("record=true"), table) == table
    assert written_to(load_config(), Path("data/live/faults.csv")) == Path("data/live/faults.csv")


@pytest.mark.parametrize("path", ["data/outcomes/quick/smollm2-135m.parquet", "data/pilot.csv", "data/validation.csv"])
def test_evidence_is_refused_with_what_to_do_instead(path: str) -> None:
    assert is_committed(ROOT / path)
    with pytest.raises(ValueError, match=r"recorded evidence; inference=live records into data/live, or record=true"):
        require_writable(load_config(), ROOT / path, "inference=live records into data/live")
    require_writable(load_config("record=true"), ROOT / path, "")


def test_collecting_into_the_recording_is_refused_before_anything_is_read() -> None:
    with pytest.raises(ValueError, match="data/outcomes/quick: recorded evidence; inference=live"):
        collect.main(load_config("suite=quick", config="collect"))


def test_the_first_run_of_a_router_measures_it_into_the_users_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experiments.setup.committed.ROOT", tmp_path)
    monkeypatch.chdir(tmp_path)
    committed = Path("data/outcomes/router_overhead.csv")
    tables = [f"paths.profile={ROOT}/data/outcomes/profiles/cpu_2vcpu.csv", f"pool.prices={ROOT}/data/prices.csv"]
    cfg = configured(tmp_path, "routing=length", f"paths.overhead={committed}", *tables)
    write_suite(cfg)
    run.main(cfg)
    assert not committed.exists()
    assert list(replay.read_overhead(Path("data/live/router_overhead.csv")).index) == ["length"]
    assert list(read_overheads(cfg).index) == ["length"]


@pytest.mark.parametrize(
    ("words", "folder"),
    [
        ([], "."),
        (["suite=quick"], "data/results/quick-packaged-recorded-cpu_2vcpu"),
        (["pool=scripted"], "data/results/standard-scripted-recorded-cpu_2vcpu"),
    ],
)
def test_only_the_papers_own_results_replace_its_figures_and_its_pdf(words: list[str], folder: str) -> None:
    paths = load_config(*words).paths
    assert (paths.figures, paths.paper) == (f"{folder}/figures", f"{folder}/paper")
