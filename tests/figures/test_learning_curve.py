from slm_orchestration.figures.learning_curve import learning_curve
from tests.figures import tables_by_hand as by_hand


def repeated(factor: float):
    frame = by_hand.estimates()
    gains = frame[(frame["metric"] == "gain_over_mixture") & (frame["domain"] == "overall")].assign(metric="mean_gain")
    return gains.assign(estimate=gains["estimate"] * factor)


def test_gains_are_drawn_by_fit_tasks_and_by_what_was_never_seen():
    figure = learning_curve(
        {100: repeated(0.5), 300: repeated(1.0)}, {"tasks": repeated(1.0), "datasets": repeated(0.1)}
    )
    left, right = figure.axes[:2]
    adaptive = max(left.lines, key=lambda line: max(line.get_ydata()))
    assert list(adaptive.get_xdata()) == [100, 300]
    assert list(adaptive.get_ydata()) == [0.37 / 2, 0.37]  # the oracle by hand
    assert [label.get_text() for label in right.get_xticklabels()] == ["tasks", "datasets"]
