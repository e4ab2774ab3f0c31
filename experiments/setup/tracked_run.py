"""What the MLflow run of one strategy shows: plain metrics of the operating point, the sweep as series, words."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from slm_orchestration.figures import naming
from slm_orchestration.statistics.strategy_matrix import OVERALL

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

METRICS = ["small_share", "quality", "retention", "cost_usd", "latency_s", "tasks"]
SWEEP, BY_DOMAIN = "over_threshold", "quality_by_domain"
Point = tuple[str, float, int]
_LONGEST = 200
# Of the whole curve's metrics, those that a list of runs is sorted by; all are in the tables.
_CURVE_METRICS = ("apgr", "mean_gain")


def allowed_name(name: str) -> str:
    """Return `name` as MLflow takes it in keys: other characters become _x and their code, long ones end in a hash."""
    escaped = re.sub(r"[^\w \-]", lambda found: f"_x{ord(found[0]):x}", name)
    if len(escaped) <= _LONGEST:
        return escaped
    return f"{escaped[: _LONGEST - 13]}_{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def true_names(names: list[str]) -> dict[str, str]:
    """Return tags that give the true name of every domain whose name had to be changed."""
    return {f"domain.{allowed_name(name)}": name for name in names if allowed_name(name) != name}


def plain_metrics(
    strategy: str, curve: pd.DataFrame, threshold: float, summary: Mapping[str, float], curve_metrics: pd.DataFrame
) -> list[Point]:
    """Return what holds at the operating point; the domains' qualities are quality_by_domain/<domain>."""
    chosen = curve[curve["threshold"].eq(threshold) | curve["threshold"].isna()]
    points = [(name, value, 0) for name, value in summary.items()]
    for row in chosen.to_dict("records"):
        if row["domain"] == OVERALL:
            points += [(name, float(row[name]), 0) for name in ("small_share", "tasks")]
        elif pd.notna(row["quality"]):
            points.append((f"{BY_DOMAIN}/{allowed_name(str(row['domain']))}", float(row["quality"]), 0))
    if pd.notna(threshold):
        points.append(("threshold", threshold, 0))
    known = naming.overall(curve_metrics).query("strategy == @strategy").set_index("metric")["estimate"]
    return points + [(name, float(known[name]), 0) for name in _CURVE_METRICS if pd.notna(known.get(name))]


def series(curve: pd.DataFrame) -> list[Point]:
    """Return the overall curve as series over_threshold/<metric>, with 1000 × threshold as the step."""
    overall = naming.overall(curve).dropna(subset="threshold").drop(columns="tasks")
    return [(f"{SWEEP}/{name}", value, step) for name, value, step in values(overall, step=_thousandths)]


def values(rows: pd.DataFrame, step: Callable[[float], int] = lambda threshold: 0) -> list[Point]:
    """Return rows of CURVES as metrics: overall ones by their name, a domain's as domain/metric."""
    points = []
    for row in rows.to_dict("records"):
        prefix = "" if row["domain"] == OVERALL else f"{allowed_name(str(row['domain']))}/"
        points += [
            (prefix + name, float(row[name]), step(row["threshold"]))
            for name in METRICS
            if name in row and pd.notna(row[name])
        ]
    return points


def note(strategy: str, summary: Mapping[str, float], threshold: float, chosen_by: str, tags: Mapping[str, str]) -> str:
    """Return what the run found and how to read its page, as Markdown."""
    at = (
        f"At its operating point (threshold {threshold:g}, {chosen_by})" if pd.notna(threshold) else "Without threshold"
    )
    parts = [f"{at}, **{naming.label(strategy)}** has mean quality **{summary['quality']:.3f}**"]
    if "retention" in summary:
        parts.append(f"{summary['retention']:.1%} of the most expensive model's")
    if "cost_saving" in summary:
        parts.append(f"at {summary['cost_saving']:.2f}× lower cost")
    if "gain_over_mixture" in summary:
        parts.append(f"{summary['gain_over_mixture']:+.3f} above randomly mixing constant models at equal cost")
    return (
        ", ".join(parts)
        + f".\n\nSuite {tags.get('suite', '')}, pool {tags.get('pool', '')}, evaluation tasks; intervals and tests "
        "come from `python -m experiments.analyze`. Metrics hold at the operating point, but for "
        f"`{SWEEP}/…`: series over the threshold (step = 1000 × threshold; 0 is the most expensive end). Nested runs "
        "are the thresholds; the chosen one has the tag `operating_point`. Artifacts hold the figure and the tables."
    )


def dataset_inputs(files: Mapping[str, str], suite: str) -> list[DatasetInput]:
    """Return the files that a run read as MLflow inputs; `files` gives the sha256 of each path."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    inputs = []
    for path, sha256 in files.items():
        source = json.dumps({"uri": path, "sha256": sha256})
        name = f"{suite}/{Path(path).stem}"
        kind = "tasks" if Path(path).parent.name == "tasks" else "prices" if "prices" in Path(path).stem else "outcomes"
        dataset = Dataset(name=name, digest=sha256[:12], source_type="local", source=source)
        inputs.append(DatasetInput(dataset, [InputTag("mlflow.data.context", kind)]))
    return inputs


def _thousandths(threshold: float) -> int:
    return 0 if pd.isna(threshold) else round(1000 * threshold)
