"""Markets without the native coin are tied to it by a token that a reference prices too."""

from typing import Any, cast

import pytest

from keeper.app.books import Appraiser, valuation
from keeper.core.errors import StaleError
from keeper.core.lending import AccountRef
from keeper.core.ports import Reader
from keeper.core.units import WAD, Address, Hash32
from keeper.core.values import replace
from keeper.oracle.reference import ReferencePrices
from keeper.oracle.watcher import PriceWatcher
from keeper.protocols.morpho_blue.adapter import MorphoAdapter
from keeper.protocols.morpho_blue.codec import PRICE
from keeper.protocols.morpho_blue.parameters import Parameters
from tests.support.lending_desk import BLOCK
from tests.support.morpho_market import MARKETS, MORPHO, PRICES, USDC, WBTC, WETH, deployment
from tests.support.scripted_reader import ScriptedReader, words

ADAPTER = MorphoAdapter(deployment="m", start_block=0, parameters=Parameters(morpho=MORPHO))
IN_USDC, IN_WETH, OF_USDC = (one.id for one in MARKETS)
"""WETH lent against USDC, WBTC against WETH, USDC against WBTC: 2,000 and 30,000 dollars."""
DOLLARS = {USDC.address: WAD, WETH.address: 2_000 * WAD, WBTC.address: 30_000 * WAD}
FEED, OTHER_FEED = (Address("0x" + one * 20) for one in ("f1", "f2"))


def test_a_market_of_the_native_coin_needs_no_reference():
    for market in (IN_USDC, IN_WETH):
        found = valuation(ADAPTER, deployment(), WETH.address, market=market, reference={})
        assert found.wei_floor(WETH.address, WAD) == WAD
    assert found.wei_floor(WBTC.address, 10**8) == 15 * WAD


def test_a_market_without_it_is_tied_by_either_of_its_tokens():
    for token in (USDC.address, WBTC.address):
        known = {token: DOLLARS[token], WETH.address: DOLLARS[WETH.address]}
        found = valuation(ADAPTER, deployment(), WETH.address, market=OF_USDC, reference=known)
        assert abs(found.wei_floor(USDC.address, 2_000 * 10**6) - WAD) < 10**3
        assert abs(found.wei_floor(WBTC.address, 10**8) - 15 * WAD) < 10**3


@pytest.mark.parametrize("known", [{}, {USDC.address: WAD}, {WETH.address: 2_000 * WAD}])
def test_a_market_that_nothing_ties_is_not_valued(known: dict[Address, int]):
    with pytest.raises(StaleError, match="price_feeds"):
        valuation(ADAPTER, deployment(), WETH.address, market=OF_USDC, reference=known)


def feed(answer: int, decimals: int, proxy: Address = FEED) -> dict[tuple[Address, bytes], bytes]:
    return {
        (proxy, bytes.fromhex("313ce567")): words(decimals),
        (proxy, bytes.fromhex("feaf968c")): words(7, answer % 2**256, 1, 1, 7),
    }


def prices(answers: dict[tuple[Address, bytes], bytes]) -> ReferencePrices:
    reader = cast("Reader", ScriptedReader(answers=answers))
    return ReferencePrices(reader, {USDC.address: FEED, WETH.address: OTHER_FEED})


async def test_references_are_wads_whatever_the_decimals_of_a_feed():
    answers = feed(10**8, 8) | feed(2_000 * WAD, 18, OTHER_FEED)
    assert await prices(answers).read(BLOCK) == {
        USDC.address: WAD,
        WETH.address: 2_000 * WAD,
    }


@pytest.mark.parametrize(("answer", "decimals"), [(0, 8), (-1, 8), (10**8, 77)])
async def test_a_feed_that_answers_oddly_is_none(answer: int, decimals: int):
    assert await prices(feed(answer, decimals)).read(BLOCK) == {}


@pytest.mark.parametrize("size", [None, 0, 31, 33, 63])
async def test_a_feed_that_reverts_or_answers_another_size_is_none(size: int | None):
    """An address without code answers with nothing."""
    whole = feed(10**8, 8)
    for one, data in whole.items():
        spoilt = {key: value for key, value in whole.items() if key != one}
        if size is not None:
            spoilt[one] = data.ljust(size, b"\0")[:size]
        assert await prices(spoilt).read(BLOCK) == {}


async def test_without_feeds_nothing_is_asked():
    reader = cast("Reader", ScriptedReader(answers={}))
    assert await ReferencePrices(reader, {}).read(BLOCK) == {}


async def test_a_block_is_asked_for_once_and_the_next_one_anew():
    reader = ScriptedReader(answers=feed(10**8, 8) | feed(2_000 * WAD, 18, OTHER_FEED))
    reference = ReferencePrices(
        cast("Reader", reader), {USDC.address: FEED, WETH.address: OTHER_FEED}
    )
    following = replace(BLOCK, number=BLOCK.number + 1, hash=Hash32("0x" + "ef" * 32))
    for block in (BLOCK, BLOCK, following):
        await reference.read(block)
    assert reader.blocks == [BLOCK, following]


async def test_of_a_market_that_leans_on_it_the_reference_is_read_ahead():
    reader = ScriptedReader(answers=feed(10**8, 8))
    reference = ReferencePrices(cast("Reader", reader), {USDC.address: FEED})
    nobody: Any = None
    appraiser = Appraiser[Any, Any](ADAPTER, nobody, reference, WETH.address)
    refs = [AccountRef(market=OF_USDC, account=MORPHO)]
    await appraiser.make_ready(refs, BLOCK)
    assert reader.blocks == []  # nothing is known of the market yet
    await appraiser.prepare(deployment(), refs, BLOCK)
    following = replace(BLOCK, number=BLOCK.number + 1, hash=Hash32("0x" + "ef" * 32))
    await appraiser.make_ready(refs, following)
    await appraiser.prepare(deployment(), refs, following)
    assert reader.blocks == [BLOCK, following]
    await appraiser.make_ready([AccountRef(market=IN_USDC, account=MORPHO)], BLOCK)
    assert reader.blocks == [BLOCK, following]


async def valued(answers: dict[tuple[Address, bytes], bytes]) -> bool:
    """Return whether a market has a value at a block where the node answers so."""
    market = MARKETS[1]
    reader = cast("Reader", ScriptedReader(answers=answers))
    watcher = PriceWatcher(reader)
    await watcher.keep_following(ADAPTER.feeds(deployment(early=())), BLOCK)
    reference = ReferencePrices(reader, {})
    appraiser = Appraiser[Any, Any](ADAPTER, watcher, reference, WETH.address)
    appraiser.take(deployment(early=()))
    found = await appraiser.at_block(BLOCK, AccountRef(market=market.id, account=MORPHO))
    return found is not None


async def test_at_a_block_at_which_the_oracle_is_silent_there_is_no_value():
    oracle = MARKETS[1].params.oracle
    assert await valued({(oracle, PRICE): words(PRICES[oracle])})
    assert not await valued({})
