"""A router in a confined process: it chooses as it would here, sees nothing else, and its errors come back by name."""

from __future__ import annotations

import copy
import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from slm_orchestration.routing.access import DEFAULT_USES, fit_table
from slm_orchestration.routing.isolated import IsolatedRouter
from slm_orchestration.routing.routers.length import LengthRouter
from slm_orchestration.routing.rules import Utility
from slm_orchestration.routing.strategy import RoutedStrategy
from slm_orchestration.tasks.sandbox.confinement import SandboxUnavailable, confined_python
from tests.routing import cheats
from tests.routing.tables_by_hand import matrix
from tests.routing.test_cheats import HALVES, mean_quality

LENGTH = {"_target_": f"{LengthRouter.__module__}.LengthRouter"}
PROMPTS, ANSWERS = HALVES.tasks[["question"]].set_axis(["prompt"], axis=1), HALVES.answers.iloc[:0].assign(row=[])
# A module of a stranger. Its routers predict what they know of themselves.
ROUTERS = """
import os

class Honest:
    reads, uses = frozenset({"prompt", "answer:small"}), frozenset({"answer"})
    tasks, tuned, calls = 0, 0, 0

    def fit(self, outcomes):
        self.tasks = outcomes["row"].nunique()
        return self

    def predict_quality(self, prompts, answers):
        self.calls += 1
        print("what a router prints is no reply", flush=True)
        return [[self.tasks, self.tuned, self.calls, os.getpid()]] * len(prompts)

class Tuned(Honest):
    def tune(self, outcomes):
        self.tuned = 7
        return self

class Fails(Honest):
    def predict_quality(self, prompts, answers):
        raise KeyError("no such column")

class Ends(Honest):
    def predict_quality(self, prompts, answers):
        os._exit(3)
"""


@pytest.fixture(scope="module")
def confined():
    try:
        confined_python("json.tool", readable=[]).kill()
    except SandboxUnavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="module")
def router(confined, tmp_path_factory):
    """Return a function that makes the isolated router of a class of ROUTERS."""
    folder = tmp_path_factory.mktemp("routers")
    (folder / "theirs.py").write_text(ROUTERS)
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(folder)
        yield lambda name: IsolatedRouter(json.dumps({"_target_": f"theirs.{name}"}))


@pytest.fixture(scope="module")
def fitted(router):
    return router("Tuned").fit(fit_table(HALVES))


def said(router: IsolatedRouter) -> dict[str, float]:
    """Return what a router of ROUTERS predicts for the first task: tasks of the fit, tuned, calls, process."""
    predicted = router.predict_quality(PROMPTS, ANSWERS)
    assert predicted.shape == (40, 4) and predicted.dtype == np.float64
    return dict(zip(("tasks", "tuned", "calls", "pid"), predicted[0].tolist(), strict=True))


def test_looking_around_in_memory_is_stopped_by_a_confined_process_alone(confined):
    # In this process it is a matter of trust: the outcomes are on the stack of whoever replays.
    arguments = {"reads": ["prompt"], "path": os.path.abspath("data/outcomes/quick/manifest.json"), "pid": os.getpid()}
    assert mean_quality(RoutedStrategy("s", cheats.LooksAround(**arguments), Utility())) == 1.0
    described = {"_target_": "tests.routing.cheats.LooksAround", **arguments}
    isolated = RoutedStrategy("s", IsolatedRouter(json.dumps(described)), Utility())
    with pytest.raises(
        ValueError, match=r"LooksAround failed in its confined process: .*0 in memory, refused, refused, r"
    ):
        mean_quality(isolated)


def test_an_honest_router_chooses_the_same_in_a_confined_process(confined):
    questions = [f"{'why ' * (row % 7)}{row}?" for row in range(40)]
    outcomes = matrix(HALVES.quality.tolist(), questions=questions)
    grid = np.linspace(0, 1, 11)
    here, there = (
        RoutedStrategy("s", router, Utility()).fit(outcomes, outcomes).choose(outcomes, grid)["s"]
        for router in (LengthRouter(), IsolatedRouter(json.dumps(LENGTH)))
    )
    assert (here.served == there.served).all() and (here.called == there.called).all()


def test_what_it_declares_is_asked_of_the_router_itself(router):
    described = router("Honest")
    assert described.reads == frozenset({"prompt", "answer:small"})
    assert described.uses == frozenset({"answer"})


def test_tuning_a_router_without_a_setting_to_tune_changes_nothing(confined):
    length = IsolatedRouter(json.dumps(LENGTH)).tune(fit_table(HALVES))
    assert (length.reads, length.uses) == (LengthRouter().reads, DEFAULT_USES)


def test_a_fit_and_a_tuning_return_new_routers_and_leave_the_old_one_as_it_was(fitted):
    tuned = fitted.tune(fit_table(HALVES))
    assert [(said(one)["tasks"], said(one)["tuned"]) for one in (fitted, tuned)] == [(40, 0), (40, 7)]


def test_a_copy_is_fitted_in_a_process_of_its_own_and_a_closed_one_leaves_none_behind(fitted):
    copied = copy.deepcopy(fitted)
    assert [said(copied)["calls"] for _ in range(2)] == [1, 2]
    again = copy.deepcopy(copied)
    assert (said(again)["calls"], said(again)["tasks"]) == (1, 40)
    assert len({said(copied)["pid"], said(again)["pid"], os.getpid()}) == 3
    process = Path(f"/proc/{copied._process.pid}")
    assert process.exists()
    copied.close()
    assert not process.exists()
    copied.close()  # of what is closed nothing is left to do
    assert said(copied)["calls"] == 1


def test_a_process_that_was_killed_between_two_questions_is_named(fitted):
    copied = copy.deepcopy(fitted)
    os.kill(int(said(copied)["pid"]), signal.SIGKILL)
    assert copied._process.stdout.read() == b""  # it has ended
    larger_than_a_pipe = PROMPTS.assign(prompt="x" * 10_000 + PROMPTS["prompt"])
    with pytest.raises(ValueError, match=r"^theirs.Tuned failed in its confined process: its process ended$"):
        copied.predict_quality(larger_than_a_pipe, ANSWERS)
    assert said(copied)["calls"] == 1  # in another process


@pytest.mark.parametrize(
    ("name", "reason"),
    [("Fails", "KeyError: 'no such column'"), ("Ends", "its process ended"), ("Missing", "AttributeError: .*Missing")],
)
def test_an_error_names_the_router_and_ends_its_process(router, name, reason):
    failing = router(name)
    with pytest.raises(ValueError, match=f"^theirs.{name} failed in its confined process: {reason}"):
        failing.predict_quality(PROMPTS, ANSWERS)
    assert failing._process is None


def test_a_router_of_a_module_that_does_not_exist_is_refused_by_name():
    described = {"_target_": "tests.routing.cheats.Honest", "parts": [{"_target_": "nowhere.Router"}]}
    with pytest.raises(ValueError, match=r"^nowhere.Router: there is no module 'nowhere' on the import path$"):
        IsolatedRouter(json.dumps(described)).fit(fit_table(HALVES))
