"""A small Aave market made by hand, for tests that need no chain."""

from collections.abc import Mapping

from keeper.core.lending import AccountRef, Option
from keeper.core.units import RAY, Address
from keeper.core.values import replace
from keeper.protocols.aave_v3.health import view_at
from keeper.protocols.aave_v3.revision import V3_0, Rules
from keeper.protocols.aave_v3.state import (
    AaveMarket,
    AavePosition,
    Category,
    Reserve,
    Sentinel,
    Source,
    Tokens,
)

NOW = 1_700_000_000
USD = 10**8

WETH, USDC, WBTC = (Address("0x" + f"{number:02x}" * 20) for number in (0xA0, 0xA1, 0xA2))
POOL = Address("0x" + "01" * 20)
ORACLE = Address("0x" + "02" * 20)
CONFIGURATOR = Address("0x" + "03" * 20)
PROVIDER = Address("0x" + "04" * 20)
TREASURY = Address("0x" + "05" * 20)
ALICE = Address("0x" + "0a" * 20)

PRICES = {WETH: 2_000 * USD, USDC: USD, WBTC: 30_000 * USD}


def token(number: int, kind: int) -> Address:
    """Return the address of a reserve's aToken (1), stable (2) or variable debt token (3)."""
    return Address("0x" + f"{number:02x}{kind:02x}" * 10)


def reserve(number: int, asset: Address, symbol: str, decimals: int, **changed: object) -> Reserve:
    """Return a reserve with indices of one and no interest."""
    plain = Reserve(
        id=number,
        asset=asset,
        symbol=symbol,
        unit=10**decimals,
        tokens=Tokens(
            a_token=token(number, 1),
            stable_debt=token(number, 2),
            variable_debt=token(number, 3),
            treasury=TREASURY,
        ),
        source=Source(address=Address("0x" + "0f" * 20), direct=True),
        threshold_bps=8_000,
        bonus_bps=10_500,
        protocol_fee_bps=1_000,
        emode_category=0,
        is_active=True,
        is_paused=False,
        liquidity_index=RAY,
        variable_index=RAY,
        liquidity_rate=0,
        variable_rate=0,
        updated=NOW,
        grace_until=0,
        cash=10**40,
        held=10**40,
        may_have_stable_debt=False,
    )
    return replace(plain, **changed)  # type: ignore[arg-type]  # fields by name


RESERVES = (
    reserve(0, WETH, "WETH", 18),
    reserve(1, USDC, "USDC", 6),
    reserve(2, WBTC, "WBTC", 8),
)


def market(
    rules: Rules = V3_0,
    reserves: tuple[Reserve | None, ...] = RESERVES,
    *,
    categories: Mapping[int, Category] | None = None,
    sentinel: Sentinel | None = None,
    prices: Mapping[str, int] = PRICES,
    timestamp: int = NOW,
) -> AaveMarket:
    """Return a market viewed at a time and at prices."""
    known = [one for one in reserves if one is not None]
    bare = AaveMarket(
        pool=POOL,
        provider=PROVIDER,
        oracle=ORACLE,
        configurator=CONFIGURATOR,
        revision=0,
        rules=rules,
        flash_premium_bps=5,
        premium_to_protocol_bps=0,
        sentinel=sentinel,
        reserves=reserves,
        ids={one.asset: one.id for one in known},
        token_ids={token(one.id, kind): one.id for one in known for kind in (1, 2, 3)},
        categories=categories or {},
        category_sources={},
        block=1,
        timestamp=timestamp,
    )
    return view_at(bare, timestamp, prices)


def account(
    collateral: Mapping[int, int], debt: Mapping[int, int], *, emode: int = 0
) -> AavePosition:
    """Return a position of scaled balances by reserve id."""
    return AavePosition(collateral=tuple(collateral.items()), debt=tuple(debt.items()), emode=emode)


def ref(owner: Address = ALICE) -> AccountRef:
    """Return an account of the market."""
    return AccountRef(market=POOL, account=owner)


SICK = account({0: 10 * 10**18}, {1: 16_200 * 10**6})
"""20,000 dollars of collateral, health 0.9877."""
PAIR = Option(collateral=WETH, debt=USDC, max_repay=0)


def dollars(whole: int) -> int:
    """Return so many dollars in USDC."""
    return whole * 10**6


def changed(number: int, **fields: object) -> tuple[Reserve, ...]:
    """Return the reserves, one of which is otherwise."""
    return tuple(replace(one, **fields) if one.id == number else one for one in RESERVES)
