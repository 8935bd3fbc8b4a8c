"""What a move of prices would do: who falls, how much debt, what it brings, what stays bad."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from keeper.app.study import Study
from keeper.core.errors import ConfigError
from keeper.core.lending import AccountRef, AssetValue, BaseUnit, Feed, Health, Price, Rejection
from keeper.core.plan import Plan
from keeper.core.ports import Prices
from keeper.core.units import WAD, Address

BPS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A feed's or an asset's new price: a change in basis points, or a price (wad)."""

    label: str
    bps: int | None = None
    price: int | None = None

    def of(self, feed: Feed, now: int, scale: int) -> int | None:
        """Return a feed's price after the move, None when the move is of something else.

        A move by a share of an asset moves every pair that it is in: against it, the other way.
        """
        if feed.label == self.label:
            if self.bps is not None:
                return now * (BPS + self.bps) // BPS
            return now if self.price is None else self.price * scale // WAD
        if feed.pair is None or self.label not in feed.pair or self.bps is None:
            return None
        if feed.pair[0] == self.label:
            return now * (BPS + self.bps) // BPS
        return now * BPS // max(BPS + self.bps, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallen:
    """An account that is under the line after the move."""

    ref: AccountRef
    health: Health
    unit: BaseUnit
    """Of the health's values."""
    new: bool
    """False when it was under the line before."""
    done: Plan | Rejection | None

    @property
    def bad_debt(self) -> int:
        """Debt over collateral, base units: what lenders lose even at the oracle's prices."""
        return max(self.health.debt_base - self.health.collateral_base, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A feed's price before and after."""

    label: str
    scale: int
    """How much of a price is one."""
    before: int
    after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Aftermath:
    """A deployment after the move."""

    deployment: str
    block: int
    moves: tuple[Moved, ...]
    accounts: int
    fallen: tuple[Fallen, ...]
    """Largest debt first, by unit."""

    @property
    def debt(self) -> dict[BaseUnit, int]:
        """Debt under the line, by the unit that its market counts in."""
        return sums((one.unit, one.health.debt_base) for one in self.fallen)

    @property
    def bad_debt(self) -> dict[BaseUnit, int]:
        """Debt over collateral, by unit."""
        return sums((one.unit, one.bad_debt) for one in self.fallen)

    @property
    def covered(self) -> dict[BaseUnit, int]:
        """Debt of the accounts that have a plan, by unit."""
        planned = (one for one in self.fallen if isinstance(one.done, Plan))
        return sums((one.unit, one.health.debt_base) for one in planned)

    @property
    def plans(self) -> tuple[Plan, ...]:
        """What could be carried out in the next block, each on what the ones before leave."""
        return tuple(one.done for one in self.fallen if isinstance(one.done, Plan))


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One point of a sweep: a move and what it puts under the line in markets of one unit."""

    bps: int
    accounts: int
    debt: int
    bad_debt: int


def sums(figures: Iterable[tuple[BaseUnit, int]]) -> dict[BaseUnit, int]:
    """Return figures added up by their unit."""
    found: dict[BaseUnit, int] = {}
    for unit, figure in figures:
        found[unit] = found.get(unit, 0) + figure
    return found


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
        Fallen(
            ref=ref,
            health=health,
            unit=study.adapter.base_unit(study.market, ref),
            new=ref not in under,
            done=done.get(ref),
        )
        for ref, health in after.health.items()
        if health.liquidatable
    ]
    fallen.sort(key=lambda one: (one.unit.symbol, -one.health.debt_base, one.ref))
    return Aftermath(
        deployment=study.adapter.deployment,
        block=study.block.number,
        moves=_told(study, prices),
        accounts=len(after.health),
        fallen=tuple(fallen),
    )


def sweep(
    study: Study[Any, Any], positions: Positions, label: str, steps: Sequence[int]
) -> dict[BaseUnit, list[Point]]:
    """Return what each move of one feed (basis points) puts under the line, by unit."""
    units = {ref: study.adapter.base_unit(study.market, ref) for ref in positions}
    found: dict[BaseUnit, list[Point]] = {unit: [] for unit in units.values()}
    for bps in steps:
        prices = moved_prices(study, [Move(label=label, bps=bps)])
        health = study.scan(positions, prices).health
        for unit, points in found.items():
            under = [one for ref, one in health.items() if one.liquidatable and units[ref] == unit]
            points.append(_point(bps, under))
    return found


def _point(bps: int, under: Sequence[Health]) -> Point:
    return Point(
        bps=bps,
        accounts=len(under),
        debt=sum(one.debt_base for one in under),
        bad_debt=sum(max(one.debt_base - one.collateral_base, 0) for one in under),
    )


def labels_of(study: Study[Any, Any]) -> set[str]:
    """Return every name that a move may have: feeds, and assets that are in pairs."""
    feeds = study.adapter.feeds(study.market)
    return {name for feed in feeds for name in (feed.label, *(feed.pair or ()))}


def moved_prices(study: Study[Any, Any], moves: Sequence[Move]) -> Prices:
    """Return the prices after the moves. Raises ConfigError for what no feed is of."""
    prices: dict[str, Price] = dict(study.prices.prices)
    for move in moves:
        moved = {
            feed.id: after
            for feed in study.adapter.feeds(study.market)
            if feed.id in prices
            and (after := move.of(feed, prices[feed.id].value, scale_of(study, feed))) is not None
        }
        if not moved:
            known = ", ".join(sorted(labels_of(study)))
            msg = f"{study.adapter.deployment}: expected a feed of {known}, found {move.label!r}"
            raise ConfigError(msg)
        for key, after in moved.items():
            prices[key] = replace(prices[key], value=max(after, 0))
    return prices


def scale_of(study: Study[Any, Any], feed: Feed) -> int:
    """Return how much of a feed's price is one."""
    return feed.scale or study.adapter.base_unit(study.market, study.anybody).scale


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


def _told(study: Study[Any, Any], prices: Prices) -> tuple[Moved, ...]:
    """Return the feeds that moved."""
    now = study.prices.prices
    return tuple(
        Moved(
            label=feed.label,
            scale=scale_of(study, feed),
            before=now[feed.id].value,
            after=prices[feed.id].value,
        )
        for feed in study.adapter.feeds(study.market)
        if feed.id in now and now[feed.id].value != prices[feed.id].value
    )
