"""Which router and threshold an aim takes on calibration tasks."""

from dataclasses import replace

import numpy as np

from slm_orchestration.routing.operating_point import Chosen
from slm_orchestration.routing.references import one_model_each
from slm_orchestration.routing.replay import Overhead, replay
from slm_orchestration.studies.advice_choice import AdviceSettings, preferred_router
from tests.routing.tables_by_hand import matrix

TARGET = AdviceSettings(resamples=300)


def test_another_aim_takes_the_router_that_its_rule_prefers_and_not_the_largest_gain():
    # `frugal` gains .5 over the mixture at equal cost, `best` nothing, but it has the higher quality.
    calibration = matrix([[0, 1], [0, 1], [1, 1], [1, 1]])
    replays = {
        name: replay(name, one_model_each(np.array([large]), 2, np.zeros(1)), calibration, overhead=Overhead())
        for name, large in {"frugal": [1, 0, 0, 0], "best": [1, 1, 1, 1]}.items()
    }
    chosen = dict.fromkeys(replays, Chosen(0, "by hand"))
    assert preferred_router(replays, chosen, calibration, replace(TARGET, aim="retention")) == "frugal"
    assert preferred_router(replays, chosen, calibration, replace(TARGET, aim="best_quality")) == "best"
    assert preferred_router(replays, chosen, calibration, replace(TARGET, aim="same_quality")) == "best"
    assert preferred_router(replays, chosen, calibration, replace(TARGET, aim="budget", budget_share=0.5)) == "frugal"
