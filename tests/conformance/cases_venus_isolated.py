"""Venus's isolated pools: by block and by second, loans above and below the least collateral."""

from collections.abc import Iterator
from random import Random

from keeper.core.lending import AccountRef, Price
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.protocols.venus_isolated.adapter import IsolatedAdapter
from keeper.protocols.venus_isolated.parameters import Parameters
from keeper.protocols.venus_isolated.state import Deployment, Position
from tests.conformance.case import Case
from tests.support.isolated_pools import (
    MAIN,
    MARKETS,
    NOW,
    PRICES,
    REGISTRY,
    account,
    deployment,
    owed,
    tokens,
)

ACCOUNTS = 80


def cases() -> Iterator[Case]:
    """Yield one case for each clock."""
    yield case("venus_isolated", deployment())
    seconds = tuple(replace(one, rate=10**9, accrued_at=NOW - 100) for one in MARKETS)
    yield case("venus_isolated by the second", deployment(seconds, by_second=True))


def case(name: str, market: Deployment) -> Case:
    """Return a case with accounts of every kind."""
    random = Random(name)  # noqa: S311 - accounts, not secrets
    adapter = IsolatedAdapter(
        deployment="venus_isolated.local",
        start_block=0,
        parameters=Parameters(pool_registry=REGISTRY),
    )
    return Case(
        name=name,
        adapter=adapter,
        market=market,
        block=market.block,
        timestamp=NOW,
        prices={
            feed: Price(value=value, block=1, updated_at=NOW) for feed, value in PRICES.items()
        },
        positions={
            AccountRef(market=MAIN, account=Address(f"0x{number:040x}")): _position(random)
            for number in range(ACCOUNTS)
        },
    )


def _position(random: Random) -> Position:
    """Return an account of 0 to 3 collaterals and 0 to 2 debts, most of them near the line."""
    kinds = range(3)
    collateral = random.sample(kinds, random.choice((0, 1, 1, 2, 3)))
    debt = random.sample(kinds, random.choice((0, 1, 1, 2)))
    dollars = random.choice((30, 70, 95, 900, 40_000, 5_000_000))
    return account(
        {one: tokens(one, dollars) for one in sorted(collateral)},
        {one: owed(one, dollars * random.randrange(60, 110)) for one in sorted(debt)},
    )
