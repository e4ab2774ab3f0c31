"""Tasks, and what models made of them."""

from __future__ import annotations

import pyarrow as pa

from slm_orchestration.schemas.dictionary import COUNT, NUMBER, POSITIVE, SHARE, TEXT, column, schema

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
