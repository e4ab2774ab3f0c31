from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from slm_orchestration.figures import style
from slm_orchestration.figures.cost_quality import cost_quality
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


def test_panels_of_any_number_fit():
    for number in (1, 2, 5, 7, 12):
        with style.look():
            figure, panels = style.panels(number, height=1.0)
        assert isinstance(figure, Figure)
        assert len(panels) == number == len(figure.axes)
