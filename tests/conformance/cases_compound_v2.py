"""The Compound V2 family: accruing by block and by second, seizing a share for the market."""

from collections.abc import Iterator
from random import Random

from keeper.core.lending import AccountRef, Price
from keeper.core.units import WAD, Address
from keeper.core.values import replace
from keeper.protocols.compound_v2.adapter import CompoundAdapter
from keeper.protocols.compound_v2.parameters import Parameters
from keeper.protocols.compound_v2.state import Deployment, Position
from tests.conformance.case import Case
from tests.support.compound_market import (
    COMPTROLLER,
    MARKETS,
    NOW,
    PRICES,
    WETH,
    account,
    deployment,
)

ACCOUNTS = 60
_DOLLARS = (2_000, 1, 30_000)


def cases() -> Iterator[Case]:
    """Yield one case for each way that forks differ in."""
    markets = tuple(
        replace(one, rate=10**10, seize_share=28 * 10**15 if one.number else 0) for one in MARKETS
    )
    seconds = tuple(replace(one, rate=10**9, accrued_at=NOW - 100) for one in MARKETS)
    yield case("compound_v2", deployment(markets, seizes_unentered=True))
    yield case("compound_v2 by the second", deployment(seconds, by_second=True))


def case(name: str, market: Deployment, protocol: str = "compound_v2", seed: int = 1) -> Case:
    """Return a case of a deployment with accounts of every kind."""
    random = Random(f"{name} {seed}")  # noqa: S311 - accounts, not secrets
    adapter = CompoundAdapter(
        protocol=protocol,
        deployment=f"{protocol}.local",
        start_block=0,
        parameters=Parameters(comptroller=COMPTROLLER, wrapped_native=WETH),
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
            AccountRef(market=COMPTROLLER, account=Address(f"0x{number:040x}")): _position(
                market, random
            )
            for number in range(ACCOUNTS)
        },
    )


def _position(market: Deployment, random: Random) -> Position:
    """Return an account of 0 to 3 collaterals and 0 to 2 debts, most of them near the line."""
    kinds = range(len(MARKETS))
    collateral = random.sample(kinds, random.randrange(4))
    debt = random.sample(kinds, random.randrange(3))
    dollars = random.choice((3, 900, 2_500, 40_000, 5_000_000))
    return account(
        {i: _tokens(i, dollars) for i in sorted(collateral)},
        {
            i: dollars * random.randrange(60, 110) * MARKETS[i].unit // _DOLLARS[i] // 100
            for i in sorted(debt)
        },
        pool=random.choice((0, *market.pools)),
        unentered=_aside(market, random, {*collateral, *debt}),
    )


def _aside(market: Deployment, random: Random, entered: set[int]) -> tuple[tuple[int, int], ...]:
    """Return cTokens of some markets that an account did not enter, where they may be seized."""
    others = [i for i in range(len(MARKETS)) if i not in entered]
    if not market.seizes_unentered or not others or random.randrange(2):
        return ()
    return ((random.choice(others), _tokens(others[0], 900)),)


def _tokens(number: int, dollars: int) -> int:
    """Return the cTokens that so many dollars buy."""
    stored = MARKETS[number].stored
    underlying = dollars * MARKETS[number].unit // _DOLLARS[number]
    rate = (stored.cash + stored.borrows - stored.reserves) * WAD // stored.supply
    return underlying * WAD // rate
