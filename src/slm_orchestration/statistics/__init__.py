"""Estimates, intervals and tests: pure functions of tables."""
