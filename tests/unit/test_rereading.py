"""Feeds that an event does not tell the price of are asked for once, as soon as it is heard of."""

import asyncio
from typing import cast

import pytest

from keeper.core.chain import BlockRef, Call, CallResult
from keeper.core.errors import TransientError
from keeper.core.lending import Feed
from keeper.core.ports import Reader
from keeper.evm.words import selector
from keeper.oracle.rereading import Rereading
from tests.support.ledger_records import account, block
from tests.support.scripted_reader import ScriptedReader, words

READ = selector("latestAnswer()")


def feed(number: int) -> Feed:
    source = account(number)
    read = Call(to=source, data=READ)
    return Feed(id=f"feed {number}", label=f"F{number}", source=source, read=read, direct=False)


ONE, OTHER = feed(1), feed(2)
SAID = {(ONE.source, READ): words(150), (OTHER.source, READ): words(7, 8)}


def scene() -> tuple[ScriptedReader, Rereading]:
    reader = ScriptedReader(answers=SAID)
    return reader, Rereading(cast("Reader", reader))


async def test_what_was_begun_is_asked_once() -> None:
    reader, rereading = scene()
    rereading.begin([ONE, OTHER], block(7))
    await asyncio.sleep(0)
    assert len(reader.rounds) == 1
    assert await rereading.at([ONE, OTHER], block(7)) == {ONE.id: 150, OTHER.id: None}
    assert len(reader.rounds) == 1
    await rereading.at([ONE, OTHER], block(7))
    assert len(reader.rounds) == 2


@pytest.mark.parametrize(("feeds", "at"), [([ONE], block(7)), ([ONE, OTHER], block(8))])
async def test_other_feeds_and_another_block_are_asked_for(feeds: list[Feed], at: BlockRef) -> None:
    reader, rereading = scene()
    rereading.begin([ONE, OTHER], block(7))
    await asyncio.sleep(0)
    found = await rereading.at(feeds, at)
    assert found[ONE.id] == 150
    assert (reader.blocks, len(reader.rounds[-1])) == ([block(7), at], len(feeds))


class Failing:
    """A node that does not answer."""

    async def call_many(self, *_: object) -> list[CallResult]:
        raise TransientError("no answer")


async def test_an_error_is_told_to_who_asks_and_to_nobody_else() -> None:
    rereading = Rereading(cast("Reader", Failing()))
    rereading.begin([ONE], block(7))
    with pytest.raises(TransientError, match="no answer"):
        await rereading.at([ONE], block(7))
    rereading.begin([ONE], block(7))
    await asyncio.sleep(0)  # an error that nobody looked at would fail the test at its end


async def test_where_no_feed_is_behind_an_adapter_nothing_is_asked() -> None:
    reader, rereading = scene()
    rereading.begin([], block(7))
    await asyncio.sleep(0)
    assert reader.rounds == []
