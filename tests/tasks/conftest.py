import pytest

from slm_orchestration.tasks import sandbox
from slm_orchestration.tasks.sandbox import SandboxUnavailable
from tests.tasks.by_hand import dataset_in


@pytest.fixture
def datasets(tmp_path):
    """Return two small datasets, with one refused row, one duplicate and one contradiction."""
    rows = [{"question": f"What is {number}?", "answer": str(number)} for number in range(300)]
    doubled = [*rows, rows[0], {"question": "What is 1?", "answer": "2"}, {"question": "no answer"}]
    return {
        ("d", "big"): dataset_in(tmp_path / "big.jsonl", doubled, refused=1, core=True, note="Numbers."),
        ("d", "small"): dataset_in(
            tmp_path / "small.jsonl", [{"question": f"Say {n}", "answer": "x"} for n in range(60)], generated=True
        ),
    }


@pytest.fixture
def confined():
    """Skip where this machine cannot confine generated code."""
    try:
        sandbox.require()
    except SandboxUnavailable as error:
        pytest.skip(str(error))
