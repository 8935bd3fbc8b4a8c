"""What a move of prices would do: who falls, how much debt, what it brings, what stays bad."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from fractions import Fraction
from typing import Any

from msgspec import Struct

from keeper.app.capacity import Capacity, Follow, Judged, capacity_of
from keeper.app.study import Study
from keeper.core.errors import ConfigError, StaleError
from keeper.core.lending import AccountRef, AssetValue, BaseUnit, Feed, Health, Price, Rejection
from keeper.core.plan import Plan
from keeper.core.ports import Prices
from keeper.core.units import WAD, Address
from keeper.core.values import replace
from keeper.scanner.scan import Scan

BPS = 10_000

REACH_TICKS = 19_200
"""How far around their price pools are read: a fall of 80 % is 16,096 ticks."""

PLANNED_EVERY_BPS = 1_000
"""Moves of a sweep that are planned: planning one takes as long as all others together."""


class Move(Struct, frozen=True, kw_only=True):
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


class Fallen(Struct, frozen=True, kw_only=True):
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


class Moved(Struct, frozen=True, kw_only=True):
    """A feed's price before and after."""

    label: str
    scale: int
    """How much of a price is one."""
    before: int
    after: int


class Aftermath(Struct, frozen=True, kw_only=True):
    """A deployment after the move."""

    deployment: str
    block: int
    moves: tuple[Moved, ...]
    accounts: int
    fallen: tuple[Fallen, ...]
    """Largest debt first, by unit."""
    capacity: tuple[Capacity, ...]
    """Of the routes, by unit and collateral."""

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


class Point(Struct, frozen=True, kw_only=True):
    """One point of a sweep: a move and what it puts under the line in markets of one unit."""

    bps: int
    accounts: int
    debt: int
    bad_debt: int
    capacity: tuple[Capacity, ...] | None = None
    """None where it was not planned."""

    @property
    def absorbed(self) -> int | None:
        """Debt that is closed at a profit in one block."""
        return None if self.capacity is None else sum(one.absorbed for one in self.capacity)

    @property
    def left(self) -> int | None:
        """Debt that is left for lack of depth; None as well where nobody can say of some of it."""
        if self.capacity is None or any(one.unknown for one in self.capacity):
            return None
        return sum(one.left for one in self.capacity)


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
    factors = _factors(study, before.view, after.view, positions)
    made, capacity = await planned(study, positions, after, factors)
    done = {one.ref: one for one in (*after.rejections, *made)}
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
        capacity=capacity,
    )


async def planned(
    study: Study[Any, Any],
    positions: Positions,
    after: Scan[Any],
    factors: Mapping[Address, Fraction],
) -> tuple[list[Plan | Rejection], tuple[Capacity, ...]]:
    """Return the joint plans on exchanges that followed the move, and what those absorb."""
    if not after.opportunities:
        return [], ()
    before = await study.desk(after.opportunities)
    desk = before.repriced(factors)
    made = study.plan(after, positions, desk)
    judged = Judged(scan=after, positions=positions, made=made)
    return made, capacity_of(study, judged, Follow(before, desk))


async def sweep(
    study: Study[Any, Any],
    positions: Positions,
    label: str,
    steps: Sequence[int],
    *,
    planned_every: int = PLANNED_EVERY_BPS,
) -> dict[BaseUnit, list[Point]]:
    """Return what each move of one feed (basis points) puts under the line, by unit.

    Moves by a multiple of ``planned_every`` are planned as well, for the capacity of the routes.
    """
    now = study.scan(positions, study.prices.prices)
    units = {ref: study.adapter.base_unit(study.market, ref) for ref in positions}
    found: dict[BaseUnit, list[Point]] = {unit: [] for unit in units.values()}
    for bps in steps:
        after = study.scan(positions, moved_prices(study, [Move(label=label, bps=bps)]))
        capacity = None
        if bps % planned_every == 0:
            factors = _factors(study, now.view, after.view, positions)
            _, capacity = await planned(study, positions, after, factors)
        for unit, points in found.items():
            all_under = ((ref, one) for ref, one in after.health.items() if one.liquidatable)
            under = [one for ref, one in all_under if units[ref] == unit]
            own = None if capacity is None else tuple(c for c in capacity if c.unit == unit)
            points.append(_point(bps, under, own))
    return found


def _point(bps: int, under: Sequence[Health], capacity: tuple[Capacity, ...] | None) -> Point:
    return Point(
        bps=bps,
        accounts=len(under),
        debt=sum(one.debt_base for one in under),
        bad_debt=sum(max(one.debt_base - one.collateral_base, 0) for one in under),
        capacity=capacity,
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
        old: Mapping[Address, AssetValue] = {}
        new: Mapping[Address, AssetValue] = {}
        with suppress(StaleError):  # it has no price: nobody is planned for there
            old = study.adapter.asset_values(before, market)
            new = study.adapter.asset_values(after, market)
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
