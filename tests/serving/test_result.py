"""What `print(decision)` shows."""

from slm_orchestration.serving.fit import Analysis
from slm_orchestration.serving.result import Decision, ModelForecast, Result

FORECASTS = (ModelForecast("small", 0.5, 1e-6, 0.1, True), ModelForecast("large", 0.9, 2.5e-5, 2.0, False))


def test_a_decision_is_printed_a_fact_per_line():
    analysis = Analysis("logic", 0.75, 0.25, {"log_characters": 0.0}, 0.002)
    decision = Decision(
        analysis=analysis,
        candidates=FORECASTS,
        rule="adaptive, threshold 0.5",
        models_called=("small", "large"),
        failed_calls=("large: it is dead",),
        model="small",
        confidence=0.625,
        warnings=("no model fits",),
        samples=("A", "B"),
        routing_s=0.0031,
    )
    assert str(decision).splitlines() == [
        "task      logic (probability 0.75), complexity 0.25, 0 characters; analysed in 2.0 ms",
        "expected  small: quality 0.50, 1.00e-06 USD, 0.10 s",
        "expected  large: quality 0.90, 2.50e-05 USD, 2.00 s (not allowed)",
        "rule      adaptive, threshold 0.5",
        "called    small, large; served small (confidence 0.62)",
        "sampled   2 further answers, each paid",
        "failed    large: it is dead",
        "warning   no model fits",
        "routing   3.1 ms",
    ]


def test_a_hit_of_the_cache_shows_its_kind_and_similarity_and_no_call():
    hit = Decision(candidates=FORECASTS, model="small", cache="semantic")
    assert str(hit) == "cache     semantic hit, of small"


def test_a_decision_that_served_nothing_says_so():
    assert str(Decision()).splitlines() == ["called    none; served nothing", "routing   0.0 ms"]
    assert Result(None, None, 0.0, 0.0, error="refused").decision == Decision()
