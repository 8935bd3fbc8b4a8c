"""A pool of twenty markets of Venus and any number of loans of about three positions, by seed."""

from collections.abc import Iterator
from functools import partial
from random import Random

from benchmarks.crowd import BLOCK, NOW, Crowd, address, priced, some_account, some_health
from keeper.core.lending import AccountRef
from keeper.core.units import WAD
from keeper.protocols.compound_v2.health import view_at
from keeper.protocols.compound_v2.parameters import Parameters
from keeper.protocols.compound_v2.rules import Stored, mul_exp_truncated
from keeper.protocols.compound_v2.state import (
    Deployment,
    Entry,
    Liquidator,
    Market,
    Position,
    Risk,
    Source,
)
from keeper.protocols.venus.adapter import build

_MARKETS = 20
_DOLLARS = (600, 60_000, 1, 1, 3_000, 15, 8, 90, 250, 1)
_THRESHOLDS = (80, 75, 82, 78, 60)
_ANSWER = 10**8
_MULTIPLIER = 10**10
"""From an answer to a price of a token of 18 decimals."""


def crowd_venus(*, seed: int) -> Crowd[Deployment, Position]:
    """Make a deployment whose prices are Chainlink's answers."""
    random = Random(seed)  # noqa: S311 - a benchmark, not a secret
    markets = tuple(_market(random, number) for number in range(_MARKETS))
    values = {
        one.token: _DOLLARS[one.number % len(_DOLLARS)] * _ANSWER * _MULTIPLIER for one in markets
    }
    deployment = Deployment(
        comptroller=address(1, 0xC0),
        oracle=address(2, 0xC0),
        close_factor=WAD // 2,
        paused=False,
        redeem_fee=0,
        by_second=False,
        mul=mul_exp_truncated,
        markets=markets,
        numbers={one.token: one.number for one in markets},
        sources={
            one.token: Source(address=address(one.number, 0xA3), multiplier=_MULTIPLIER)
            for one in markets
        },
        pools={},
        forces_accounts=True,
        liquidator=Liquidator(
            address=address(3, 0xC0),
            treasury_percent=WAD // 2,
            vai_first=False,
            vai_minimum=0,
        ),
        vai=None,
        block=BLOCK,
        timestamp=NOW,
    )
    parameters = Parameters(comptroller=deployment.comptroller, wrapped_native=address(4, 0xC0))
    return Crowd(
        name="Venus",
        adapter=build(deployment="venus.bench", start_block=0, parameters=parameters),
        market=deployment,
        prices={key: priced(one) for key, one in values.items()},
        aggregators={one.token: address(one.number, 0xA6) for one in markets},
        feed=markets[0].token,
        direct=True,
        multiplier=_MULTIPLIER,
        make=partial(_loans, view_at(deployment, BLOCK, NOW, values)),
    )


def _market(random: Random, number: int) -> Market:
    supplied = random.randrange(10**6, 10**9) * WAD
    return Market(
        number=number,
        token=address(number, 0xC1),
        asset=address(number, 0xC2),
        native=False,
        symbol=f"T{number}",
        unit=WAD,
        risks={
            0: Risk(
                threshold=_THRESHOLDS[number % len(_THRESHOLDS)] * WAD // 100,
                incentive=11 * WAD // 10,
            )
        },
        paused=frozenset(),
        forced=False,
        seize_share=0,
        reserve_factor=WAD // 10,
        stored=Stored(
            cash=supplied,
            borrows=supplied // 2,
            reserves=supplied // 1_000,
            index=WAD + random.randrange(WAD // 5),
            supply=supplied * 70 // 10**10,
        ),
        rate=random.randrange(10**10),
        accrued_at=BLOCK - random.randrange(100),
        initial_rate=WAD,
    )


def _loans(view: Deployment, random: Random, loans: int) -> Iterator[tuple[AccountRef, Position]]:
    weights = [40, 12, 20, 14, 6, *([2] * (len(view.markets) - 5))]
    numbers = range(len(view.markets))
    for _ in range(loans):
        held = set(random.choices(numbers, weights, k=random.choice((1, 1, 2, 3))))
        owed = set(random.choices(numbers, weights, k=random.choice((1, 1, 1, 2)))) - held or {5}
        dollars = 10 ** random.uniform(2, 6)
        tokens = {one: _tokens(view, one, dollars / len(held)) for one in held}
        capacity = sum(
            dollars / len(held) * view.markets[one].risks[0].threshold / WAD for one in held
        )
        share = capacity / some_health(random) / len(owed)
        principal = {one: _principal(view, one, share) for one in owed - held}
        entries = tuple(
            Entry(
                market=one,
                tokens=tokens.get(one, 0),
                principal=principal.get(one, 0),
                principal_index=view.markets[one].stored.index if one in principal else 0,
            )
            for one in sorted({*tokens, *principal})
        )
        ref = AccountRef(market=view.comptroller, account=some_account(random))
        yield ref, Position(entries=entries)


def _tokens(view: Deployment, number: int, dollars: float) -> int:
    line = view.lines[number]
    return int(dollars * 10**9) * 10**9 * WAD // (line.price or 1) * WAD // line.stored_rate


def _principal(view: Deployment, number: int, dollars: float) -> int:
    line, stored = view.lines[number], view.markets[number].stored
    amount = int(dollars * 10**9) * 10**9 * WAD // (line.price or 1)
    return amount * stored.index // line.borrow_index
