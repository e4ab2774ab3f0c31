from slm_orchestration.figures.naming import in_print_order, is_contender, label
from tests.figures import tables_by_hand as by_hand


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


def test_an_oracle_is_no_contender_permuted_or_not():
    assert not is_contender("oracle")
    assert not is_contender("oracle_permuted")
