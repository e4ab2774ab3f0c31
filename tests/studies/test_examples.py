"""The example tables that ship, each with its right advice."""

from pathlib import Path

import pytest

from experiments.setup.config import load_config
from experiments.setup.imported import imported_outcomes
from slm_orchestration.studies.advice import BETTER, ONE_MODEL, advise, verdict
from slm_orchestration.studies.advice_choice import AdviceSettings
from slm_orchestration.studies.advice_text import headline, paragraphs

EXAMPLES = Path(__file__).parents[2] / "data" / "examples"


def advised(name: str, *overrides: str, **settings: object):
    imported = imported_outcomes(load_config(f"outcomes={EXAMPLES / name}", *overrides, config="advise"))
    return advise(imported, AdviceSettings(resamples=300, **settings))


def test_long_tickets_go_to_the_large_model():
    advice = advised("tickets.csv")
    (line,) = headline(advice)
    assert verdict(advice) == BETTER
    large = line.partition("to large: ")[2].partition(";")[0]
    assert "long prompts" in large and "words of reasoning" in large
    assert "short prompts" in line.partition("to small: ")[2].partition(";")[0]


def test_the_most_expensive_model_may_be_worse_than_another_alone():
    advice = advised("overpriced.csv", "columns=auto")
    assert (advice.reference, [one.model for one in advice.dominated]) == ("steady", ["flagship"])
    assert headline(advice)[0].startswith("steady alone is better than flagship")
    assert "cheaper, at 28% of its cost" in headline(advice)[0]
    assert verdict(advice) == ONE_MODEL and advice.one_model == "steady"
    assert advice.constants.set_index("model")["in_mixture"].to_dict() == {
        "budget": True, "steady": True, "flagship": False
    }  # fmt: skip
    asked = advised("overpriced.csv", "columns=auto", reference="flagship")
    assert asked.reference == "flagship" and asked.estimate("retention", "always_flagship")["estimate"] == 1
    with pytest.raises(ValueError, match="reference=x: no such model; they are budget, steady, flagship"):
        advised("overpriced.csv", "columns=auto", reference="x")


def test_a_known_domain_routes_where_there_are_no_prompts():
    untold = advised("domains.jsonl", "columns=auto")
    assert "No router can be fitted" in " ".join(headline(untold))
    assert "domain_known=true tries a table by domain" in dict(paragraphs(untold))["Routers"]
    told = advised("domains.jsonl", "columns=auto", domain_known=True)
    assert (verdict(told), told.strategy) == (BETTER, "domain_table_given")
    assert any("to coder" in line and "most of code (100%)" in line for line in headline(told))


def test_trials_are_averaged_and_a_router_without_a_signal_is_one_model():
    advice = advised("trials.csv")
    assert "3 trials of each task and model are averaged" in " ".join(advice.imported.remarks)
    assert len(advice.imported.outcomes) == 2 * len(advice.imported.tasks) > 400
    assert headline(advice) == ["No router is needed: two alone, the model of the best quality."]


def test_a_wide_table_without_ids_says_that_the_cheap_model_is_enough():
    advice = advised("wide.csv", "models=[compact,huge]", "split={train:[fit,calibration],test:evaluation}")
    assert int(advice.estimates["tasks"].iloc[0]) == 150
    assert headline(advice) == [
        "huge costs 10.0 times as much as compact and is not shown to be better: compact's quality less its own is "
        "+0.000 [+0.000, +0.000].",
        "No router is needed: compact alone, the model of the best quality.",
    ]
