"""Hold what a chain's file names against what is there: the coin, prices, venues, lenders."""

from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Final

from msgspec import Struct

from keeper.app.mixed_up import Named, mixed_up
from keeper.app.totals import OLDEST_ANSWER_S
from keeper.config.chain_file import (
    ChainSettings,
    FlashSourceSettings,
    UniswapV2Settings,
    UniswapV3Settings,
    VenueSettings,
)
from keeper.core.chain import BlockRef, Call
from keeper.core.errors import KeeperError
from keeper.core.ports import Reader
from keeper.core.text import decimal
from keeper.core.units import WAD, Address
from keeper.evm.erc20 import DECIMALS, SYMBOL, symbol_of
from keeper.evm.words import WORD, address_at, ask, ask_int, int_at, selector
from keeper.oracle.chainlink import decode_round, round_call
from keeper.oracle.reference import ReferencePrices

Check = tuple[str, Address, Callable[[], Awaitable[str]]]
"""A key, a contract, and a check that says what is good, or raises KeeperError."""

_COIN_DECIMALS: Final = 18
_DESCRIPTION: Final = selector("description()")
_PAIRS: Final = selector("allPairsLength()")
_SPACING: Final = selector("feeAmountTickSpacing(uint24)")
_FACTORY: Final = selector("factory()")
_LENDERS: Final = {
    "aave_v3": ("a Pool of Aave V3", selector("FLASHLOAN_PREMIUM_TOTAL()")),
    "morpho_blue": ("Morpho Blue", selector("feeRecipient()")),
    "balancer_v2": ("a vault of Balancer V2", selector("getProtocolFeesCollector()")),
    "uniswap_v3": ("a pool of Uniswap V3", selector("tickSpacing()")),
    "inventory": ("an Inventory", selector("maxFlashLoan(address)") + bytes(WORD)),
}
"""What each kind of lender is, and a call that it answers."""


class ChainExam(Struct, frozen=True, kw_only=True):
    """Checks of one chain's file at a block."""

    chain: ChainSettings
    reader: Reader
    head: BlockRef

    def checks(self) -> Iterator[Check]:
        """Yield each check with its key and the contract that it is of."""
        chain, coin = self.chain, self.chain.wrapped_native
        yield "wrapped_native: token", coin, self._coin
        yield "native_feed: price", chain.native_feed, partial(self._price, coin, chain.native_feed)
        for token, feed in chain.price_feeds.items():
            yield f"price_feeds.{token}: price", feed, partial(self._price, token, feed)
        for number, venue in enumerate(chain.venues):
            work = partial(self._venue, venue)
            yield f"venues.{number}: {venue.name}", venue.factory, work
        for number, source in enumerate(chain.flash_sources):
            work = partial(self._lender, source)
            yield f"flash_sources.{number}: {source.kind}", source.pool, work

    async def _coin(self) -> str:
        """Check that the native coin's token has the coin's unit: gas is counted in it."""
        token = self.chain.wrapped_native
        decimals = int_at(await self._word(ask(token, DECIMALS), "a token with decimals()"), 0)
        symbol = await self._text(ask(token, SYMBOL))
        if decimals != _COIN_DECIMALS:
            msg = f"{token}: expected a token of {_COIN_DECIMALS} decimals, as the native coin has"
            raise KeeperError(f"{msg}, found {symbol} of {decimals}")
        return f"{symbol}, {decimals} decimals"

    async def _price(self, token: Address, feed: Address) -> str:
        """Check that a feed answers, lately, in the currency of the native coin's."""
        prices = await ReferencePrices(self.reader, {token: feed}).read(self.head)
        (answer,) = await self.reader.call_many([round_call(feed)], self.head)
        latest = decode_round(answer)
        if latest is None or token not in prices:
            raise KeeperError(f"{feed}: expected a Chainlink feed with an answer, found none")
        age = self.head.timestamp - latest.updated_at
        if age > OLDEST_ANSWER_S:
            expected = f"expected an answer of the last {OLDEST_ANSWER_S} s"
            raise KeeperError(f"{feed}: {expected}, found one {age} s old")
        await self._require_own(token, feed)
        said, own = await self._description(feed), await self._description(self.chain.native_feed)
        if said and own and _currency(said) != _currency(own):
            expected = f"expected a feed in {_currency(own)}, as the native coin's is"
            raise KeeperError(f"{feed}: {expected}, found {said!r}")
        symbol = await self._text(ask(token, SYMBOL))
        price = decimal(prices[token], WAD, 8)
        return f"{symbol}, {said or 'no description'}: {price}, {age} s old"

    async def _require_own(self, token: Address, feed: Address) -> None:
        """Raise KeeperError for a feed that stands in the place of another token's."""
        coin = (self.chain.wrapped_native, self.chain.native_feed)
        named = {
            f"{one} {its}": Named(
                symbol=await self._text(ask(one, SYMBOL)), description=await self._description(its)
            )
            for one, its in (coin, *self.chain.price_feeds.items())
        }
        own = named[f"{token} {feed}"]
        if (other := mixed_up(f"{token} {feed}", named)) is not None:
            found = f"found {own.description!r}, as {other} should have"
            raise KeeperError(f"{feed}: expected a feed of {own.symbol}, {found}")

    async def _venue(self, venue: VenueSettings) -> str:
        """Check that factory and quoter are what they are said to be, and each fee has pools."""
        if isinstance(venue, UniswapV2Settings):
            what = "a factory of Uniswap V2"
            pairs = int_at(await self._word(ask(venue.factory, _PAIRS), what), 0)
            return f"{pairs:,} pairs"
        return await self._uniswap_v3(venue)

    async def _uniswap_v3(self, venue: UniswapV3Settings) -> str:
        what = "a factory of Uniswap V3"
        for tier in venue.fee_tiers:
            answer = await self._word(ask_int(venue.factory, _SPACING, tier), what)
            if not int_at(answer, 0):
                msg = f"{venue.factory}: expected a factory with a fee tier of {tier}, found none"
                raise KeeperError(msg)
        quoter = ask(venue.quoter_v2, _FACTORY)
        found = address_at(await self._word(quoter, "a quoter of Uniswap V3"), 0)
        if found != venue.factory:
            msg = f"{venue.quoter_v2}: expected a quoter of {venue.factory}, found one of {found}"
            raise KeeperError(msg)
        return f"{len(venue.fee_tiers)} fee tiers, quoter of the same factory"

    async def _lender(self, source: FlashSourceSettings) -> str:
        what, question = _LENDERS[source.kind]
        await self._word(Call(to=source.pool, data=question), what)
        return what

    async def _description(self, feed: Address) -> str:
        return await self._text(ask(feed, _DESCRIPTION))

    async def _text(self, call: Call) -> str:
        """Return a text that a contract tells of itself, fit to show; empty when it does not."""
        (answer,) = await self.reader.call_many([call], self.head)
        return symbol_of(answer.data, call.to) if answer.success and answer.data else ""

    async def _word(self, call: Call, what: str) -> bytes:
        """Return an answer of a word at least; raise KeeperError when there is none."""
        (answer,) = await self.reader.call_many([call], self.head)
        if not answer.success or len(answer.data) < WORD:
            found = f"found a contract that does not answer 0x{call.data[:4].hex()}"
            raise KeeperError(f"{call.to}: expected {what}, {found}")
        return answer.data


def _currency(description: str) -> str:
    """Return what a feed prices in, by its description: ``USD`` of ``ETH / USD``."""
    return description.rpartition("/")[2].strip().upper()
