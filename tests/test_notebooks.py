"""Notebooks run from top to bottom, are committed with their outputs and define nothing of their own."""

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.experiments.by_hand import configured, write_suite

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_holds_its_outputs_and_defines_nothing(path):
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert cells
    assert (
        any("image/png" in output.get("data", {}) for cell in cells for output in cell.outputs) or "own_" in path.stem
    )
    assert not any("<Figure size" in str(output.get("data", {}).get("text/plain")) and "image/png" not in output["data"]
                   for cell in cells for output in cell.outputs)  # fmt: skip
    assert path.stat().st_size < 300_000
    assert not any(line.startswith(("def ", "class ")) for cell in cells for line in cell.source.splitlines())


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_on_a_suite_by_hand(path, tmp_path, monkeypatch):
    cfg = configured(tmp_path)
    write_suite(cfg)
    words = [f"paths.{name}={cfg.paths[name]}" for name in ("tasks", "outcomes", "results", "overhead")]
    monkeypatch.setenv("TOUR", " ".join(["routing=adaptive", *words]))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(path.parents[1]), os.environ.get("PYTHONPATH", "")]))
    NotebookClient(nbformat.read(path, as_version=4), timeout=300, kernel_name="python3").execute()
