"""Curve metrics of a strategy: what a reader can add up, a naive loop, and RouteLLM's published outcomes."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from slm_orchestration.routing import sweep
from slm_orchestration.routing.replay import Overhead, replay
from slm_orchestration.routing.rules import Utility
from slm_orchestration.routing.strategy import RoutedStrategy
from slm_orchestration.statistics import curves
from slm_orchestration.studies.curve_metrics import (
    Resampling,
    SweptStrategy,
    changes_on_grid,
    curve_metrics,
    pair_score,
)
from tests.routing.known import Known
from tests.routing.tables_by_hand import matrix

SHARED = Path(os.environ.get("SLM_ORCHESTRATION_SHARED", Path(__file__).resolve().parents[2] / ".." / "shared"))
FEW = Resampling(resamples=200, seed=0, level=0.95)


def _sweep(quality, predicted):
    outcomes = matrix(quality)
    fitted = RoutedStrategy("s", Known(np.array(predicted)), Utility()).fit(outcomes, outcomes)
    found = fitted.changes(outcomes, overhead=Overhead())
    half = np.full(len(quality), 0.5)
    return SweptStrategy("s", outcomes, outcomes, found, found, pair_score(fitted, outcomes), (half, 8 * half)), fitted


def _by_metric(swept):
    return curve_metrics(swept, FEW).set_index("metric")


def test_a_pair_whose_metrics_a_reader_can_add_up():
    # twenty times: the router asks first for the task that the large model alone answers, then for the other
    swept, _ = _sweep([[1, 1], [0, 1]] * 20, [[0.9, 1.0], [0.1, 1.0]] * 20)
    found = _by_metric(swept)
    # PGR is 0, 1, 1 at shares 0, .5, 1: area .25 + .5
    assert found.loc["apgr", "estimate"] == pytest.approx(0.75)
    assert found.loc["cpt_50", "estimate"] == pytest.approx(0.25)
    assert found.loc["cpt_80", "estimate"] == pytest.approx(0.4)
    # costs 10, 5.5 and 1 with quality 1, 1 and .5: 4.5·1 + 4.5·.75, over 9
    assert found.loc["routing_auc", "estimate"] == pytest.approx((4.5 + 4.5 * 0.75) / 9)
    # no loss from half of the calls on: 5.5 of 10
    assert found.loc["qnc", "estimate"] == pytest.approx(0.55)
    # hull (1, .5), (5.5, 1) and flat to 11, what both models cost together: (4.5·.75 + 5.5·1) / 11
    assert found.loc["aiq", "estimate"] == pytest.approx((4.5 * 0.75 + 5.5) / 11)
    assert "undefined" in found.loc["arena_score", "method"]  # 4,000 dollars per 1,000 tasks


def test_the_mean_gain_is_that_over_the_mixture_at_twenty_costs():
    # quality 1 from cost 5.5 on, .5 at cost 1; the mixture goes from .5 at 1 to 1 at 10 (no guess is known)
    swept, _ = _sweep([[1, 1], [0, 1]] * 20, [[0.9, 1.0], [0.1, 1.0]] * 20)
    for outcomes in (swept.calibration, swept.evaluation):
        outcomes.tasks["guess_quality"] = np.nan
    points = sweep.curve(swept.on_calibration)
    expected = []
    for target in np.linspace(1, 10, 20):
        nearest = np.abs(points["cost_usd"] - target).argmin()
        cost, quality = points["cost_usd"][nearest], points["quality"][nearest]
        expected.append(quality - (0.5 + 0.5 * (cost - 1) / 9))
    found = _by_metric(swept).loc["mean_gain"]
    assert max(expected) > 0.2
    assert found["estimate"] == pytest.approx(np.mean(expected))
    assert found["low"] == pytest.approx(found["estimate"], abs=0.05)


def test_equal_models_leave_apgr_undetermined():
    swept, _ = _sweep([[1, 0], [0, 1]] * 20, [[0.9, 1.0], [0.1, 1.0]] * 20)
    found = _by_metric(swept)
    assert np.isnan(found.loc["apgr", "estimate"])
    assert found.loc["apgr", "method"].startswith("undetermined")


def test_a_curve_on_a_grid_meets_the_exact_one_where_the_grid_is_fine():
    rng = np.random.default_rng(0)
    quality = np.column_stack([rng.random(50) < 0.4, rng.random(50) < 0.5, rng.random(50) < 0.9]).astype(float)
    swept, fitted = _sweep(quality.tolist(), rng.random((50, 3)).tolist())
    grid = np.linspace(0, 1, 20_001)
    replayed = replay("s", fitted.choose(swept.evaluation, grid)["s"], swept.evaluation, overhead=Overhead())
    coarse = sweep.curve(changes_on_grid(replayed))
    fine = sweep.curve(swept.on_evaluation)
    assert coarse["quality"][-1] == pytest.approx(fine["quality"][-1])
    at = np.searchsorted(fine.threshold, coarse.threshold, side="right") - 1
    assert coarse["cost_usd"] == pytest.approx(fine["cost_usd"][at])


def test_intervals_hold_the_estimate_and_equal_seeds_give_equal_tables():
    rng = np.random.default_rng(1)
    quality = np.column_stack([rng.random(200) < 0.4, rng.random(200) < 0.8]).astype(float)
    swept, _ = _sweep(quality.tolist(), rng.random((200, 2)).tolist())
    one, two = curve_metrics(swept, FEW), curve_metrics(swept, FEW)
    assert one.equals(two)
    for metric in ("apgr", "aiq", "ibc_lift", "routing_auc"):
        found = one.set_index("metric").loc[metric]
        assert found["low"] < found["estimate"] < found["high"], metric


def test_the_interval_of_a_metric_of_means_is_that_of_the_same_tasks_drawn_again():
    rng = np.random.default_rng(2)
    quality = np.column_stack([rng.random(200) < 0.4, rng.random(200) < 0.8]).astype(float)
    swept, _ = _sweep(quality.tolist(), rng.random((200, 2)).tolist())
    paid = rng.lognormal(0, 1, 200)
    swept = replace(swept, point=(quality[:, 1], paid / 1000))
    found = curve_metrics(swept, Resampling(2000, 0, 0.95)).set_index("metric").loc["arena_score"]
    drawn = [(quality[rows, 1].mean(), paid[rows].mean() / 1000) for rows in rng.integers(0, 200, (2000, 200))]
    low, high = np.quantile([curves.arena_score(*means) for means in drawn], [0.025, 0.975])
    assert found["estimate"] == pytest.approx(curves.arena_score(quality[:, 1].mean(), paid.mean() / 1000))
    assert (found["low"], found["high"]) == pytest.approx((low, high), abs=0.1 * (high - low))


@pytest.mark.skipif(not (SHARED / "outcomes" / "routellm.parquet").exists(), reason="no recorded outcomes beside")
def test_routellms_models_have_their_published_values_and_random_routing_an_apgr_of_one_half():
    table = pd.read_parquet(
        SHARED / "outcomes" / "routellm.parquet", columns=["task_id", "dataset", "model", "quality"]
    )
    mmlu = table[table["dataset"].str.contains("mmlu", case=False)]
    wide = mmlu.pivot(index="task_id", columns="model", values="quality")
    cheap, expensive = (
        wide[next(name for name in wide if word in name.lower())].to_numpy() for word in ("mixtral", "gpt")
    )
    assert len(wide) == 14_042
    assert 100 * expensive.mean() == pytest.approx(80.58, abs=0.01)
    assert 100 * cheap.mean() == pytest.approx(68.08, abs=0.01)
    shares, qualities = curves.deferral_curve(np.random.default_rng(0).random(len(wide)), cheap, expensive)
    assert curves.apgr(shares, qualities) == pytest.approx(0.5, abs=0.02)
    # The oracle passes on first what only the expensive model answers (won), last what only the cheap one does (lost).
    won, lost = (expensive > cheap).mean(), (expensive < cheap).mean()
    top = won / (won - lost)
    area = won * top / 2 + (1 - won - lost) * top + lost * (top + 1) / 2
    assert curves.apgr(*curves.deferral_curve(expensive - cheap, cheap, expensive)) == pytest.approx(area)
