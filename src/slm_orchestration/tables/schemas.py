"""How a table is written down: meaning and range in the metadata of each column, name and key in the schema's."""

from __future__ import annotations

import pyarrow as pa

TEXT, NUMBER, COUNT, FLAG = pa.string(), pa.float64(), pa.int64(), pa.bool_()
SHARE, POSITIVE = (0.0, 1.0), (0.0, float("inf"))


def column(
    name: str,
    kind: pa.DataType,
    meaning: str,
    *,
    nullable: bool = False,
    limits: tuple[float, float] | None = None,
) -> pa.Field:
    """Return a column; `limits` are the smallest and largest value that `tables.conform` lets pass."""
    metadata = {"meaning": meaning}
    if limits is not None:
        metadata |= {"low": repr(limits[0]), "high": repr(limits[1])}
    return pa.field(name, kind, nullable=nullable, metadata=metadata)


def schema(name: str, key: list[str], columns: list[pa.Field]) -> pa.Schema:
    """Return the schema of a table whose rows differ in the columns of `key`."""
    return pa.schema(columns, metadata={"table": name, "key": ",".join(key)})


# ========== Tasks, and what models made of them.
MESSAGES = pa.list_(pa.struct([("role", TEXT), ("content", TEXT)]))

TASKS = schema(
    "TASKS",
    ["task_id"],
    [
        column("task_id", TEXT, "domain/dataset/name, the same on every machine"),
        column("domain", TEXT, "one of the ten kinds of work"),
        column("dataset", TEXT, "where the task comes from"),
        column("group", TEXT, "tasks that share context or are near duplicates share a group"),
        column("split", TEXT, "pilot, fit, calibration or evaluation, from a hash of group"),
        column("question", TEXT, "the request without the dataset's template: all that a router reads of the prompt"),
        column("messages", MESSAGES, "chat messages that a model receives"),
        column("choices", pa.list_(TEXT), "labels of a multiple-choice task, else null", nullable=True),
        column("reference", TEXT, "what the scorer compares with; JSON where it needs more than text"),
        column("scorer", TEXT, "module of slm_orchestration.tasks.scoring that grades an answer"),
        column("max_tokens", COUNT, "most tokens an answer may have", limits=(1, 1e6)),
    ],
)

OUTCOMES = schema(
    "OUTCOMES",
    ["task_id", "model", "repeat"],
    [
        column("task_id", TEXT, "as in TASKS"),
        column("domain", TEXT, "as in TASKS"),
        column("dataset", TEXT, "as in TASKS"),
        column("group", TEXT, "as in TASKS"),
        column("split", TEXT, "as in TASKS"),
        column("model", TEXT, "which model answered"),
        column("repeat", COUNT, "0 for the greedy answer, 1.. for samples", limits=POSITIVE),
        column("answer", TEXT, "what the model said; null if the call failed", nullable=True),
        column("quality", NUMBER, "graded answer; null if the call failed", nullable=True, limits=SHARE),
        column("signals", TEXT, "JSON: raw probabilities of the answer, as the model gave them", nullable=True),
        column("confidence", NUMBER, "calibrated P(correct); null until calibrated", nullable=True, limits=SHARE),
        column("prompt_tokens", COUNT, "tokens read", nullable=True, limits=POSITIVE),
        column("completion_tokens", COUNT, "tokens written", nullable=True, limits=POSITIVE),
        column(
            "latency_s", NUMBER, "seconds from request to answer at concurrency one", nullable=True, limits=POSITIVE
        ),
        column("latency_source", TEXT, "measured, or modelled by the latency profile", nullable=True),
        column("device_s", NUMBER, "device seconds at saturated batch", nullable=True, limits=POSITIVE),
        column("cost_usd", NUMBER, "price of the call in US dollars", nullable=True, limits=POSITIVE),
        column("finish_reason", TEXT, "choice, stop or length", nullable=True),
        column("error", TEXT, "why the call failed, else null", nullable=True),
    ],
)

STATES = schema(
    "STATES",
    ["task_id", "model"],
    [
        column("task_id", TEXT, "as in TASKS"),
        column("model", TEXT, "which model read the prompt"),
        column(
            "state", pa.list_(pa.float16()), "final hidden state at the prompt's last token, before the output layer"
        ),
    ],
)

