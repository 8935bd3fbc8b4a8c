"""Aave V3 of every release that rounds or judges in its own way."""

from collections.abc import Iterator
from random import Random

from keeper.core.lending import AccountRef, Price
from keeper.core.units import RAY, Address
from keeper.core.values import replace
from keeper.protocols.aave_v3.adapter import AaveAdapter
from keeper.protocols.aave_v3.parameters import Parameters
from keeper.protocols.aave_v3.revision import V3_0, V3_2, V3_3, V3_4, V3_5, V3_6, V3_7, Rules
from keeper.protocols.aave_v3.state import AavePosition, Category
from tests.conformance.case import Case
from tests.support.aave_market import NOW, POOL, PRICES, PROVIDER, RESERVES, market

ACCOUNTS = 60
_UNITS = (10**18, 10**6, 10**8)
_DOLLARS = (2_000, 1, 30_000)


def cases() -> Iterator[Case]:
    """Yield one case for each release."""
    for rules in (V3_0, V3_2, V3_3, V3_4, V3_5, V3_6, V3_7):
        yield _case(rules)


def _case(rules: Rules) -> Case:
    random = Random(rules.release)  # noqa: S311 - accounts, not secrets
    reserves = tuple(
        replace(
            one,
            emode_category=0 if rules.emode_bitmaps else (1 if one.id == 0 else 0),
            liquidity_index=RAY + random.randrange(RAY // 3),
            variable_index=RAY + random.randrange(RAY // 2),
            liquidity_rate=3 * 10**25,
            variable_rate=5 * 10**25,
            updated=NOW - 100_000,
        )
        for one in RESERVES
    )
    category = Category(threshold_bps=9_300, bonus_bps=10_100, collateral_bitmap=0b001)
    adapter = AaveAdapter(
        deployment=f"aave_v3.{rules.release}",
        start_block=0,
        parameters=Parameters(addresses_provider=PROVIDER),
    )
    return Case(
        name=f"aave_v3 {rules.release}",
        adapter=adapter,
        market=market(rules, reserves, categories={1: category}, prices={}),
        timestamp=NOW,
        prices={
            feed: Price(value=value, block=1, updated_at=NOW) for feed, value in PRICES.items()
        },
        positions={
            AccountRef(market=POOL, account=Address(f"0x{number:040x}")): _position(random)
            for number in range(ACCOUNTS)
        },
    )


def _position(random: Random) -> AavePosition:
    """Return an account of 0 to 3 collaterals and 0 to 2 debts, most of them near the line."""
    kinds = range(len(RESERVES))
    collateral = random.sample(kinds, random.randrange(4))
    debt = random.sample(kinds, random.randrange(3))
    dollars = random.choice((3, 900, 2_500, 40_000, 5_000_000))
    return AavePosition(
        collateral=tuple((i, dollars * _UNITS[i] // _DOLLARS[i]) for i in sorted(collateral)),
        debt=tuple(
            (i, dollars * random.randrange(60, 110) * _UNITS[i] // _DOLLARS[i] // 100)
            for i in sorted(debt)
        ),
        emode=random.choice((0, 0, 1, 9)),
    )
