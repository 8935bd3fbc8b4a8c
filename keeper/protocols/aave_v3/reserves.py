"""Reserves: read whole, or only what transactions move."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct

from keeper.core.chain import Call, CallResult
from keeper.core.units import ZERO_ADDRESS, Address
from keeper.core.values import replace
from keeper.protocols.aave_v3 import codec
from keeper.protocols.aave_v3.revision import Rules
from keeper.protocols.aave_v3.roots import Asking, Root
from keeper.protocols.aave_v3.state import Reserve, Source, Supplied, Tokens

_STABLE_ENABLED_BIT = 59
_RESERVE_FACTOR_BIT = 64
_VIRTUAL_BIT = 252
_DATA_WORDS = 15


class ReserveWords(Struct, frozen=True, kw_only=True):
    """``getReserveData`` and the word of ``ReserveConfiguration``, unpacked."""

    configuration: int
    liquidity_index: int
    liquidity_rate: int
    variable_index: int
    variable_rate: int
    updated: int
    id: int
    a_token: Address
    stable_debt: Address | None
    variable_debt: Address
    treasury: int

    def bits(self, first: int, count: int) -> int:
        """Return bits of the configuration word."""
        return self.configuration >> first & ((1 << count) - 1)


def unpack(data: bytes) -> ReserveWords:
    """Return the legacy struct that every release answers ``getReserveData`` with."""
    stable = codec.address_at(data, 9)
    return ReserveWords(
        configuration=codec.int_at(data, 0),
        liquidity_index=codec.int_at(data, 1),
        liquidity_rate=codec.int_at(data, 2),
        variable_index=codec.int_at(data, 3),
        variable_rate=codec.int_at(data, 4),
        updated=codec.int_at(data, 6),
        id=codec.int_at(data, 7),
        a_token=codec.address_at(data, 8),
        stable_debt=None if stable == ZERO_ADDRESS else stable,
        variable_debt=codec.address_at(data, 10),
        treasury=codec.int_at(data, 12),
    )


class _Moving(NamedTuple):
    """What a reserve's transactions change."""

    words: ReserveWords
    grace_until: int
    cash: int
    held: int
    may_have_stable_debt: bool
    supplied: Supplied | None


async def read_reserves(asking: Asking, root: Root) -> dict[int, Reserve]:
    """Read every reserve of a market, by id."""
    calls = [codec.ask_address(root.pool, codec.GET_RESERVE_DATA, one) for one in root.assets]
    words = [unpack(data) for data in await asking.all(calls, "reserves")]
    tokens = await _read_tokens(asking, root, words)
    moving = await _read_moving(
        asking, root.rules, root.pool, dict(zip(root.assets, tokens, strict=True))
    )
    symbols = await asking.each([codec.ask(one, codec.SYMBOL) for one in root.assets])
    sources = await read_sources(asking, root.oracle, root.assets)
    found = {}
    for asset, its_tokens, symbol in zip(root.assets, tokens, symbols, strict=True):
        reserve = _reserve(
            asset=asset,
            symbol=codec.symbol_of(symbol.data if symbol.success else b"", asset),
            tokens=its_tokens,
            source=sources[asset],
            moving=moving[asset],
            rules=root.rules,
        )
        found[reserve.id] = reserve
    return found


async def refresh_reserves(
    asking: Asking, release: Rules, pool: Address, reserves: Sequence[Reserve]
) -> list[Reserve]:
    """Read again what moves of reserves that are already known."""
    tokens = {one.asset: one.tokens for one in reserves}
    moving = await _read_moving(asking, release, pool, tokens)
    return [_moved(one, moving[one.asset], release) for one in reserves]


async def read_sources(
    asking: Asking, oracle: Address, keys: Sequence[Address]
) -> dict[Address, Source]:
    """Read where prices come from. A key is an underlying, or a category's price source.

    A source is direct when it answers like a Chainlink proxy and the oracle repeats it.
    """
    answers = await asking.all(
        [codec.ask_address(oracle, codec.GET_SOURCE_OF_ASSET, key) for key in keys],
        "price sources",
    )
    addresses = [codec.address_at(data, 0) for data in answers]
    calls = [
        call
        for key, source in zip(keys, addresses, strict=True)
        for call in (
            codec.ask(source, codec.AGGREGATOR),
            codec.ask(source, codec.LATEST_ANSWER),
            codec.ask_address(oracle, codec.GET_ASSET_PRICE, key),
        )
    ]
    results = await asking.each(calls)
    found = {}
    for i, (key, address) in enumerate(zip(keys, addresses, strict=True)):
        aggregator, answer, price = results[3 * i : 3 * i + 3]
        direct = all(map(_is_word, (aggregator, answer, price))) and answer.data == price.data
        found[key] = Source(address=address, direct=direct)
    return found


