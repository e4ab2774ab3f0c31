"""Studies of the orchestrator use its records by hand and a cache folder of their own."""

from tests.serving.conftest import own_cache, records

__all__ = ["own_cache", "records"]
