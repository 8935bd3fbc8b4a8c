"""Read a deployment from its registry, whole or only what was touched."""

from collections.abc import Mapping, Sequence

from keeper.core.errors import ConfigError
from keeper.core.lending import Touched
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.evm.words import WORD, address_at, addresses_at_start, ask, int_at
from keeper.protocols.compound_v2 import codec as family
from keeper.protocols.compound_v2.asking import Asking
from keeper.protocols.compound_v2.sources import Priced, read_sources
from keeper.protocols.venus_isolated import codec
from keeper.protocols.venus_isolated.health import view_at
from keeper.protocols.venus_isolated.markets import read_markets, refresh_markets
from keeper.protocols.venus_isolated.parameters import Parameters
from keeper.protocols.venus_isolated.state import Deployment, Market, Pool, Source, numbered

_COMPTROLLER_WORD = 2
"""In a pool's words: name, creator, Comptroller, block, time."""


async def read_whole(asking: Asking, parameters: Parameters) -> Deployment:
    """Read a deployment from its registry. Raises ConfigError when it is not one."""
    registry = parameters.pool_registry
    question = [ask(registry, codec.GET_ALL_POOLS)]
    (listed,) = await asking.all(question, "parameters.pool_registry", "a PoolRegistry")
    comptrollers = pools_listed(listed)
    pools = await _read_pools(asking, comptrollers)
    answers = await asking.all([ask(one, family.GET_ALL_MARKETS) for one in pools], "pools")
    tokens: dict[Address, Address] = {}
    numbers: dict[Address, int] = {}
    for pool, (comptroller, data) in enumerate(zip(pools, answers, strict=True)):
        for market, token in enumerate(addresses_at_start(data)):
            tokens[token], numbers[token] = comptroller, numbered(pool, market)
    if not tokens:
        msg = f"{asking.deployment}: registry {registry}: expected pools with markets, found none"
        raise ConfigError(msg)
    markets = await read_markets(asking, tokens, numbers)
    (by_second,) = await asking.maybe([ask(next(iter(tokens)), codec.IS_TIME_BASED)])
    deployment = Deployment(
        registry=registry,
        by_second=by_second is not None and int_at(by_second, 0) == 1,
        pools=pools,
        markets=markets,
        numbers=numbers,
        sources=await _read_sources(asking, pools, tuple(markets.values())),
        block=asking.block.number,
        timestamp=asking.block.timestamp,
    )
    return view_at(deployment, asking.block.number, asking.block.timestamp, {})


async def read_again(asking: Asking, previous: Deployment, touched: Touched) -> Deployment:
    """Read the touched markets again, and those whose cash changes without an event."""
    known = previous.markets.values()
    wanted = [one for one in known if one.token in touched.parts or one.cash_is_balance]
    markets = dict(previous.markets)
    for one in await refresh_markets(asking, wanted):
        markets[one.number] = one
    deployment = replace(previous, markets=markets)
    return view_at(deployment, asking.block.number, asking.block.timestamp, {})


def pools_listed(data: bytes) -> list[Address]:
    """Return the Comptrollers in an answer to ``getAllPools``: structs that begin with a text."""
    start = int_at(data, 0) // WORD
    count = int_at(data, start)
    first = start + 1
    places = [first + int_at(data, first + one) // WORD for one in range(count)]
    return [address_at(data, place + _COMPTROLLER_WORD) for place in places]


async def _read_pools(asking: Asking, comptrollers: Sequence[Address]) -> Mapping[Address, Pool]:
    functions = (family.ORACLE, family.CLOSE_FACTOR, family.INCENTIVE, codec.LEAST_COLLATERAL)
    calls = [ask(one, function) for one in comptrollers for function in functions]
    answers = iter(await asking.all(calls, "pools"))
    return {
        one: Pool(
            comptroller=one,
            oracle=address_at(next(answers), 0),
            close_factor=int_at(next(answers), 0),
            incentive=int_at(next(answers), 0),
            least_collateral=int_at(next(answers), 0),
        )
        for one in comptrollers
    }


async def _read_sources(
    asking: Asking, pools: Mapping[Address, Pool], markets: Sequence[Market]
) -> Mapping[Address, Source]:
    found: dict[Address, Source] = {}
    for pool in pools.values():
        mine = [
            Priced(token=one.token, asset=one.asset, unit=one.unit)
            for one in markets
            if one.comptroller == pool.comptroller
        ]
        found |= await read_sources(asking, pool.oracle, mine)
    return found
