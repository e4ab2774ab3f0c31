"""Numbers and words of the paper that are not a single cell of a table: counts, verdicts, names and settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from slm_orchestration.figures import naming
from slm_orchestration.report.claims import NO_VERDICT, VACUOUS
from slm_orchestration.report.numbers import Number, Source, decimal, format_metric, interval, p_value, percent, signed
from slm_orchestration.report.printed_tables import agreement_stem, certified_stem, claim_stem, rate_name, signal_name
from slm_orchestration.statistics.strategy_matrix import OVERALL
from slm_orchestration.statistics.verdicts import (
    BETTER,
    NO_INTERVAL,
    NOT_SUPPORTED,
    NOT_TESTABLE,
    SAME,
    SUPPORTED,
    UNDECIDED,
    WORSE,
    gain_verdicts,
)

Facts = dict[str, Number]
# A sentence lists at most this many names, else "the others".
_MOST_NAMES = 3
# The metrics that the paper's sentences name for one strategy.
HEADLINE_METRICS = (
    "quality",
    "small_share",
    "retention",
    "cost_saving",
    "cost_saving_ceiling",
    "latency_reduction",
    "gain_over_mixture",
    "mean_gain",
    "gain_with_classifier",
    "cost_share_95",
    "cost_share_100",
)
_FORMATS = {
    "p_adjusted": p_value,
    "p_value": p_value,
    "effect_size": lambda value: signed(value, 2),
    "tasks": lambda value: decimal(value, 0),
    "domains": lambda value: decimal(value, 0),
    "requests_per_second": lambda value: f"{decimal(value, 0 if value >= 100 else 2)}/s",
    "latency_p50_s": lambda value: f"{decimal(value)}\u00a0s",
    "latency_p99_s": lambda value: f"{decimal(value)}\u00a0s",
    "availability": percent,
}


def counts(estimates: pd.DataFrame, source: Source) -> Facts:
    """Return how many tasks, domains, models and strategies there are, and the level of the intervals."""
    facts: Facts = {}
    most_expensive = naming.constants(estimates)[-1]
    tasks = estimates[(estimates["strategy"] == most_expensive) & (estimates["metric"] == "quality")].set_index(
        "domain"
    )["tasks"]
    for domain, count in tasks.items():
        name = "count.tasks" if domain == OVERALL else f"count.tasks.{domain}"
        _put_cell(facts, name, decimal(count, 0), source, (most_expensive, str(domain), "quality", "tasks"))
    parts = naming.domains(estimates["domain"])
    _put(facts, "count.domains", decimal(len(parts), 0), source, "distinct domains")
    _put(facts, "count.models", decimal(len(naming.constants(estimates)), 0), source, "constant strategies")
    _put(facts, "count.contenders", decimal(len(naming.contenders(estimates)), 0), source, "competing strategies")
    level = estimates["level"].iloc[0]
    _put(facts, "level", f"{decimal(100 * level, 0)}\u00a0%", source, "level")
    return facts


def verdicts(estimates: pd.DataFrame, comparisons: pd.DataFrame, source: Source) -> Facts:
    """Return `<strategy>.verdict` against the mixture, and the sentences that summarise those of the contenders."""
    facts: Facts = {}
    found = gain_verdicts(comparisons)
    texts = {name: str(verdict) for name, verdict in found.items()} | naming.stand_apart(estimates)
    for name, text in texts.items():
        _put_cell(facts, f"{name}.verdict", text, source, (name, OVERALL, "gain_over_mixture", "low, high"))
    by_verdict: dict[str, list[str]] = {}
    for name in naming.contenders(estimates):
        if name in found:
            by_verdict.setdefault(found[name].word, []).append(naming.label(name))
    origin = "strategies whose gain_over_mixture is shown to be above 0, below 0, or neither (interval and corrected p)"
    for word, key in ((BETTER, "beating"), (WORSE, "short"), (UNDECIDED, "undecided")):
        names = by_verdict.get(word, [])
        _put(facts, f"words.{key}", _listed(names) or "none", source, origin)
        _put(facts, f"count.{key}", decimal(len(names), 0), source, origin)
    _put(facts, "words.against_mixture", _sentence(by_verdict), source, origin)
    return facts


def model_names(estimates: pd.DataFrame, source: Source) -> Facts:
    """Return the names of the models at the ends of the pool, and of the strategy with the largest estimated gain."""
    constants, ranked = naming.constants(estimates), naming.contenders(estimates)
    facts: Facts = {}
    _put(facts, "model.cheapest", naming.label(constants[0]), source, "least mean cost")
    _put(facts, "model.most_expensive", naming.label(constants[-1]), source, "greatest mean cost")
    _put(facts, "model.list", _listed([naming.label(name) for name in constants]), source, "by mean cost")
    if ranked:
        _put(facts, "leader", naming.label(ranked[0]), source, "greatest estimate of gain_over_mixture")
        _put(facts, "leader.strategy", ranked[0], source, "greatest estimate of gain_over_mixture")
    return facts


def recordings(agreement: pd.DataFrame, source: Source) -> Facts:
    """Return how many tasks two recordings share, and over the models the least and greatest share that agree."""
    facts: Facts = {}
    overall = agreement[agreement["answers"] == "all"]
    _put(facts, "agreement.tasks", decimal(int(overall["tasks"].max()), 0), source, "answers=all: tasks")
    for name in ("same_quality", "same_answer"):
        for end, value in (("least", overall[name].min()), ("greatest", overall[name].max())):
            _put(facts, f"agreement.{name}.{end}", percent(float(value)), source, f"answers=all: {name}")
    for row in agreement.to_dict("records"):
        stem, where = agreement_stem(row), f"model={row['model']}, answers={row['answers']}"
        _put(facts, f"{stem}.tasks", decimal(row["tasks"], 0), source, f"{where}: tasks")
        for name in ("same_answer", "same_quality"):
            _put(facts, f"{stem}.{name}", percent(row[name]), source, f"{where}: {name}")
        ends = interval(percent(row["low"]), percent(row["high"]))
        _put(facts, f"{stem}.same_quality.interval", ends, source, f"{where}: low, high")
        for name in ("quality", "other_quality"):
            _put(facts, f"{stem}.{name}", decimal(row[name]), source, f"{where}: {name}")
    return facts


def claim_facts(evaluated: pd.DataFrame, quoted: pd.DataFrame, sources: Mapping[str, Source]) -> Facts:
    """Return `claim.<reading>.verdict`, `.estimate` and `.split` with intervals, `quote.<number>.verdict`, and counts.

    `evaluated` and `quoted` are those of `claims.readings` and `claims.quotes`; counts are of quotes. `sources` has the
    file of each value of the column source, that of the quotes (""), and of measurements that of each strategy.
    """
    facts: Facts = {}
    for row in evaluated.to_dict("records"):
        stem = claim_stem(row["claim"], row["verdict"], row["reading"])
        source = sources[row["strategy"] if row["source"] == "measured" else row["source"]]
        key = f"strategy={row['strategy']}, domain={OVERALL}, metric={row['metric']}"
        read_by = (row["strategy"],) if row["source"] in ("estimates", "comparisons") else ()
        _put(facts, f"{stem}.verdict", row["verdict"], source, key, read_by)
        _put_interval(facts, f"{stem}.estimate", row, "", source, key, read_by)
        if pd.notna(row["split_estimate"]):
            _put_interval(facts, f"{stem}.split", row, "split_", sources["estimates"], key, (row["strategy"],))
        if pd.notna(row["ceiling"]):
            _put(
                facts, f"{stem}.ceiling", format_metric("cost_saving", row["ceiling"]), sources[""], "1 / (1 - target)"
            )
    for number, row in enumerate(quoted.to_dict("records"), start=1):
        _put(facts, f"quote.{number}.verdict", row["verdict"], sources[""], f"quote={row['quote']}")
    for word in (SUPPORTED, NOT_SUPPORTED, UNDECIDED, NOT_TESTABLE, VACUOUS, NO_VERDICT):
        many, name = int((quoted["verdict"] == word).sum()), word.replace(" ", "_").replace(",", "")
        _put(facts, f"count.claims.{name}", decimal(many, 0), sources[""], f"verdict={word}")
    _put(facts, "count.claims", decimal(len(quoted), 0), sources[""], "quotes")
    share = evaluated.loc[evaluated["claim"] == "small_share", "target"]
    if len(share):
        _put(facts, "claim.small_share.target", percent(share.iloc[0]), sources[""], "claim=small_share: target")
    return facts


def _put_interval(
    facts: Facts,
    name: str,
    row: Mapping[Any, Any],
    prefix: str,
    source: Source,
    key: str,
    strategies: tuple[str, ...],
) -> None:
    shown = {end: _size(str(row["metric"]), row[f"{prefix}{end}"]) for end in ("estimate", "low", "high")}
    if pd.isna(row[f"{prefix}estimate"]):
        return
    _put(facts, name, shown["estimate"], source, f"{key}: estimate", strategies)
    _put(facts, f"{name}.interval", interval(shown["low"], shown["high"]), source, f"{key}: low, high", strategies)


def winner(robustness: pd.DataFrame, source: Source) -> Facts:
    """Return the best strategy's gain corrected for having been selected, and the ranks that each may have."""
    facts: Facts = {}
    for row in robustness[robustness["view"] == "winner"].to_dict("records"):
        key = f"view=winner, strategy={row['strategy']}"
        _put(facts, "winner", naming.label(row["strategy"]), source, key)
        _put(facts, "winner.gain", signed(row["estimate"]), source, f"{key}: estimate")
        ends = interval(signed(row["low"]), signed(row["high"]))
        _put(facts, "winner.gain.interval", ends, source, f"{key}: low, high")
    ranks = robustness[(robustness["view"] == "rank") & robustness["estimate"].notna()]
    for row in ranks.to_dict("records"):
        words = f"{decimal(row['low'], 0)} to {decimal(row['high'], 0)}"
        _put(facts, f"{row['strategy']}.rank", words, source, f"view=rank, strategy={row['strategy']}: low, high")
    first = ranks.loc[ranks["low"] <= 1, "strategy"]
    _put(facts, "count.may_be_first", decimal(len(first), 0), source, "view=rank: strategies whose interval holds 1")
    for name in ("winner", "winner.gain", "winner.gain.interval"):
        facts.setdefault(name, Number(name, "undetermined", None, source.table, "view=winner", source.configuration))
    return facts


