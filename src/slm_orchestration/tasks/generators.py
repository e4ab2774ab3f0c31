"""reasoning-gym, loaded where it is first needed, also on machines without a C compiler."""

from __future__ import annotations

import sys
from types import ModuleType


def reasoning_gym() -> ModuleType:
    """Return the library of seeded generators and verifiers; importing it takes a second."""
    try:
        import pycosat  # noqa: F401
    except ImportError:
        # It has no wheels, needs a C compiler, and serves only the zebra puzzles, which no domain uses.
        sys.modules["pycosat"] = ModuleType("pycosat")
    import reasoning_gym as library

    return library
