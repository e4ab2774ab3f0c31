import pandas as pd
import pytest

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
