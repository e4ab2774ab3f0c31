from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from slm_orchestration.figures import style
from slm_orchestration.figures.cost_quality import cost_quality
from slm_orchestration.figures.naming import against_mixture, in_print_order, is_contender, label
from tests.figures import tables_by_hand as by_hand


def test_the_same_tables_give_the_same_bytes(tmp_path: Path):
    for folder in ("one", "two"):
        style.save(cost_quality(by_hand.curves(), by_hand.estimates(), by_hand.HULL), tmp_path / folder / "plane")
    for ending in ("pdf", "png"):
        assert (tmp_path / f"one/plane.{ending}").read_bytes() == (tmp_path / f"two/plane.{ending}").read_bytes()


def test_a_pdf_embeds_its_fonts_and_tells_no_date(tmp_path: Path):
    pdf, png = style.save(cost_quality(by_hand.curves(), by_hand.estimates(), by_hand.HULL), tmp_path / "plane")
    content = pdf.read_bytes()
    assert b"/FontFile2" in content
    assert b"CreationDate" not in content
    assert png.suffix == ".png"


def test_the_users_own_matplotlib_settings_change_nothing(tmp_path: Path):
    with matplotlib.rc_context({"font.size": 30, "axes.grid": True}):
        loud = style.save(cost_quality(by_hand.curves(), by_hand.estimates(), by_hand.HULL), tmp_path / "loud")
    quiet = style.save(cost_quality(by_hand.curves(), by_hand.estimates(), by_hand.HULL), tmp_path / "quiet")
    assert loud[0].read_bytes() == quiet[0].read_bytes()


def test_a_strategy_that_is_not_known_gets_the_same_colour_and_marker_every_time():
    assert style.colour("my own router") == style.colour("my own router")
    assert style.marker("my own router") in "v<>PXph8"


def test_no_two_known_contenders_share_colour_and_marker():
    names = ["adaptive", "confidence", "heuristic", "domain_table_predicted", "logistic", "knn", "boosting"]
    names += ["matrix_factorization", "bradley_terry", "hidden_state", "length", "cascade_routing"]
    assert len({(style.colour(name), style.marker(name)) for name in names}) == len(names)


def test_a_constant_goes_by_its_models_name():
    assert label("always_qwen2.5-coder-0.5b") == "qwen2.5-coder-0.5b"
    assert label("my_own_router") == "my own router"


def test_tables_list_contenders_by_gain_then_constants_by_cost_then_references():
    estimates = by_hand.estimates()
    assert in_print_order(estimates, estimates["strategy"].unique()) == [
        *("adaptive", "heuristic", "confidence"),
        *("always_small", "always_large"),
        *("mixture", "random", "guess", "oracle"),
    ]


def test_only_an_interval_wholly_above_zero_beats_the_mixture():
    assert against_mixture(0.01, 0.2, None) == "beats the mixture"
    assert against_mixture(0.0, 0.2, None) == "not shown to beat it"
    assert against_mixture(-0.2, -0.01, None) == "falls short of it"
    assert against_mixture(None, None, None) == "no interval"
    assert against_mixture(float("nan"), 0.2, None) == "no interval"


def test_panels_of_any_number_fit():
    for number in (1, 2, 5, 7, 12):
        with style.look():
            figure, panels = style.panels(number, height=1.0)
        assert isinstance(figure, Figure)
        assert len(panels) == number == len(figure.axes)


def test_an_oracle_is_no_contender_permuted_or_not():
    assert not is_contender("oracle")
    assert not is_contender("oracle_permuted")
