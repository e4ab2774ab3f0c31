"""Language models: one protocol, and its implementations on this machine, behind a server, and scripted for tests."""

import os

# Before torch is imported: its threads soon sleep while they wait for each other, where by default they spin. Beside
# two other busy processes on two cores a call then takes half as long, and on a quiet machine a tenth longer.
os.environ.setdefault("GOMP_SPINCOUNT", "3000")