def explained(between: pd.DataFrame, source: Source) -> Facts:
    """Return `explained.total`, `.between_datasets` and `.within_datasets`: parts of a gain over the mixture."""
    facts: Facts = {}
    values = dict(zip(between["gain"], between["value"], strict=True)) if len(between) else {}
    for part in ("total", "between datasets", "within datasets"):
        said = signed(values[part]) if part in values else "not run"
        _put(facts, f"explained.{part.replace(' ', '_')}", said, source, f"gain={part}", (source.table.split("/")[0],))
    return facts


def signals(frame: pd.DataFrame, source: Source) -> Facts:
    """Return `signals.<kind of answer>.<model>.<when>`, areas under the curve within datasets."""
    facts: Facts = {}
    for row in frame.to_dict("records"):
        for when in [name for name in frame if name not in ("answers", "quality_of")]:
            key = f"answers={row['answers']}, quality_of={row['quality_of']}: {when}"
            said = decimal(row[when], 0 if when == "tasks" else 2)
            _put(facts, signal_name(row, str(when)), said, source, key, (source.table.split("/")[0],))
    return facts


def certified(frame: pd.DataFrame, source: Source) -> Facts:
    """Return `certified.<strategy>.<target in percent>.<number>` of the certified thresholds on evaluation tasks.

    The saving of adaptive at 95 percent, which the text names, is "not run" where it was not.
    """
    facts: Facts = {}
    _put(facts, "certified.adaptive.95.cost_saving", "not run", source, "strategy=adaptive, target=0.95: cost_saving")
    for row in frame.to_dict("records"):
        key = f"strategy={row['strategy']}, target={row['target']}"
        said = {
            "threshold": "always-L" if pd.isna(row["threshold"]) else decimal(row["threshold"], 3),
            "retention": decimal(row["retention"], 3),
            "cost_saving": format_metric("cost_saving", row["cost_saving"]),
        }
        for name, text in said.items():
            _put(facts, f"{certified_stem(row)}.{name}", text, source, f"{key}: {name}")
    return facts


