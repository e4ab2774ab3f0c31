"""Advice in words: first the plain truth, then what it rests on, and what to do next."""

from __future__ import annotations

import numpy as np
import pandas as pd

from slm_orchestration.statistics.intervals import UndefinedStatistic
from slm_orchestration.statistics.power import pairs_needed
from slm_orchestration.statistics.strategy_matrix import MIXTURE
from slm_orchestration.studies.advice import (
    BETTER,
    NO_ROUTER,
    ONE_MODEL,
    SAME_COST,
    WORSE,
    Advice,
    verdict,
)
from slm_orchestration.studies.constants import Dominated
from slm_orchestration.studies.routes import Route, routes
from slm_orchestration.studies.wording import paragraph, percent, signed, with_interval

WORTHWHILE_GAIN = 0.01  # a gain in quality that is worth detecting, for the number of tasks needed

Paragraphs = list[tuple[str, str]]


def text(advice: Advice) -> str:
    """Return the advice as text, a paragraph per question."""
    return "\n".join(paragraph(title, words) for title, words in paragraphs(advice))


def paragraphs(advice: Advice) -> Paragraphs:
    """Return titles and what is under them; an empty title continues the one before."""
    known = advice.imported
    counts = known.tasks["split"].value_counts()
    shares = ", ".join(f"{counts.get(name, 0):,} {name}" for name in ("fit", "calibration", "evaluation"))
    first, *rest = headline(advice)
    measured = f"{len(known.models)} models; measured against {advice.reference}."
    found: Paragraphs = [("In short", first), *[("", line) for line in rest]]
    found += [("Data", f"{len(known.tasks):,} tasks ({shares}), {measured}")]
    found += [("", _sentence(remark)) for remark in known.remarks]
    found += [("Models", _models(advice)), ("Routers", _routers(advice)), ("Verdict", _verdict(advice))]
    if advice.strategy != MIXTURE:
        found += _operating(advice, advice.strategy, "Threshold")
        found += [("", line) for line in goes_where(advice)]
    if advice.strategy != MIXTURE and advice.one_model is None:
        found.append(("At equal cost", _same_cost(advice)))
    found += _operating(advice, MIXTURE, "Without router")
    found.append(("More tasks", _more_tasks(advice)))
    return found


def headline(advice: Advice) -> list[str]:
    """Return the plain truth: which model alone is better, whether a router is needed, and what it sends where."""
    lines = []
    most_expensive = advice.outcomes.models[-1]
    worse = next((one for one in advice.dominated if one.model == most_expensive), None)
    if worse is not None and worse.high >= 0:
        lines.append(_dominated(worse, dollars=advice.outcomes.cost_unit == "usd"))
    found = verdict(advice)
    if found == BETTER:
        gain = advice.estimate("gain_over_mixture")
        sent = "; ".join(_goes(route) for route in _routes(advice)[:2])
        lines.append(f"Route: {sent}. Quality is {gain['estimate']:.3f} above mixing models at the same cost.")
    elif found == ONE_MODEL:
        lines.append(f"No router is needed: {advice.one_model} alone{_kept_alone(advice)}.")
    elif found == NO_ROUTER:
        lines.append("No router can be fitted on these columns: routers need a column prompt, or confidence.")
    else:
        lines.append("No router is shown to be better than mixing models, or one model alone, at the same cost.")
    if found not in (ONE_MODEL, BETTER):
        lines += _cheapest_constant(advice)
    return lines


def goes_where(advice: Advice) -> list[str]:
    """Return what the chosen router sends to each model, a line each."""
    if advice.one_model is not None:
        return []
    return [f"to {route.model} {route.share:.0%} of the tasks{_about(route)}." for route in _routes(advice)]


def _kept_alone(advice: Advice) -> str:
    if advice.one_model == advice.reference:
        return ", the model of the best quality" if advice.settings.reference is None else ""
    return f", which keeps {percent(advice.estimate('retention'))} of {_the(advice)}"


