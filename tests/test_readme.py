"""The programs in README.md run as they are printed."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from slm_orchestration.figures import naming
from slm_orchestration.routing.outcome_matrix import OutcomeMatrix
from slm_orchestration.routing.rules import Utility
from slm_orchestration.routing.strategy import RoutedStrategy
from slm_orchestration.statistics.strategy_matrix import OVERALL
from slm_orchestration.statistics.verdicts import BETTER, gain_verdicts
from tests.routing.tables_by_hand import matrix

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
RESULTS = ROOT / "data" / "expected" / "standard-packaged"
WORDS = dict(
    enumerate(
        [
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
            "twenty",
        ],
        10,
    )
)


def short(number: float) -> str:
    return f"{number:.3f}".replace("0.", ".")


def estimated(row: pd.Series) -> str:
    return f"{short(row['estimate'])} [{short(row['low'])}, {short(row['high'])}]"


def program(mark: str) -> str:
    [found] = [text for text in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if mark in text]
    return found


@pytest.mark.real
def test_the_replay_of_a_router_runs(medium_tasks: Path, capsys: pytest.CaptureFixture) -> None:
    text = program("load_outcomes").replace('"suite=standard"', f'"suite=medium", "paths.tasks={medium_tasks}"')
    names: dict = {}
    exec(text, names)
    assert names["replayed"].quality.shape == (41, 500)
    assert names["replayed"].cost_usd.mean(axis=1)[0] > names["replayed"].cost_usd.mean(axis=1)[-1]
    assert capsys.readouterr().out.count("[") == 2


def test_the_router_of_the_readme_is_whole() -> None:
    names = {"dataclass": dataclass, "field": field, "pd": pd, "np": np, "NDArray": NDArray, "Self": Self}
    exec(program("class LengthRouter"), names)
    outcomes: OutcomeMatrix = matrix([[1, 1], [0, 1]], questions=["a", "long" * 9])
    fitted = RoutedStrategy("s", names["LengthRouter"](), Utility()).fit(outcomes, outcomes)
    assert fitted.choose(outcomes, np.array([0.4]))["s"].served.tolist() == [[0, 1]]


def test_the_measured_sentences_say_what_the_committed_results_say() -> None:
    estimates, comparisons, cross_fit = (
        pd.read_parquet(RESULTS / f"{name}.parquet") for name in ("estimates", "comparisons", "cross_fit")
    )
    gains = estimates[(estimates["metric"] == "gain_over_mixture") & (estimates["domain"] == OVERALL)]
    refitted = cross_fit[cross_fit["metric"] == "gain_over_mixture"].set_index("strategy")
    contenders, verdicts = naming.contenders(estimates), gain_verdicts(comparisons)
    better = sum(verdicts[name].word == BETTER for name in contenders)
    said = " ".join(README.split())
    assert f"{WORDS[better].capitalize()} of {WORDS[len(contenders)]} strategies beat random mixing." in said
    assert f"gains {estimated(gains.set_index('strategy').loc['adaptive'])} in mean quality" in said
    assert f"and {estimated(refitted.loc['adaptive'])} cross-fitted" in said
    without_template = short(refitted.loc["adaptive_question", "estimate"])
    assert f"({without_template} where it does not see the benchmark's template)" in said


def test_links_to_files_of_the_project_lead_somewhere() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)", README)
    assert len(links) > 5
    assert [link for link in links if not (ROOT / link).exists()] == []
