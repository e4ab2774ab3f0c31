"""What the statistics say of the decisions."""

from __future__ import annotations

from slm_orchestration.schemas.dictionary import COUNT, NUMBER, POSITIVE, SHARE, TEXT, column, schema

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