SAMPLES = schema(
    "SAMPLES",
    ["task_id", "model", "repeat"],
    [
        column("task_id", TEXT, "as in TASKS; free answers only"),
        column("model", TEXT, "which model answered"),
        column("repeat", COUNT, "1.., each drawn with a seed of its own", limits=(1, float("inf"))),
        column("answer", TEXT, "what the model said"),
        column("quality", NUMBER, "graded answer", limits=SHARE),
        column("prompt_tokens", COUNT, "tokens read", limits=POSITIVE),
        column("completion_tokens", COUNT, "tokens written", limits=POSITIVE),
        column("latency_s", NUMBER, "seconds alone on the device, modelled", nullable=True, limits=POSITIVE),
        column("device_s", NUMBER, "device seconds at saturated batch", nullable=True, limits=POSITIVE),
        column("cost_usd", NUMBER, "price of the call in US dollars", nullable=True, limits=POSITIVE),
        column("finish_reason", TEXT, "stop or length"),
    ],
)


# ========== What strategies decided on recorded outcomes.
DECISIONS = schema(
    "DECISIONS",
    ["strategy", "threshold", "task_id"],
    [
        column("strategy", TEXT, "a router with a rule"),
        column("threshold", NUMBER, "null where the strategy has none", nullable=True, limits=SHARE),
        column("task_id", TEXT, "as in TASKS"),
        column("domain", TEXT, "as in TASKS"),
        column("models_called", pa.list_(TEXT), "in the order of the calls; each is paid"),
        column("model", TEXT, "whose answer is served; guess for the answer without a model"),
        column("escalated", FLAG, "whether a model outside the small ones was called"),
        column("quality", NUMBER, "of the served answer", limits=SHARE),
        column("cost_usd", NUMBER, "US dollars, calls and router; null if unknown", nullable=True, limits=POSITIVE),
        column("latency_s", NUMBER, "seconds, calls and router; null if unknown", nullable=True, limits=POSITIVE),
        column("router_latency_s", NUMBER, "of the router alone, in seconds", limits=POSITIVE),
        column(
            "device_s",
            NUMBER,
            "of all calls and of the router, at saturated batch; null where none are recorded",
            nullable=True,
            limits=POSITIVE,
        ),
    ],
)

CHOICES = schema(
    "CHOICES",
    ["strategy", "task_id", "threshold"],
    [
        column("strategy", TEXT, "a router with a rule"),
        column("task_id", TEXT, "as in TASKS"),
        column("threshold", NUMBER, "null where the strategy has none", nullable=True, limits=SHARE),
        column("model", TEXT, "whose answer is served; guess for the answer without a model"),
    ],
)

CURVES = schema(
    "CURVES",
    ["strategy", "threshold", "domain"],
    [
        column("strategy", TEXT, "a router with a rule"),
        column("threshold", NUMBER, "null where the strategy has none", nullable=True, limits=SHARE),
        column("domain", TEXT, "one of the ten, or overall"),
        column("small_share", NUMBER, "share of tasks whose called models are all small", limits=SHARE),
        column("quality", NUMBER, "mean over tasks", limits=SHARE),
        column(
            "retention",
            NUMBER,
            "mean quality over the dearest model's; null if that is 0",
            nullable=True,
            limits=POSITIVE,
        ),
        column("cost_usd", NUMBER, "mean US dollars per task; null if unknown", nullable=True, limits=POSITIVE),
        column("latency_s", NUMBER, "mean seconds per task; null if unknown", nullable=True, limits=POSITIVE),
        column("tasks", COUNT, "how many tasks the means are over", limits=POSITIVE),
    ],
)

OPERATING_POINTS = schema(
    "OPERATING_POINTS",
    ["strategy"],
    [
        column("strategy", TEXT, "a router with a rule"),
        column(
            "threshold",
            NUMBER,
            "the one that is reported; null where the strategy has none",
            nullable=True,
            limits=SHARE,
        ),
        column("chosen_by", TEXT, "the operating point's rule, applied to calibration tasks"),
        column("tasks", COUNT, "calibration tasks", limits=POSITIVE),
    ],
)

LEARNED = schema(
    "LEARNED",
    ["table", "small", "large", "strategy", "datasets_left_out", "metric", "part"],
    [
        column("table", TEXT, "which recorded outcomes"),
        column("small", TEXT, "the cheap model of the pair"),
        column("large", TEXT, "the dear model of the pair"),
        column("strategy", TEXT, "what scores the tasks"),
        column("needs_labels", FLAG, "whether it was fitted on graded answers"),
        column("datasets_left_out", FLAG, "whether it was fitted without the datasets that it is asked about"),
        column("metric", TEXT, "apgr: APGR - 0.5; gain: quality over mixing, at 95 % calibrated retention"),
        column("part", TEXT, "total, or what of it lies between or within datasets"),
        column("estimate", NUMBER, "mean over splits", nullable=True),
        column("low", NUMBER, "lower end of the 95 % interval, corrected for overlapping splits", nullable=True),
        column("high", NUMBER, "upper end of it", nullable=True),
        column("splits", COUNT, "how many random splits", limits=POSITIVE),
        column("tasks", COUNT, "evaluation tasks of one split", limits=POSITIVE),
        column("datasets", COUNT, "how many datasets", limits=POSITIVE),
    ],
)

