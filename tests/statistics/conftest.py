"""Values that R computed; tests/oracles/oracles.R is the script."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.fixture
def oracles() -> dict:
    return json.loads((Path(__file__).parents[1] / "oracles" / "oracles.json").read_text())
