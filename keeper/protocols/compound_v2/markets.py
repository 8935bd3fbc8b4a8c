"""Markets: read whole, or only what transactions move."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from keeper.core.units import ZERO_ADDRESS, Address
from keeper.core.values import replace
from keeper.evm.erc20 import DECIMALS, SYMBOL, symbol_of
from keeper.evm.words import address_at, ask, ask_address, int_at, word_of_address, word_of_int
from keeper.protocols.compound_v2 import codec
from keeper.protocols.compound_v2.asking import Asking
from keeper.protocols.compound_v2.rules import Stored
from keeper.protocols.compound_v2.state import CORE_POOL, Action, Market, Risk

_COMPOUND_WORDS = 3
_ACTIONS = tuple(Action)


class Ground(Struct, frozen=True, kw_only=True):
    """What reading markets needs to know of their Comptroller."""

    comptroller: Address
    wrapped_native: Address
    by_second: bool
    incentive: int
    """Of every market, where it is one for all; wad."""
    seize_paused: bool
    pools: tuple[int, ...]


async def read_markets(
    asking: Asking, ground: Ground, tokens: Sequence[Address]
) -> tuple[Market, ...]:
    """Read every market of a Comptroller, in its order."""
    underlying = await _read_underlying(asking, tokens)
    assets = [one or ground.wrapped_native for one in underlying]
    symbols = await asking.maybe([ask(one, SYMBOL) for one in assets])
    decimals = await asking.all([ask(one, DECIMALS) for one in assets], "decimals")
    risks = await _read_risks(asking, ground, tokens)
    paused = await _read_pauses(asking, ground, tokens)
    forced = await _read_forced(asking, ground, tokens)
    shares = await asking.maybe([ask(one, codec.SEIZE_SHARE) for one in tokens])
    tracked = await asking.maybe([ask(one, codec.INTERNAL_CASH) for one in tokens])
    bare = [
        Market(
            number=number,
            token=token,
            asset=assets[number],
            native=underlying[number] is None,
            symbol=symbol_of(symbols[number] or b"", assets[number]),
            unit=10 ** int_at(decimals[number], 0),
            risks=risks[number],
            paused=paused[number],
            forced=forced[number],
            seize_share=_int_or(shares[number], 0),
            reserve_factor=0,
            stored=Stored(cash=0, borrows=0, reserves=0, index=0, supply=0),
            rate=0,
            accrued_at=0,
            initial_rate=0,
            cash_is_balance=tracked[number] is None,
        )
        for number, token in enumerate(tokens)
    ]
    return tuple(await refresh_markets(asking, bare, by_second=ground.by_second))


async def refresh_markets(
    asking: Asking, markets: Sequence[Market], *, by_second: bool
) -> list[Market]:
    """Read again what moves of markets that are already known."""
    needed = _moving(by_second)
    calls = [ask(one.token, function) for one in markets for function in needed]
    words = [int_at(data, 0) for data in await asking.all(calls, "markets")]
    sheds = await asking.maybe(
        [ask(one.token, f) for one in markets for f in (codec.SHED_AT, codec.SHED_EVERY)]
    )
    return [
        _moved(
            one,
            words[i * len(needed) : (i + 1) * len(needed)],
            sheds[2 * i : 2 * i + 2],
        )
        for i, one in enumerate(markets)
    ]


def _moving(by_second: bool) -> tuple[bytes, ...]:  # noqa: FBT001 - one question, two clocks
    return (
        codec.GET_CASH,
        codec.TOTAL_BORROWS,
        codec.TOTAL_RESERVES,
        codec.BORROW_INDEX,
        codec.TOTAL_SUPPLY,
        codec.RESERVE_FACTOR,
        codec.EXCHANGE_RATE_STORED,
        codec.RATE_PER_SECOND if by_second else codec.RATE_PER_BLOCK,
        codec.ACCRUED_AT_SECOND if by_second else codec.ACCRUED_AT_BLOCK,
    )


def _moved(market: Market, words: Sequence[int], sheds: Sequence[bytes | None]) -> Market:
    """Take the answers to ``_moving`` in their order."""
    cash, borrows, reserves, index, supply, factor, exchange_rate, rate, accrued_at = words
    last, every = sheds
    return replace(
        market,
        stored=Stored(cash=cash, borrows=borrows, reserves=reserves, index=index, supply=supply),
        reserve_factor=factor,
        initial_rate=exchange_rate if supply == 0 else market.initial_rate,
        rate=rate,
        accrued_at=accrued_at,
        # Venus's native market is older than the payment of reserves and than pools.
        names_borrower=every is not None,
        sheds_at=None if last is None or every is None else int_at(last, 0) + int_at(every, 0),
    )


async def _read_underlying(asking: Asking, tokens: Sequence[Address]) -> list[Address | None]:
    """Read the underlying of each market, None of one of native coin: it says nothing, or zero."""
    answers = await asking.maybe([ask(one, codec.UNDERLYING) for one in tokens])
    found = [None if data is None else address_at(data, 0) for data in answers]
    return [None if one == ZERO_ADDRESS else one for one in found]


async def _read_risks(
    asking: Asking, ground: Ground, tokens: Sequence[Address]
) -> list[Mapping[int, Risk]]:
    """Read how each pool judges each market."""
    calls = [ask_address(ground.comptroller, codec.MARKETS, one) for one in tokens]
    core = await asking.all(calls, "markets")
    calls = [
        ask(ground.comptroller, codec.POOL_MARKETS, word_of_int(pool), word_of_address(token))
        for token in tokens
        for pool in ground.pools
    ]
    others = iter(await asking.all(calls, "markets of pools"))
    return [
        {CORE_POOL: _risk(data, ground.incentive)}
        | {pool: _risk(next(others), ground.incentive) for pool in ground.pools}
        for data in core
    ]


def _risk(data: bytes, incentive: int) -> Risk:
    """Return the risk in an answer to ``markets``: of Compound, or of Venus with thresholds."""
    listed = int_at(data, 0) == 1
    if len(data) // 32 <= _COMPOUND_WORDS:
        return Risk(threshold=int_at(data, 1), incentive=incentive, listed=listed)
    return Risk(threshold=int_at(data, 3), incentive=int_at(data, 4), listed=listed)


async def _read_pauses(
    asking: Asking, ground: Ground, tokens: Sequence[Address]
) -> list[frozenset[Action]]:
    calls = [
        ask(ground.comptroller, codec.ACTION_PAUSED, word_of_address(token), word_of_int(action))
        for token in tokens
        for action in _ACTIONS
    ]
    answers = [_int_or(data, 0) for data in await asking.maybe(calls)]
    everywhere = {Action.SEIZE} if ground.seize_paused else set()
    return [
        frozenset(
            everywhere.union(
                action
                for action, paused in zip(_ACTIONS, answers[i : i + len(_ACTIONS)], strict=True)
                if paused
            )
        )
        for i in range(0, len(answers), len(_ACTIONS))
    ]


async def _read_forced(asking: Asking, ground: Ground, tokens: Sequence[Address]) -> list[bool]:
    calls = [
        ask_address(ground.comptroller, function, token)
        for token in tokens
        for function in (codec.IS_FORCED, codec.IS_DEPRECATED)
    ]
    answers = [_int_or(data, 0) for data in await asking.maybe(calls)]
    return [any(answers[i : i + 2]) for i in range(0, len(answers), 2)]


def _int_or(data: bytes | None, default: int) -> int:
    return default if data is None else int_at(data, 0)
