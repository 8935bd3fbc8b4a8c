"""A second source is reckoned by the oldest feed of a name: anybody may add another one of it."""

from typing import cast

import pytest

from keeper.core.chain import BlockRef, Call
from keeper.core.lending import Feed
from keeper.core.ports import Reader
from keeper.core.units import Address
from keeper.evm.words import selector
from keeper.oracle.policy import OraclePolicy
from keeper.oracle.second_source import PoolOpinion
from keeper.oracle.watcher import PriceWatcher
from tests.support.ledger_records import account, block
from tests.support.scripted_reader import ScriptedReader, words

POOL, STAKED, ETHER = (account(number) for number in range(1, 4))
OURS, THEIRS, JUDGED = (account(number) for number in range(4, 7))
PRICE = selector("price()")
NOW: BlockRef = block(1)
OBSERVE = selector("observe(uint32[])") + words(32, 2, 600, 0)
OF_THE_POOL = {
    (POOL, selector("token0()")): words(int(STAKED, 16)),
    (POOL, selector("token1()")): words(int(ETHER, 16)),
    (POOL, OBSERVE): words(64, 128, 2, 0, 0, 2, 0, 0),
    (STAKED, selector("decimals()")): words(18),
    (ETHER, selector("decimals()")): words(18),
}
"""A mean tick of zero: one for one."""


def feed(oracle: Address, label: str) -> Feed:
    return Feed(
        id=oracle, label=label, read=Call(to=oracle, data=PRICE), source=oracle, direct=False
    )


FEEDS = [feed(OURS, "WETH/USDC"), feed(JUDGED, "wstETH/USDC"), feed(THEIRS, "WETH/USDC")]
OPINION = PoolOpinion(
    pool=POOL, base=STAKED, quote="WETH/USDC", window_s=600, most_bps=300, decimals=18
)


async def problems(judged: int, ours: int | None, theirs: int) -> dict[str, str]:
    """Return what is wrong of each price; the last feed has the name of the first one."""
    said = {(JUDGED, PRICE): words(judged), (THEIRS, PRICE): words(theirs)}
    if ours is not None:
        said[OURS, PRICE] = words(ours)
    reader = ScriptedReader(answers=OF_THE_POOL | said)
    policy = OraclePolicy(second_sources={"wstETH/USDC": OPINION})
    watcher = PriceWatcher(cast("Reader", reader), policy)
    await watcher.keep_following(FEEDS, NOW)
    return dict((await watcher.read(NOW, None)).problems)


@pytest.mark.parametrize("theirs", [1, 1_000, 10**30])
async def test_a_later_feed_of_the_same_name_bars_no_sound_price(theirs: int) -> None:
    assert await problems(1_000, 1_000, theirs) == {}


async def test_nor_does_it_make_a_wrong_price_pass() -> None:
    assert "expected 1000 within 3 %" in (await problems(2_000, 1_000, 2_000))[JUDGED]


async def test_nor_does_it_stand_in_for_the_first_one() -> None:
    assert "expected a second price" in (await problems(2_000, None, 2_000))[JUDGED]
