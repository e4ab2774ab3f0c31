"""The grader: which answers pass, what reaches a test, and what an answer cannot fake."""

import io

import pytest

from slm_orchestration.tasks.sandbox import Verdict
from slm_orchestration.tasks.sandbox.grader_process import Candidate
from slm_orchestration.tasks.sandbox.wire import decode, encode
from tests.tasks.sandbox.by_hand import judge
from tests.tasks.sandbox.hostile import LIES, SQUARE

pytestmark = pytest.mark.usefixtures("confined")


def test_right_code_passes_and_wrong_code_fails():
    assert judge(SQUARE) == Verdict(True, "")
    assert judge("def square(x):\n    return x + 6\n") == Verdict(False, "AssertionError:")


def test_arguments_and_results_are_literals_of_every_kind():
    test = "values = [1.5, (1, 'ü'), {2, 3}, {'k': [None, True]}, b'x', 10**5000]\nassert square(values) == [values]"
    assert judge("def square(x):\n    return [x]\n", test).passed
    assert judge("def square(x):\n    return float('-inf')\n", "assert square(0) == float('-inf')").passed


def test_the_exception_that_the_code_raises_reaches_the_test():
    test = "try:\n    square(0)\nexcept ZeroDivisionError:\n    pass\nelse:\n    assert False"
    assert judge("def square(x):\n    return 1 / x\n", test).passed
    assert not judge("def square(x):\n    raise KeyError\n", test).passed


def test_a_dead_process_is_not_an_exception_that_a_test_can_expect():
    test = "try:\n    square(0)\nexcept BaseException:\n    pass"
    assert judge("def square(x):\n    raise SystemExit\n", test).passed
    assert not judge("import os\ndef square(x):\n    os._exit(1)\n", test).passed


def test_a_test_may_call_what_the_prompt_defines_but_gets_the_prompts_own():
    prompt = "def half(x):\n    return x / 2\n\ndef square(x):\n    ...\n"
    forged = "def half(x):\n    return 0\n" + SQUARE
    assert not judge(forged, "assert half(square(4)) == 0", prompt).passed
    assert judge(forged, "assert half(square(4)) == 8", prompt).passed


def test_a_test_that_does_not_compile_is_an_error_of_the_task():
    with pytest.raises(ValueError, match="own prompt or test fails: SyntaxError"):
        judge(SQUARE, "def check(candidate:\n")


def test_the_order_of_a_set_and_random_numbers_are_the_same_every_time():
    program = "import random\ndef square(x):\n    return list({'a', 'b', 'c', 'd'}), random.random()\n"
    seen = {judge(program, "import random\nraise ValueError(repr((square(0), random.random())))") for _ in range(3)}
    assert len(seen) == 1


@pytest.mark.parametrize("loop", ["all(map(square, [3]))", "list(iter(lambda: square(3), 0)) == []"])
@pytest.mark.parametrize("error", ["StopIteration", "StopAsyncIteration"])
def test_an_exception_that_ends_a_loop_does_not_end_the_loop_of_a_test(loop, error):
    verdict = judge(f"def square(x):\n    raise {error}\n", f"assert {loop}")
    assert verdict == Verdict(False, f"RuntimeError: the candidate raised {error}")


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_does_not_pass(lie):
    assert not judge(LIES[lie]).passed


def test_a_call_is_one_line_and_its_reply_is_returned_or_raised(monkeypatch):
    monkeypatch.setattr("os.urandom", bytes)  # a message's random number is then sixteen zeros
    requests, number = io.BytesIO(), {"number": "0" * 16}
    replies = [{"value": [9, None]}, {"error": "KeyError"}, {"error": "SystemExit"}, {"error": "no such"}]
    candidate = Candidate(requests, io.BytesIO(b"".join(encode(number | reply) for reply in replies)))
    assert candidate(3, base=10) == [9, None]
    assert decode(requests.getvalue()) == number | {"arguments": [3], "named": {"base": 10}}
    with pytest.raises(KeyError, match="raised by the candidate"):
        candidate(3)
    # only exceptions that a test may expect are raised by their name
    for name in ("SystemExit", "no such"):
        with pytest.raises(RuntimeError, match=f"the candidate raised {name}"):
            candidate(3)
