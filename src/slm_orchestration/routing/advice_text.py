"""Advice in words: what a reader needs to decide, and what is certain about it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from slm_orchestration.statistics.intervals import UndefinedStatistic
from slm_orchestration.statistics.power import pairs_needed

if TYPE_CHECKING:
    from slm_orchestration.routing.advice import Advice
    from slm_orchestration.routing.drift import Alarm

WORTH = 0.01  # a gain in quality that most people would care about, for the number of tasks needed
_WIDTH = 110


def verdict(advice: Advice) -> str:
    """Return better, undecided or worse: where the interval of the gain over the mixture lies."""
    if advice.strategy == "mixture":
        return "no router"
    gain = advice.estimate("gain_over_mixture")
    if pd.isna(gain["low"]):
        return "undecided"
    return "better" if gain["low"] > 0 else "worse" if gain["high"] < 0 else "undecided"


def text(advice: Advice) -> str:
    """Return the whole advice, a paragraph per question."""
    known = advice.imported
    counts = known.tasks["split"].value_counts()
    shares = ", ".join(f"{counts.get(name, 0):,} {name}" for name in ("fit", "calibration", "evaluation"))
    paragraphs = [
        ("Data", f"{len(known.tasks):,} tasks ({shares}), {len(known.models)} models; dearest {known.models[-1]}."),
        *[("", remark[0].upper() + remark[1:] + ".") for remark in known.remarks],
        ("Routers", _routers(advice)),
        ("Verdict", _verdict(advice)),
        *_operating(advice, advice.strategy, "Threshold"),
    ]
    if advice.strategy != "mixture":
        paragraphs += _operating(advice, "mixture", "Without router")
    paragraphs.append(("More tasks", _more_tasks(advice)))
    return "\n".join(_paragraph(*paragraph) for paragraph in paragraphs)


def drift_text(looks: Sequence[Alarm], tasks: int) -> str:
    """Return what the looks at new data say."""
    if not looks:
        return _paragraph("Drift", "nothing to compare: the new tasks have neither prompts nor outcomes.")
    lines = [_paragraph("Drift", f"{tasks:,} new tasks.")]
    for look in looks:
        told = f"{look.what}: {look.before:.3g} before, {look.now:.3g} now, p = {look.p_value:.2g}. "
        lines.append(
            _paragraph("  ALARM" if look.rings else "  quiet", told + (look.meaning + "." if look.rings else ""))
        )
    return "\n".join(lines)


def _routers(advice: Advice) -> str:
    tried = f"tried {', '.join(advice.tried)}; chosen on calibration tasks: {advice.strategy}." if advice.tried else ""
    reasons: dict[str, list[str]] = {}
    for name, reason in advice.skipped.items():
        reasons.setdefault(reason, []).append(name)
    skipped = [
        f"{', '.join(names)} skipped: {reason.replace('it reads', 'they read') if len(names) > 1 else reason}."
        for reason, names in reasons.items()
    ]
    return " ".join([tried, *skipped, "A router's own time (milliseconds per task) is not included."]).strip()


def _verdict(advice: Advice) -> str:
    found = verdict(advice)
    if found == "no router":
        return (
            "no router can be fitted on these columns; what is left is a random mixture of constant models. Routers "
            "need a column prompt, or confidence."
        )
    gain, tasks = advice.estimate("gain_over_mixture"), int(advice.estimates["tasks"].iloc[0])
    told = f"gain over the mixture at equal cost {_signed(gain)} quality on {tasks:,} evaluation tasks."
    if found == "better":
        return f"routing beats the best mixture of constant models: {told}"
    if found == "worse":
        return f"routing does WORSE than mixing constant models at random: {told}"
    return f"undecided, routing is not shown to beat mixing constant models at random: {told}"


def _operating(advice: Advice, strategy: str, title: str) -> list[tuple[str, str]]:
    target, dearest, point = advice.target, advice.imported.models[-1], advice.points[strategy]
    keeps = f"{target.retention:.0%} of {dearest}'s quality"
    what = "mixing models at random, threshold " if strategy == "mixture" else ""
    if point.guaranteed:
        told = f"keeps at least {keeps} with probability {1 - target.delta:.0%} (Learn-then-Test), on tasks like these."
    else:
        told = f"WITHOUT a guarantee: no threshold could be certified to keep {keeps} ({point.reason})."
    return [(title, f"{what}{point.threshold:g}: {told}"), ("", _expect(advice, strategy))]


def _expect(advice: Advice, strategy: str) -> str:
    parts = [f"expect retention {_percent(advice.estimate('retention', strategy))}"]
    parts.append(f"small models alone {_percent(advice.estimate('small_share', strategy))} of the tasks")
    saving = advice.estimate("cost_saving", strategy)
    if pd.notna(saving["estimate"]):
        parts.append(f"cost divided by {_interval(saving, '{:.2f}')}")
    faster = advice.estimate("latency_reduction", strategy)
    if pd.notna(faster["estimate"]):
        parts.append(f"mean latency divided by {_interval(faster, '{:.2f}')}")
    return "; ".join(parts) + "."


def _more_tasks(advice: Advice) -> str:
    tasks = int(advice.estimates["tasks"].iloc[0])
    share = tasks / len(advice.imported.tasks)
    if advice.strategy == "mixture" or not advice.spread > 0:
        return "not known: there is no gain to measure."
    gain = abs(float(advice.estimate("gain_over_mixture")["estimate"]))
    lines = [f"these {tasks:,} evaluation tasks show a gain of {advice.detectable:.3f} or more (80 % power)."]
    for words, size in ((f"a gain of {WORTH:g}", WORTH), (f"the gain seen, {gain:.4f}", gain)):
        try:
            needed = pairs_needed(size, advice.spread)
        except UndefinedStatistic as reason:
            lines.append(f"To show {words}: {reason}.")
            continue
        more = max(0, int(np.ceil((needed - tasks) / share)))
        lines.append(
            f"To show {words}: {needed:,}" + (f", so record {more:,} more tasks in all." if more else ", enough.")
        )
    return " ".join(lines)


def _signed(row: pd.Series) -> str:
    return _interval(row, "{:+.4f}")


def _percent(row: pd.Series) -> str:
    return _interval(row, "{:.1%}")


def _interval(row: pd.Series, form: str) -> str:
    if pd.isna(row["estimate"]):
        return f"unknown ({row['method']})"
    if pd.isna(row["low"]) or pd.isna(row["high"]):
        return form.format(row["estimate"])
    return f"{form.format(row['estimate'])} [{form.format(row['low'])}, {form.format(row['high'])}]"


def _paragraph(title: str, words: str) -> str:
    return textwrap.fill(words, _WIDTH, initial_indent=f"{title:<16}", subsequent_indent=" " * 16)
