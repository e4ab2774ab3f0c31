"""What strategies decided on recorded outcomes."""

from __future__ import annotations

import pyarrow as pa

from slm_orchestration.schemas.dictionary import COUNT, FLAG, NUMBER, POSITIVE, SHARE, TEXT, column, schema

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