def predictions(measured: pd.DataFrame, correlations: pd.DataFrame, source: Source) -> Facts:
    """Return `predictions.<strategy>.<measure>` and `predictions.rank.<measure>`, how it goes with the gain."""
    facts: Facts = {}
    for row in measured.to_dict("records"):
        for name in [name for name in measured if name != "strategy"]:
            said = signed(row[name]) if name == "mean_gain" else decimal(row[name], 3)
            _put(facts, f"predictions.{row['strategy']}.{name}", said, source, f"strategy={row['strategy']}: {name}")
    for row in correlations.to_dict("records"):
        where = f"rank correlation of {row['measure']} with mean_gain over {row['strategies']} strategies"
        _put(facts, f"predictions.rank.{row['measure']}", decimal(row["spearman"], 2), source, where)
    return facts


def validation(simulated: pd.DataFrame, source: Source) -> Facts:
    """Return `validation.<rate of>.<statistic>.<tasks>.<groups>` in percent, with ! outside the band."""
    facts: Facts = {}
    for row in simulated.to_dict("records"):
        key = {name: str(row[name]) for name in ("rate_of", "statistic", "tasks", "groups")}
        where = ", ".join(f"{name}={value}" for name, value in key.items())
        mark = "" if row["band"] == "inside" else " !"
        _put(facts, rate_name(row), f"{decimal(100 * row['rate'], 1)}{mark}", source, f"{where}: rate")
    return facts