def _cheapest_constant(advice: Advice) -> list[str]:
    """Return what one model alone keeps, where a cheaper one than the reference keeps the wanted share."""
    wanted = advice.settings.kept
    table = advice.constants.set_index("model")
    reference = table.loc[advice.reference]
    if wanted is None or not reference["quality"] > 0:
        return [f"The best model is {advice.reference} (quality {reference['quality']:.3f})."]
    enough = table[table["quality"] >= wanted * reference["quality"]].sort_values("cost_usd", kind="stable")
    cheapest = enough.iloc[0]
    name = str(enough.index[0])
    if name == advice.reference:
        best = f"{reference['quality']:.3f}"
        return [f"Take {name} alone: no cheaper model keeps {_unrounded(wanted)} of its quality ({best})."]
    kept = cheapest["quality"] / reference["quality"]
    saved = (
        f", at {_times(float(table['cost_usd'][advice.reference]), float(cheapest['cost_usd']))}"
        if cheapest["cost_usd"] > 0
        else ""
    )
    return [f"{name} alone keeps {kept:.1%} of {_the(advice)}{saved} (no guarantee; evaluation tasks)."]


def _times(reference: float, cost: float) -> str:
    return f"{cost / reference:.0%} of its cost" if cost < reference else "no lower cost"


def _the(advice: Advice) -> str:
    return f"{advice.reference}'s quality"


def _dominated(one: Dominated, *, dollars: bool) -> str:
    interval = f"{one.difference:+.3f} [{one.low:+.3f}, {one.high:+.3f}]"
    cheaper = dollars and one.cost_share < 1 - 1e-9
    if one.low > 0:
        at = f"cheaper, at {one.cost_share:.0%} of its cost" if cheaper else "costs no more"
        return f"{one.by} alone is better than {one.model} (quality {interval}) and {at}."
    if cheaper:
        at = (
            f"costs {1 / one.cost_share:.1f} times as much as {one.by}"
            if one.cost_share
            else f"costs more than {one.by}"
        )
        return f"{one.model} {at} and is not shown to be better: {one.by}'s quality less its own is {interval}."
    return f"{one.model} is not shown to be better than {one.by}, whose quality less its own is {interval}."


def _models(advice: Advice) -> str:
    table = advice.constants
    dollars = advice.outcomes.cost_unit == "usd"
    cost = [f", {value:.2g} USD" if dollars else "" for value in table["cost_usd"]]
    mixed = table.loc[table["in_mixture"], "model"].tolist()
    listed = [
        f"{name} {quality:.3f}{paid}"
        for name, quality, paid in zip(table["model"], table["quality"], cost, strict=True)
    ]
    shown = listed if len(listed) <= 8 else [*listed[:4], "…", *listed[-3:]]
    parts = [f"cheapest first, with quality: {', '.join(shown)}.", f"The mixture is of {', '.join(mixed)}."]
    if advice.dominated:
        names = [one.model for one in advice.dominated]
        more = f" and {len(names) - 12} more" if len(names) > 12 else ""
        parts.append(f"Left out of it, as another model is as good at no more cost: {', '.join(names[:12])}{more}.")
    return " ".join(parts)


def _routers(advice: Advice) -> str:
    tried = f"tried {', '.join(advice.tried)}; chosen on calibration tasks: {advice.strategy}." if advice.tried else ""
    reasons: dict[str, list[str]] = {}
    for name, reason in advice.skipped.items():
        reasons.setdefault(reason, []).append(name)
    skipped = [
        f"{', '.join(names)} skipped: {reason.replace('it reads', 'they read') if len(names) > 1 else reason}."
        for reason, names in reasons.items()
    ]
    domains = advice.imported.tasks["domain"].nunique()
    offer = (
        ""
        if advice.settings.domain_known or domains < 2
        else (f"Where requests carry their domain ({domains} of them), domain_known=true tries a table by domain.")
    )
    time = "A router's own time (milliseconds per task) is not included." if advice.tried else ""
    return " ".join(part for part in (tried, *skipped, offer, time) if part)