FEASIBILITY = schema(
    "FEASIBILITY",
    ["table", "small", "large", "strategy"],
    [
        column("table", TEXT, "which recorded outcomes"),
        column("small", TEXT, "the worse model of the pair"),
        column("large", TEXT, "the better model of the pair"),
        column("strategy", TEXT, "what scores the tasks"),
        column("ratio", NUMBER, "quality of the small model over the large one's", limits=SHARE),
        column("small_share", NUMBER, "share left to the small model, at 95 % calibrated retention", limits=SHARE),
        column("retention", NUMBER, "what was kept on evaluation tasks", limits=POSITIVE),
        column("tasks", COUNT, "evaluation tasks", limits=POSITIVE),
    ],
)


# ========== What the statistics say of the decisions.
ESTIMATES = schema(
    "ESTIMATES",
    ["strategy", "domain", "metric"],
    [
        column("strategy", TEXT, "a router with a rule, at its operating point"),
        column("domain", TEXT, "one of the ten, or overall"),
        column("metric", TEXT, "as METRICS defines it"),
        column("estimate", NUMBER, "null where undefined on these tasks", nullable=True),
        column("low", NUMBER, "lower end of the interval", nullable=True),
        column("high", NUMBER, "upper end of the interval", nullable=True),
        column("level", NUMBER, "of the interval", limits=SHARE),
        column("tasks", COUNT, "how many tasks", limits=POSITIVE),
        column("method", TEXT, "how the interval was made, or why there is none"),
    ],
)

COMPARISONS = schema(
    "COMPARISONS",
    ["strategy", "baseline", "domain", "metric", "test"],
    [
        column("strategy", TEXT, "a router with a rule, at its operating point"),
        column("baseline", TEXT, "what it is compared with on the same tasks"),
        column("domain", TEXT, "one of the ten, or overall"),
        column("metric", TEXT, "quality, cost_usd or latency_s"),
        column("difference", NUMBER, "mean of strategy minus baseline", nullable=True),
        column("low", NUMBER, "lower end of its 95 % interval", nullable=True),
        column("high", NUMBER, "upper end of its 95 % interval", nullable=True),
        column("test", TEXT, "which test"),
        column("statistic", NUMBER, "of the test; null where it cannot be computed", nullable=True),
        column("p_value", NUMBER, "two-sided unless the test says otherwise", nullable=True, limits=SHARE),
        column("p_adjusted", NUMBER, "corrected over its family", nullable=True, limits=SHARE),
        column("effect_size", NUMBER, "in the unit that effect_name says", nullable=True),
        column("effect_name", TEXT, "cohen_d_z, cohen_d_av, hedges_g_av or cohen_g", nullable=True),
        column(
            "detectable",
            NUMBER,
            "smallest difference that the paired t-test would have found with a chance of 80 %; null if nothing varies",
            nullable=True,
            limits=POSITIVE,
        ),
        column("tasks", COUNT, "how many tasks", limits=POSITIVE),
    ],
)

BANDS = schema(
    "BANDS",
    ["strategy", "threshold", "metric"],
    [
        column("strategy", TEXT, "a router with a rule"),
        column("threshold", NUMBER, "of the configured grid", limits=SHARE),
        column("metric", TEXT, "quality or retention, over all domains"),
        column("estimate", NUMBER, "null where undefined", nullable=True),
        column("low", NUMBER, "lower end of the band, which holds at all thresholds at once", nullable=True),
        column("high", NUMBER, "upper end of the band", nullable=True),
        column("level", NUMBER, "of the whole band", limits=SHARE),
        column("tasks", COUNT, "how many tasks", limits=POSITIVE),
    ],
)

ROBUSTNESS = schema(
    "ROBUSTNESS",
    ["view", "strategy", "metric"],
    [
        column("view", TEXT, "how the result is seen again: datasets_resampled, mixed_model, between_domains, ..."),
        column("strategy", TEXT, "a router with a rule, at its operating point"),
        column("metric", TEXT, "a metric, or a difference from the dearest model"),
        column("estimate", NUMBER, "null where undefined", nullable=True),
        column("low", NUMBER, "lower end of its interval", nullable=True),
        column("high", NUMBER, "upper end of its interval", nullable=True),
        column("p_value", NUMBER, "where the view has a test", nullable=True, limits=SHARE),
        column("units", COUNT, "how many datasets, domains or strategies the view rests on", limits=POSITIVE),
        column("method", TEXT, "how it was made, or why it is undefined"),
    ],
)


