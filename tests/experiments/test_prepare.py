"""`experiments.prepare` on a user's own file, with the very YAML that the README shows."""

import json
import re
import sys
from pathlib import Path

import pytest

from experiments import prepare
from experiments.setup.config import CONF, entry
from slm_orchestration import tables
from slm_orchestration.tasks.scoring import score
from slm_orchestration.tasks.task import from_table


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write the README's file of conf/domain and 40 tickets, and ask for them on the command line."""
    blocks = re.findall(r"```yaml\n(.*?)```", (CONF.parent / "README.md").read_text(), re.DOTALL)
    block = next(block for block in blocks if "tickets.jsonl" in block)
    assert len(block.splitlines()) <= 15
    (tmp_path / "domain").mkdir()
    (tmp_path / "domain" / "tickets.yaml").write_text(block)
    rows = [{"text": f"Ticket {n}: printer {n * n} is broken", "label": "yes" if n % 3 else "no"} for n in range(40)]
    (tmp_path / "tickets.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    words = block.splitlines()[0].split()[4:]
    monkeypatch.setattr(sys, "argv", ["prepare", "--config-dir", str(tmp_path), *words])
    return tmp_path


def test_a_file_of_ones_own_becomes_tasks_with_the_yaml_of_the_readme(asked: Path) -> None:
    entry(prepare.main, "experiments.prepare", config="prepare")
    tasks = from_table(tables.read(asked / "data" / "tasks" / "tickets.parquet", tables.TASKS))
    assert 30 <= len(tasks) <= 40  # all but the pilot tasks
    assert {task.domain for task in tasks} == {"classification"}
    assert {score(task, task.reference) for task in tasks} == {1.0}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ('{"text": "no label"}', "label"),
        ('{"text": null, "label": "yes"}', "text"),
        ('{"text": "x", "label": "perhaps"}', "perhaps"),
        ('{"text": "torn', "tickets.jsonl:41"),
        ('{"text": NaN, "label": "yes"}', "tickets.jsonl:41"),
    ],
)
def test_a_malformed_row_stops_with_its_file_line_and_reason(
    row: str, said: str, asked: Path, capsys: pytest.CaptureFixture
) -> None:
    with (asked / "tickets.jsonl").open("a") as stream:
        stream.write(f"{row}\n")
    with pytest.raises(SystemExit) as stopped:
        entry(prepare.main, "experiments.prepare", config="prepare")
    line = capsys.readouterr().err.splitlines()[-1]
    assert stopped.value.code == 2
    assert "tickets.jsonl:41" in line and said in line
    assert not (asked / "data").exists()
