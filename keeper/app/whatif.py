"""What a move of prices would do: who falls, how much debt, what it brings, what stays bad."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from keeper.app.study import Study
from keeper.core.errors import ConfigError
from keeper.core.lending import AccountRef, AssetValue, BaseUnit, Health, Price, Rejection
from keeper.core.plan import Plan
from keeper.core.ports import Prices
from keeper.core.units import Address

BPS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A feed's new price: a change in basis points, or a price in the protocol's scale."""

    label: str
    bps: int | None = None
    price: int | None = None

    def of(self, now: int) -> int:
        """Return the price after the move."""
        if self.bps is not None:
            return now * (BPS + self.bps) // BPS
        return now if self.price is None else self.price


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallen:
    """An account that is under the line after the move."""

    ref: AccountRef
    health: Health
    new: bool
    """False when it was under the line before."""
    done: Plan | Rejection | None

    @property
    def bad_debt(self) -> int:
        """Debt over collateral, base units: what lenders lose even at the oracle's prices."""
        return max(self.health.debt_base - self.health.collateral_base, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Aftermath:
    """A deployment after the move."""

    deployment: str
    block: int
    unit: BaseUnit
    moves: Mapping[str, tuple[int, int]]
    """Feed label to the price before and after."""
    accounts: int
    fallen: tuple[Fallen, ...]
    """Largest debt first."""

    @property
    def debt(self) -> int:
        """Debt under the line, base units."""
        return sum(one.health.debt_base for one in self.fallen)

    @property
    def bad_debt(self) -> int:
        """Debt over collateral, base units."""
        return sum(one.bad_debt for one in self.fallen)

    @property
    def plans(self) -> tuple[Plan, ...]:
        """What could be carried out in the next block, each on what the ones before leave."""
        return tuple(one.done for one in self.fallen if isinstance(one.done, Plan))


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One point of a sweep: a move and what it puts under the line, base units."""

    bps: int
    accounts: int
    debt: int
    bad_debt: int


Positions = Mapping[AccountRef, Any]


async def aftermath(
    study: Study[Any, Any], positions: Positions, moves: Sequence[Move]
) -> Aftermath:
    """Move prices, let the exchanges follow, and plan what falls."""
    prices = moved_prices(study, moves)
    before = study.scan(positions, study.prices.prices)
    after = study.scan(positions, prices)
    under = {ref for ref, health in before.health.items() if health.liquidatable}
    done: dict[AccountRef, Plan | Rejection] = {one.ref: one for one in after.rejections}
    if after.opportunities:
        desk = await study.desk(after.opportunities)
        factors = _factors(study, before.view, after.view, positions)
        for one in study.plan(after, positions, desk.repriced(factors)):
            done[one.ref] = one
    fallen = [
        Fallen(ref=ref, health=health, new=ref not in under, done=done.get(ref))
        for ref, health in after.health.items()
        if health.liquidatable
    ]
    fallen.sort(key=lambda one: (-one.health.debt_base, one.ref))
    some = next(iter(positions), AccountRef(market="", account=study.contract.address))
    return Aftermath(
        deployment=study.adapter.deployment,
        block=study.block.number,
        unit=study.adapter.base_unit(study.market, some),
        moves=_told(study, prices),
        accounts=len(after.health),
        fallen=tuple(fallen),
    )


def sweep(
    study: Study[Any, Any], positions: Positions, label: str, steps: Sequence[int]
) -> list[Point]:
    """Return what each move of one feed (basis points) puts under the line."""
    points = []
    for bps in steps:
        prices = moved_prices(study, [Move(label=label, bps=bps)])
        health = study.scan(positions, prices).health.values()
        under = [one for one in health if one.liquidatable]
        points.append(
            Point(
                bps=bps,
                accounts=len(under),
                debt=sum(one.debt_base for one in under),
                bad_debt=sum(max(one.debt_base - one.collateral_base, 0) for one in under),
            )
        )
    return points


def moved_prices(study: Study[Any, Any], moves: Sequence[Move]) -> Prices:
    """Return the prices after the moves. Raises ConfigError for a label that no feed has."""
    feeds = {feed.id: feed.label for feed in study.adapter.feeds(study.market)}
    prices: dict[str, Price] = dict(study.prices.prices)
    for move in moves:
        hit = [key for key, label in feeds.items() if label == move.label and key in prices]
        if not hit:
            known = ", ".join(sorted(set(feeds.values())))
            msg = f"{study.adapter.deployment}: expected a feed of {known}, found {move.label!r}"
            raise ConfigError(msg)
        for key in hit:
            prices[key] = replace(prices[key], value=max(move.of(prices[key].value), 0))
    return prices


def _factors(
    study: Study[Any, Any], before: object, after: object, positions: Positions
) -> dict[Address, Fraction]:
    """Return each asset's value after over before, where it moved."""
    factors: dict[Address, Fraction] = {}
    for market in sorted({ref.market for ref in positions}):
        old: Mapping[Address, AssetValue] = study.adapter.asset_values(before, market)
        new: Mapping[Address, AssetValue] = study.adapter.asset_values(after, market)
        for asset, value in old.items():
            if asset in new and value.price > 0 and new[asset].price not in (0, value.price):
                factors[asset] = Fraction(new[asset].price, value.price)
    return factors


def _told(study: Study[Any, Any], prices: Prices) -> dict[str, tuple[int, int]]:
    """Return the feeds that moved, by label."""
    now = study.prices.prices
    return {
        feed.label: (now[feed.id].value, prices[feed.id].value)
        for feed in study.adapter.feeds(study.market)
        if feed.id in now and now[feed.id].value != prices[feed.id].value
    }
