"""Generated code is run only where the machine can confine it."""

import pytest

from slm_orchestration.tasks import sandbox
from slm_orchestration.tasks.sandbox import SandboxUnavailable


@pytest.fixture
def confined():
    try:
        sandbox.require()
    except SandboxUnavailable as error:
        pytest.skip(str(error))
