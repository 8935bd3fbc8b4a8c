"""Morpho Blue: three markets of different decimals and models, and early liquidation in one."""

from collections.abc import Iterator
from random import Random

from keeper.core.lending import AccountRef, Price
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.protocols.morpho_blue.adapter import MorphoAdapter
from keeper.protocols.morpho_blue.parameters import Parameters
from keeper.protocols.morpho_blue.rules import Totals
from keeper.protocols.morpho_blue.state import MorphoMarket, MorphoPosition
from tests.conformance.case import Case
from tests.support.morpho_market import (
    EARLY,
    EARLY_PRICES,
    MARKETS,
    MORPHO,
    NOW,
    account,
    deployment,
)

ACCOUNTS = 80
_SIZE = 100
_COLLATERAL = (10**18, 10**8, 10**6)


def cases() -> Iterator[Case]:
    """Yield the one case: the contracts are immutable."""
    yield Case(
        name="morpho_blue",
        adapter=MorphoAdapter(
            deployment="morpho_blue.test", start_block=0, parameters=Parameters(morpho=MORPHO)
        ),
        market=_market(),
        timestamp=NOW,
        prices={
            feed: Price(value=value, block=1, updated_at=NOW)
            for feed, value in EARLY_PRICES.items()
        },
        positions=dict(_positions(Random(7))),  # noqa: S311 - accounts, not secrets
    )


def _market() -> MorphoMarket:
    """Return markets that owe as much as all the accounts together, and more."""
    small = deployment(prices={})
    large = {
        key: replace(one, totals=Totals(*(_SIZE * amount for amount in one.totals)))
        for key, one in small.markets.items()
    }
    return replace(small, markets=large)


def _positions(random: Random) -> Iterator[tuple[AccountRef, MorphoPosition]]:
    """Yield accounts from debtless to bad debt, most of them near a line."""
    view = deployment()
    keys = [*(one.id for one in MARKETS), EARLY.address]
    for number in range(ACCOUNTS):
        market = random.choice(keys)
        unit = _COLLATERAL[keys.index(market) % len(MARKETS)]
        ltv = random.choice((0, 6_000, 7_900, 8_300, 8_590, 8_700, 9_200, 9_900, 13_000))
        collateral = random.randrange(1, 10**5) * unit // 50
        ref = AccountRef(market=market, account=Address(f"0x{number:040x}"))
        yield ref, account(view, market, ltv_bps=ltv, collateral=collateral)
