"""The schemas of the tables that stages exchange: the data dictionary of the project.

Each column carries its meaning and range in its metadata, each schema its name and key. The order is that of the
pipeline: tasks and outcomes, decisions of strategies on recorded outcomes, statistics, live measurements.
"""

from __future__ import annotations

import pyarrow as pa

from slm_orchestration.tables.columns import COUNT, FLAG, NUMBER, POSITIVE, SHARE, TEXT, column, schema

MESSAGES = pa.list_(pa.struct([("role", TEXT), ("content", TEXT)]))

TASKS = schema(
    "TASKS",
    ["task_id"],
    [
        column("task_id", TEXT, "domain/dataset/name, the same on every machine"),
        column("domain", TEXT, "field of work, one of ten"),
        column("dataset", TEXT, "dataset that the task comes from"),
        column("group", TEXT, "tasks that share context or are near duplicates share a group"),
        column("split", TEXT, "pilot, fit, calibration or evaluation, from a hash of group"),
        column("question", TEXT, "last request, without the dataset's template"),
        column("messages", MESSAGES, "chat messages sent to the model"),
        column("choices", pa.list_(TEXT), "labels of a multiple-choice task, else null", nullable=True),
        column("reference", TEXT, "what the scorer compares with; JSON where it needs more than text"),
        column("scorer", TEXT, "module of slm_orchestration.tasks.scoring that grades an answer"),
        column("max_tokens", COUNT, "limit of completion tokens", limits=(1, 1e6)),
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
        column("model", TEXT, "model that answered"),
        column("repeat", COUNT, "0 for the greedy answer, 1, 2, ... for samples", limits=POSITIVE),
        column("answer", TEXT, "text of the completion; null if the call failed", nullable=True),
        column("quality", NUMBER, "graded quality of the answer; null if the call failed", nullable=True, limits=SHARE),
        column("signals", TEXT, "JSON: raw label probabilities, or log-probabilities of the completion", nullable=True),
        column("confidence", NUMBER, "calibrated P(correct); null until calibrated", nullable=True, limits=SHARE),
        column("prompt_tokens", COUNT, "prompt tokens", nullable=True, limits=POSITIVE),
        column("completion_tokens", COUNT, "completion tokens", nullable=True, limits=POSITIVE),
        column("latency_s", NUMBER, "seconds per call at concurrency one", nullable=True, limits=POSITIVE),
        column("latency_source", TEXT, "measured, or modelled (by the latency profile)", nullable=True),
        column("device_s", NUMBER, "device seconds of the call at saturated batch", nullable=True, limits=POSITIVE),
        column("cost_usd", NUMBER, "price of the call in US dollars", nullable=True, limits=POSITIVE),
        column("finish_reason", TEXT, "choice, stop or length", nullable=True),
        column("error", TEXT, "reason of a failed call, else null", nullable=True),
    ],
)

STATES = schema(
    "STATES",
    ["task_id", "model"],
    [
        column("task_id", TEXT, "as in TASKS"),
        column("model", TEXT, "model that processed the prompt"),
        column("state", pa.list_(pa.float16()), "hidden state of the prompt after one layer"),
    ],
)

SAMPLES = schema(
    "SAMPLES",
    ["task_id", "model", "repeat"],
    [
        column("task_id", TEXT, "as in TASKS; free answers only"),
        column("model", TEXT, "model that answered"),
        column("repeat", COUNT, "1, 2, ...: each sample is drawn with its own seed", limits=(1, float("inf"))),
        column("answer", TEXT, "text of the completion"),
        column("quality", NUMBER, "graded quality of the answer", limits=SHARE),
        column("prompt_tokens", COUNT, "prompt tokens", limits=POSITIVE),
        column("completion_tokens", COUNT, "completion tokens", limits=POSITIVE),
        column("latency_s", NUMBER, "modelled seconds at concurrency one", nullable=True, limits=POSITIVE),
        column("device_s", NUMBER, "device seconds of the call at saturated batch", nullable=True, limits=POSITIVE),
        column("cost_usd", NUMBER, "price of the call in US dollars", nullable=True, limits=POSITIVE),
        column("finish_reason", TEXT, "stop or length"),
    ],
)


