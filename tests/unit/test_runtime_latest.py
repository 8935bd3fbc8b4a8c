"""The mailbox of one slot."""

import asyncio

import pytest

from keeper.runtime.latest import Closed, Latest


async def test_the_newest_value_wins() -> None:
    box: Latest[int] = Latest()
    box.put(1)
    box.put(2)
    assert await box.get() == 2
    assert box.take() is None


async def test_get_waits_for_a_value() -> None:
    box: Latest[int] = Latest()
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(box.get())
        await asyncio.sleep(0)
        assert not reading.done()
        box.put(7)
    assert reading.result() == 7


async def test_a_value_is_taken_once() -> None:
    box: Latest[int] = Latest()
    box.put(1)
    await box.get()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await box.get()


async def test_merge_joins_what_waits_with_what_comes() -> None:
    box: Latest[set[int]] = Latest(merge=lambda waiting, newer: waiting | newer)
    box.put({1})
    box.put({2})
    assert await box.get() == {1, 2}
    box.put({3})
    assert await box.get() == {3}


async def test_none_is_a_value_like_any_other() -> None:
    box: Latest[None] = Latest()
    box.put(None)
    async with asyncio.timeout(90):
        await box.get()


async def test_what_waits_is_still_read_after_close() -> None:
    box: Latest[int] = Latest()
    box.put(1)
    box.close()
    assert [value async for value in box] == [1]
    with pytest.raises(Closed):
        await box.get()


async def test_close_wakes_the_reader() -> None:
    box: Latest[int] = Latest()
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(_drain(box))
        await asyncio.sleep(0)
        box.close()
    assert reading.result() == []


async def test_put_after_close_is_refused() -> None:
    box: Latest[int] = Latest()
    box.close()
    box.close()
    with pytest.raises(Closed):
        box.put(1)


async def test_an_offer_is_kept_while_open_and_dropped_after_close() -> None:
    box: Latest[int] = Latest()
    box.offer(1)
    box.close()
    box.offer(2)
    assert await _drain(box) == [1]


async def _drain(box: Latest[int]) -> list[int]:
    return [value async for value in box]


async def test_it_tells_whether_something_waits_or_nothing_will_come() -> None:
    mail: Latest[int] = Latest()
    assert not mail.is_waiting
    mail.put(1)
    assert mail.is_waiting
    assert await mail.get() == 1
    assert not mail.is_waiting
    mail.close()
    assert mail.is_waiting
