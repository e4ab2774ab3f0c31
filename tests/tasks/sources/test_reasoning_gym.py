import subprocess
import sys

import pytest

from slm_orchestration.tasks.sources.reasoning_gym import ReasoningGym


@pytest.mark.real
def test_generators_work_without_the_package_that_needs_a_c_compiler() -> None:
    program = (
        "import sys\n"
        "sys.modules['pycosat'] = None\n"  # importing it now fails as if it were not installed
        "from slm_orchestration.tasks.sources.reasoning_gym import load_reasoning_gym\n"
        "made = load_reasoning_gym().create_dataset('basic_arithmetic', size=1, seed=0)\n"
        "print(made.score_answer(made[0]['answer'], made[0]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "1.0", done.stderr


def test_generated_rows_are_the_same_for_the_same_seed_only():
    made = [list(ReasoningGym("basic_arithmetic", 3, seed, [{"max_digits": 1}, {}]).rows()) for seed in (1, 1, 2)]
    assert made[0] == made[1] != made[2] and len(made[0]) == 6