DECISIONS = schema(
    "DECISIONS",
    ["strategy", "threshold", "task_id"],
    [
        column("strategy", TEXT, "strategy: a router with a rule"),
        column("threshold", NUMBER, "threshold of the strategy; null where it has none", nullable=True, limits=SHARE),
        column("task_id", TEXT, "as in TASKS"),
        column("domain", TEXT, "as in TASKS"),
        column("models_called", pa.list_(TEXT), "models called, in order; every call is paid"),
        column(
            "model", TEXT, "model whose answer is served; guess: no model; mixed: drawn, the row holds expectations"
        ),
        column("escalated", NUMBER, "1 if a model that is not small was called, or its probability", limits=SHARE),
        column("quality", NUMBER, "quality of the served answer", limits=SHARE),
        column("cost_usd", NUMBER, "US dollars, calls and router; null if unknown", nullable=True, limits=POSITIVE),
        column("latency_s", NUMBER, "seconds, calls and router; null if unknown", nullable=True, limits=POSITIVE),
        column("router_latency_s", NUMBER, "seconds of the router alone", limits=POSITIVE),
        column(
            "device_s", NUMBER, "device seconds, calls and router, at saturated batch", nullable=True, limits=POSITIVE
        ),
    ],
)

CHOICES = schema(
    "CHOICES",
    ["strategy", "task_id", "threshold"],
    [
        column("strategy", TEXT, "strategy: a router with a rule"),
        column("task_id", TEXT, "as in TASKS"),
        column("threshold", NUMBER, "threshold of the strategy; null where it has none", nullable=True, limits=SHARE),
        column("model", TEXT, "model whose answer is served; guess: the answer given without a model"),
    ],
)

CURVES = schema(
    "CURVES",
    ["strategy", "threshold", "domain"],
    [
        column("strategy", TEXT, "strategy: a router with a rule"),
        column("threshold", NUMBER, "threshold of the strategy; null where it has none", nullable=True, limits=SHARE),
        column("domain", TEXT, "one of the ten domains, or overall"),
        column("small_share", NUMBER, "share of tasks answered by calling small models only", limits=SHARE),
        column("quality", NUMBER, "mean quality over tasks", limits=SHARE),
        column("retention", NUMBER, "quality relative to the most expensive model", nullable=True, limits=POSITIVE),
        column("cost_usd", NUMBER, "mean US dollars per task; null if unknown", nullable=True, limits=POSITIVE),
        column("latency_s", NUMBER, "mean seconds per task; null if unknown", nullable=True, limits=POSITIVE),
        column("tasks", COUNT, "number of tasks averaged", limits=POSITIVE),
    ],
)

OPERATING_POINTS = schema(
    "OPERATING_POINTS",
    ["strategy"],
    [
        column("strategy", TEXT, "strategy: a router with a rule"),
        column("threshold", NUMBER, "reported threshold; null if it has none", nullable=True, limits=SHARE),
        column("chosen_by", TEXT, "rule that chose the threshold on calibration tasks"),
        column("tasks", COUNT, "number of calibration tasks", limits=POSITIVE),
    ],
)

LEARNED = schema(
    "LEARNED",
    ["table", "small", "large", "strategy", "datasets_left_out", "metric", "part"],
    [
        column("table", TEXT, "name of the recorded outcome table"),
        column("small", TEXT, "cheaper model of the pair"),
        column("large", TEXT, "more expensive model of the pair"),
        column("strategy", TEXT, "router that scores the tasks"),
        column("needs_labels", FLAG, "whether the router was fitted on graded answers"),
        column("datasets_left_out", FLAG, "whether the evaluated datasets were left out of the fit"),
        column("metric", TEXT, "apgr: APGR minus 0.5; gain: quality over the mixture at 95 % calibrated retention"),
        column("part", TEXT, "total, or its part between or within datasets"),
        column("estimate", NUMBER, "mean over random splits", nullable=True),
        column("low", NUMBER, "lower end of the 95 % interval (Nadeau and Bengio)", nullable=True),
        column("high", NUMBER, "upper end of the 95 % interval", nullable=True),
        column("splits", COUNT, "number of random splits", limits=POSITIVE),
        column("tasks", COUNT, "number of evaluation tasks in one split", limits=POSITIVE),
        column("datasets", COUNT, "number of datasets", limits=POSITIVE),
    ],
)

FEASIBILITY = schema(
    "FEASIBILITY",
    ["table", "small", "large", "strategy"],
    [
        column("table", TEXT, "name of the recorded outcome table"),
        column("small", TEXT, "model of the pair with the lower quality"),
        column("large", TEXT, "model of the pair with the higher quality"),
        column("strategy", TEXT, "router that scores the tasks"),
        column("ratio", NUMBER, "quality of the small model divided by that of the large one", limits=SHARE),
        column("small_share", NUMBER, "share of tasks routed to the small model", limits=SHARE),
        column("retention", NUMBER, "retention on evaluation tasks, calibrated for 95 %", limits=POSITIVE),
        column("tasks", COUNT, "number of evaluation tasks", limits=POSITIVE),
    ],
)


