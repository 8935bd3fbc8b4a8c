"""Forty isolated markets of Morpho Blue and any number of loans in them, by seed."""

from collections.abc import Iterator
from functools import partial
from random import Random

from benchmarks.crowd import BLOCK, NOW, Crowd, address, priced, some_account, some_health
from keeper.core.lending import AccountRef
from keeper.core.units import WAD
from keeper.protocols.morpho_blue import codec
from keeper.protocols.morpho_blue.adapter import MorphoAdapter
from keeper.protocols.morpho_blue.health import view_at
from keeper.protocols.morpho_blue.parameters import Parameters
from keeper.protocols.morpho_blue.rules import Totals
from keeper.protocols.morpho_blue.state import (
    IsolatedMarket,
    MarketParams,
    MorphoMarket,
    MorphoPosition,
    RateModel,
    Token,
)

_MARKETS = 40
_LARGEST = 10
"""How many times as many loans as in any other are in the first market."""
_LLTVS = (86 * 10**16, 915 * 10**15, 77 * 10**16, 945 * 10**15)
_DOLLARS = (3_000, 60_000, 250, 3_400, 15)
_LOAN = Token(address=address(1, 0xB0), symbol="USD", unit=10**6)


def crowd_morpho(*, seed: int) -> Crowd[MorphoMarket, MorphoPosition]:
    """Make the markets; each has an oracle of its own, made of one feed."""
    random = Random(seed)  # noqa: S311 - a benchmark, not a secret
    markets = [_isolated(random, number) for number in range(_MARKETS)]
    values = {
        one.params.oracle: 10**36 * _DOLLARS[number % len(_DOLLARS)] * _LOAN.unit // 10**18
        for number, one in enumerate(markets)
    }
    market = MorphoMarket(
        morpho=address(1, 0xBB),
        factories=(),
        markets={one.id: one for one in markets},
        pre_liquidations={},
        block=BLOCK,
        timestamp=NOW,
    )
    return Crowd(
        name="Morpho Blue",
        adapter=MorphoAdapter(
            deployment="morpho_blue.bench",
            start_block=0,
            parameters=Parameters(morpho=market.morpho),
        ),
        market=market,
        prices={key: priced(one) for key, one in values.items()},
        aggregators={one.params.oracle: one.feeds[0] for one in markets},
        feed=markets[0].params.oracle,
        direct=False,
        multiplier=1,
        make=partial(_loans, view_at(market, NOW, values)),
    )


def _isolated(random: Random, number: int) -> IsolatedMarket:
    collateral = Token(address=address(number, 0xB1), symbol=f"T{number}", unit=10**18)
    params = MarketParams(
        _LOAN.address,
        collateral.address,
        address(number, 0xB2),
        address(1, 0xB3),
        _LLTVS[number % len(_LLTVS)],
    )
    supplied = random.randrange(10**6, 10**9) * _LOAN.unit
    borrowed = supplied * 9 // 10
    return IsolatedMarket(
        id=codec.id_of(params),
        params=params,
        loan=_LOAN,
        collateral=collateral,
        model=RateModel.ADAPTIVE,
        feeds=(address(number, 0xA6),),
        totals=Totals(
            supplied, supplied * 10**6 * 98 // 100, borrowed, borrowed * 10**6 * 97 // 100
        ),
        updated=NOW - random.randrange(3_600),
        fee=0,
        stored_rate=1_268_391_679,
    )


def _loans(
    view: MorphoMarket, random: Random, loans: int
) -> Iterator[tuple[AccountRef, MorphoPosition]]:
    markets = list(view.markets.values())
    weights = [_LARGEST, *[1] * (len(markets) - 1)]
    for market in random.choices(markets, weights, k=loans):
        totals, price = view.lines[market.id].totals, view.prices[market.params.oracle]
        collateral = int(10 ** random.uniform(-2, 3) * WAD)
        limit = collateral * price // 10**36 * market.params.lltv // WAD
        debt = int(limit / some_health(random))
        shares = debt * (totals.borrow_shares + 10**6) // (totals.borrow_assets + 1)
        position = MorphoPosition(market=market.id, shares=shares, collateral=collateral)
        yield AccountRef(market=market.id, account=some_account(random)), position