def _verdict(advice: Advice) -> str:
    found = verdict(advice)
    if found == NO_ROUTER:
        return "no router can be fitted on these columns; what is left is a random mixture of constant models."
    if found == ONE_MODEL:
        return f"{advice.strategy} calls {advice.one_model} for every task: it is that model alone, and no router."
    gain, nearest = advice.estimate("gain_over_mixture"), advice.nearest
    assert nearest is not None
    tasks = int(advice.estimates["tasks"].iloc[0])
    against = f"p = {nearest.p_value:.2g} against {_mixture(advice)}, of all mixtures the one least clearly exceeded"
    finding = f"gain over the mixture at equal cost {signed(gain)} quality on {tasks:,} evaluation tasks; {against}."
    if found == BETTER:
        return f"routing beats the best mixture of constant models: {finding}"
    if found == WORSE:
        return f"routing does WORSE than mixing constant models at random: {finding}"
    return f"undecided, routing is not shown to beat mixing constant models at random: {finding}"


def _mixture(advice: Advice) -> str:
    assert advice.nearest is not None
    names = [advice.outcomes.models[model] for model in advice.nearest.models]
    if len(names) == 1:
        return f"{names[0]} alone"
    return f"mixing {names[0]} with {advice.nearest.share:.0%} of {names[1]}"


def _operating(advice: Advice, strategy: str, title: str) -> Paragraphs:
    settings, point = advice.settings, advice.points[strategy]
    what = "mixing models at random, threshold " if strategy == MIXTURE else ""
    keeps = f"{_unrounded(settings.retention)} of {_the(advice)}"
    if settings.aim != "retention":
        effect = f"{point.reason}, WITHOUT a guarantee."
    elif point.certified_share is not None:
        effect = (
            f"keeps at least {keeps} with probability {_unrounded(1 - settings.delta)} (Learn-then-Test), on similar "
            "tasks."
        )
        if point.certified_share > settings.retention:
            effect += f" The same threshold is certified up to {_unrounded(point.certified_share)}."
    else:
        effect = f"WITHOUT a guarantee: no threshold could be certified to keep {keeps} ({point.reason})."
    return [(title, f"{what}{point.threshold:.3g}: {effect}"), ("", _expect(advice, strategy))]


def _unrounded(share: float) -> str:
    """Return a share in percent with all its digits: rounded up, a guarantee would promise too much."""
    return f"{100 * share:.10g}%"


def _expect(advice: Advice, strategy: str) -> str:
    parts = [f"expect retention {percent(advice.estimate('retention', strategy))}"]
    if advice.reference == advice.outcomes.models[-1]:
        parts.append(f"small models alone {percent(advice.estimate('small_share', strategy))} of the tasks")
    saving = advice.estimate("cost_saving", strategy)
    if pd.notna(saving["estimate"]):
        parts.append(f"cost divided by {with_interval(saving, '{:.2f}')}")
    faster = advice.estimate("latency_reduction", strategy)
    if pd.notna(faster["estimate"]):
        parts.append(f"mean latency divided by {with_interval(faster, '{:.2f}')}")
    return "; ".join(parts) + "."


def _same_cost(advice: Advice) -> str:
    point = advice.points[SAME_COST]
    return (
        f"for at most {advice.reference}'s cost, {point.router} at threshold {point.threshold:.3g} is best: "
        f"{_expect(advice, SAME_COST)}"
    )


def _routes(advice: Advice) -> list[Route]:
    return routes(advice.outcomes.where("evaluation"), advice.served)


def _goes(route: Route) -> str:
    return f"{route.share:.0%} of the tasks to {route.model}{_about(route)}"


def _about(route: Route) -> str:
    return f": {', '.join(route.tasks)}" if route.tasks else ""


def _more_tasks(advice: Advice) -> str:
    tasks = int(advice.estimates["tasks"].iloc[0])
    share = tasks / len(advice.imported.tasks)
    if advice.strategy == MIXTURE or advice.one_model is not None or not advice.spread > 0:
        return "not known: there is no gain to measure."
    gain = float(advice.estimate("gain_over_mixture")["estimate"])
    seen = f"the gain seen, {gain:.4f}" if gain >= 0 else f"the loss seen, {gain:.4f}"
    lines = [f"these {tasks:,} evaluation tasks show a gain of {advice.detectable:.3f} or more (80 % power)."]
    for words, size in ((f"a gain of {WORTHWHILE_GAIN:g}", WORTHWHILE_GAIN), (seen, abs(gain))):
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


def _sentence(words: str) -> str:
    return (words if words.partition(" ")[0].partition("=")[1] else words[0].upper() + words[1:]) + "."
