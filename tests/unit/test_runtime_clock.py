"""The clock of the machine."""

import time

from keeper.runtime.clock import SystemClock


async def test_sleep_takes_the_time_it_is_given() -> None:
    clock = SystemClock()
    started = clock.monotonic()
    await clock.sleep(0.01)
    assert clock.monotonic() - started >= 0.009


async def test_a_sleep_into_the_past_returns() -> None:
    await SystemClock().sleep(-5.0)


def test_now_is_unix_time() -> None:
    assert abs(SystemClock().now() - time.time()) < 5
