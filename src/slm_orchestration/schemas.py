"""The data dictionary: the schema of every table that stages exchange.

Each column's meaning and range stand in its field's metadata, each table's name and key in the schema's.
"""

from __future__ import annotations

import pyarrow as pa


def _column(
    name: str,
    kind: pa.DataType,
    meaning: str,
    *,
    nullable: bool = False,
    limits: tuple[float, float] | None = None,
) -> pa.Field:
    metadata = {"meaning": meaning}
    if limits is not None:
        metadata |= {"low": repr(limits[0]), "high": repr(limits[1])}
    return pa.field(name, kind, nullable=nullable, metadata=metadata)


def _schema(name: str, key: list[str], columns: list[pa.Field]) -> pa.Schema:
    return pa.schema(columns, metadata={"table": name, "key": ",".join(key)})


_TEXT, _NUMBER, _COUNT, _FLAG = pa.string(), pa.float64(), pa.int64(), pa.bool_()
_MESSAGES = pa.list_(pa.struct([("role", _TEXT), ("content", _TEXT)]))
_SHARE, _POSITIVE, _ANY = (0.0, 1.0), (0.0, float("inf")), None

TASKS = _schema(
    "TASKS",
    ["task_id"],
    [
        _column("task_id", _TEXT, "domain/dataset/name, the same on every machine"),
        _column("domain", _TEXT, "one of the ten kinds of work"),
        _column("dataset", _TEXT, "where the task comes from"),
        _column("group", _TEXT, "tasks that share context or are near duplicates share a group"),
        _column("split", _TEXT, "pilot, fit, calibration or evaluation, from a hash of group"),
        _column("question", _TEXT, "the request without the dataset's template: all that a router reads of the prompt"),
        _column("messages", _MESSAGES, "chat messages that a model receives"),
        _column("choices", pa.list_(_TEXT), "labels of a multiple-choice task, else null", nullable=True),
        _column("reference", _TEXT, "what the scorer compares with; JSON where it needs more than text"),
        _column("scorer", _TEXT, "module of slm_orchestration.tasks.scoring that grades an answer"),
        _column("max_tokens", _COUNT, "most tokens an answer may have", limits=(1, 1e6)),
    ],
)

OUTCOMES = _schema(
    "OUTCOMES",
    ["task_id", "model", "repeat"],
    [
        _column("task_id", _TEXT, "as in TASKS"),
        _column("domain", _TEXT, "as in TASKS"),
        _column("dataset", _TEXT, "as in TASKS"),
        _column("group", _TEXT, "as in TASKS"),
        _column("split", _TEXT, "as in TASKS"),
        _column("model", _TEXT, "which model answered"),
        _column("repeat", _COUNT, "0 for the greedy answer, 1.. for samples", limits=_POSITIVE),
        _column("answer", _TEXT, "what the model said; null if the call failed", nullable=True),
        _column("quality", _NUMBER, "graded answer; null if the call failed", nullable=True, limits=_SHARE),
        _column("signals", _TEXT, "JSON: raw probabilities of the answer, as the model gave them", nullable=True),
        _column("confidence", _NUMBER, "calibrated P(correct); null until calibrated", nullable=True, limits=_SHARE),
        _column("prompt_tokens", _COUNT, "tokens read", nullable=True, limits=_POSITIVE),
        _column("completion_tokens", _COUNT, "tokens written", nullable=True, limits=_POSITIVE),
        _column(
            "latency_s", _NUMBER, "seconds from request to answer at concurrency one", nullable=True, limits=_POSITIVE
        ),
        _column("latency_source", _TEXT, "measured, or modelled by the latency profile", nullable=True),
        _column("device_s", _NUMBER, "device seconds at saturated batch", nullable=True, limits=_POSITIVE),
        _column("cost_usd", _NUMBER, "price of the call in US dollars", nullable=True, limits=_POSITIVE),
        _column("finish_reason", _TEXT, "choice, stop or length", nullable=True),
        _column("error", _TEXT, "why the call failed, else null", nullable=True),
    ],
)

STATES = _schema(
    "STATES",
    ["task_id", "model"],
    [
        _column("task_id", _TEXT, "as in TASKS"),
        _column("model", _TEXT, "which model read the prompt"),
        _column(
            "state", pa.list_(pa.float16()), "final hidden state at the prompt's last token, before the output layer"
        ),
    ],
)

