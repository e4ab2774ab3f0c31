"""A gateway over an echo, started once for each file that asks for it."""

import pytest

from tests.serving.gateway.echo_server import serving


@pytest.fixture(scope="module")
def running():
    with serving() as one:
        yield one