ESTIMATES = schema(
    "ESTIMATES",
    ["strategy", "domain", "metric"],
    [
        column("strategy", TEXT, "strategy (a router with a rule) at its operating point"),
        column("domain", TEXT, "one of the ten domains, or overall"),
        column("metric", TEXT, "metric, as docs define it"),
        column("estimate", NUMBER, "point estimate; null where undefined on these tasks", nullable=True),
        column("low", NUMBER, "lower end of the interval", nullable=True),
        column("high", NUMBER, "upper end of the interval", nullable=True),
        column("level", NUMBER, "confidence level of the interval", limits=SHARE),
        column("tasks", COUNT, "number of tasks", limits=POSITIVE),
        column("method", TEXT, "method of the interval, or why there is none"),
    ],
)

COMPARISONS = schema(
    "COMPARISONS",
    ["strategy", "baseline", "domain", "metric", "test"],
    [
        column("strategy", TEXT, "strategy (a router with a rule) at its operating point"),
        column("baseline", TEXT, "strategy compared with, on the same tasks"),
        column("domain", TEXT, "one of the ten domains, or overall"),
        column("metric", TEXT, "quality, cost_usd or latency_s"),
        column("difference", NUMBER, "mean of strategy minus baseline", nullable=True),
        column("low", NUMBER, "lower end of the 95 % interval", nullable=True),
        column("high", NUMBER, "upper end of the 95 % interval", nullable=True),
        column("test", TEXT, "name of the statistical test"),
        column("statistic", NUMBER, "test statistic; null where it cannot be computed", nullable=True),
        column("p_value", NUMBER, "p-value, two-sided unless the test says otherwise", nullable=True, limits=SHARE),
        column("p_adjusted", NUMBER, "p-value after Holm's correction", nullable=True, limits=SHARE),
        column("effect_size", NUMBER, "effect size, as named in effect_name", nullable=True),
        column("effect_name", TEXT, "cohen_d_z, cohen_d_av, hedges_g_av or cohen_g", nullable=True),
        column(
            "detectable",
            NUMBER,
            "smallest difference that the corrected paired t finds with 80 % power",
            nullable=True,
            limits=POSITIVE,
        ),
        column(
            "equivalent_within",
            NUMBER,
            "smallest margin within which the difference is shown to lie, corrected",
            nullable=True,
            limits=POSITIVE,
        ),
        column("tasks", COUNT, "number of tasks", limits=POSITIVE),
    ],
)

BANDS = schema(
    "BANDS",
    ["strategy", "threshold", "metric"],
    [
        column("strategy", TEXT, "strategy: a router with a rule"),
        column("threshold", NUMBER, "threshold of the configured grid", limits=SHARE),
        column("metric", TEXT, "quality or retention, over all domains"),
        column("estimate", NUMBER, "point estimate; null where undefined", nullable=True),
        column("low", NUMBER, "lower end of the simultaneous confidence band", nullable=True),
        column("high", NUMBER, "upper end of the simultaneous confidence band", nullable=True),
        column("level", NUMBER, "confidence level of the whole band", limits=SHARE),
        column("tasks", COUNT, "number of tasks", limits=POSITIVE),
    ],
)

ROBUSTNESS = schema(
    "ROBUSTNESS",
    ["view", "strategy", "metric"],
    [
        column("view", TEXT, "sensitivity analysis: datasets_resampled, mixed_model, between_domains, ..."),
        column("strategy", TEXT, "strategy (a router with a rule) at its operating point"),
        column("metric", TEXT, "a metric, or its difference from the most expensive model"),
        column("estimate", NUMBER, "point estimate; null where undefined", nullable=True),
        column("low", NUMBER, "lower end of the interval", nullable=True),
        column("high", NUMBER, "upper end of the interval", nullable=True),
        column("p_value", NUMBER, "p-value, where the analysis has a test", nullable=True, limits=SHARE),
        column("units", COUNT, "number of datasets, domains or strategies analysed", limits=POSITIVE),
        column("method", TEXT, "method, or why the estimate is undefined"),
    ],
)


