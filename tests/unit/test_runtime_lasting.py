"""No task ends in silence."""

import asyncio

import pytest

from keeper.runtime.lasting import EndedError, lasting
from tests.support.eventually import PATIENCE_S


async def ends() -> None:
    await asyncio.sleep(0)


async def is_cancelled_by_what_it_waits_for() -> None:
    other = asyncio.ensure_future(asyncio.Event().wait())
    asyncio.get_running_loop().call_soon(other.cancel)
    await other


async def fails() -> None:
    msg = "oops"
    raise ValueError(msg)


async def goes_on() -> None:
    await asyncio.Event().wait()


async def side_by_side(work) -> None:
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
        group.create_task(lasting(work))
        group.create_task(lasting(goes_on))


@pytest.mark.parametrize("work", [ends, is_cancelled_by_what_it_waits_for])
async def test_work_that_ends_though_it_was_to_go_on_is_an_error_in_its_group(work) -> None:
    with pytest.raises(ExceptionGroup) as found:
        await side_by_side(work)
    assert found.group_contains(EndedError, match=work.__name__)


async def test_what_it_raises_is_raised_as_it_is() -> None:
    with pytest.raises(ValueError, match="oops"):
        await lasting(fails)


async def test_work_that_may_end_does() -> None:
    await lasting(ends, lambda: True)


async def test_a_stray_cancellation_is_no_end_that_was_allowed() -> None:
    with pytest.raises(EndedError):
        await lasting(is_cancelled_by_what_it_waits_for, lambda: True)


async def test_a_cancellation_that_was_asked_for_is_one() -> None:
    running = asyncio.ensure_future(lasting(goes_on))
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
