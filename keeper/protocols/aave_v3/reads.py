"""Read a market, whole or only what was touched."""

from collections.abc import Iterator, Mapping
from typing import Final

from keeper.core.lending import Touched
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.protocols.aave_v3 import codec
from keeper.protocols.aave_v3.health import view_at
from keeper.protocols.aave_v3.reserves import read_reserves, read_sources, refresh_reserves
from keeper.protocols.aave_v3.roots import (
    Asking,
    read_categories,
    read_root,
    read_sentinel,
    sequencer_status,
)
from keeper.protocols.aave_v3.state import AaveMarket, Reserve, Sentinel

_MOST_RESERVES: Final = 128
"""For which an account's word has flags: an id is asked for after its reserve was dropped too."""


async def read_whole(asking: Asking, provider: Address) -> AaveMarket:
    """Read a market from its root. Raises ConfigError when it is not what it should be."""
    root = await read_root(asking, provider)
    categories = await read_categories(asking, root)
    reserves = await read_reserves(asking, root)
    keys = sorted({one.price_source for one in categories.values() if one.price_source})
    market = AaveMarket(
        pool=root.pool,
        provider=root.provider,
        oracle=root.oracle,
        configurator=root.configurator,
        revision=root.revision,
        rules=root.rules,
        flash_premium_bps=root.flash_premium_bps,
        premium_to_protocol_bps=root.premium_to_protocol_bps,
        sentinel=await read_sentinel(asking, root),
        reserves=_by_id(reserves),
        ids={one.asset: one.id for one in reserves.values()},
        token_ids={token: one.id for one in reserves.values() for token in _tokens(one)},
        categories=categories,
        category_sources=await read_sources(asking, root.oracle, keys) if keys else {},
        block=asking.block.number,
        timestamp=asking.block.timestamp,
    )
    return view_at(market, asking.block.timestamp, {})


async def read_again(asking: Asking, previous: AaveMarket, touched: Touched) -> AaveMarket:
    """Read the touched reserves again, and the sequencer's status, in one round each."""
    known = [one for one in previous.reserves if one is not None]
    wanted = [one for one in known if one.asset in touched.parts]
    fresh = {one.id: one for one in known}
    if wanted:
        moved = await refresh_reserves(asking, previous.rules, previous.pool, wanted)
        fresh.update((one.id, one) for one in moved)
    market = replace(
        previous,
        sentinel=await _refresh_sentinel(asking, previous),
        reserves=_by_id(fresh),
        block=asking.block.number,
        timestamp=asking.block.timestamp,
    )
    return view_at(market, asking.block.timestamp, {})


async def _refresh_sentinel(asking: Asking, previous: AaveMarket) -> Sentinel | None:
    if previous.sentinel is None:
        return None
    call = codec.ask(previous.sentinel.feed, codec.LATEST_ROUND_DATA)
    (status,) = await asking.each([call])
    is_up, since = sequencer_status(previous.rules, status)
    return replace(previous.sentinel, is_up=is_up, since=since)


def _by_id(reserves: Mapping[int, Reserve]) -> tuple[Reserve | None, ...]:
    return tuple(reserves.get(i) for i in range(_MOST_RESERVES))


def _tokens(reserve: Reserve) -> Iterator[Address]:
    yield reserve.tokens.a_token
    yield reserve.tokens.variable_debt
    if reserve.tokens.stable_debt is not None:
        yield reserve.tokens.stable_debt
