"""The server that the tests of endpoints share."""

from collections.abc import Iterator
from http.server import ThreadingHTTPServer

import pytest

from tests.models.endpoint_server import playing


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    with playing() as server:
        yield server
