"""The printed tables. Cells are texts of `numbers`; nothing is computed here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from slm_orchestration.figures import naming
from slm_orchestration.report.formats import PrintedTable, Row
from slm_orchestration.report.numbers import UNDEFINED, Number, decimal, interval
from slm_orchestration.statistics.strategy_matrix import MACRO


def summary(numbers: Mapping[str, Number], estimates: pd.DataFrame) -> PrintedTable:
    """Return retention, savings and gain of each strategy: contenders by gain, constants, references.

    Where domains differ in size, a column has the gain with all domains counted equally.
    """
    names = naming.in_print_order(estimates, estimates["strategy"].unique())
    contenders, weighted = naming.contenders(estimates), naming.unbalanced(estimates)
    groups = [0 if name in contenders else 1 if naming.is_constant(name) else 2 for name in names]
    rows = tuple(
        (
            naming.label(name),
            _text(numbers, f"{name}.small_share"),
            _text(numbers, f"{name}.retention"),
            _text(numbers, f"{name}.cost_saving"),
            _text(numbers, f"{name}.latency_reduction"),
            _with_interval(numbers, f"{name}.gain_over_mixture").replace(" ", "\u00a0"),
            _text(numbers, f"{name}.mean_gain"),
            _text(numbers, f"{name}.gain_with_classifier"),
            *([_text(numbers, f"{name}.{MACRO}.gain_over_mixture")] if weighted else []),
            _text(numbers, f"{name}.verdict"),
        )
        for name in names
    )
    header = (
        "strategy",
        "small share",
        "retention",
        "cost saving",
        "latency",
        "gain over the mixture",
        "mean gain",
        "with classifier",
        *(["domains equal"] if weighted else []),
        "verdict",
    )
    rules = tuple(row for row in range(1, len(names)) if groups[row] != groups[row - 1])
    return PrintedTable("summary", header, "l" + "r" * (len(header) - 2) + "l", rows, rules)


def models(numbers: Mapping[str, Number], estimates: pd.DataFrame) -> PrintedTable:
    """Return quality, cost and latency of each model of the pool."""
    rows = tuple(
        (
            naming.label(name),
            _with_interval(numbers, f"{name}.quality"),
            _text(numbers, f"{name}.cost_usd"),
            _text(numbers, f"{name}.latency_s"),
        )
        for name in naming.constants(estimates)
    )
    return PrintedTable("models", ("model", "quality", "USD per million tasks", "seconds per task"), "lrrr", rows)


def domains(numbers: Mapping[str, Number], estimates: pd.DataFrame) -> PrintedTable:
    """Return the mean quality of each model in each domain, with the number of tasks."""
    constants = naming.constants(estimates)
    names = naming.domains(estimates["domain"])
    rows = tuple(
        (
            name.replace("_", " "),
            _text(numbers, f"count.tasks.{name}"),
            *(_with_interval(numbers, f"{model}.{name}.quality") for model in constants),
        )
        for name in names
    )
    header = ("domain", "tasks", *(naming.label(name) for name in constants))
    return PrintedTable("domains", header, "lr" + "r" * len(constants), rows)


def comparisons(numbers: Mapping[str, Number], frame: pd.DataFrame, estimates: pd.DataFrame) -> PrintedTable:
    """Return the primary test of mean quality of every contender against each baseline, over all domains."""
    rows: list[Row] = []
    rules: list[int] = []
    overall = naming.overall(frame)
    quality = overall[(overall["metric"] == "quality") & (overall["test"] == "paired_t")]
    for baseline in sorted(quality["baseline"].unique()):
        if rows:
            rules.append(len(rows))
        present = set(quality.loc[quality["baseline"] == baseline, "strategy"])
        for name in [name for name in naming.contenders(estimates) if name in present]:
            stem = f"{name}.against.{baseline}.quality.paired_t"
            difference = f"{_text(numbers, f'{stem}.difference')} {_ends(numbers, stem)}".strip()
            tested = [_text(numbers, f"{stem}.{column}") for column in ("statistic", "p_adjusted", "effect_size")]
            # Where a strategy does what its baseline does on every task, there is nothing to test.
            tested = ["–" if text == UNDEFINED else text for text in tested]
            rows.append((naming.label(name), naming.label(baseline), difference, *tested))
    header = ("strategy", "baseline", "difference in quality", "t", "p (Holm)", "d")
    return PrintedTable("comparisons", header, "llrrrr", tuple(rows), tuple(rules))


def claims(numbers: Mapping[str, Number], evaluated: pd.DataFrame, quoted: pd.DataFrame) -> PrintedTable:
    """Return one row per published quote: what decides it with what was measured, the verdict, and why."""
    by_name = evaluated.drop_duplicates("claim").set_index("claim")
    rows: list[Row] = []
    for number, row in enumerate(quoted.to_dict("records"), start=1):
        measured = [
            (name, _with_interval(numbers, f"claim.{name}.estimate"))
            for name in row["readings"]
            if f"claim.{name}.estimate" in numbers and by_name.loc[name, "verdict"] != "no verdict"
        ]
        told = [f"{name}: {text}" if len(measured) > 1 else text for name, text in measured]
        verdict = _text(numbers, f"quote.{number}.verdict")
        rows.append((f"{row['quote']} {row['says']}".strip(), "; ".join(told) or "–", verdict, row["reason"]))
    return PrintedTable("claims", ("claim", "measured", "verdict", "why"), "llll", tuple(rows))


def readings(numbers: Mapping[str, Number], evaluated: pd.DataFrame) -> PrintedTable:
    """Return every reading of the quotes: over many splits where it was, on the frozen split, ceiling and verdict."""
    rows: list[Row] = []
    for row in evaluated.to_dict("records"):
        stem = claim_stem(row["claim"], row["verdict"], row["reading"])
        found = _with_interval(numbers, f"{stem}.estimate") if f"{stem}.estimate" in numbers else "–"
        split = _with_interval(numbers, f"{stem}.split") if f"{stem}.split" in numbers else "–"
        over_splits = row["source"] == "cross_fit"
        cells = (found, split) if over_splits else ("–", found)
        verdict = _text(numbers, f"{stem}.verdict") + ("" if row["decides"] else ", does not decide")
        rows.append((row["quote"], _words(row["reading"]), *cells, _text(numbers, f"{stem}.ceiling"), verdict))
    header = ("claim", "reading", "cross-fitted", "frozen split, or measured", "ceiling", "verdict")
    return PrintedTable("readings", header, "llrrrl", tuple(rows))


def cross_fitted(numbers: Mapping[str, Number], estimates: pd.DataFrame) -> PrintedTable:
    """Return the results over many splits of every strategy that was evaluated so, the largest mean gain first."""
    gains = naming.metric(estimates, "mean_gain")["estimate"].sort_values(ascending=False, kind="stable")
    ranked = [name for name in map(str, gains[gains.notna()].index) if not naming.is_constant(name)]
    metrics = {
        "mean_gain": "mean gain",
        "gain_over_mixture": "gain over the mixture",
        "retention": "retention",
        "cost_saving": "cost saving",
        "cost_share_95": "cost of 95 %",
        "cost_share_100": "cost of 100 %",
    }
    rows = tuple(
        (naming.label(name), *(_unbroken(numbers, f"cross.{name}.{metric}") for metric in metrics)) for name in ranked
    )
    return PrintedTable("cross_fitted", ("strategy", *metrics.values()), "l" + "r" * len(metrics), rows)


def signals(numbers: Mapping[str, Number], frame: pd.DataFrame) -> PrintedTable:
    """Return how well right answers are told from wrong ones within datasets, before and after answers."""
    whens = [str(name) for name in frame if name not in ("answers", "quality_of")] or ["before"]
    rows = tuple(
        (row["answers"], row["quality_of"], *(_text(numbers, signal_name(row, when)) for when in whens))
        for row in frame.to_dict("records")
    )
    return PrintedTable("signals", ("answers", "quality of", *whens), "ll" + "r" * len(whens), rows)


def signal_name(row: Mapping[Any, Any], when: str) -> str:
    """Return how the number of a signal is named."""
    return f"signals.{row['answers']}.{row['quality_of']}.{when.replace(' ', '_')}"


def certified(numbers: Mapping[str, Number], frame: pd.DataFrame) -> PrintedTable:
    """Return what is certified for each strategy, a pair of columns per share of the quality that is promised."""
    targets = sorted(frame["target"].unique()) if len(frame) else []
    header = ["strategy", *(name for target in targets for name in (f"{_percent(target)} %: threshold", "saving"))]
    rows = [
        (
            naming.label(strategy),
            *(
                _text(numbers, f"{certified_stem({'strategy': strategy, 'target': target})}.{name}")
                for target in targets
                for name in ("threshold", "cost_saving")
            ),
        )
        for strategy in dict.fromkeys(frame["strategy"] if len(frame) else ())
    ]
    return PrintedTable("certified", tuple(header), "l" + "r" * (len(header) - 1), tuple(rows))


def certified_stem(row: Mapping[Any, Any]) -> str:
    """Return how the numbers of a certified threshold are named."""
    return f"certified.{row['strategy']}.{_percent(row['target'])}"


def predictions(numbers: Mapping[str, Number], measured: pd.DataFrame) -> PrintedTable:
    """Return the quality of each strategy's predictions beside its mean gain, and below how they go together."""
    measures = [str(name) for name in measured if name != "strategy"]
    rows = [
        (naming.label(name), *(_text(numbers, f"predictions.{name}.{measure}") for measure in measures))
        for name in (measured["strategy"] if len(measured) else ())
    ]
    ranks = tuple("" if name == "mean_gain" else _text(numbers, f"predictions.rank.{name}") for name in measures)
    header = ("strategy", *(name.replace("_", " ") for name in measures))
    rules = (len(rows),) if rows else ()
    last = [("rank correlation with gain", *ranks)] if rows else []
    return PrintedTable("predictions", header, "l" + "r" * len(measures), (*rows, *last), rules)


