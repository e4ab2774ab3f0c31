import pandas as pd

from slm_orchestration.figures.naming import contenders, in_print_order, label, privileged, stand_apart
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


def test_who_competes_follows_from_what_its_class_declared_and_from_what_it_called():
    rows = by_hand.estimates().iloc[:3].assign(strategy=["adaptive", "heuristic", "confidence"], domain="overall")
    apart = rows.assign(metric=["privileged", "streams", "equals_constant"], estimate=[1.0, 40.0, 1.0])
    estimates = pd.concat([by_hand.estimates(), apart.assign(method=["", "", "always_large"])])
    assert contenders(by_hand.estimates()) == ["adaptive", "heuristic", "confidence"]
    assert contenders(estimates) == []
    assert privileged(estimates) == {"adaptive"}
    assert stand_apart(estimates) == {"heuristic": "online, 40 streams", "confidence": "= always_large"}
    assert set(in_print_order(estimates, by_hand.STRATEGIES)) == set(by_hand.STRATEGIES)
