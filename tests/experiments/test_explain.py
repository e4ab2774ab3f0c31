"""`experiments.explain` explains the operating point that was asked for, or says that there is none."""

import pytest

from experiments import explain
from tests.experiments.by_hand import configured, write_suite


@pytest.fixture
def asked(tmp_path):
    """Return a function that makes the configuration of a suite by hand with the words given."""
    write_suite(configured(tmp_path))
    return lambda *words: configured(tmp_path, "routing=length", *words)


def test_a_fixed_threshold_is_explained_even_between_those_of_the_grid(asked, capsys):
    explain.main(asked("operating_point=fixed", "operating_point.threshold=0.71"))
    assert "threshold 0.71: fixed at 0.71" in capsys.readouterr().out


def test_where_no_threshold_is_certified_there_is_none_to_explain(asked):
    with pytest.raises(ValueError, match=r"^there is no threshold to explain \(the most expensive model always: no"):
        explain.main(asked("operating_point=retention_95"))


def test_a_reference_is_refused(asked):
    with pytest.raises(ValueError, match="routing=constant: a reference has learned nothing to explain"):
        explain.main(asked("routing=constant"))
