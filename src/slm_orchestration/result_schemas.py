"""The data dictionary of what stands beside estimates: bands over thresholds, and results seen in other ways."""

from __future__ import annotations

from slm_orchestration.schemas import _COUNT, _NUMBER, _POSITIVE, _SHARE, _TEXT, _column, _schema

BANDS = _schema(
    "BANDS",
    ["strategy", "threshold", "metric"],
    [
        _column("strategy", _TEXT, "a router with a rule"),
        _column("threshold", _NUMBER, "of the configured grid", limits=_SHARE),
        _column("metric", _TEXT, "quality or retention, over all domains"),
        _column("estimate", _NUMBER, "null where undefined", nullable=True),
        _column("low", _NUMBER, "lower end of the band, which holds at all thresholds at once", nullable=True),
        _column("high", _NUMBER, "upper end of the band", nullable=True),
        _column("level", _NUMBER, "of the whole band", limits=_SHARE),
        _column("tasks", _COUNT, "how many tasks", limits=_POSITIVE),
    ],
)

ROBUSTNESS = _schema(
    "ROBUSTNESS",
    ["view", "strategy", "metric"],
    [
        _column("view", _TEXT, "how the result is seen again: datasets_resampled, mixed_model, between_domains, ..."),
        _column("strategy", _TEXT, "a router with a rule, at its operating point"),
        _column("metric", _TEXT, "a metric, or a difference from the dearest model"),
        _column("estimate", _NUMBER, "null where undefined", nullable=True),
        _column("low", _NUMBER, "lower end of its interval", nullable=True),
        _column("high", _NUMBER, "upper end of its interval", nullable=True),
        _column("p_value", _NUMBER, "where the view has a test", nullable=True, limits=_SHARE),
        _column("units", _COUNT, "how many datasets, domains or strategies the view rests on", limits=_POSITIVE),
        _column("method", _TEXT, "how it was made, or why it is undefined"),
    ],
)
