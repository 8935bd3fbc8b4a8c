"""A small deployment of the Compound family made by hand, for tests that need no chain."""

from collections.abc import Mapping

from keeper.core.lending import AccountRef
from keeper.core.units import WAD, Address
from keeper.core.values import replace
from keeper.protocols.compound_v2.health import view_at
from keeper.protocols.compound_v2.rules import Stored, mul_exp_truncated
from keeper.protocols.compound_v2.state import (
    Deployment,
    Entry,
    Liquidator,
    Market,
    Position,
    Risk,
    Source,
    Vai,
)

BLOCK = 1_000
NOW = 1_700_000_000

COMPTROLLER = Address("0x" + "01" * 20)
ORACLE = Address("0x" + "02" * 20)
LIQUIDATOR = Address("0x" + "03" * 20)
CONTROLLER = Address("0x" + "04" * 20)
VAI = Address("0x" + "05" * 20)
ALICE = Address("0x" + "0a" * 20)
WETH, USDC, WBTC = (Address("0x" + f"{number:02x}" * 20) for number in (0xA0, 0xA1, 0xA2))
TOKENS = tuple(Address("0x" + f"{number:02x}" * 20) for number in (0xC0, 0xC1, 0xC2))
PRICES = {
    TOKENS[0]: 2_000 * 10**18,
    TOKENS[1]: 1 * 10**30,
    TOKENS[2]: 30_000 * 10**28,
}
THROUGH = Liquidator(address=LIQUIDATOR, treasury_percent=WAD // 2, vai_first=False, vai_minimum=0)


def market(number: int, asset: Address, symbol: str, decimals: int, **changed: object) -> Market:
    """Return a market at an exchange rate of a little over one fiftieth, without interest."""
    supplied = 10**9 * 10**decimals
    plain = Market(
        number=number,
        token=TOKENS[number],
        asset=asset,
        native=False,
        symbol=symbol,
        unit=10**decimals,
        risks={0: Risk(threshold=8 * WAD // 10, incentive=11 * WAD // 10)},
        paused=frozenset(),
        forced=False,
        seize_share=0,
        reserve_factor=WAD // 10,
        stored=Stored(
            cash=supplied,
            borrows=supplied // 2,
            reserves=supplied // 1_000,
            index=WAD + WAD // 7,
            supply=70 * 10**9 * 10**8,
        ),
        rate=0,
        accrued_at=BLOCK - 100,
        initial_rate=WAD,
    )
    return replace(plain, **changed)  # type: ignore[arg-type]  # fields by name


MARKETS = (
    market(0, WETH, "WETH", 18),
    market(1, USDC, "USDC", 6),
    market(2, WBTC, "WBTC", 8),
)


def deployment(markets: tuple[Market, ...] = MARKETS, **changed: object) -> Deployment:
    """Return a deployment without prices."""
    plain = Deployment(
        comptroller=COMPTROLLER,
        oracle=ORACLE,
        close_factor=WAD // 2,
        paused=False,
        redeem_fee=0,
        by_second=False,
        mul=mul_exp_truncated,
        markets=markets,
        numbers={one.token: one.number for one in markets},
        sources={one.token: Source(address=ORACLE, multiplier=0) for one in markets},
        pools={},
        forces_accounts=False,
        liquidator=None,
        vai=None,
        block=BLOCK,
        timestamp=NOW,
    )
    return replace(plain, **changed)  # type: ignore[arg-type]  # fields by name


def view(
    of: Deployment | None = None, prices: Mapping[str, int] = PRICES, *, block: int = BLOCK
) -> Deployment:
    """Return a deployment viewed at a block and at prices."""
    return view_at(of or deployment(), block, NOW + 12 * (block - BLOCK), prices)


def vai(**changed: object) -> Vai:
    """Return VAI without interest."""
    plain = Vai(
        controller=CONTROLLER,
        token=VAI,
        index=WAD,
        rate=0,
        accrued_at=BLOCK,
        liquidation_paused=False,
    )
    return replace(plain, **changed)  # type: ignore[arg-type]  # fields by name


def account(collateral: Mapping[int, int], debt: Mapping[int, int], **changed: object) -> Position:
    """Return a position of cTokens and principals by market, owed since the stored index."""
    numbers = sorted({*collateral, *debt})
    entries = tuple(
        Entry(
            market=number,
            tokens=collateral.get(number, 0),
            principal=debt.get(number, 0),
            principal_index=MARKETS[number].stored.index if number in debt else 0,
        )
        for number in numbers
    )
    return replace(Position(entries=entries), **changed)  # type: ignore[arg-type]  # fields by name


def ref(owner: Address = ALICE) -> AccountRef:
    """Return an account of the deployment."""
    return AccountRef(market=COMPTROLLER, account=owner)
