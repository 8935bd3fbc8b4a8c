"""Where prices come from: what of an oracle's answers is a Chainlink feed's, unchanged.

Compound asks one oracle for everything. Venus's ResilientOracle asks a main oracle, checks it
against others, and the main one is mostly a ChainlinkOracle with a feed for each asset.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from keeper.core.units import ZERO_ADDRESS, Address
from keeper.core.values import replace
from keeper.evm.erc20 import DECIMALS
from keeper.evm.words import WORD, address_at, ask, ask_address, int_at, signed_at
from keeper.protocols.compound_v2 import codec
from keeper.protocols.compound_v2.asking import Asking
from keeper.protocols.compound_v2.state import Source

_PRICE_PLACES = 36
_ROUND_WORDS = 5


class Priced(NamedTuple):
    """A market whose price is looked for."""

    token: Address
    asset: Address
    """What the oracle calls the underlying."""
    unit: int


class _Asked(NamedTuple):
    market: Priced
    oracle: Address
    """The market's own, behind the Comptroller's."""


async def read_sources(
    asking: Asking, oracle: Address, markets: Sequence[Priced]
) -> Mapping[Address, Source]:
    """Return the source of each market's price; the oracle itself where no feed is behind it."""
    asked = await _main_oracles(asking, oracle, markets)
    main = {one.market.token: one.oracle for one in asked}
    feeds = await _feeds(asking, asked)
    found = {
        one.token: Source(address=oracle, multiplier=0, main=main.get(one.token)) for one in markets
    }
    calls = [
        call
        for market, feed in feeds
        for call in (
            ask(feed, DECIMALS),
            ask(feed, codec.LATEST_ROUND_DATA),
            ask_address(oracle, codec.GET_UNDERLYING_PRICE, market.token),
        )
    ]
    answers = await asking.maybe(calls)
    for i, (market, feed) in enumerate(feeds):
        multiplier = _multiplier(market, answers[3 * i : 3 * i + 3])
        if multiplier:
            found[market.token] = replace(found[market.token], address=feed, multiplier=multiplier)
    return found


async def _main_oracles(asking: Asking, oracle: Address, markets: Sequence[Priced]) -> list[_Asked]:
    """Return the oracle that a resilient one asks first of each market's asset."""
    answers = await asking.maybe(
        [ask_address(oracle, codec.GET_TOKEN_CONFIG, one.asset) for one in markets]
    )
    return [
        _Asked(market=market, oracle=address_at(data, 1))
        for market, data in zip(markets, answers, strict=True)
        if data is not None and len(data) >= 2 * WORD and address_at(data, 1) != ZERO_ADDRESS
    ]


async def _feeds(asking: Asking, asked: Sequence[_Asked]) -> list[tuple[Priced, Address]]:
    """Return the feed that each main oracle reads, where it names one."""
    answers = await asking.maybe(
        [ask_address(one.oracle, codec.TOKEN_CONFIGS, one.market.asset) for one in asked]
    )
    return [
        (one.market, address_at(data, 1))
        for one, data in zip(asked, answers, strict=True)
        if data is not None and len(data) >= 2 * WORD and address_at(data, 1) != ZERO_ADDRESS
    ]


def _multiplier(market: Priced, answers: Sequence[bytes | None]) -> int:
    """Return what takes the feed's answer to the price, 0 when the price is another."""
    decimals, round_data, price = answers
    if decimals is None or price is None or round_data is None:
        return 0
    if len(round_data) < _ROUND_WORDS * WORD:
        return 0
    places = _PRICE_PLACES - int_at(decimals, 0) - len(str(market.unit)) + 1
    if places < 0:
        return 0
    multiplier = 10**places
    return multiplier if signed_at(round_data, 1) * multiplier == int_at(price, 0) else 0
