"""Prices of tokens and of the native coin in one currency, beside what the protocols read.

A market whose assets are not priced against the native coin is tied to it by these: they value
forecasts and books, they never decide whether an account may be liquidated.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from keeper.core.chain import BlockRef, Call, CallResult
from keeper.core.ports import Reader
from keeper.core.units import WAD, Address, Hash32
from keeper.evm.words import WORD, ask, int_at, selector, signed_at
from keeper.oracle.chainlink import round_call

_DECIMALS: Final = selector("decimals()")
_MOST_DECIMALS: Final = 36
_ANSWER_WORD: Final = 1


class ReferencePrices:
    """Chainlink proxies that the operator names, one a token; all answer in one currency."""

    def __init__(self, reader: Reader, feeds: Mapping[Address, Address]) -> None:
        """Take the proxy of each token, the wrapped native coin among them."""
        self._reader = reader
        self._feeds = dict(feeds)
        self._read: tuple[Hash32, dict[Address, int]] | None = None
        """The newest block that was read, by its hash."""

    async def read(self, block: BlockRef) -> dict[Address, int]:
        """Return the price of each token at ``block``, wad; one that has none is left out.

        They are read once for a block.
        """
        if self._read is None or self._read[0] != block.hash:
            self._read = (block.hash, await self._read_at(block))
        return self._read[1]

    async def _read_at(self, block: BlockRef) -> dict[Address, int]:
        if not self._feeds:
            return {}
        proxies = sorted(set(self._feeds.values()))
        calls = [call for proxy in proxies for call in _calls(proxy)]
        results = await self._reader.call_many(calls, block)
        prices = {
            proxy: price
            for i, proxy in enumerate(proxies)
            if (price := _price(results[2 * i : 2 * i + 2])) is not None
        }
        return {token: prices[proxy] for token, proxy in self._feeds.items() if proxy in prices}


def _calls(proxy: Address) -> tuple[Call, Call]:
    return ask(proxy, _DECIMALS), round_call(proxy)


def _price(answers: Sequence[CallResult]) -> int | None:
    """Return a proxy's answer as a wad, None when it does not answer like one."""
    decimals, answer = answers
    if not (decimals.success and answer.success):
        return None
    if len(decimals.data) != WORD or len(answer.data) < 2 * WORD:
        return None
    places, value = int_at(decimals.data, 0), signed_at(answer.data, _ANSWER_WORD)
    if places > _MOST_DECIMALS or value <= 0:
        return None
    unit: int = 10**places
    return value * WAD // unit
