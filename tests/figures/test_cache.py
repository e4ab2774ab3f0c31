import pandas as pd

from slm_orchestration.figures.cache import cache_figure


def test_the_cache_figure_tells_the_guarded_cache_from_the_plain_ones():
    rates = {"threshold": [0.7, 0.9], "rate": [0.8, 0.2], "low": [0.7, 0.1], "high": [0.9, 0.3]}
    kinds = [("all that must not hit", False), ("all that must not hit", True), ("paraphrase", True)]
    frames = [(pd.DataFrame(rates).head(1 if guarded else 2), kind, guarded) for kind, guarded in kinds]
    pairs = pd.concat([frame.assign(kind=kind, guarded=guarded) for frame, kind, guarded in frames])
    columns = ["zipf", "cache", "repeats hit", "paraphrases hit", "of requests", "seconds saved", "quality lost"]
    rows = [(0.6, "vectors 0.7", 0.5, 0.4, 0.2, 0.3, 0.1), (0.6, "guarded", 0.5, 0.3, 0.0, 0.2, 0.0)]
    figure = cache_figure(pairs, pd.DataFrame(rows, columns=columns))
    _, hits, false, _ = figure.axes
    assert [line.get_ydata()[0] for line in false.lines] == [20.0, 0.0]
    assert false.lines[0].get_color() != false.lines[1].get_color()
    assert [line.get_ydata()[0] for line in hits.lines] == [0.5, 0.4, 0.5, 0.3]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["vectors 0.7", "guarded"]
