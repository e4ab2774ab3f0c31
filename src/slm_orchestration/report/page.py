"""The HTML report as one file, which opens from disk, loads nothing and runs only its own scripts.

Its data is one JSON object: texts as printed by `numbers`, and raw values for the plots.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import pandas as pd

from slm_orchestration.figures import naming, style
from slm_orchestration.report.formats import PrintedTable
from slm_orchestration.report.numbers import Number, format_metric

_PAGE = files("slm_orchestration.report") / "page_assets"
# The browser runs only the two scripts with these checksums, whatever a task or an answer holds.
_POLICY = "default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'"
MEASURES = {
    "quality": "quality",
    "retention": "retention",
    "cost_usd": "USD per million tasks",
    "latency_s": "seconds per task",
    "small_share": "small share",
}


# The page's names of the shapes that the figures draw strategies with.
_SYMBOLS = {
    "o": "circle", "s": "square", "^": "triangle-up", "v": "triangle-down", "<": "triangle-left", ">": "triangle-right",
    "D": "diamond", "p": "pentagon", "h": "hexagon", "H": "hexagon2", "8": "octagon", "P": "cross", "X": "x",
    "*": "star", "x": "x-thin-open", "+": "cross-thin-open", "|": "line-ns-open", "1": "y-down-open",
}  # fmt: skip
# What the page leads with: the leader's metrics, in words.
_TILES = {
    "gain_over_mixture": "quality above random mixing, at equal cost",
    "cost_saving": "the most expensive model's cost over its own",
    "small_share": "of tasks answered by small models alone",
    "retention": "of the most expensive model's quality kept",
}


def render(data: Mapping[str, object], title: str) -> str:
    """Return the page that shows `data`, a JSON object made of the functions below."""
    from plotly.offline import get_plotlyjs  # imports slowly, and nothing else needs it

    parts = {
        "style": (_PAGE / "page.css").read_text(encoding="utf-8"),
        "plotly": get_plotlyjs(),
        "script": (_PAGE / "page.js").read_text(encoding="utf-8"),
    }
    scripts = " ".join(f"'sha256-{_checksum(parts[name])}'" for name in ("plotly", "script"))
    parts |= {"policy": _POLICY.format(scripts=scripts), "title": _text(title), "data": _json(data)}
    page = (_PAGE / "index.html").read_text(encoding="utf-8")
    # Split once, so that a part that contains another placeholder is left as it is.
    pieces = page.split("%%")
    return "".join(parts[piece] if place % 2 else piece for place, piece in enumerate(pieces))


def table(printed: PrintedTable) -> dict[str, Any]:
    """Return a printed table; `side` has l or r per column."""
    return {"header": printed.header, "side": printed.align, "rows": printed.rows}


def kinds(frame: pd.DataFrame, most: int = 40) -> PrintedTable:
    """Return the largest kinds of `studies.explain.kinds_table`; no rows where it was not made."""
    largest = frame.sort_values("tasks", ascending=False, kind="stable").head(most) if len(frame) else frame
    rows = tuple(
        tuple(f"{value:.2f}" if isinstance(value, float) else str(value) for value in row[1:])
        for row in largest.itertuples(index=False)
    )
    header = tuple(map(str, frame.columns[1:]))
    return PrintedTable("kinds", header, "l" + "r" * (len(header) - 2) + "l", rows)


def plane(estimates: pd.DataFrame, hull: Sequence[str]) -> dict[str, Any]:
    """Return each strategy's operating point with its intervals, and the vertices of the mixture."""
    cost, quality = (naming.metric(estimates, name) for name in ("cost_usd", "quality"))
    contenders = naming.contenders(estimates)
    points = [
        {
            "strategy": name,
            "label": naming.label(name),
            "kind": "strategy" if name in contenders else "model" if naming.is_constant(name) else "reference",
            "colour": style.colour(name),
            "symbol": _SYMBOLS.get(style.marker(name), "circle"),
            "cost": [_million(cost.at[name, end]) for end in ("estimate", "low", "high")],
            "quality": [_plain(quality.at[name, end]) for end in ("estimate", "low", "high")],
        }
        for name in naming.in_print_order(estimates, cost.index)
        if name in quality.index
    ]
    vertices = [naming.GUESS, *(naming.CONSTANT + name for name in hull)]
    return {"points": points, "mixture": [name for name in vertices if name in cost.index]}