SAMPLES = _schema(
    "SAMPLES",
    ["task_id", "model", "repeat"],
    [
        _column("task_id", _TEXT, "as in TASKS; free answers only"),
        _column("model", _TEXT, "which model answered"),
        _column("repeat", _COUNT, "1.., each drawn with a seed of its own", limits=(1, float("inf"))),
        _column("answer", _TEXT, "what the model said"),
        _column("quality", _NUMBER, "graded answer", limits=_SHARE),
        _column("prompt_tokens", _COUNT, "tokens read", limits=_POSITIVE),
        _column("completion_tokens", _COUNT, "tokens written", limits=_POSITIVE),
        _column("latency_s", _NUMBER, "seconds alone on the device, modelled", nullable=True, limits=_POSITIVE),
        _column("device_s", _NUMBER, "device seconds at saturated batch", nullable=True, limits=_POSITIVE),
        _column("cost_usd", _NUMBER, "price of the call in US dollars", nullable=True, limits=_POSITIVE),
        _column("finish_reason", _TEXT, "stop or length"),
    ],
)

DECISIONS = _schema(
    "DECISIONS",
    ["strategy", "threshold", "task_id"],
    [
        _column("strategy", _TEXT, "a router with a rule"),
        _column("threshold", _NUMBER, "null where the strategy has none", nullable=True, limits=_SHARE),
        _column("task_id", _TEXT, "as in TASKS"),
        _column("domain", _TEXT, "as in TASKS"),
        _column("models_called", pa.list_(_TEXT), "in the order of the calls; each is paid"),
        _column("model", _TEXT, "whose answer is served; guess for the answer without a model"),
        _column("escalated", _FLAG, "whether a model outside the small ones was called"),
        _column("quality", _NUMBER, "of the served answer", limits=_SHARE),
        _column("cost_usd", _NUMBER, "US dollars, calls and router; null if unknown", nullable=True, limits=_POSITIVE),
        _column("latency_s", _NUMBER, "seconds, calls and router; null if unknown", nullable=True, limits=_POSITIVE),
        _column("router_latency_s", _NUMBER, "of the router alone, in seconds", limits=_POSITIVE),
        _column(
            "device_s",
            _NUMBER,
            "of all calls and of the router, at saturated batch; null where none are recorded",
            nullable=True,
            limits=_POSITIVE,
        ),
    ],
)

CURVES = _schema(
    "CURVES",
    ["strategy", "threshold", "domain"],
    [
        _column("strategy", _TEXT, "a router with a rule"),
        _column("threshold", _NUMBER, "null where the strategy has none", nullable=True, limits=_SHARE),
        _column("domain", _TEXT, "one of the ten, or overall"),
        _column("small_share", _NUMBER, "share of tasks whose called models are all small", limits=_SHARE),
        _column("quality", _NUMBER, "mean over tasks", limits=_SHARE),
        _column(
            "retention",
            _NUMBER,
            "mean quality over the dearest model's; null if that is 0",
            nullable=True,
            limits=_POSITIVE,
        ),
        _column("cost_usd", _NUMBER, "mean US dollars per task; null if unknown", nullable=True, limits=_POSITIVE),
        _column("latency_s", _NUMBER, "mean seconds per task; null if unknown", nullable=True, limits=_POSITIVE),
        _column("tasks", _COUNT, "how many tasks the means are over", limits=_POSITIVE),
    ],
)

OPERATING_POINTS = _schema(
    "OPERATING_POINTS",
    ["strategy"],
    [
        _column("strategy", _TEXT, "a router with a rule"),
        _column(
            "threshold",
            _NUMBER,
            "the one that is reported; null where the strategy has none",
            nullable=True,
            limits=_SHARE,
        ),
        _column("chosen_by", _TEXT, "the operating point's rule, applied to calibration tasks"),
        _column("tasks", _COUNT, "calibration tasks", limits=_POSITIVE),
    ],
)

