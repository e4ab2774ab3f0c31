"""The HTML report in a real headless Chromium: numbers equal the tables, keys work, hostile text stays text."""

import os
import shutil
from pathlib import Path

import pytest
from omegaconf import DictConfig

from experiments import report
from experiments.setup.results import Results, read_results
from slm_orchestration.report.numbers import format_metric
from slm_orchestration.report.page import MEASURES
from tests.experiments.by_hand import configured
from tests.experiments.results_by_hand import HOSTILE, write_results

playwright = pytest.importorskip("playwright.sync_api")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
CHROMIUM = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium found: install it, or name it in CHROMIUM"),
]


@pytest.fixture(scope="module")
def cfg(tmp_path_factory: pytest.TempPathFactory) -> DictConfig:
    cfg = configured(tmp_path_factory.mktemp("page"))
    write_results(cfg)
    return cfg


@pytest.fixture(scope="module")
def results(cfg: DictConfig) -> Results:
    return read_results(Path(cfg.paths.results))


@pytest.fixture(scope="module")
def opened(cfg: DictConfig, results: Results):
    named, shown = report.describe(cfg, results)
    path = report.write_page(cfg, results, named, shown)
    complaints, requests = [], []
    with playwright.sync_playwright() as player:
        browser = player.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_selector("#plane .main-svg")
        yield page, complaints, requests, shown
        browser.close()


def cells(page, table: str) -> list[list[str]]:
    return page.eval_on_selector_all(
        f"#{table} tbody tr", "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
    )


def as_tabled(results: Results, strategy: str, threshold: float) -> list[list[str]]:
    rows = results.curves.query("strategy == @strategy and threshold == @threshold").set_index("domain")
    return [
        [domain, str(rows.at[domain, "tasks"])] + [format_metric(name, rows.at[domain, name]) for name in MEASURES]
        for domain in ("overall", "code", "logic")
    ]


def test_the_leaderboard_and_the_claims_are_the_printed_tables(opened):
    page, _, _, shown = opened
    by_name = {table.name: [list(row) for row in table.rows] for table in shown}
    assert cells(page, "board") == by_name["summary"]
    assert cells(page, "claims") == by_name["claims"]


def test_arrow_keys_move_the_threshold_and_the_numbers_follow_overall_and_by_domain(opened, results: Results):
    page, *_ = opened
    page.select_option("#strategy", "confidence")
    page.focus("#threshold")
    seen = {}
    page.keyboard.press("Home")
    for threshold in (0.0, 0.5, 1.0):
        seen[threshold] = cells(page, "point")
        assert page.text_content("#threshold-text") == f"{threshold:g}"
        assert page.get_attribute("#threshold", "aria-valuetext") == f"threshold {threshold:g}"
        page.keyboard.press("ArrowRight")
    assert seen == {threshold: as_tabled(results, "confidence", threshold) for threshold in (0.0, 0.5, 1.0)}
    assert seen[0.5][0] == ["overall", "10", "0.500", "0.625", "3.00", "1.50", "40.0\u00a0%"]
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.text_content("#threshold-text") == "0.5"


def test_the_ring_of_the_plane_stands_where_the_slider_does(opened):
    page, *_ = opened
    page.select_option("#strategy", "confidence")
    page.focus("#threshold")
    page.keyboard.press("End")
    ring = page.evaluate(
        "(() => { const t = document.getElementById('plane').data.at(-1); return [t.x[0], t.y[0]]; })()"
    )
    assert ring == pytest.approx([1.0, 0.4])


def test_a_constant_has_no_threshold_to_move(opened):
    page, *_ = opened
    page.select_option("#strategy", "always_small")
    assert page.is_disabled("#threshold")
    assert page.text_content("#chosen-by") == "This strategy has no threshold."


def test_the_explorer_shows_who_was_right_and_hostile_text_as_text(opened):
    page, *_ = opened
    page.select_option("#strategy", "adaptive")
    page.select_option("#right", "most_expensive")
    assert page.locator("#tasks details").count() == 2
    page.select_option("#right", "all")
    page.fill("#search", "task/0")
    page.focus("#tasks summary")
    page.keyboard.press("Enter")
    page.wait_for_selector("#tasks pre")
    texts = page.locator("#tasks pre").all_text_contents()
    assert texts[0].endswith(HOSTILE)
    assert texts[2:] == [HOSTILE, HOSTILE]
    assert page.locator("#tasks h3").all_text_contents() == [
        *("question", "reference"),
        *("small: wrong (served at the operating point)", "large: wrong"),
    ]
    assert page.evaluate("window.hostile") is None


def test_a_phone_shows_it_without_scrolling_sideways_in_letters_one_can_read(opened):
    page, *_ = opened
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert page.evaluate("parseFloat(getComputedStyle(document.querySelector('#point td')).fontSize)") >= 13


def test_the_page_leads_with_the_leaders_numbers_and_says_the_finding_in_its_title(opened, cfg, results: Results):
    page, *_ = opened
    named, _ = report.describe(cfg, results)
    leader = named["leader.strategy"].text
    tiles = page.eval_on_selector_all("#tiles div", "all => all.map(one => [...one.children].map(e => e.textContent))")
    assert [tile[:2] for tile in tiles] == [
        [named[f"{leader}.{metric}"].text, named[f"{leader}.{metric}.interval"].text]
        for metric in ("gain_over_mixture", "cost_saving", "small_share", "retention")
    ]
    assert named[f"{leader}.gain_over_mixture"].text in page.title()
    assert "in quality over random mixing" in page.title()


def test_the_search_reads_questions_and_answers(opened):
    page, *_ = opened
    page.select_option("#right", "all")
    page.fill("#search", "no task says this")
    assert page.locator("#tasks details").count() == 0
    page.fill("#search", HOSTILE.lower()[:12])
    assert page.locator("#tasks details").count() > 0


def test_strategies_differ_by_shape_as_well_as_by_colour(opened):
    page, *_ = opened
    symbols = page.evaluate(
        "document.getElementById('plane').data.map(t => t.marker && t.marker.symbol).filter(Boolean)"
    )
    assert len(set(symbols)) > 3


def test_dark_mode_follows_the_system(opened):
    page, *_ = opened
    page.emulate_media(color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 24, 27)"
    page.emulate_media(color_scheme="light")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_the_page_asks_for_nothing_and_the_console_stays_empty(opened):
    _, complaints, requests, _ = opened
    assert complaints == []
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
