"""What is measured of a load, with latencies that a reader can add up."""

import asyncio

import numpy as np
import pytest

from slm_orchestration.studies.load import (
    ANSWERED,
    FAILED,
    LOST,
    LoadClient,
    LoadMeasurement,
    arrivals,
    closed_loop,
    open_loop,
    summary,
    windows,
)
from tests.serving.gateway.echo_server import serving


def test_equal_seeds_give_equal_arrivals_at_about_the_asked_rate():
    first, second = (arrivals(200.0, 50.0, rng=np.random.default_rng(1)) for _ in range(2))
    assert np.array_equal(first, second)
    assert first[0] == 0
    assert first[-1] < 50
    assert len(first) == pytest.approx(200 * 50, abs=4 * np.sqrt(200 * 50))


def test_a_stall_counts_for_every_request_that_was_meant_to_start_in_it():
    async def scene():
        turn = asyncio.Lock()

        async def send(number):
            async with turn:  # a server with one place that is stuck once
                await asyncio.sleep(0.3 if number == 0 else 0)
            return ANSWERED

        return await open_loop(send, np.array([0.0, 0.1, 0.2]), patience_s=5)

    measured = asyncio.run(scene())
    latency_s = np.array(measured.ended_s) - np.array(measured.intended_s)
    assert latency_s == pytest.approx([0.3, 0.2, 0.1], abs=0.05)


def test_a_load_that_is_cut_off_keeps_what_it_has():
    async def scene():
        async def send(number):
            await asyncio.sleep(0.05)
            return ANSWERED

        loading = asyncio.create_task(open_loop(send, np.arange(0, 60, 0.02), patience_s=5))
        await asyncio.sleep(0.2)
        loading.cancel()
        return await loading

    measured = asyncio.run(scene())
    assert 1 <= len(measured.ends) < 50
    assert set(measured.ends) == {ANSWERED}


def test_a_load_without_an_ended_request_says_so():
    with pytest.raises(ValueError, match="no request has ended, so there is nothing to measure"):
        summary(LoadMeasurement())


def test_a_closed_loop_that_is_cut_off_keeps_what_it_has():
    async def scene():
        async def send(number):
            await asyncio.sleep(0.05)
            return ANSWERED

        loading = asyncio.create_task(closed_loop(send, 2, 60, patience_s=5))
        await asyncio.sleep(0.2)
        loading.cancel()
        return await loading

    measured = asyncio.run(scene())
    assert 2 <= len(measured.ends) <= 8
    assert set(measured.ends) == {ANSWERED}


def test_a_client_of_a_closed_loop_waits_for_its_answer():
    async def scene():
        running, most = [], []

        async def send(number):
            running.append(number)
            most.append(len(running))
            await asyncio.sleep(0.01)
            running.remove(number)
            return ANSWERED

        return max(most_of(await closed_loop(send, 3, 0.1, patience_s=5), most))

    def most_of(measured, most):
        assert len(measured.ends) >= 6
        return most

    assert asyncio.run(scene()) == 3


def test_a_request_without_an_end_is_lost_and_not_forgotten():
    async def scene():
        async def send(number):
            await asyncio.sleep(60 if number == 1 else 0)
            return ANSWERED

        return await open_loop(send, np.array([0.0, 0.001, 0.002]), patience_s=0.05)

    assert sorted(asyncio.run(scene()).ends) == [ANSWERED, ANSWERED, LOST]


def test_the_row_counts_ends_and_takes_percentiles_of_answers_alone():
    measured = LoadMeasurement()
    for number in range(100):
        measured.add(number / 10, number / 10 + (number + 1) / 100, ANSWERED)
    measured.add(10.0, 30.0, FAILED)
    row = summary(measured)
    assert (row["requests"], row["answered"], row["failed"], row["refused"], row["lost"]) == (101, 100, 1, 0, 0)
    assert row["p50_s"] == pytest.approx(0.505)
    assert row["p99_s"] == pytest.approx(0.9901)
    assert row["achieved_rps"] == pytest.approx(100 / 30)
    assert row["p50_low"] < row["p50_s"] < row["p50_high"]


def test_windows_share_the_requests_out_by_their_intended_start():
    measured = LoadMeasurement()
    for start, latency in ((0.0, 0.1), (0.4, 0.2), (0.6, 0.9), (1.0, 0.1)):
        measured.add(start, start + latency, ANSWERED)
    parts = windows(measured, number=2)
    assert parts["answered"].tolist() == [2, 2]
    assert parts["p50_s"].tolist() == pytest.approx([0.15, 0.5])


def test_a_growing_queue_keeps_its_values_inside_their_intervals():
    measured = LoadMeasurement()
    for number in range(100):  # 10 a second arrive, 5 a second are served
        measured.add(number / 10, (number + 1) / 5, ANSWERED)
    row = summary(measured)
    for name in ("p50", "p99"):
        assert 0 <= row[f"{name}_low"] < row[f"{name}_s"] < row[f"{name}_high"]
    assert (row["achieved_low"], row["achieved_rps"], row["achieved_high"]) == pytest.approx((5, 5, 5), abs=0.4)


def test_intervals_of_a_queue_in_its_steady_state_cover_the_percentile():
    rng, covered = np.random.default_rng(0), []
    for _ in range(200):  # one server that is busy half of the time: sojourn times are exponential of mean 2 (M/M/1)
        starts, ends, free = np.cumsum(rng.exponential(2, size=1_500)), [], 0.0
        for start, service in zip(starts, rng.exponential(1, size=1_500), strict=True):
            free = max(free, start) + service
            ends.append(free)
        row = summary(LoadMeasurement(starts.tolist(), ends, [ANSWERED] * 1_500))
        covered.append(row["p50_low"] <= 2 * np.log(2) <= row["p50_high"])
    assert 0.90 <= np.mean(covered) <= 0.99


def test_the_light_client_uses_its_connection_again_and_tells_ends_apart():
    with serving() as one:

        async def scene():
            client = LoadClient("127.0.0.1", one.port)
            ends = [await client.chat(text) for text in ("hello", "fail", "hello")]
            kept = len(client._idle)
            client.close()
            return ends, kept

        assert asyncio.run(scene()) == (["answered", "refused", "answered"], 1)
