"""Attacks and faults in numbers: `python -m tests.stress`, or `make stress`. One module for each kind of attack."""
