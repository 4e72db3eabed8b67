"""How many requests are under way, and for how long a busy endpoint is waited for."""

import asyncio

import pytest
from snakeval.gateway.patience import Gate, pause_after_failure_s, pause_of_busy_s, retry_after_s


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("5", 5.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 90.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("soon", None),
        ("nan", None),
        ("1e9", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    assert retry_after_s(value, now=10.0) == seconds


def test_pauses_grow_to_a_limit() -> None:
    assert pause_after_failure_s(1) < pause_after_failure_s(4) <= 31
    assert 5 <= pause_of_busy_s(None, 1) < pause_of_busy_s(None, 4)
    assert pause_of_busy_s(None, 50) <= 66
    assert pause_of_busy_s("7", 4) == 7.0


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_no_more_than_the_limit_are_under_way() -> None:
    async def run() -> None:
        gate = Gate(lambda: 2)
        most = 0

        async def work() -> None:
            nonlocal most
            await gate.enter()
            most = max(most, gate.under_way)
            await asyncio.sleep(0)
            gate.leave()

        await asyncio.gather(*[work() for _ in range(20)])
        assert (most, gate.under_way) == (2, 0)

    asyncio.run(run())


def test_a_busy_endpoint_gets_half_as_many_once_for_all_that_were_under_way() -> None:
    clock = Clock()
    gate = Gate(lambda: 16, clock)
    for _ in range(5):
        gate.busy(10.0)
    assert (gate.allowed, gate.paused_s) == (8, 10.0)
    clock.now += 11
    gate.busy(10.0)
    assert gate.allowed == 4
    clock.now += 11
    for _ in range(100):
        gate.succeeded()
    assert 8 < gate.allowed <= 16


def test_a_limit_that_changes_is_followed() -> None:
    limits = [4]
    gate = Gate(lambda: limits[0])
    assert gate.allowed == 4
    limits[0] = 2
    assert gate.allowed == 2
    limits[0] = 8
    gate.succeeded()
    assert 2 <= gate.allowed <= 8


def test_while_the_endpoint_wants_a_pause_nobody_is_let_through() -> None:
    async def run() -> None:
        gate = Gate(lambda: 2)
        gate.busy(0.05)
        loop = asyncio.get_running_loop()
        begin = loop.time()
        await gate.enter()
        assert loop.time() - begin >= 0.04

    asyncio.run(run())


def test_who_gives_up_waiting_takes_no_place() -> None:
    async def run() -> None:
        gate = Gate(lambda: 1)
        await gate.enter()
        waiting = asyncio.create_task(gate.enter())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        gate.leave()
        await asyncio.wait_for(gate.enter(), 1)
        assert gate.under_way == 1

    asyncio.run(run())