LOAD = schema(
    "LOAD",
    ["path", "mode", "level"],
    [
        column("path", TEXT, "system under load: routing, cache (in process), gateway_cache, gateway_model (loopback)"),
        column("mode", TEXT, "open loop (Poisson arrivals) or closed loop (each client waits for its answer)"),
        column("level", NUMBER, "offered requests per second (open) or concurrent clients (closed)", limits=POSITIVE),
        column("seconds", NUMBER, "seconds from the first intended start to the last end", limits=POSITIVE),
        column("requests", COUNT, "number of requests sent", limits=POSITIVE),
        column("answered", COUNT, "requests answered correctly", limits=POSITIVE),
        column("refused", COUNT, "requests refused because the server was overloaded or stopping", limits=POSITIVE),
        column("failed", COUNT, "requests that ended with any other error", limits=POSITIVE),
        column("lost", COUNT, "requests without any response", limits=POSITIVE),
        column("achieved_rps", NUMBER, "answered requests per second", limits=POSITIVE),
        column("achieved_low", NUMBER, "lower end of its 95 % interval over windows", nullable=True),
        column("achieved_high", NUMBER, "upper end of its 95 % interval over windows", nullable=True),
        column("p50_s", NUMBER, "median latency in seconds, from the intended start", nullable=True, limits=POSITIVE),
        column("p50_low", NUMBER, "lower end of its 95 % interval over windows", nullable=True),
        column("p50_high", NUMBER, "upper end of its 95 % interval over windows", nullable=True),
        column("p99_s", NUMBER, "99th percentile of latency, as p50_s", nullable=True, limits=POSITIVE),
        column("p99_low", NUMBER, "lower end of its 95 % interval over windows", nullable=True),
        column("p99_high", NUMBER, "upper end of its 95 % interval over windows", nullable=True),
        column("p999_s", NUMBER, "99.9th percentile of latency, as p50_s", nullable=True, limits=POSITIVE),
        column("server_cores", NUMBER, "CPU seconds per second used by the server", limits=POSITIVE),
        column("client_cores", NUMBER, "as server_cores, for the load generator", nullable=True, limits=POSITIVE),
        column("memory_first_bytes", COUNT, "resident memory of the server in the first window", limits=POSITIVE),
        column("memory_last_bytes", COUNT, "resident memory of the server in the last window", limits=POSITIVE),
    ],
)

LOAD_WINDOWS = schema(
    "LOAD_WINDOWS",
    ["path", "mode", "level", "window"],
    [
        column("path", TEXT, "as in LOAD"),
        column("mode", TEXT, "as in LOAD"),
        column("level", NUMBER, "as in LOAD", limits=POSITIVE),
        column("window", COUNT, "index of the time window, from 0; all have equal length", limits=POSITIVE),
        column("end_s", NUMBER, "seconds from the first intended start to the window's end", limits=POSITIVE),
        column("answered", COUNT, "answered requests whose intended start lies in the window", limits=POSITIVE),
        column("p50_s", NUMBER, "their median latency in seconds", nullable=True, limits=POSITIVE),
        column("p99_s", NUMBER, "their 99th percentile of latency in seconds", nullable=True, limits=POSITIVE),
        column("memory_bytes", COUNT, "resident memory of the server at the window's end", limits=POSITIVE),
    ],
)

FAULTS = schema(
    "FAULTS",
    ["fault", "rate", "protection"],
    [
        column("fault", TEXT, "injected fault: fail, stall, garbage or die"),
        column("rate", NUMBER, "share of the calls to each model that have the fault", limits=SHARE),
        column("protection", TEXT, "protection switched on: none, timeout, retry, breaker, fallback, rounds or all"),
        column("requests", COUNT, "number of requests sent", limits=POSITIVE),
        column("answered", COUNT, "requests with a usable answer within the deadline", limits=POSITIVE),
        column("late", COUNT, "requests with a usable answer after the deadline", limits=POSITIVE),
        column("wrong", COUNT, "requests with an unusable answer", limits=POSITIVE),
        column("refused", COUNT, "requests that ended with an error", limits=POSITIVE),
        column("lost", COUNT, "requests without any response", limits=POSITIVE),
        column("availability", NUMBER, "answered divided by requests", limits=SHARE),
        column("low", NUMBER, "lower end of its 95 % Wilson interval", limits=SHARE),
        column("high", NUMBER, "upper end of the 95 % interval", limits=SHARE),
        column("p50_s", NUMBER, "median seconds until a request ended", limits=POSITIVE),
        column("p99_s", NUMBER, "99th percentile of seconds until a request ended", limits=POSITIVE),
        column("calls_per_request", NUMBER, "mean number of model calls per request", limits=POSITIVE),
    ],
)
