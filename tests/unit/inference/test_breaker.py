from __future__ import annotations

import asyncio

from inference.breaker import FAILURES, PAUSE_S, BytesInFlight, Circuit


def failing(times, at=100.0):
    circuit = Circuit()
    for _ in range(times):
        circuit = circuit.failed(at)
    return circuit


def test_a_few_failures_leave_the_circuit_closed():
    assert failing(FAILURES - 1).allows(100.0)


def test_a_server_that_is_away_is_not_asked_for_a_while():
    circuit = failing(FAILURES)

    assert not circuit.allows(100.0 + PAUSE_S / 2)
    assert circuit.allows(100.0 + PAUSE_S)


def test_after_the_pause_one_request_tries_and_the_others_wait_for_it():
    tried = failing(FAILURES).tried(100.0 + PAUSE_S)

    assert not tried.allows(100.0 + PAUSE_S + PAUSE_S / 2)


def test_an_answer_closes_the_circuit():
    assert failing(FAILURES).succeeded() == Circuit()


def test_a_failed_try_opens_it_again():
    again = failing(FAILURES).failed(200.0)

    assert not again.allows(200.0)


async def test_bytes_beyond_the_bound_wait_until_others_are_answered():
    bound, running, most = BytesInFlight(100), 0, 0

    async def request():
        nonlocal running, most
        async with bound.hold(40):
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            running -= 1

    await asyncio.gather(*(request() for _ in range(9)))

    assert most == 2


async def test_a_request_larger_than_the_bound_goes_alone():
    async with BytesInFlight(10).hold(1000):
        await asyncio.sleep(0)