async def _read_tokens(asking: Asking, root: Root, words: Sequence[ReserveWords]) -> list[Tokens]:
    calls = [codec.ask(one.a_token, codec.RESERVE_TREASURY_ADDRESS) for one in words]
    treasuries = await asking.all(calls, "treasuries")
    return [
        Tokens(
            a_token=one.a_token,
            variable_debt=one.variable_debt,
            stable_debt=one.stable_debt if root.rules.stable_debt else None,
            treasury=codec.address_at(treasury, 0),
        )
        for one, treasury in zip(words, treasuries, strict=True)
    ]


async def _read_moving(
    asking: Asking, release: Rules, pool: Address, tokens: Mapping[Address, Tokens]
) -> dict[Address, _Moving]:
    """Read, in one round, what moves of each reserve."""
    calls = [
        call for asset, one in tokens.items() for call in _moving_calls(release, pool, asset, one)
    ]
    answers = iter(await asking.all(calls, "reserves"))
    return {asset: _next_moving(release, one, answers) for asset, one in tokens.items()}


def _moving_calls(release: Rules, pool: Address, asset: Address, tokens: Tokens) -> Iterator[Call]:
    yield codec.ask_address(pool, codec.GET_RESERVE_DATA, asset)
    yield codec.ask_address(asset, codec.BALANCE_OF, tokens.a_token)
    if release.grace_period:
        yield codec.ask_address(pool, codec.GET_LIQUIDATION_GRACE_PERIOD, asset)
    if release.virtual_balance:
        yield codec.ask_address(pool, codec.GET_VIRTUAL_UNDERLYING_BALANCE, asset)
    if tokens.stable_debt is not None:
        yield codec.ask(tokens.stable_debt, codec.TOTAL_SUPPLY)
    if release.premium_lifts_index:
        yield codec.ask(tokens.a_token, codec.SCALED_TOTAL_SUPPLY)
        yield codec.ask(tokens.variable_debt, codec.SCALED_TOTAL_SUPPLY)


def _next_moving(release: Rules, tokens: Tokens, answers: Iterator[bytes]) -> _Moving:
    """Take the answers to ``_moving_calls`` in their order."""
    words = unpack(next(answers))
    cash = held = codec.int_at(next(answers), 0)
    grace_until = codec.int_at(next(answers), 0) if release.grace_period else 0
    if release.virtual_balance:
        virtual = codec.int_at(next(answers), 0)
        # Up to 3.3 a reserve may be exempt; since 3.4 all are accounted for and the bit is unused.
        if release.custom_errors or words.bits(_VIRTUAL_BIT, 1):
            cash = virtual
    stable_supply = codec.int_at(next(answers), 0) if tokens.stable_debt is not None else 0
    may_have_stable = tokens.stable_debt is not None and (
        stable_supply > 0 or words.bits(_STABLE_ENABLED_BIT, 1) == 1
    )
    supplied = None
    if release.premium_lifts_index:
        scaled, variable = (codec.int_at(next(answers), 0) for _ in range(2))
        if stable_supply == 0:
            supplied = Supplied(
                scaled=scaled,
                treasury=words.treasury,
                variable=variable,
                factor_bps=words.bits(_RESERVE_FACTOR_BIT, 16),
            )
    return _Moving(words, grace_until, cash, held, may_have_stable, supplied)


def _reserve(
    *, asset: Address, symbol: str, tokens: Tokens, source: Source, moving: _Moving, rules: Rules
) -> Reserve:
    words = moving.words
    bare = Reserve(
        id=words.id,
        asset=asset,
        symbol=symbol,
        unit=10 ** words.bits(48, 8),
        tokens=tokens,
        source=source,
        threshold_bps=0,
        bonus_bps=0,
        protocol_fee_bps=0,
        emode_category=0,
        is_active=False,
        is_paused=False,
        liquidity_index=0,
        variable_index=0,
        liquidity_rate=0,
        variable_rate=0,
        updated=0,
        grace_until=0,
        cash=0,
        held=0,
        may_have_stable_debt=False,
    )
    return _moved(bare, moving, rules)


def _moved(reserve: Reserve, moving: _Moving, release: Rules) -> Reserve:
    """Return the reserve with everything that moves replaced."""
    words = moving.words
    return replace(
        reserve,
        threshold_bps=words.bits(16, 16),
        bonus_bps=words.bits(32, 16),
        protocol_fee_bps=words.bits(152, 16),
        emode_category=0 if release.emode_bitmaps else words.bits(168, 8),
        is_active=bool(words.bits(56, 1)),
        is_paused=bool(words.bits(60, 1)),
        liquidity_index=words.liquidity_index,
        variable_index=words.variable_index,
        liquidity_rate=words.liquidity_rate,
        variable_rate=words.variable_rate,
        updated=words.updated,
        grace_until=moving.grace_until,
        cash=moving.cash,
        held=moving.held,
        may_have_stable_debt=moving.may_have_stable_debt,
        supplied=moving.supplied,
    )


def _is_word(result: CallResult) -> bool:
    return result.success and len(result.data) == codec.WORD
