"""Read a deployment, whole or only what was touched."""

from collections.abc import Mapping, Sequence

from keeper.core.errors import ConfigError
from keeper.core.lending import Touched
from keeper.core.units import WAD, ZERO_ADDRESS, Address
from keeper.core.values import replace
from keeper.evm.words import (
    address_at,
    addresses_at_start,
    ask,
    ask_int,
    int_at,
    word_of_address,
    word_of_int,
)
from keeper.protocols.compound_v2 import codec, rules
from keeper.protocols.compound_v2.asking import Asking
from keeper.protocols.compound_v2.health import view_at
from keeper.protocols.compound_v2.markets import Ground, read_markets, refresh_markets
from keeper.protocols.compound_v2.parameters import Parameters
from keeper.protocols.compound_v2.sources import Priced, read_sources
from keeper.protocols.compound_v2.state import (
    CORE_POOL,
    Action,
    Deployment,
    Liquidator,
    Market,
    Pool,
    Vai,
)

_FALLS_BACK_WORD = 2
_VAI_INDEX_SLOT = 15
"""Of ``vaiMintIndex``; the block of the last accrual, which no function tells, is in the next."""
_ACTIVE_WORD = 1


async def read_whole(asking: Asking, parameters: Parameters) -> Deployment:
    """Read a deployment from its Comptroller. Raises ConfigError when it is not one."""
    root = parameters.comptroller
    functions = (codec.ORACLE, codec.CLOSE_FACTOR, codec.GET_ALL_MARKETS)
    oracle, close_factor, listed = await asking.all(
        [ask(root, one) for one in functions], "parameters.comptroller", "a Comptroller"
    )
    tokens = addresses_at_start(listed)
    if not tokens:
        msg = f"{asking.deployment}: comptroller {root}: expected markets, found none"
        raise ConfigError(msg)
    pools = await _read_pools(asking, root)
    flags = await _read_flags(asking, root)
    (second,) = await asking.maybe([ask(tokens[0], codec.ACCRUED_AT_SECOND)])
    ground = Ground(
        comptroller=root,
        wrapped_native=parameters.wrapped_native,
        by_second=second is not None,
        incentive=flags[codec.INCENTIVE],
        seize_paused=flags[codec.SEIZE_PAUSED] == 1,
        pools=tuple(pools),
    )
    markets = await read_markets(asking, ground, tokens)
    place = address_at(oracle, 0)
    deployment = Deployment(
        comptroller=root,
        oracle=place,
        close_factor=int_at(close_factor, 0),
        paused=flags[codec.PROTOCOL_PAUSED] == 1,
        redeem_fee=flags[codec.TREASURY_PERCENT],
        by_second=ground.by_second,
        mul=rules.mul_exp_half_up if parameters.half_up else rules.mul_exp_truncated,
        markets=markets,
        numbers={one.token: one.number for one in markets},
        sources=await read_sources(asking, place, [_priced(one) for one in markets]),
        pools=pools,
        forces_accounts=await _forces_accounts(asking, root, tokens[0]),
        liquidator=await _read_liquidator(asking, root),
        vai=await _read_vai(asking, root),
        seizes_unentered=ground.seize_paused or await _seizes_unentered(asking, root, markets),
        block=asking.block.number,
        timestamp=asking.block.timestamp,
    )
    return view_at(deployment, asking.block.number, asking.block.timestamp, {})


def _priced(market: Market) -> Priced:
    asset = codec.NATIVE_ASSET if market.native else market.asset
    return Priced(token=market.token, asset=asset, unit=market.unit)


async def read_again(asking: Asking, previous: Deployment, touched: Touched) -> Deployment:
    """Read the touched markets again, and what changes without an event."""
    wanted = [one for one in previous.markets if one.token in touched.parts or one.cash_is_balance]
    markets = list(previous.markets)
    for one in await refresh_markets(asking, wanted, by_second=previous.by_second):
        markets[one.number] = one
    deployment = replace(
        previous, markets=tuple(markets), vai=await _refresh_vai(asking, previous.vai)
    )
    return view_at(deployment, asking.block.number, asking.block.timestamp, {})


async def _read_flags(asking: Asking, root: Address) -> dict[bytes, int]:
    """Read numbers that not every fork has; zero for one that it does not have."""
    functions = (
        codec.INCENTIVE,
        codec.SEIZE_PAUSED,
        codec.PROTOCOL_PAUSED,
        codec.TREASURY_PERCENT,
    )
    answers = await asking.maybe([ask(root, one) for one in functions])
    return {
        function: 0 if data is None else int_at(data, 0)
        for function, data in zip(functions, answers, strict=True)
    }