def validation(numbers: Mapping[str, Number], simulated: pd.DataFrame) -> PrintedTable:
    """Return simulated rates of intervals and tests in percent, a statistic per row; ! marks rates outside their band.

    Columns are the populations; a rate of samples in which the statistic was defined.
    """
    populations = simulated[["tasks", "groups"]].drop_duplicates()
    named = simulated[["rate_of", "statistic"]].drop_duplicates()
    rows: list[Row] = []
    rules: list[int] = []
    for kind, statistic in named.itertuples(index=False):
        if rows and rows[-1][0] != kind:
            rules.append(len(rows))
        rates = [
            _text(numbers, rate_name({"rate_of": kind, "statistic": statistic, "tasks": tasks, "groups": groups}))
            for tasks, groups in populations.itertuples(index=False)
        ]
        rows.append((kind, statistic.replace("_", " "), *rates))
    header = ("rate of", "statistic", *(f"{tasks}, {groups}" for tasks, groups in populations.itertuples(index=False)))
    return PrintedTable("validation", header, "ll" + "r" * len(populations), tuple(rows), tuple(rules))


def rate_name(row: Mapping[Any, Any]) -> str:
    """Return how the number of a simulated rate is named."""
    return "validation." + ".".join(
        str(row[key]).replace(" ", "_") for key in ("rate_of", "statistic", "tasks", "groups")
    )


