"""Every printed number, with its text, its value and the row it comes from; the only place that rounds."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace

import pandas as pd

from slm_orchestration.statistics.strategy_matrix import OVERALL

UNDEFINED = "undefined"


@dataclass(frozen=True)
class Number:
    """One number as it is printed, and where it comes from: a column of a row of a table, made by a configuration.

    `strategies` are those that the row is about; none where it sums up all of them.
    """

    name: str
    text: str
    value: float | str | None
    table: str
    row: str
    configuration: str
    strategies: tuple[str, ...] = ()


@dataclass(frozen=True)
class Source:
    """The file that a table was read from and the configuration that made it."""

    table: str
    configuration: str


def decimal(value: float | None, places: int = 3) -> str:
    """Return a plain number, with a true minus sign; what would round to -0 is 0."""
    if value is None or math.isnan(value):
        return UNDEFINED
    text = f"{value:,.{places}f}"
    return text.removeprefix("-") if float(text.replace(",", "")) == 0 else text.replace("-", "\u2212")


def signed(value: float | None, places: int = 3) -> str:
    """Return a difference with its sign."""
    text = decimal(value, places)
    return f"+{text}" if value is not None and value > 0 and float(f"{value:.{places}f}") > 0 else text


def percent(value: float | None) -> str:
    """Return a share in percent, set with a no-break space."""
    return UNDEFINED if value is None or math.isnan(value) else f"{decimal(100 * value, 1)}\u00a0%"


def times(value: float | None) -> str:
    """Return a ratio as a multiple."""
    return UNDEFINED if value is None or math.isnan(value) else f"{decimal(value, 2)}\u00d7"


def significant(value: float | None) -> str:
    """Return three significant digits without an exponent."""
    if value is None or math.isnan(value):
        return UNDEFINED
    if value == 0:
        return "0"
    return decimal(value, max(0, 2 - math.floor(math.log10(abs(value)))))


def p_value(value: float | None) -> str:
    """Return a p-value with three decimals, or that it is below the last of them; never 0."""
    if value is None or math.isnan(value):
        return UNDEFINED
    return "< 0.001" if value < 0.001 else decimal(value, 3)


def per_million(value: float | None) -> str:
    """Return US dollars per million tasks: one unit for pools of any size."""
    return UNDEFINED if value is None or math.isnan(value) else significant(1e6 * value)


_FORMATS = {
    "small_share": percent,
    "cost_saving": times,
    "device_seconds_saved": percent,
    "cost_saving_ceiling": times,
    "latency_reduction": times,
    "latency_reduction_p50": times,
    "gain_over_mixture": signed,
    "gain_with_classifier": signed,
    "mean_gain": signed,
    "cost_share_95": percent,
    "cost_share_100": percent,
    "cost_usd": per_million,
    "latency_s": significant,
}


def format_metric(metric: str, value: float | None) -> str:
    """Return a metric's value as it is printed; a metric that is not known gets three decimals."""
    return _FORMATS.get(metric, decimal)(value)


def interval(low: str, high: str) -> str:
    """Return an interval of two printed ends, or nothing where there is none."""
    return "" if UNDEFINED in (low, high) else f"[{low}, {high}]"


def from_estimates(estimates: pd.DataFrame, source: Source, prefix: str = "") -> dict[str, Number]:
    """Return `<strategy>.<metric>` and `<strategy>.<metric>.interval`; of a domain `<strategy>.<domain>.<metric>`.

    `prefix` precedes each name.
    """
    numbers: dict[str, Number] = {}
    for row in estimates.to_dict("records"):
        where = row["strategy"] if row["domain"] == OVERALL else f"{row['strategy']}.{row['domain']}"
        key = f"strategy={row['strategy']}, domain={row['domain']}, metric={row['metric']}"
        name = f"{prefix}{where}.{row['metric']}"
        text = {end: format_metric(row["metric"], row[end]) for end in ("estimate", "low", "high")}
        made = Number(
            name,
            text["estimate"],
            _plain(row["estimate"]),
            source.table,
            key,
            source.configuration,
            (row["strategy"],),
        )
        _add(numbers, made)
        ends, value = interval(text["low"], text["high"]), f"{row['low']!r} to {row['high']!r}"
        _add(numbers, replace(made, name=f"{name}.interval", text=ends, value=value, row=f"{key}: low, high"))
    return numbers


_COMPARISON_FORMATS = {"statistic": lambda value: decimal(value, 2), "p_value": p_value, "p_adjusted": p_value}


def from_comparisons(comparisons: pd.DataFrame, source: Source) -> dict[str, Number]:
    """Return `<strategy>.against.<baseline>.<metric>.<test>.<column>` of the comparisons over all domains."""
    numbers: dict[str, Number] = {}
    for row in comparisons[comparisons["domain"] == OVERALL].to_dict("records"):
        stem = f"{row['strategy']}.against.{row['baseline']}.{row['metric']}.{row['test'].replace(' ', '_')}"
        pair = (row["strategy"], row["baseline"])
        key = ", ".join(f"{column}={row[column]}" for column in ("strategy", "baseline", "domain", "metric", "test"))
        for column in ("difference", "low", "high", "statistic", "p_value", "p_adjusted", "effect_size"):
            text = _comparison_text(row["metric"], column, row[column])
            value, where = _plain(row[column]), f"{key}: {column}"
            _add(numbers, Number(f"{stem}.{column}", text, value, source.table, where, source.configuration, pair))
    return numbers


def to_json(numbers: dict[str, Number]) -> str:
    """Return the file that the paper reads: by name, with text, value and origin."""
    kept = ("text", "value", "table", "row", "configuration")
    entries = {name: {key: getattr(number, key) for key in kept} for name, number in numbers.items()}
    return json.dumps(entries, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def _comparison_text(metric: str, column: str, value: float | None) -> str:
    if column in _COMPARISON_FORMATS:
        return _COMPARISON_FORMATS[column](value)
    if column == "effect_size":
        return signed(value, 2)
    if value is None or math.isnan(value) or metric == "quality":
        return signed(value)
    text = format_metric(metric, value)
    return f"+{text}" if value is not None and value > 0 else text


def _add(numbers: dict[str, Number], number: Number) -> None:
    if number.name in numbers:
        raise ValueError(f"two numbers are named {number.name!r}: {numbers[number.name].row} and {number.row}")
    numbers[number.name] = number


def _plain(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else float(value)