def calibration_errors(errors: Mapping[str, float], source: Source) -> Facts:
    """Return `ece.<model>`, the expected calibration error that the reliability diagrams print."""
    facts: Facts = {}
    for model, error in errors.items():
        _put(facts, f"ece.{model}", decimal(error), source, f"model={model}: confidence and quality, ten bins")
    return facts


def design(values: Mapping[str, object], source: Source) -> Facts:
    """Return `design.<key>` for the settings of the configuration."""
    facts: Facts = {}
    for key, value in values.items():
        whole = isinstance(value, int) and not isinstance(value, bool)
        _put(facts, f"design.{key}", decimal(float(str(value)), 0) if whole else str(value), source, key)
    return facts


def aliased(numbers: Mapping[str, Number], strategy: str, alias: str) -> Facts:
    """Return the overall numbers of `strategy` as `<alias>.<metric>`, with the text "not run" where it was not run."""
    found: Facts = {}
    ran = f"{strategy}.quality" in numbers
    for metric in HEADLINE_METRICS:
        for name in (metric, f"{metric}.interval"):
            blank = "" if name.endswith(".interval") else "–" if ran else "not run"
            missing = Number(f"{strategy}.{name}", blank, None, "", f"no strategy {strategy}", "")
            found[f"{alias}.{name}"] = replace(numbers.get(f"{strategy}.{name}", missing), name=f"{alias}.{name}")
    return found


def _sentence(by_verdict: dict[str, list[str]]) -> str:
    beating, short, undecided = (by_verdict.get(word, []) for word in (BETTER, WORSE, UNDECIDED))
    parts = [
        f"{_listed(beating)} {'beats' if len(beating) == 1 else 'beat'} the mixture"
        if beating
        else "no strategy is shown to beat the mixture"
    ]
    if short:
        parts.append(f"{_listed(short)} {'falls' if len(short) == 1 else 'fall'} short of it")
    if undecided:
        named = len(undecided) <= _MOST_NAMES or not (beating or short)
        who = _listed(undecided) if named else "the others"
        parts.append(f"for {who} neither is shown")
    if alike := by_verdict.get(NO_INTERVAL, []) + by_verdict.get(SAME, []):
        parts.append(f"for {_listed(alike)} no interval can be formed, as on these tasks the gain does not vary")
    return "; ".join(parts)


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]])) if words else ""


def _size(metric: str, value: float | None) -> str:
    return _FORMATS[metric](value) if metric in _FORMATS else format_metric(metric, value)


def _put(facts: Facts, name: str, said: str, source: Source, row: str, strategies: tuple[str, ...] = ()) -> None:
    facts[name] = Number(name, said, None, source.table, row, source.configuration, strategies)


def _put_cell(facts: Facts, name: str, said: str, source: Source, cell: tuple[str, str, str, str]) -> None:
    """Add a fact that follows from the columns `cell[3]` of one row of ESTIMATES."""
    strategy, domain, metric, columns = cell
    row = f"strategy={strategy}, domain={domain}, metric={metric}: {columns}"
    facts[name] = Number(name, said, None, source.table, row, source.configuration, (strategy,))
