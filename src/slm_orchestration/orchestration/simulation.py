"""A simulated fleet: what waiting would be if more machines than this one ran the models. A simulation, no measurement.

Requests arrive at random, wait in one line per model and are served in order of arrival by the first free replica. The
service times are the measured profile's; nothing is known of networks, batching or failures here.
"""

from __future__ import annotations

import heapq
import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def waits(arrivals_s: Floats, service_s: Floats, replicas: int) -> Floats:
    """Return how long each request waits, in seconds; both arrays are in order of arrival."""
    if replicas < 1 or arrivals_s.shape != service_s.shape or (np.diff(arrivals_s) < 0).any():
        raise ValueError(f"replicas={replicas}: needs at least 1, and a service time for each of the sorted arrivals")
    free_s = [0.0] * replicas
    waited = np.empty_like(arrivals_s)
    for place, (arrival, service) in enumerate(zip(arrivals_s.tolist(), service_s.tolist(), strict=True)):
        start = max(arrival, heapq.heappop(free_s))
        heapq.heappush(free_s, start + service)
        waited[place] = start - arrival
    return waited


def fleet_latency(arrivals_s: Floats, model: NDArray[np.int64], service_s: Floats, replicas: int) -> Floats:
    """Return the seconds from arrival to answer of requests that go to `model`, each with `replicas` of its own."""
    latency_s = np.empty_like(arrivals_s)
    for each in np.unique(model):
        mine = model == each
        latency_s[mine] = waits(arrivals_s[mine], service_s[mine], replicas) + service_s[mine]
    return latency_s


def mean_wait(rate: float, mean_service_s: float, replicas: int) -> float:
    """Return the mean wait of M/M/c in seconds, infinite at saturation (Erlang C; Kleinrock 1975, section 3.5)."""
    load = rate * mean_service_s
    if load >= replicas:
        return math.inf
    below = sum(load**number / math.factorial(number) for number in range(replicas))
    full = load**replicas / math.factorial(replicas) * replicas / (replicas - load)
    return full / (below + full) * mean_service_s / (replicas - load)
