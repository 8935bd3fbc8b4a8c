"""A market of twenty reserves and any number of loans of about three positions, by seed."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any, Generic, TypeVar

from keeper.core.chain import BlockRef
from keeper.core.lending import AccountRef, Price
from keeper.core.units import RAY, Address, Hash32
from keeper.protocols.aave_v3.adapter import AaveAdapter
from keeper.protocols.aave_v3.health import view_at
from keeper.protocols.aave_v3.parameters import Parameters
from keeper.protocols.aave_v3.revision import V3_0
from keeper.protocols.aave_v3.state import (
    AaveMarket,
    AavePosition,
    Category,
    Reserve,
    Source,
    Tokens,
)
from keeper.scanner.watch import Target

M = TypeVar("M")
P = TypeVar("P")

NOW = 1_750_000_000
BLOCK = 20_000_000
HEAD = BlockRef(
    number=BLOCK,
    hash=Hash32("0x" + "11" * 32),
    parent_hash=Hash32("0x" + "12" * 32),
    timestamp=NOW,
    base_fee=10**9,
    gas_used=0,
    gas_limit=1,
)
TARGET = Target(number=BLOCK + 1, timestamp=NOW + 12)
FOLLOWING = Target(number=BLOCK + 2, timestamp=NOW + 24)
_USD = 10**8

_DOLLARS = (
    3_000,
    60_000,
    1,
    1,
    1,
    3_400,
    15,
    8,
    90,
    250,
    1,
    2_900,
    0.6,
    1,
    3_100,
    12,
    1,
    30,
    5,
    700,
)
_DECIMALS = (18, 8, 6, 6, 18, 18, 18, 18, 18, 18, 18, 18, 18, 6, 18, 18, 2, 18, 18, 18)
_THRESHOLDS = (8250, 7300, 7800, 7500, 7700, 8100, 6800, 6500, 7100, 6000)


def address(number: int, kind: int) -> Address:
    """Return an address of a kind of thing."""
    return Address(f"0x{kind:02x}{number:038x}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd(Generic[M, P]):
    """A market, what it is read by, and any number of loans in it."""

    name: str
    adapter: Any
    """A protocol's, with a screen."""
    market: M
    prices: Mapping[str, Price]
    aggregators: Mapping[str, Address]
    """By feed."""
    feed: str
    """Whose events are asked about."""
    direct: bool
    """Whether an event tells the price; else the protocol's own reading of it is read again."""
    multiplier: int
    """Answer to price."""
    make: Callable[[Random, int], Iterator[tuple[AccountRef, P]]]

    def loans(self, many: int, *, seed: int) -> Iterator[tuple[AccountRef, P]]:
        """Yield loans of which none is liquidatable and a few in a hundred are near the line."""
        yield from self.make(Random(seed), many)  # noqa: S311 - a benchmark, not a secret


def crowd(*, seed: int) -> Crowd[AaveMarket, AavePosition]:
    """Make a market of Aave V3."""
    random = Random(seed)  # noqa: S311 - a benchmark, not a secret
    market = _market(random)
    values = {one.asset: int(_DOLLARS[one.id] * _USD) for one in _reserves(market)}
    adapter = AaveAdapter(
        deployment="aave_v3.bench",
        start_block=0,
        parameters=Parameters(addresses_provider=market.provider),
    )
    return Crowd(
        name="Aave V3",
        adapter=adapter,
        market=market,
        prices={key: priced(one) for key, one in values.items()},
        aggregators={one.asset: address(one.id, 0xA6) for one in _reserves(market)},
        feed=address(0, 0xA0),
        direct=True,
        multiplier=1,
        make=partial(_loans, view_at(market, NOW, values)),
    )


def priced(value: int) -> Price:
    """Return a price that was read at the head."""
    return Price(value=value, block=BLOCK, updated_at=NOW)


def _reserves(market: AaveMarket) -> list[Reserve]:
    return [one for one in market.reserves if one is not None]


def _market(random: Random) -> AaveMarket:
    reserves = tuple(_reserve(random, number) for number in range(len(_DOLLARS)))
    return AaveMarket(
        pool=address(1, 1),
        provider=address(2, 1),
        oracle=address(3, 1),
        configurator=address(4, 1),
        revision=1,
        rules=V3_0,
        flash_premium_bps=5,
        premium_to_protocol_bps=0,
        sentinel=None,
        reserves=reserves,
        ids={one.asset: one.id for one in reserves},
        token_ids={},
        categories={1: Category(threshold_bps=9_300, bonus_bps=10_100)},
        category_sources={},
        block=BLOCK,
        timestamp=NOW,
    )


def _reserve(random: Random, number: int) -> Reserve:
    return Reserve(
        id=number,
        asset=address(number, 0xA0),
        symbol=f"T{number}",
        unit=10 ** _DECIMALS[number],
        tokens=Tokens(
            a_token=address(number, 0xA1),
            stable_debt=None,
            variable_debt=address(number, 0xA2),
            treasury=address(5, 1),
        ),
        source=Source(address=address(number, 0xA3), direct=True),
        threshold_bps=_THRESHOLDS[number % len(_THRESHOLDS)],
        bonus_bps=10_500,
        protocol_fee_bps=1_000,
        emode_category=1 if number in (0, 5, 11, 14) else 0,
        is_active=True,
        is_paused=False,
        liquidity_index=RAY + random.randrange(RAY // 10),
        variable_index=RAY + random.randrange(RAY // 5),
        liquidity_rate=random.randrange(RAY // 25),
        variable_rate=random.randrange(RAY // 12),
        updated=NOW - random.randrange(600),
        grace_until=0,
        cash=10**30,
        held=10**30,
        may_have_stable_debt=False,
    )


def _loans(
    view: AaveMarket, random: Random, loans: int
) -> Iterator[tuple[AccountRef, AavePosition]]:
    """Yield loans with health factors from 1.0005 up, most far above; half hold the first asset."""
    weights = [40, 12, 20, 14, 6, *([2] * (len(view.lines) - 5))]
    numbers = range(len(view.lines))
    for _ in range(loans):
        emode = 1 if random.random() < 0.05 else 0
        held = set(random.choices(numbers, weights, k=random.choice((1, 1, 2, 3))))
        owed = set(random.choices(numbers, weights, k=random.choice((1, 1, 1, 2)))) - held or {2}
        usd = 10 ** random.uniform(2, 6)
        shares = [(number, usd / len(held)) for number in sorted(held)]
        lines = view.category_lines[1] if emode else view.lines
        capacity = sum(
            amount * line.threshold_bps / 10_000
            for number, amount in shares
            if (line := lines[number]) is not None
        )
        health = some_health(random)
        position = AavePosition(
            collateral=tuple((n, _scaled(view, n, amount, debt=False)) for n, amount in shares),
            debt=tuple(
                (n, _scaled(view, n, capacity / health / len(owed), debt=True))
                for n in sorted(owed)
            ),
            emode=emode,
        )
        yield AccountRef(market=view.pool, account=some_account(random)), position


def some_account(random: Random) -> Address:
    """Return anybody."""
    return Address(f"0x{random.getrandbits(160):040x}")


def some_health(random: Random) -> float:
    """Return a health factor from 1.0005 up, a few in a hundred of them near the line."""
    return 1.0005 + random.expovariate(1.2) + (random.random() < 0.9) * 0.02


def _scaled(view: AaveMarket, number: int, usd: float, *, debt: bool) -> int:
    line = view.lines[number]
    if line is None or line.price is None:
        raise AssertionError(number)
    index = line.variable_index if debt else line.liquidity_index
    return int(usd * 10**8) * line.unit * RAY // (line.price * index)
