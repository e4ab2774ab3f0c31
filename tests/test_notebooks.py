"""Notebooks run from top to bottom, are committed without outputs and define nothing of their own."""

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.experiments.by_hand import configured, write_suite

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_holds_no_outputs_and_defines_nothing(path):
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert cells
    assert not any(cell.outputs or cell.execution_count for cell in cells)
    assert not any(line.startswith(("def ", "class ")) for cell in cells for line in cell.source.splitlines())


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_on_a_suite_by_hand(path, tmp_path, monkeypatch):
    cfg = configured(tmp_path)
    write_suite(cfg)
    words = [f"paths.{name}={cfg.paths[name]}" for name in ("tasks", "outcomes", "results", "overhead")]
    monkeypatch.setenv("TOUR", " ".join(["routing=adaptive", *words]))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(path.parents[1]), os.environ.get("PYTHONPATH", "")]))
    NotebookClient(nbformat.read(path, as_version=4), timeout=300, kernel_name="python3").execute()