async def _read_pools(asking: Asking, root: Address) -> Mapping[int, Pool]:
    (last,) = await asking.maybe([ask(root, codec.LAST_POOL_ID)])
    if last is None:
        return {}
    numbers = range(1, int_at(last, 0) + 1)
    answers = await asking.all([ask_int(root, codec.POOLS, one) for one in numbers], "pools")
    return {
        number: Pool(
            active=int_at(data, _ACTIVE_WORD) == 1, falls_back=int_at(data, _FALLS_BACK_WORD) == 1
        )
        for number, data in zip(numbers, answers, strict=True)
    }


async def _forces_accounts(asking: Asking, root: Address, token: Address) -> bool:
    call = ask(
        root, codec.IS_FORCED_FOR_USER, word_of_address(ZERO_ADDRESS), word_of_address(token)
    )
    (answer,) = await asking.maybe([call])
    return answer is not None


async def _seizes_unentered(asking: Asking, root: Address, markets: Sequence[Market]) -> bool:
    """Return whether cTokens may be seized that back nothing, as on Compound; not on Venus.

    Asked of nobody, who entered no market. A Comptroller that does not say so does not; Compound's
    says nothing while all seizures are paused.
    """
    listed = next((one.token for one in markets if one.risks[CORE_POOL].listed), ZERO_ADDRESS)
    words = (listed, listed, ZERO_ADDRESS, ZERO_ADDRESS, ZERO_ADDRESS)
    call = ask(root, codec.SEIZE_ALLOWED, *map(word_of_address, words))
    (answer,) = await asking.maybe([call])
    return answer is not None and int_at(answer, 0) == 0


async def _read_liquidator(asking: Asking, root: Address) -> Liquidator | None:
    place = await _address_or_none(asking, root, codec.LIQUIDATOR_CONTRACT)
    if place is None:
        return None
    functions = (codec.LIQUIDATOR_PERCENT, codec.FORCE_VAI, codec.MIN_LIQUIDATABLE_VAI)
    percent, first, minimum = await asking.all([ask(place, f) for f in functions], "liquidator")
    return Liquidator(
        address=place,
        treasury_percent=int_at(percent, 0),
        vai_first=int_at(first, 0) == 1,
        vai_minimum=int_at(minimum, 0),
    )


async def _read_vai(asking: Asking, root: Address) -> Vai | None:
    controller = await _address_or_none(asking, root, codec.VAI_CONTROLLER)
    if controller is None:
        return None
    (token,) = await asking.all([ask(controller, codec.GET_VAI)], "VAI")
    place = word_of_address(controller)
    liquidation, mint, repayment, forced = (
        data is not None and int_at(data, 0) == 1
        for data in await asking.maybe(
            [
                ask(root, codec.ACTION_PAUSED, place, word_of_int(Action.LIQUIDATE)),
                ask(root, codec.VAI_MINT_PAUSED),
                ask(root, codec.VAI_REPAY_PAUSED),
                ask(root, codec.IS_FORCED, place),
            ]
        )
    )
    vai = Vai(
        controller=controller,
        token=address_at(token, 0),
        index=WAD,
        rate=0,
        accrued_at=0,
        liquidation_paused=liquidation,
        repayment_paused=mint or repayment,
        forced=forced,
    )
    return await _refresh_vai(asking, vai)


async def _refresh_vai(asking: Asking, vai: Vai | None) -> Vai | None:
    """Read the index of VAI's debt: it grows, and its rate changes, without an event."""
    if vai is None:
        return None
    functions = (codec.VAI_MINT_INDEX, codec.VAI_RATE)
    calls = [ask(vai.controller, one) for one in functions]
    index, rate = (int_at(data, 0) for data in await asking.all(calls, "VAI"))
    slots = [(vai.controller, slot) for slot in (_VAI_INDEX_SLOT, _VAI_INDEX_SLOT + 1)]
    stored, accrued_at = await asking.reader.storage_many(slots, asking.block)
    if stored != index:
        expected = f"expected the index {index} in slot {_VAI_INDEX_SLOT}"
        msg = f"{asking.deployment}: VAI controller {vai.controller}: {expected}, found {stored}"
        raise ConfigError(msg)
    return replace(vai, index=index, rate=rate, accrued_at=accrued_at)


async def _address_or_none(asking: Asking, to: Address, function: bytes) -> Address | None:
    (data,) = await asking.maybe([ask(to, function)])
    if data is None or address_at(data, 0) == ZERO_ADDRESS:
        return None
    return address_at(data, 0)
