import pandas as pd

from slm_orchestration.figures.aggregation import aggregation_figure


def test_the_aggregation_figure_has_a_line_per_method_in_the_order_of_the_table():
    columns = ["method", "quality", "low", "high", "against", "from", "to", "cost_usd", "latency_s"]
    rows = [
        ("always large", 0.5, 0.4, 0.6, 0.0, 0.0, 0.0, 1e-4, 9.0),
        ("majority of small", 0.4, 0.3, 0.5, -0.1, -0.2, 0.1, 5e-5, 6.0),
    ]
    _, against = aggregation_figure(pd.DataFrame(rows, columns=columns)).axes
    assert [label.get_text() for label in against.get_yticklabels()] == ["always large", "majority of small"]
    assert against.yaxis_inverted()