def agreement_stem(row: Mapping[Any, Any]) -> str:
    """Return how the numbers of two recordings of a model's answers are named."""
    return f"agreement.{row['model']}.{row['answers']}"


def claim_stem(claim: str, verdict: str, reading: str) -> str:
    """Return how the numbers of an evaluated claim are named; one reported per comparison names the comparison too."""
    comparison = "." + reading.replace(", ", ".").replace(" ", "_") if verdict == "no verdict" else ""
    return f"claim.{claim}{comparison}"


def elsewhere(numbers: Mapping[str, Number], estimates: pd.DataFrame, suite: str) -> PrintedTable:
    """Return the results of strategies that were judged on another suite, as they read what only that one holds."""
    tasks = naming.metric(estimates, "quality")["tasks"].to_dict()
    rows = tuple(
        (
            naming.label(name),
            suite,
            decimal(float(tasks[name]), 0),
            _with_interval(numbers, f"{name}.retention"),
            _text(numbers, f"{name}.cost_saving"),
            _with_interval(numbers, f"{name}.gain_over_mixture"),
            _text(numbers, f"{name}.verdict"),
        )
        for name in naming.contenders(estimates)
    )
    header = ("strategy", "suite", "tasks", "retention", "cost saving", "gain over the mixture", "verdict")
    return PrintedTable("elsewhere", header, "llrrrrl", rows)


def agreement(numbers: Mapping[str, Number], frame: pd.DataFrame) -> PrintedTable:
    """Return how often two recordings of the same tasks agree, a row per model and kind of answer."""
    rows: list[Row] = []
    rules: list[int] = []
    for row in frame.to_dict("records"):
        if rows and row["model"] != frame["model"].iloc[len(rows) - 1]:
            rules.append(len(rows))
        stem = agreement_stem(row)
        cells = [_text(numbers, f"{stem}.{name}") for name in ("tasks", "same_answer")]
        qualities = [_text(numbers, f"{stem}.{name}") for name in ("quality", "other_quality")]
        rows.append((row["model"], row["answers"], *cells, _with_interval(numbers, f"{stem}.same_quality"), *qualities))
    header = ("model", "answers", "tasks", "same words", "same quality", "mean quality", "of the second")
    return PrintedTable("agreement", header, "llrrrrr", tuple(rows), tuple(rules))


def _percent(share: float) -> str:
    """Return a promised share in percent with all its digits: 99.5 is not 100, and each has a name of its own."""
    return f"{100 * share:.10g}"


def _words(reading: str) -> str:
    for code, words in (("_usd,", ","), ("_s,", ","), ("paired_t", "paired t-test"), ("cohen_", "Cohen’s ")):
        reading = reading.replace(code, words)
    return reading


def _text(numbers: Mapping[str, Number], name: str) -> str:
    return numbers[name].text if name in numbers else "–"


def _with_interval(numbers: Mapping[str, Number], name: str) -> str:
    return (
        f"{_text(numbers, name)} {_text(numbers, f'{name}.interval') if f'{name}.interval' in numbers else ''}".strip()
    )


def _unbroken(numbers: Mapping[str, Number], name: str) -> str:
    text = _with_interval(numbers, name).replace(" ", "\u00a0")
    return "never" if text == UNDEFINED else text


def _ends(numbers: Mapping[str, Number], stem: str) -> str:
    return interval(_text(numbers, f"{stem}.low"), _text(numbers, f"{stem}.high"))
