"""The HTML report of the configured results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from omegaconf import DictConfig

from experiments.results import Results
from slm_orchestration import tables
from slm_orchestration.artifacts import write_text
from slm_orchestration.figures import naming
from slm_orchestration.outcomes.store import read_outcomes
from slm_orchestration.report import page
from slm_orchestration.report.numbers import Number
from slm_orchestration.report.printed_tables import PrintedTable


def write_page(cfg: DictConfig, results: Results, named: Mapping[str, Number], shown: Sequence[PrintedTable]) -> Path:
    """Write the page from the results and the recorded answers; return its file."""
    outcomes = read_outcomes(Path(cfg.paths.outcomes), [str(model["name"]) for model in cfg.pool.models])
    by_name = {table.name: table for table in shown}
    order = naming.in_print_order(results.estimates, results.curves["strategy"].unique())
    curves = page.curves(results.curves, results.operating_points)
    data = {
        "about": f"Suite {cfg.suite.name}, pool {cfg.pool.name} ({named['model.list'].text}), "
        f"{named['count.tasks'].text} evaluation tasks of {named['count.domains'].text} domains. "
        f"Configuration {results.configuration}.",
        "finding": f"Against the mixture: {named['words.against_mixture'].text}.",
        "leader": named["leader.strategy"].text,
        "measures": list(page.MEASURES.values()),
        "board": page.table(by_name["summary"]),
        "claims": page.table(by_name["claims"]),
        "plane": page.plane(results.estimates, results.hull),
        "curves": {name: curves[name] for name in order},
        "tasks": page.tasks(outcomes, results.at_operating_points(), _wording(Path(cfg.paths.tasks))),
    }
    path = Path(cfg.paths.page)
    write_text(path, page.render(data, f"Routing over {cfg.pool.name}, suite {cfg.suite.name}"))
    return path


def _wording(path: Path) -> dict[str, dict[str, str]]:
    """Return question and reference of the tasks that were prepared here; none are part of the repository."""
    if not path.exists():
        return {}
    rows = tables.read(path, tables.TASKS).set_index("task_id")[["question", "reference"]]
    return {str(task_id): {str(key): str(text) for key, text in row.items()} for task_id, row in rows.iterrows()}
