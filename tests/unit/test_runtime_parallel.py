"""Work in parallel keeps order, respects the limit, and raises plain errors."""

import asyncio

import pytest

from keeper.chain.background import Background
from keeper.core.errors import TransientError
from keeper.runtime.parallel import each


async def test_results_come_in_the_order_of_the_items() -> None:
    async def work(item: int) -> int:
        await asyncio.sleep(0.001 * (5 - item))
        return item * 10

    assert await each(range(5), work, at_once=5) == [0, 10, 20, 30, 40]
    assert await each([], work, at_once=5) == []


async def test_no_more_than_the_limit_run_at_once() -> None:
    running, most = 0, 0

    async def work(_: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001)
        running -= 1

    await each(range(20), work, at_once=3)
    assert most == 3


async def test_an_error_of_ours_is_raised_as_itself() -> None:
    async def work(item: int) -> None:
        await asyncio.sleep(0)
        raise TransientError(f"item {item}")

    with pytest.raises(TransientError, match="item"):
        await each([1, 2], work, at_once=2)


async def test_a_defect_is_not_hidden_behind_an_error_of_ours() -> None:
    async def work(item: int) -> None:
        raise TransientError("passing") if item else ZeroDivisionError

    with pytest.raises(ExceptionGroup) as found:
        await each([0, 1], work, at_once=2)
    assert found.group_contains(ZeroDivisionError)


async def test_background_tasks_end_with_the_block_and_its_error_stays_itself() -> None:
    ended = asyncio.Event()

    async def serve() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def block() -> None:
        async with Background() as background:
            background.start(serve())
            await asyncio.sleep(0)
            raise TransientError("from the block")

    with pytest.raises(TransientError, match="from the block"):
        await block()
    assert ended.is_set()


async def test_a_background_task_that_fails_ends_the_block() -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    async def block() -> None:
        async with Background() as background:
            background.start(fail())
            await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup) as found:
        await block()
    assert found.group_contains(ZeroDivisionError)
