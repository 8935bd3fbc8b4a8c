"""A protocol that asks another oracle for the same feeds is followed there."""

from typing import cast

from keeper.core.chain import Call
from keeper.core.lending import Feed
from keeper.core.ports import Reader
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.evm.words import ask_address, selector
from keeper.oracle.watcher import PriceWatcher
from tests.support.ledger_records import account, block
from tests.support.scripted_reader import ScriptedReader, words

GET_PRICE = selector("getAssetPrice(address)")
ASSET, SOURCE, OLD, NEW = (account(number) for number in range(1, 5))


def asked(oracle: Address) -> Call:
    return ask_address(oracle, GET_PRICE, ASSET)


FEED = Feed(id=ASSET, label="DAI", read=asked(OLD), source=SOURCE, direct=False)


async def test_prices_are_read_from_the_oracle_that_the_protocol_asks_now() -> None:
    """The one before may be taken out of use: it says nothing then, or what is no more."""
    said = {(OLD, asked(OLD).data): words(7), (NEW, asked(NEW).data): words(100)}
    reader = ScriptedReader(answers=said)
    watcher = PriceWatcher(cast("Reader", reader))
    await watcher.keep_following([FEED], block(1))
    assert (await watcher.read(block(1), None)).prices[ASSET].value == 7
    await watcher.keep_following([replace(FEED, read=asked(NEW))], block(2))
    assert (await watcher.read(block(2), None)).prices[ASSET].value == 100
    rounds = len(reader.rounds)
    await watcher.keep_following([replace(FEED, read=asked(NEW))], block(3))
    assert len(reader.rounds) == rounds  # found out about once