ESTIMATES = _schema(
    "ESTIMATES",
    ["strategy", "domain", "metric"],
    [
        _column("strategy", _TEXT, "a router with a rule, at its operating point"),
        _column("domain", _TEXT, "one of the ten, or overall"),
        _column("metric", _TEXT, "as METRICS defines it"),
        _column("estimate", _NUMBER, "null where undefined on these tasks", nullable=True, limits=_ANY),
        _column("low", _NUMBER, "lower end of the interval", nullable=True),
        _column("high", _NUMBER, "upper end of the interval", nullable=True),
        _column("level", _NUMBER, "of the interval", limits=_SHARE),
        _column("tasks", _COUNT, "how many tasks", limits=_POSITIVE),
        _column("method", _TEXT, "how the interval was made, or why there is none"),
    ],
)

COMPARISONS = _schema(
    "COMPARISONS",
    ["strategy", "baseline", "domain", "metric", "test"],
    [
        _column("strategy", _TEXT, "a router with a rule, at its operating point"),
        _column("baseline", _TEXT, "what it is compared with on the same tasks"),
        _column("domain", _TEXT, "one of the ten, or overall"),
        _column("metric", _TEXT, "quality, cost_usd or latency_s"),
        _column("difference", _NUMBER, "mean of strategy minus baseline", nullable=True),
        _column("low", _NUMBER, "lower end of its 95 % interval", nullable=True),
        _column("high", _NUMBER, "upper end of its 95 % interval", nullable=True),
        _column("test", _TEXT, "which test"),
        _column("statistic", _NUMBER, "of the test; null where it cannot be computed", nullable=True),
        _column("p_value", _NUMBER, "two-sided unless the test says otherwise", nullable=True, limits=_SHARE),
        _column("p_adjusted", _NUMBER, "corrected over its family", nullable=True, limits=_SHARE),
        _column("effect_size", _NUMBER, "in the unit that effect_name says", nullable=True),
        _column("effect_name", _TEXT, "cohen_d_z, cohen_d_av, hedges_g_av or cohen_g", nullable=True),
        _column(
            "detectable",
            _NUMBER,
            "smallest difference that the paired t-test would have found with a chance of 80 %; null if nothing varies",
            nullable=True,
            limits=_POSITIVE,
        ),
        _column("tasks", _COUNT, "how many tasks", limits=_POSITIVE),
    ],
)

LEARNED = _schema(
    "LEARNED",
    ["table", "small", "large", "strategy", "datasets_left_out", "metric", "part"],
    [
        _column("table", _TEXT, "which recorded outcomes"),
        _column("small", _TEXT, "the cheap model of the pair"),
        _column("large", _TEXT, "the dear model of the pair"),
        _column("strategy", _TEXT, "what scores the tasks"),
        _column("needs_labels", _FLAG, "whether it was fitted on graded answers"),
        _column("datasets_left_out", _FLAG, "whether it was fitted without the datasets that it is asked about"),
        _column("metric", _TEXT, "apgr: APGR - 0.5; gain: quality over mixing, at 95 % calibrated retention"),
        _column("part", _TEXT, "total, or what of it lies between or within datasets"),
        _column("estimate", _NUMBER, "mean over splits", nullable=True),
        _column("low", _NUMBER, "lower end of the 95 % interval, corrected for overlapping splits", nullable=True),
        _column("high", _NUMBER, "upper end of it", nullable=True),
        _column("splits", _COUNT, "how many random splits", limits=_POSITIVE),
        _column("tasks", _COUNT, "evaluation tasks of one split", limits=_POSITIVE),
        _column("datasets", _COUNT, "how many datasets", limits=_POSITIVE),
    ],
)

FEASIBILITY = _schema(
    "FEASIBILITY",
    ["table", "small", "large", "strategy"],
    [
        _column("table", _TEXT, "which recorded outcomes"),
        _column("small", _TEXT, "the worse model of the pair"),
        _column("large", _TEXT, "the better model of the pair"),
        _column("strategy", _TEXT, "what scores the tasks"),
        _column("ratio", _NUMBER, "quality of the small model over the large one's", limits=_SHARE),
        _column("small_share", _NUMBER, "share left to the small model, at 95 % calibrated retention", limits=_SHARE),
        _column("retention", _NUMBER, "what was kept on evaluation tasks", limits=_POSITIVE),
        _column("tasks", _COUNT, "evaluation tasks", limits=_POSITIVE),
    ],
)
