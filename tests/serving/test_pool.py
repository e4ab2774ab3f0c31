"""The pool, the strategies and the suites of conf/, built without Hydra."""

import subprocess
import sys

import pytest

from slm_orchestration.routing.strategy import RoutedStrategy
from slm_orchestration.serving.pool import instantiate, load_strategy, packaged_pool, packaged_suite


def test_the_packaged_pool_is_cheapest_first_and_names_its_small_models():
    pool = packaged_pool()
    assert pool.names == ("smollm2-135m", "qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b")
    assert pool.small == {"smollm2-135m", "qwen2.5-coder-0.5b"}


def test_a_node_is_called_with_its_keys_and_references_are_instantiated():
    config = {"count": {"_target_": "builtins.int", "_convert_": "all"}, "nested": {"seed": 3}}
    node = {"a": "${nested.seed}", "b": ["${count}"], "c": "no ${reference} alone", "d": "${oc.env:NOT_SET_HERE,null}"}
    assert instantiate(node, config) == {"a": 3, "b": [0], "c": "no ${reference} alone", "d": None}
    with pytest.raises(ValueError, match=r"\$\{nested.other\} has no value here; the top-level keys are count, nested"):
        instantiate("${nested.other}", config)


def test_an_unknown_strategy_is_named_with_those_that_exist():
    assert isinstance(load_strategy("adaptive", seed=0), RoutedStrategy)
    with pytest.raises(ValueError, match=r"routing=adaptiv: no such file in .*there are adaptive, "):
        load_strategy("adaptiv", seed=0)


def test_the_medium_suite_has_the_datasets_of_all_ten_domains():
    suite, datasets = packaged_suite("medium")
    assert (suite.name, suite.tasks_per_domain) == ("medium", 100)
    assert len({domain for domain, _ in datasets}) == 10
    assert datasets["logic", "logiqa_plus"].extract == datasets["logic", "logiqa"].extract


def test_importing_the_package_loads_neither_torch_nor_hydra():
    code = "import sys, slm_orchestration, slm_orchestration.serving; assert not {'torch', 'hydra'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
