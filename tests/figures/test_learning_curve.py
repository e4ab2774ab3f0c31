import pandas as pd

from slm_orchestration.figures.learning_curve import learning_curve
from tests.figures import tables_by_hand as by_hand


def repeated(factor: float):
    frame = by_hand.estimates()
    gains = frame[(frame["metric"] == "gain_over_mixture") & (frame["domain"] == "overall")].assign(metric="mean_gain")
    return gains.assign(estimate=gains["estimate"] * factor)


def test_gains_are_drawn_by_fit_tasks_and_by_what_was_never_seen():
    by_suite = {
        "standard": {100: repeated(0.5), 300: repeated(1.0)},
        "wide": {300: repeated(1.0), 9000: repeated(2.0)},
    }
    figure = learning_curve(by_suite, {"tasks": repeated(1.0), "datasets": repeated(0.1)})
    left, middle, right = figure.axes[:3]
    adaptive = max(left.lines, key=lambda line: max(line.get_ydata()))
    assert list(adaptive.get_xdata()) == [100, 300]
    assert list(adaptive.get_ydata()) == [0.37 / 2, 0.37]  # the oracle by hand
    assert [label.get_text() for label in right.get_xticklabels()] == ["tasks", "datasets"]
    larger = max(middle.lines, key=lambda line: max(line.get_ydata()))
    assert list(larger.get_xdata()) == [300, 9000]
    assert list(larger.get_ydata()) == [0.37, 0.74]


def test_the_gain_of_answers_without_a_language_model_is_a_dashed_line():
    with_classifier = [
        pd.concat([repeated(1.0), gains[gains["strategy"] == "oracle"].assign(strategy="classifier", estimate=value)])
        for gains, value in ((repeated(1.0), 0.2), (repeated(1.0), 0.5))
    ]
    frames = [
        pd.concat([frame, frame[frame["strategy"] == "classifier"].assign(metric="gain_over_mixture")])
        for frame in with_classifier
    ]
    figure = learning_curve({"wide": dict(zip((300, 9000), frames, strict=True))}, {})
    dashed = [
        line for line in figure.axes[0].lines if line.get_label() == "classifier" and line.get_linestyle() == "--"
    ]
    assert [list(line.get_ydata()) for line in dashed] == [[0.2, 0.5]]


def test_a_suite_without_estimates_has_no_panel():
    assert len(learning_curve({"quick": {}, "wide": {100: repeated(1.0)}}, {}).axes) == 1
    assert len(learning_curve({"quick": {}}, {}).axes) == 0