# ========== What is measured live: load and faults.
LOAD = schema(
    "LOAD",
    ["path", "mode", "level"],
    [
        column("path", TEXT, "what was loaded: routing, cache (in process), gateway_cache, gateway_model (loopback)"),
        column("mode", TEXT, "open (Poisson arrivals) or closed (clients that wait for their answer)"),
        column("level", NUMBER, "offered requests per second if open, clients if closed", limits=POSITIVE),
        column("seconds", NUMBER, "from the first intended start to the last end", limits=POSITIVE),
        column("requests", COUNT, "sent", limits=POSITIVE),
        column("answered", COUNT, "with the answer that was asked for", limits=POSITIVE),
        column("refused", COUNT, "turned away: overloaded, stopping", limits=POSITIVE),
        column("failed", COUNT, "any other error", limits=POSITIVE),
        column("lost", COUNT, "without any end", limits=POSITIVE),
        column("achieved_rps", NUMBER, "answered requests per second", limits=POSITIVE),
        column("achieved_low", NUMBER, "lower end of its 95 % interval over windows", nullable=True),
        column("achieved_high", NUMBER, "upper end of its 95 % interval over windows", nullable=True),
        column("p50_s", NUMBER, "median seconds from the intended start", nullable=True, limits=POSITIVE),
        column("p50_low", NUMBER, "lower end of its 95 % interval over windows", nullable=True),
        column("p50_high", NUMBER, "upper end of its 95 % interval over windows", nullable=True),
        column("p99_s", NUMBER, "99th percentile, as p50_s", nullable=True, limits=POSITIVE),
        column("p99_low", NUMBER, "lower end of its 95 % interval over windows", nullable=True),
        column("p99_high", NUMBER, "upper end of its 95 % interval over windows", nullable=True),
        column("p999_s", NUMBER, "99.9th percentile, as p50_s", nullable=True, limits=POSITIVE),
        column("server_cores", NUMBER, "processor seconds per second that the server took", limits=POSITIVE),
        column(
            "client_cores",
            NUMBER,
            "those of the load generator; null in process, where both are one",
            nullable=True,
            limits=POSITIVE,
        ),
        column("memory_first_bytes", COUNT, "resident memory of the server in the first window", limits=POSITIVE),
        column("memory_last_bytes", COUNT, "and in the last", limits=POSITIVE),
    ],
)

LOAD_WINDOWS = schema(
    "LOAD_WINDOWS",
    ["path", "mode", "level", "window"],
    [
        column("path", TEXT, "as in LOAD"),
        column("mode", TEXT, "as in LOAD"),
        column("level", NUMBER, "as in LOAD", limits=POSITIVE),
        column("window", COUNT, "consecutive stretches of equal length, from 0", limits=POSITIVE),
        column("end_s", NUMBER, "seconds from the first intended start to the window's end", limits=POSITIVE),
        column("answered", COUNT, "requests intended in the window and answered", limits=POSITIVE),
        column("p50_s", NUMBER, "their median seconds", nullable=True, limits=POSITIVE),
        column("p99_s", NUMBER, "their 99th percentile", nullable=True, limits=POSITIVE),
        column("memory_bytes", COUNT, "resident memory of the server at the window's end", limits=POSITIVE),
    ],
)

FAULTS = schema(
    "FAULTS",
    ["fault", "rate", "protection"],
    [
        column("fault", TEXT, "what injected calls do: fail, stall, garbage or die"),
        column("rate", NUMBER, "share of calls to the cheapest model in which it happens", limits=SHARE),
        column("protection", TEXT, "none, timeout, retry, breaker, fallback, rounds or all"),
        column("requests", COUNT, "sent", limits=POSITIVE),
        column("answered", COUNT, "with a usable answer within the deadline", limits=POSITIVE),
        column("late", COUNT, "with a usable answer after the deadline", limits=POSITIVE),
        column("wrong", COUNT, "with an answer that cannot be used", limits=POSITIVE),
        column("refused", COUNT, "ended with an error", limits=POSITIVE),
        column("lost", COUNT, "without any end", limits=POSITIVE),
        column("availability", NUMBER, "answered over requests", limits=SHARE),
        column("low", NUMBER, "lower end of its 95 % interval (Wilson; over requests)", limits=SHARE),
        column("high", NUMBER, "upper end of its 95 % interval", limits=SHARE),
        column("p50_s", NUMBER, "median seconds of all ends", limits=POSITIVE),
        column("p99_s", NUMBER, "99th percentile of all ends", limits=POSITIVE),
        column("calls_per_request", NUMBER, "calls to any model: what the protection costs", limits=POSITIVE),
    ],
)
