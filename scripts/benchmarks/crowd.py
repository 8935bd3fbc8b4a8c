"""A market of twenty reserves and any number of loans of about three positions, by seed."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from keeper.core.lending import AccountRef, Price
from keeper.core.units import RAY, Address
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

NOW = 1_750_000_000
BLOCK = 20_000_000
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
class Crowd:
    """A market and what it is read by."""

    adapter: AaveAdapter
    market: AaveMarket
    prices: dict[str, Price]
    aggregators: dict[str, Address]

    def loans(self, many: int, *, seed: int) -> Iterator[tuple[AccountRef, AavePosition]]:
        """Yield loans of which none is liquidatable and a few in a hundred are near the line."""
        values = {key: price.value for key, price in self.prices.items()}
        random = Random(seed)  # noqa: S311 - a benchmark, not a secret
        yield from _loans(random, view_at(self.market, NOW, values), many)


def crowd(*, seed: int) -> Crowd:
    """Make a market."""
    random = Random(seed)  # noqa: S311 - a benchmark, not a secret
    market = _market(random)
    values = {one.asset: int(_DOLLARS[one.id] * _USD) for one in _reserves(market)}
    adapter = AaveAdapter(
        deployment="aave_v3.bench",
        start_block=0,
        parameters=Parameters(addresses_provider=market.provider),
    )
    return Crowd(
        adapter=adapter,
        market=market,
        prices={key: Price(value=one, block=BLOCK, updated_at=NOW) for key, one in values.items()},
        aggregators={one.asset: address(one.id, 0xA6) for one in _reserves(market)},
    )


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
    random: Random, view: AaveMarket, loans: int
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
        health = 1.0005 + random.expovariate(1.2) + (random.random() < 0.9) * 0.02
        position = AavePosition(
            collateral=tuple((n, _scaled(view, n, amount, debt=False)) for n, amount in shares),
            debt=tuple(
                (n, _scaled(view, n, capacity / health / len(owed), debt=True))
                for n in sorted(owed)
            ),
            emode=emode,
        )
        account = Address(f"0x{random.getrandbits(160):040x}")
        yield AccountRef(market=view.pool, account=account), position


def _scaled(view: AaveMarket, number: int, usd: float, *, debt: bool) -> int:
    line = view.lines[number]
    if line is None or line.price is None:
        raise AssertionError(number)
    index = line.variable_index if debt else line.liquidity_index
    return int(usd * 10**8) * line.unit * RAY // (line.price * index)
