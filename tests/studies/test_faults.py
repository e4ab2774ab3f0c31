"""Injected faults through the real orchestrator: what each protection saves, by models whose fault is certain."""

import time

import pytest

from slm_orchestration.models.model import CallError, TaskError
from slm_orchestration.serving.resilience import GuardedCall
from slm_orchestration.serving.result import Result
from slm_orchestration.studies import faults
from slm_orchestration.studies.faults import FaultTimings, FaultyModel
from tests.serving.by_hand import NAMES, orchestrator, task

FAST = FaultTimings(call_s=0.0, stall_s=0.3, restart_s=0.05, deadline_s=0.2)
PATIENT = FaultTimings(call_s=0.0, stall_s=3.0, restart_s=5.0, deadline_s=4.0)  # a timeout after 1 s


def test_equal_seeds_strike_the_same_calls():
    def struck(seed):
        model = FaultyModel("small", "garbage", 0.3, FAST, seed)
        return [model.complete([task("a")], seed=0)[0].answer is None for _ in range(50)]

    assert struck(1) == struck(1) != struck(2)
    assert 5 < sum(struck(1)) < 25


def test_a_dead_model_fails_until_it_has_restarted():
    model = FaultyModel("small", "die", 1.0, FAST, 0)
    with pytest.raises(CallError):
        model.complete([task("a")], seed=0)
    model.rate = 0.0
    with pytest.raises(CallError):
        model.complete([task("a")], seed=0)
    time.sleep(FAST.restart_s)
    assert model.complete([task("a")], seed=0)[0].answer == faults.ANSWER


@pytest.mark.parametrize(
    ("fault", "saves", "does_not"),
    [
        ("fail", ["fallback", "all"], ["none", "timeout", "retry", "breaker"]),
        ("garbage", ["fallback"], ["none", "retry"]),
        ("die", ["fallback"], ["none", "retry"]),
        ("stall", ["all"], ["timeout"]),
    ],
)
def test_where_the_chosen_model_always_fails_only_another_model_helps(records, fault, saves, does_not):
    for name in saves + does_not:
        shield = faults.protections(PATIENT)[name]
        models = {each: FaultyModel(each, fault, float(place == 0), PATIENT, 0) for place, each in enumerate(NAMES)}
        settings = {"routing_threshold": 1, "fallback": shield.fallback}
        live = orchestrator(records, models, settings, GuardedCall(shield.guard))
        live.prepare()
        ended = faults.send_requests(live.process_task, ["Is 7 even?"] * 2, clients=2, scene=PATIENT)
        assert {end for end, _ in ended} == {"answered" if name in saves else "refused"}


def test_where_all_models_fail_at_first_a_second_round_answers_unless_the_task_is_at_fault(records):
    class Recovers(FaultyModel):
        error = CallError("down")

        def complete(self, tasks, *, seed):
            if not self.calls:
                self.calls += 1
                raise self.error
            return super().complete(tasks, seed=seed)

    def answered(rounds, error):
        models = {name: Recovers(name, "fail", 0.0, FAST, 0) for name in NAMES}
        for model in models.values():
            model.error = error
        live = orchestrator(records, models, {"routing_threshold": 1, "rounds": rounds, "pause_s": 0.02})
        return live.process_task("Is 7 even?")

    assert answered(1, CallError("down")).output is None
    again = answered(2, CallError("down"))
    assert (again.output, len(again.decision.models_called), len(again.decision.failed_calls)) == (faults.ANSWER, 4, 3)
    assert again.latency_s > 0.01  # the pause is paid
    assert len(answered(2, TaskError("too long")).decision.models_called) == 3


def test_every_request_is_counted_once_with_its_end():
    ended = [("answered", 0.1)] * 97 + [("late", 2.0), ("refused", 0.1), ("lost", float("nan"))]
    row = faults.faults_row(ended, calls=110)
    assert (row["requests"], row["answered"], row["late"], row["refused"], row["lost"], row["wrong"]) == (
        *(100, 97, 1, 1, 1, 0),
    )
    assert (row["availability"], row["calls_per_request"]) == (0.97, 1.1)
    assert row["low"] < 0.97 < row["high"]


def test_answers_are_told_apart_by_what_they_are_and_when_they_come():
    def answer(request):
        time.sleep(0.25 if request == "late" else 0)
        output = {"late": faults.ANSWER, "answered": faults.ANSWER, "wrong": "babble"}.get(request)
        return Result(output, "small", 0.0, 0.0, error=None if output else "down")

    asked = ["late", "answered", "wrong", "refused"]
    assert [end for end, _ in faults.send_requests(answer, asked, clients=4, scene=FAST)] == asked
