"""A server is played by a clock: how many calls it finishes per second at each limit."""

import asyncio

import pytest

from slm_orchestration.models.concurrency import Concurrency


class Server:
    """Finishes one call per second and slot, up to `most` slots; time passes only here."""

    def __init__(self, most: float) -> None:
        self.most, self.now = most, 0.0

    def answers(self, concurrency: Concurrency, calls: int) -> list[int]:
        """Return the limit after each of `calls` answered calls."""
        limits = []
        for _ in range(calls):
            self.now += 1 / min(concurrency.limit, self.most)
            concurrency.finished()
            limits.append(concurrency.limit)
        return limits


def test_a_given_number_stays_whatever_the_server_does():
    server = Server(most=100)
    concurrency = Concurrency(3, lambda: server.now)
    concurrency.overloaded(server.now)
    assert set(server.answers(concurrency, 50)) == {3}


def test_the_limit_grows_by_a_half_per_window_while_the_server_gets_faster():
    server = Server(most=100)
    # At 8 the first 8 calls are not timed and the next 16 are; at 12, 12 and 16; at 18, as many are timed as not.
    limits = server.answers(Concurrency(None, lambda: server.now), 24 + 28 + 36)
    assert (limits[22], limits[23], limits[50], limits[51], limits[-1]) == (8, 12, 12, 18, 27)


def test_the_limit_stays_near_what_keeps_the_server_busy():
    server = Server(most=20)
    limits = server.answers(Concurrency(None, lambda: server.now), 4000)[500:]
    assert min(limits) >= 12 and max(limits) <= 45  # one step below 20 and two above


def test_a_server_that_gets_no_faster_gets_few_calls_and_one_that_always_does_gets_256():
    slow, fast = Server(most=1), Server(most=10**6)
    assert max(slow.answers(Concurrency(None, lambda: slow.now), 1000)[300:]) <= 4
    assert fast.answers(Concurrency(None, lambda: fast.now), 5000)[-1] == 256


def test_an_overload_halves_the_limit_once_for_all_calls_made_before():
    server = Server(most=100)
    concurrency = Concurrency(None, lambda: server.now)
    server.answers(concurrency, 24 + 28 + 36)
    assert concurrency.limit == 27
    made, server.now = server.now, server.now + 1
    for _ in range(27):
        concurrency.overloaded(made)
    assert concurrency.limit == 13
    for _ in range(9):
        server.now += 1
        concurrency.overloaded(server.now)
    assert concurrency.limit == 1
    server.answers(concurrency, 1 + 16)
    assert concurrency.limit == 2


@pytest.mark.parametrize(("limits", "running"), [([4], 4), ([4, 6], 6), ([4, 6, 3], 3), ([4, 2, 1, 2, 7], 7)])
def test_no_more_calls_run_than_the_limit_and_no_slot_is_lost(limits, running):
    async def most_running() -> int:
        concurrency, now, most = Concurrency(limits[0]), 0, 0
        for limit in limits[1:]:
            concurrency._change(limit)

        async def call() -> None:
            nonlocal now, most
            async with concurrency:
                now += 1
                most = max(most, now)
                await asyncio.sleep(0)
                now -= 1

        # A slot too many is given up when its call ends, so the second round has exactly as many as the limit.
        async with asyncio.timeout(10):  # a lost slot would let the calls wait for ever
            await asyncio.gather(*(call() for _ in range(20)))
            most = 0
            await asyncio.gather(*(call() for _ in range(20)))
        return most

    assert asyncio.run(most_running()) == running
