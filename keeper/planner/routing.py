"""Sequence[Way] from the seized collateral to the repaid debt and to the native coin.

The collateral first buys exactly what the lender is owed; what is left of it is sold for the
wrapped native coin. Where debt or collateral is the wrapped native coin, or they are the same
asset, a leg falls away. A collateral that is redeemed first is its underlying here. A leg goes
along one path, or is divided over several where that saves more than the gas of the further pools.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Final

from msgspec import Struct, field

from keeper.core.lending import Option
from keeper.core.ports import HopKind, Path
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.planner.broker import Broker
from keeper.planner.case import Desk
from keeper.planner.division import Way
from keeper.planner.joint_division import pools

SHORTLIST: Final = 4
"""Paths of a leg that are tried at every amount."""
_REPAY_PROBES: Final = (0, 4)
_SALE_PROBES: Final = (2, 6)
"""Amounts that paths are compared at: the largest one, shifted right by so many bits."""
MOST_PARTS: Final = 3
"""Paths that a leg is divided over."""
_DIVISION_PROBES: Final = (0, 3)
"""Amounts that divisions are judged at, the largest first."""
_PART_SHIFTS: Final = (2, 5, 8)
"""Paths to divide over are ranked at smaller amounts than the whole, the first that they can do."""
_PART_PROBES: Final = (2, 5, 8)
"""Amounts that parts of what is owed are judged at, bought with collateral or out of the sale."""


class HopGas(Struct, frozen=True, kw_only=True):
    """What the gas of one more pool costs, in the two assets that legs are compared in."""

    collateral: int
    native: int


FREE: Final = HopGas(collateral=0, native=0)

Cost = Callable[[Way, int], int | None]
"""Of a way at a probe, lowest best; None for a way that cannot do it."""


class Route(Struct, frozen=True, kw_only=True):
    """The ways of the two legs; a way without paths is a leg that falls away."""

    repay: Way
    """What is sold to debt, for exactly what is owed."""
    sale: Way
    """All the remaining collateral to the native coin."""
    sale_repays: bool = False
    """True when the sale comes first and the loan is repaid out of it: the debt is native."""
    buyback: Way = ()
    """The native coin to debt, out of the sale, for what ``repay`` does not buy."""

    @property
    def hops(self) -> int:
        """Pools that may be swapped through."""
        return sum(len(path) for path in (*self.repay, *self.sale, *self.buyback))

    @property
    def crosses_itself(self) -> bool:
        """Whether the sale finds pools as the purchases with collateral leave them."""
        return not pools(self.repay).isdisjoint(pools(self.sale))

    @property
    def is_joint(self) -> bool:
        """Whether how a leg is divided depends on the other."""
        if self.buyback:
            return bool(self.repay)
        return len(self.repay) > 1 and self.crosses_itself

    @property
    def pays_in_callback(self) -> bool:
        """Whether what is owed can be had from a pool that is paid after its callback."""
        is_one = len(self.repay) == 1 and not self.buyback
        return is_one and self.repay[0][-1].kind is HopKind.UNISWAP_V3

    @property
    def locks(self) -> Way:
        """What is swapped along while a loan is out."""
        sale = self.sale if self.sale_repays or self.buyback else ()
        return (*self.repay, *sale, *self.buyback)


def pairs_needed(
    sold: Address, debt: Address, native: Address
) -> tuple[tuple[Address, Address], ...]:
    """Return the (token in, token out) pairs that the legs of an option swap between.

    ``sold`` is the collateral, or what it is redeemed for.
    """
    legs = []
    if debt not in (native, sold):
        legs.append((sold, debt))
    if sold != native:
        legs.append((sold, native))
    return tuple(legs)


def routes(
    desk: Desk,
    option: Option,
    native: Address,
    *,
    owed: int,
    received: int,
    hop_gas: HopGas = FREE,
    broker: Broker | None = None,
) -> tuple[Route, ...]:
    """Return the routes worth trying, none when a leg has no path.

    ``owed`` and ``received`` are the largest amounts that will be asked about: they rank the
    paths when there are many. A leg is divided only if that saves more than ``hop_gas`` there.
    Both are of what is swapped: the collateral, or what it is redeemed for. A ``broker`` at the
    desk may know some of it.
    """
    broker = broker or Broker(desk)
    sold, debt = desk.unwinding.sold(option.collateral), option.debt
    leg = _Leg(cost=_brought(broker, received), probes=_SALE_PROBES, least=hop_gas.native)
    outlets = () if sold == native else desk.paths(sold, native)
    sales = _ways(leg, outlets) if sold != native else ((),)
    if debt in (sold, native):
        sale_repays = debt != sold
        return tuple(Route(repay=(), sale=sale, sale_repays=sale_repays) for sale in sales)
    own = _Leg(cost=_spent(broker, owed), probes=_REPAY_PROBES, least=hop_gas.collateral)
    after = replace(own, least=hop_gas.native)
    paths, back = desk.paths(sold, debt), tuple[Path, ...]()
    if native in desk.middles and sold != native and _is_lent(desk, option):
        paths = tuple(path for path in paths if path[0].token_out != native)
        back = desk.paths(native, debt)
    repays, buybacks = _ways(own, paths), _ways(after, back)
    aside = _aside(leg, outlets, sales, debt) if buybacks else ()
    both = product(_best(own, repays), _best(after, buybacks), _leading(leg, aside))
    found = (
        *((repay, sale, ()) for repay in repays for sale in sales),
        *(((), sale, buyback) for buyback in buybacks for sale in aside),
        *((repay, sale, buyback) for repay, buyback, sale in both),
    )
    return tuple(
        Route(repay=repay, sale=sale, buyback=buyback)
        for repay, sale, buyback in found
        if pools(buyback).isdisjoint(pools((*repay, *sale)))
    )


def _aside(
    leg: "_Leg", outlets: Sequence[Path], sales: Sequence[Way], debt: Address
) -> Sequence[Way]:
    """Return the sales that what is owed can be bought out of: not for what it is bought with."""
    apart = tuple(path for path in outlets if all(hop.token_out != debt for hop in path))
    return sales if len(apart) == len(outlets) else _ways(leg, apart)


def _leading(leg: "_Leg", ways: Sequence[Way]) -> tuple[Way, ...]:
    """Return the ways that do best at a probe of a division: what is divided jointly takes long.

    A further pool has to be worth its gas.
    """
    if len(ways) <= 1:
        return tuple(ways)
    costs = [
        [
            (cost + leg.least * len(way), way)
            for way in ways
            if (cost := leg.cost(way, probe)) is not None
        ]
        for probe in _DIVISION_PROBES
    ]
    best = (min(some, key=lambda one: one[0])[1] for some in costs if some)
    return tuple(dict.fromkeys(best))


def _is_lent(desk: Desk, option: Option) -> bool:
    """Return whether the debt is at hand before it is bought, so that a sale can come first."""
    return option.pays_later or desk.most(option.debt) > 0


def _best(leg: "_Leg", ways: Sequence[Way]) -> tuple[Way, ...]:
    """Return the ways that do a part best at a probe, of each number of paths."""
    if len(ways) <= 1:
        return tuple(ways)
    found: dict[Way, None] = {}
    for shift in _PART_PROBES:
        costs = [(cost, way) for way in ways if (cost := leg.cost(way, shift)) is not None]
        for parts in range(1, MOST_PARTS + 1):
            some = [one for one in costs if len(one[1]) == parts]
            if some:
                found[min(some, key=lambda one: one[0])[1]] = None
    return tuple(found)


class _Leg(Struct, frozen=True, kw_only=True):
    """How the ways of a leg are compared."""

    cost: Cost
    probes: Sequence[int]
    least: int
    """What a further pool has to save, in the unit of the cost."""


def _ways(leg: _Leg, paths: Sequence[Path]) -> tuple[Way, ...]:
    """Return the single paths worth trying, and the divisions that pay at a probed amount."""
    single = tuple((path,) for path in _shortlist(paths, leg.cost, leg.probes))
    judged = _Judged()
    for probe in _DIVISION_PROBES:
        _divide(leg, paths, probe, judged)
    return (*single, *judged.good.values())


class _Judged(Struct, frozen=True):
    """What was found of divisions; paths are the same whichever comes first."""

    good: dict[frozenset[Path], Way] = field(default_factory=dict)
    vain: set[frozenset[Path]] = field(default_factory=set)
    """What a division saves only grows with the amount: at a smaller one these save nothing."""


def _divide(leg: _Leg, paths: Sequence[Path], probe: int, judged: _Judged) -> None:
    """Find the divisions that save more than their gas over the best smaller one."""
    if len(paths) == 1:
        return
    ways = [
        way for way in _disjoint(_parts(leg, paths, probe)) if frozenset(way) not in judged.vain
    ]
    if all(frozenset(way) in judged.good for way in ways):
        return
    costs = (leg.cost((path,), probe) for path in paths)
    best = min((cost for cost in costs if cost is not None), default=None)
    for way in ways:
        cost = leg.cost(way, probe)
        if cost is not None and (best is None or best - cost > leg.least):
            best = cost
            judged.good.setdefault(frozenset(way), way)
        elif cost is not None:
            judged.vain.add(frozenset(way))


def _parts(leg: _Leg, paths: Sequence[Path], probe: int) -> Sequence[Path]:
    """Return the paths that can do a part of what is asked for at a probe, the best first.

    Those that cannot do much come after.
    """
    found: dict[Path, None] = {}
    for shift in _PART_SHIFTS:
        if len(found) < len(paths):
            found |= dict.fromkeys(_ranked(paths, leg.cost, probe + shift))
    return tuple(found)


def _disjoint(ranked: Sequence[Path]) -> Iterator[Way]:
    """Yield the best two paths that share no pool, then the best three, and so on."""
    way: Way = ()
    for path in ranked:
        if pools(way).isdisjoint(pools((path,))):
            way = (*way, path)
            if len(way) > 1:
                yield way
        if len(way) == MOST_PARTS:
            return


def _spent(broker: Broker, owed: int) -> Cost:
    def cost(way: Way, shift: int) -> int | None:
        parts = broker.buy(way, max(owed >> shift, 1))
        return None if parts is None else sum(part.amount_in for part in parts)

    return cost


def _brought(broker: Broker, received: int) -> Cost:
    def cost(way: Way, shift: int) -> int | None:
        parts = broker.sell(way, max(received >> shift, 1))
        return None if parts is None else -sum(part.amount_out for part in parts)

    return cost


def _shortlist(paths: Sequence[Path], cost: Cost, probes: Sequence[int]) -> Sequence[Path]:
    """Return the best paths at each probe, or all when they are few."""
    if len(paths) <= SHORTLIST:
        return paths
    ranked = (path for probe in probes for path in _ranked(paths, cost, probe)[:SHORTLIST])
    return tuple(dict.fromkeys(ranked))


def _ranked(paths: Sequence[Path], cost: Cost, probe: int) -> list[Path]:
    """Return the paths that can do it, the best first."""
    costs = [(value, path) for path in paths if (value := cost((path,), probe)) is not None]
    return [path for _, path in sorted(costs, key=lambda item: item[0])]
