"""A second opinion on a price: another feed, or what a Uniswap V3 pool traded at of late.

The mean of a pool mirrors ``OracleLibrary.consult`` (Uniswap v3-periphery 1.4): the mean tick of
the window, rounded down. It guards acting; it never decides that an account may be liquidated.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from keeper.core.chain import BlockRef, Call, CallResult
from keeper.core.ports import Reader
from keeper.core.units import Address
from keeper.evm.words import WORD, address_at, ask, int_at, selector, signed_at, word_of_int
from keeper.oracle.chainlink import decode_round, round_call

_DECIMALS: Final = selector("decimals()")
_TOKEN0: Final = selector("token0()")
_TOKEN1: Final = selector("token1()")
_OBSERVE: Final = selector("observe(uint32[])")
_MOST_DECIMALS: Final = 77
_FIXED: Final = 256
_TICK_BASE: Final = (10_001 << _FIXED) // 10_000


class FeedOpinion(Struct, frozen=True, kw_only=True):
    """Another Chainlink proxy of the same price."""

    proxy: Address
    most_bps: int
    """How far the two may be apart."""
    decimals: int
    """Places of the protocol's own price; 8 is Aave's."""


class PoolOpinion(Struct, frozen=True, kw_only=True):
    """The mean price of a Uniswap V3 pool over a window."""

    pool: Address
    base: Address
    """The token that is priced; the pool's other token is the quote."""
    quote: str | None
    """Label of the feed that prices the other token; None when that token is the unit itself."""
    window_s: int
    most_bps: int
    decimals: int


Opinion = FeedOpinion | PoolOpinion


