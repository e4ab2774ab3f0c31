"""The generators load where a dependency that needs a C compiler could not be built."""

import subprocess
import sys

import pytest


@pytest.mark.real
def test_generators_work_without_the_package_that_needs_a_c_compiler() -> None:
    program = (
        "import sys\n"
        "sys.modules['pycosat'] = None\n"  # importing it now fails as if it were not installed
        "from slm_orchestration.tasks.generators import reasoning_gym\n"
        "made = reasoning_gym().create_dataset('basic_arithmetic', size=1, seed=0)\n"
        "print(made.score_answer(made[0]['answer'], made[0]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "1.0", done.stderr
