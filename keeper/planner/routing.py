"""Ways from the seized collateral to the repaid debt and to the native coin.

The collateral first buys exactly what the lender is owed; what is left of it is sold for the
wrapped native coin. Where debt or collateral is the wrapped native coin, or they are the same
asset, a leg falls away. A collateral that is redeemed first is its underlying here. A leg goes
along one path, or is divided over several where that saves more than the gas of the further pools.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from keeper.core.lending import Option
from keeper.core.ports import HopKind, Path
from keeper.core.units import Address
from keeper.planner.case import Desk
from keeper.planner.division import Way, buy, sell

SHORTLIST: Final = 4
"""Paths of a leg that are tried at every amount."""
_REPAY_PROBES: Final = (0, 4)
_SALE_PROBES: Final = (2, 6)
"""Amounts that paths are compared at: the largest one, shifted right by so many bits."""
MOST_PARTS: Final = 3
"""Paths that a leg is divided over."""
_DIVISION_PROBES: Final = (0, 3)
"""Amounts that divisions are judged at."""
_PART_SHIFT: Final = 2
"""Paths to divide over are ranked at a smaller amount than the whole."""
_SMALL_PART_SHIFT: Final = 5
"""Those that cannot do even that come after, ranked at a smaller amount yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HopGas:
    """What the gas of one more pool costs, in the two assets that legs are compared in."""

    collateral: int
    native: int


FREE: Final = HopGas(collateral=0, native=0)

Cost = Callable[[Way, int], int | None]
"""Of a way at a probe, lowest best; None for a way that cannot do it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The ways of the two legs; a way without paths is a leg that falls away."""

    repay: Way
    """What is sold to debt, for exactly what is owed."""
    sale: Way
    """All the remaining collateral to the native coin."""
    sale_repays: bool
    """True when the sale comes first and the loan is repaid out of it: the debt is native."""

    @property
    def hops(self) -> int:
        """Pools that may be swapped through."""
        return sum(len(path) for path in (*self.repay, *self.sale))

    @property
    def crosses_itself(self) -> bool:
        """Whether the legs share a pool."""
        return not _pools(self.repay).isdisjoint(_pools(self.sale))

    @property
    def pays_in_callback(self) -> bool:
        """Whether what is owed can be had from a pool that is paid after its callback."""
        return len(self.repay) == 1 and self.repay[0][-1].kind is HopKind.UNISWAP_V3


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
    desk: Desk, option: Option, native: Address, *, owed: int, received: int, hop_gas: HopGas = FREE
) -> tuple[Route, ...]:
    """Return the routes worth trying, none when a leg has no path.

    ``owed`` and ``received`` are the largest amounts that will be asked about: they rank the
    paths when there are many. A leg is divided only if that saves more than ``hop_gas`` there.
    Both are of what is swapped: the collateral, or what it is redeemed for.
    """
    sold = desk.unwinding.sold(option.collateral)
    same = sold == option.debt
    sale_repays = option.debt == native and not same
    repays: Sequence[Way] = ((),)
    sales: Sequence[Way] = ((),)
    if not same and not sale_repays:
        leg = _Leg(cost=_spent(desk, owed), probes=_REPAY_PROBES, least=hop_gas.collateral)
        repays = _ways(leg, desk.paths(sold, option.debt))
    if sold != native:
        leg = _Leg(cost=_brought(desk, received), probes=_SALE_PROBES, least=hop_gas.native)
        sales = _ways(leg, desk.paths(sold, native))
    return tuple(
        Route(repay=repay, sale=sale, sale_repays=sale_repays) for repay in repays for sale in sales
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Leg:
    """How the ways of a leg are compared."""

    cost: Cost
    probes: Sequence[int]
    least: int
    """What a further pool has to save, in the unit of the cost."""


def _ways(leg: _Leg, paths: Sequence[Path]) -> tuple[Way, ...]:
    """Return the single paths worth trying, and the divisions that pay at a probed amount."""
    single = tuple((path,) for path in _shortlist(paths, leg.cost, leg.probes))
    divided = dict.fromkeys(
        way for probe in _DIVISION_PROBES for way in _divided(leg, paths, probe)
    )
    return (*single, *divided)


def _divided(leg: _Leg, paths: Sequence[Path], probe: int) -> Iterator[Way]:
    """Yield the divisions that save more than their gas over the best smaller one."""
    if len(paths) == 1:
        return
    costs = (leg.cost((path,), probe) for path in paths)
    best = min((cost for cost in costs if cost is not None), default=None)
    for way in _disjoint(_parts(leg, paths, probe)):
        cost = leg.cost(way, probe)
        if cost is not None and (best is None or best - cost > leg.least):
            best = cost
            yield way


def _parts(leg: _Leg, paths: Sequence[Path], probe: int) -> Sequence[Path]:
    """Return the paths that can do a part of what is asked for at a probe, the best first."""
    ranked = _ranked(paths, leg.cost, probe + _PART_SHIFT)
    if len(ranked) == len(paths):
        return ranked
    return tuple(dict.fromkeys((*ranked, *_ranked(paths, leg.cost, probe + _SMALL_PART_SHIFT))))


def _disjoint(ranked: Sequence[Path]) -> Iterator[Way]:
    """Yield the best two paths that share no pool, then the best three, and so on."""
    way: Way = ()
    for path in ranked:
        if _pools(way).isdisjoint(_pools((path,))):
            way = (*way, path)
            if len(way) > 1:
                yield way
        if len(way) == MOST_PARTS:
            return


def _pools(way: Way) -> set[Address]:
    return {hop.pool for path in way for hop in path}


def _spent(desk: Desk, owed: int) -> Cost:
    def cost(way: Way, shift: int) -> int | None:
        parts = buy(desk, way, max(owed >> shift, 1))
        return None if parts is None else sum(part.amount_in for part in parts)

    return cost


def _brought(desk: Desk, received: int) -> Cost:
    def cost(way: Way, shift: int) -> int | None:
        parts = sell(desk, way, max(received >> shift, 1))
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
