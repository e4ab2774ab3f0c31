"""The figures of live measurements show the tables' numbers."""

import pandas as pd
import pytest

from slm_orchestration.figures.aggregation import aggregation_figure
from slm_orchestration.figures.cache import cache_figure
from slm_orchestration.figures.faults import faults_figure
from slm_orchestration.figures.load import load_figure


def test_the_load_figure_shows_rates_latencies_and_the_longest_levels_memory():
    table = pd.DataFrame(
        [
            ("cache", "open", 200.0, 199.0, 0.002, 0.01),
            ("cache", "open", 100.0, 100.0, 0.001, 0.005),
            ("cache", "closed", 4.0, 150.0, 0.003, 0.02),
        ],
        columns=["path", "mode", "level", "achieved_rps", "p50_s", "p99_s"],
    )
    windows = pd.DataFrame(
        [
            ("cache", "open", 100.0, 1.0, 2**20),
            ("cache", "open", 200.0, 2.0, 3 * 2**20),
            ("cache", "open", 200.0, 1.0, 2 * 2**20),
        ],
        columns=["path", "mode", "level", "end_s", "memory_bytes"],
    )
    rate, latency, memory = load_figure(table, windows).axes
    lines = {line.get_label(): line.get_xydata().tolist() for axes in (rate, latency, memory) for line in axes.lines}
    assert lines["cache hits, in process"] == [[100.0, 100.0], [200.0, 199.0]]
    assert lines["p50_s:cache"] == [[100.0, 0.001], [200.0, 0.002]]
    assert lines["p99_s:cache"] == [[100.0, 0.005], [200.0, 0.01]]
    assert lines["memory:cache"] == [pytest.approx([1.0, 2.0]), pytest.approx([2.0, 3.0])]


def test_the_faults_figure_shows_each_protections_availability_by_rate():
    table = pd.DataFrame(
        [
            ("fail", 0.05, "none", 0.95, 0.93, 0.96),
            ("fail", 0.01, "none", 0.99, 0.98, 0.995),
            ("fail", 0.05, "all", 1.0, 0.99, 1.0),
        ],
        columns=["fault", "rate", "protection", "availability", "low", "high"],
    )
    [axes] = faults_figure(table).axes
    drawn = {one.get_label(): one.lines[0].get_xydata().tolist() for one in axes.containers}
    assert drawn["none"] == [pytest.approx([1.0, 99.0]), pytest.approx([5.0, 95.0])]
    assert drawn["all"] == [pytest.approx([5.0, 100.0])]


def test_the_cache_figure_tells_the_guarded_cache_from_the_plain_ones():
    rates = {"threshold": [0.7, 0.9], "rate": [0.8, 0.2], "low": [0.7, 0.1], "high": [0.9, 0.3]}
    kinds = [("all that must not hit", False), ("all that must not hit", True), ("paraphrase", True)]
    pairs = pd.concat([pd.DataFrame(rates).assign(kind=kind, guarded=guarded) for kind, guarded in kinds])
    columns = ["zipf", "cache", "repeats hit", "paraphrases hit", "of requests", "seconds saved", "quality lost"]
    rows = [(0.6, "plain 0.7", 0.5, 0.4, 0.2, 0.3, 0.1), (0.6, "guarded 0.5", 0.5, 0.3, 0.0, 0.2, 0.0)]
    figure = cache_figure(pairs, pd.DataFrame(rows, columns=columns))
    _, hits, false, _ = figure.axes
    assert [line.get_ydata()[0] for line in false.lines] == [20.0, 0.0]
    assert false.lines[0].get_color() != false.lines[1].get_color()
    assert [line.get_ydata()[0] for line in hits.lines] == [0.5, 0.4, 0.5, 0.3]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["plain 0.7", "guarded 0.5"]


def test_the_aggregation_figure_has_a_line_per_method_in_the_order_of_the_table():
    columns = ["method", "quality", "low", "high", "against", "from", "to", "cost_usd", "latency_s"]
    rows = [
        ("always large", 0.5, 0.4, 0.6, 0.0, 0.0, 0.0, 1e-4, 9.0),
        ("majority of small", 0.4, 0.3, 0.5, -0.1, -0.2, 0.1, 5e-5, 6.0),
    ]
    _, against = aggregation_figure(pd.DataFrame(rows, columns=columns)).axes
    assert [label.get_text() for label in against.get_yticklabels()] == ["always large", "majority of small"]
    assert against.yaxis_inverted()