class Prepared(Struct, frozen=True, kw_only=True):
    """An opinion with what had to be read once: how to ask it, and how to read its answer."""

    opinion: Opinion
    call: Call
    places: int
    """Of a feed: its decimals. Of a pool: decimals of the base less those of the quote."""
    is_inverse: bool = False
    """True when the base is the pool's second token."""

    @property
    def where(self) -> str:
        """Return the source in words."""
        if isinstance(self.opinion, FeedOpinion):
            return f"feed {self.opinion.proxy}"
        return f"mean of {self.opinion.window_s} s in pool {self.opinion.pool}"

    def value(self, answer: CallResult, quotes: Mapping[str, int]) -> int | None:
        """Return the price in the protocol's scale, None when the source does not have one.

        ``quotes`` are the protocol's own prices by feed label.
        """
        if isinstance(self.opinion, FeedOpinion):
            latest = decode_round(answer)
            return None if latest is None else _scaled(latest.answer, self.places, self.opinion)
        return self._mean(self.opinion, answer, quotes)

    def _mean(
        self, opinion: PoolOpinion, answer: CallResult, quotes: Mapping[str, int]
    ) -> int | None:
        tick = _mean_tick(answer, opinion.window_s)
        unit = 10**opinion.decimals if opinion.quote is None else quotes.get(opinion.quote)
        if tick is None or unit is None:
            return None
        ratio = price_of_tick(-tick if self.is_inverse else tick) * unit
        scale: int = 10 ** abs(self.places)
        return (ratio * scale if self.places >= 0 else ratio // scale) >> _FIXED


async def prepare(
    reader: Reader, block: BlockRef, opinions: Mapping[str, Opinion]
) -> tuple[dict[str, Prepared], dict[str, str]]:
    """Read what never changes of each source; return those that can be asked, and why not others.

    Both are by the key of ``opinions``.
    """
    contracts = await _contracts(reader, block, opinions)
    ready: dict[str, Prepared] = {}
    unfit: dict[str, str] = {}
    for key, opinion in opinions.items():
        found = (
            _prepared_feed(opinion, contracts)
            if isinstance(opinion, FeedOpinion)
            else _prepared_pool(opinion, contracts)
        )
        if isinstance(found, Prepared):
            ready[key] = found
        else:
            unfit[key] = found
    return ready, unfit


def price_of_tick(tick: int) -> int:
    """Return 1.0001**tick as a fixed-point number of 256 binary places, rounded down."""
    result, power, left = 1 << _FIXED, _TICK_BASE, abs(tick)
    while left:
        if left & 1:
            result = result * power >> _FIXED
        power = power * power >> _FIXED
        left >>= 1
    return result if tick >= 0 else (1 << 2 * _FIXED) // result


class _Contracts(Struct, frozen=True, kw_only=True):
    tokens: Mapping[Address, tuple[Address, Address]]
    """Of each pool."""
    decimals: Mapping[Address, int]
    """Of each proxy and token."""


async def _contracts(
    reader: Reader, block: BlockRef, opinions: Mapping[str, Opinion]
) -> _Contracts:
    pools = sorted({one.pool for one in opinions.values() if isinstance(one, PoolOpinion)})
    proxies = {one.proxy for one in opinions.values() if isinstance(one, FeedOpinion)}
    sides = await _many(reader, block, [ask(p, f) for p in pools for f in (_TOKEN0, _TOKEN1)])
    tokens = {
        pool: (address_at(sides[2 * i].data, 0), address_at(sides[2 * i + 1].data, 0))
        for i, pool in enumerate(pools)
        if all(_is_word(side) for side in sides[2 * i : 2 * i + 2])
    }
    wanted = sorted(proxies | {token for pair in tokens.values() for token in pair})
    places = await _many(reader, block, [ask(one, _DECIMALS) for one in wanted])
    return _Contracts(
        tokens=tokens,
        decimals={
            one: int_at(answer.data, 0)
            for one, answer in zip(wanted, places, strict=True)
            if _is_word(answer) and int_at(answer.data, 0) <= _MOST_DECIMALS
        },
    )


def _prepared_feed(opinion: FeedOpinion, contracts: _Contracts) -> Prepared | str:
    places = contracts.decimals.get(opinion.proxy)
    if places is None:
        return f"expected decimals of the second feed {opinion.proxy}, found none"
    return Prepared(opinion=opinion, call=round_call(opinion.proxy), places=places)


def _prepared_pool(opinion: PoolOpinion, contracts: _Contracts) -> Prepared | str:
    pair = contracts.tokens.get(opinion.pool)
    if pair is None or opinion.base not in pair:
        found = "no pool" if pair is None else f"{pair[0]} and {pair[1]}"
        return f"expected a pool of {opinion.base} at {opinion.pool}, found {found}"
    quote = pair[1] if opinion.base == pair[0] else pair[0]
    if opinion.base not in contracts.decimals or quote not in contracts.decimals:
        return f"expected decimals of both tokens of pool {opinion.pool}, found none"
    return Prepared(
        opinion=opinion,
        call=_observe_call(opinion.pool, opinion.window_s),
        places=contracts.decimals[opinion.base] - contracts.decimals[quote],
        is_inverse=opinion.base == pair[1],
    )


def _observe_call(pool: Address, window_s: int) -> Call:
    """Return the call of ``observe([window_s, 0])``."""
    words = (word_of_int(WORD), word_of_int(2), word_of_int(window_s), word_of_int(0))
    return ask(pool, _OBSERVE, *words)


def _mean_tick(answer: CallResult, window_s: int) -> int | None:
    """Return the mean tick of an answer of ``observe``; None when the pool forgot the window."""
    if not answer.success or len(answer.data) < 5 * WORD:
        return None
    start = int_at(answer.data, 0) // WORD
    before, now = signed_at(answer.data, start + 1), signed_at(answer.data, start + 2)
    return (now - before) // window_s


def _scaled(answer: int, places: int, opinion: FeedOpinion) -> int:
    scaled: int = answer * 10**opinion.decimals // 10**places
    return scaled


def _is_word(result: CallResult) -> bool:
    return result.success and len(result.data) == WORD


async def _many(reader: Reader, block: BlockRef, calls: Sequence[Call]) -> list[CallResult]:
    return await reader.call_many(calls, block) if calls else []