def tiles(named: Mapping[str, Number], strategy: str) -> list[dict[str, str]]:
    """Return the metrics of one strategy that the page leads with: value, interval and words, as printed."""
    return [
        {
            "value": named[f"{strategy}.{metric}"].text,
            "interval": named[f"{strategy}.{metric}.interval"].text,
            "words": words,
        }
        for metric, words in _TILES.items()
        if f"{strategy}.{metric}" in named
    ]


def curves(frame: pd.DataFrame, operating_points: pd.DataFrame) -> dict[str, Any]:
    """Return by strategy its thresholds, where the operating one stands, its curve, and a table per threshold."""
    chosen = {row["strategy"]: row for row in operating_points.to_dict("records")}
    return {str(name): _curve(rows, chosen[str(name)]) for name, rows in frame.groupby("strategy", sort=False)}


def _curve(rows: pd.DataFrame, chosen: Mapping[Any, Any]) -> dict[str, Any]:
    rows = rows.sort_values(["threshold", "domain"], kind="stable")
    overall = naming.overall(rows)
    thresholds = overall["threshold"].tolist()
    # A null threshold stands last: the most expensive model always, where no threshold is certified.
    at = len(thresholds) - 1 if pd.isna(chosen["threshold"]) else thresholds.index(chosen["threshold"])
    domains = [naming.OVERALL, *naming.domains(rows["domain"])]
    return {
        "thresholds": [None if pd.isna(value) else f"{value:g}" for value in thresholds],
        "at": at,
        "chosen_by": chosen["chosen_by"],
        "cost": [_million(value) for value in overall["cost_usd"]],
        "quality": overall["quality"].tolist(),
        "domains": [_cells(rows[rows["domain"] == domain], domain) for domain in domains],
    }


def _cells(rows: pd.DataFrame, domain: str) -> dict[str, Any]:
    texts = [[format_metric(name, row[name]) for name in MEASURES] for row in rows.to_dict("records")]
    return {"domain": domain.replace("_", " "), "tasks": f"{rows['tasks'].iloc[0]:,}", "cells": texts}


def tasks(outcomes: pd.DataFrame, decisions: pd.DataFrame, wording: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """Return what each model answered to each task, how it was graded, and whose answer each strategy served.

    `outcomes` and `decisions` hold the evaluation tasks, the latter each strategy at its operating point; `wording` has
    the question and the reference of the tasks whose text is on this machine.
    """
    models = [str(name) for name in outcomes["model"].unique()]
    served = decisions.pivot(index="task_id", columns="strategy", values="model")
    by_task = outcomes[outcomes["repeat"] == 0].set_index(["task_id", "model"])
    rows = []
    for task_id in served.index:
        answered = [by_task.loc[(task_id, model)] for model in models]
        rows.append(
            {
                "task": task_id,
                "domain": str(answered[0]["domain"]).replace("_", " "),
                **wording.get(str(task_id), {}),
                "answers": [row["answer"] for row in answered],
                "quality": [_plain(row["quality"]) for row in answered],
                "served": [_place(models, served.at[task_id, name]) for name in served.columns],
            }
        )
    return {"models": models, "strategies": list(served.columns), "rows": rows}


def _place(models: Sequence[str], model: Any) -> int:
    return models.index(model) if model in models else -1


def _plain(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)


def _million(value: Any) -> float | None:
    return None if pd.isna(value) else 1e6 * float(value)


def _checksum(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode()


def _json(data: Mapping[str, object]) -> str:
    """Return JSON that cannot end the element it stands in: no `<` is left in it."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def _text(words: str) -> str:
    return words.replace("&", "&amp;").replace("<", "&lt;")
