"""The ways of one leg that are worth trying: single paths, and divisions over several.

Paths are compared at a few parts of the largest amount that the leg may be asked for.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from msgspec import Struct, field

from keeper.core.ports import Path
from keeper.planner.broker import Broker
from keeper.planner.division import Way
from keeper.planner.joint_division import pools

SHORTLIST: Final = 4
"""Paths of a leg that are tried at every amount."""
REPAY_PROBES: Final = (0, 4)
SALE_PROBES: Final = (2, 6)
"""Amounts that paths are compared at: the largest one, shifted right by so many bits."""
_SMALL_PROBES: Final = (8, 12)
"""The same where no path takes as much: of a loan that is far larger than its pools."""
MOST_PARTS: Final = 3
"""Paths that a leg is divided over."""
_DIVISION_PROBES: Final = (0, 3, 6)
"""Amounts that divisions are judged at, the largest first."""
_PART_SHIFTS: Final = (2, 5, 8)
"""Paths to divide over are ranked at smaller amounts than the whole, the first that they can do."""
_PART_PROBES: Final = (2, 5, 8)
"""Amounts that parts of what is owed are judged at, bought with collateral or out of the sale."""

Cost = Callable[[Way, int], int | None]
"""Of a way at a probe, lowest best; None for a way that cannot do it."""


class Leg(Struct, frozen=True, kw_only=True):
    """How the ways of a leg are compared."""

    cost: Cost
    probes: Sequence[int]
    least: int
    """What a further pool has to save, in the unit of the cost."""


def ways_of(leg: Leg, paths: Sequence[Path]) -> tuple[Way, ...]:
    """Return the single paths worth trying, and the divisions that pay at a probed amount."""
    single = tuple((path,) for path in shortlist(leg, paths))
    judged = _Judged()
    for probe in _DIVISION_PROBES:
        _divide(leg, paths, probe, judged)
    return (*single, *judged.good.values())


def leading(leg: Leg, ways: Sequence[Way]) -> tuple[Way, ...]:
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


def best_parts(leg: Leg, ways: Sequence[Way]) -> tuple[Way, ...]:
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


class _Judged(Struct, frozen=True):
    """What was found of divisions; paths are the same whichever comes first."""

    good: dict[frozenset[Path], Way] = field(default_factory=dict)
    vain: set[frozenset[Path]] = field(default_factory=set)
    """What a division saves only grows with the amount: at a smaller one these save nothing."""


def _divide(leg: Leg, paths: Sequence[Path], probe: int, judged: _Judged) -> None:
    """Find the divisions that save more than their gas over the best smaller one.

    Of paths that share a pool the one that does a part best may not be the one to go along: the
    more is asked for, the larger its part. So they are taken in the order of the whole as well.
    """
    if len(paths) == 1:
        return
    parts = _parts(leg, paths, probe)
    whole = dict.fromkeys((*_ranked(paths, leg.cost, probe), *parts))
    for ranked in (parts, tuple(whole)):
        _judge(leg, paths, ranked, probe, judged)


def _judge(
    leg: Leg, paths: Sequence[Path], ranked: Sequence[Path], probe: int, judged: _Judged
) -> None:
    ways = [way for way in _disjoint(ranked) if frozenset(way) not in judged.vain]
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


def _parts(leg: Leg, paths: Sequence[Path], probe: int) -> Sequence[Path]:
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


def spent(broker: Broker, owed: int) -> Cost:
    """Return what buying along a way costs, for parts of ``owed``."""

    def cost(way: Way, shift: int) -> int | None:
        parts = broker.buy(way, max(owed >> shift, 1))
        return None if parts is None else sum(part.amount_in for part in parts)

    return cost


def brought(broker: Broker, received: int) -> Cost:
    """Return what selling along a way brings, negated, for parts of ``received``."""

    def cost(way: Way, shift: int) -> int | None:
        parts = broker.sell(way, max(received >> shift, 1))
        return None if parts is None else -sum(part.amount_out for part in parts)

    return cost


def shortlist(leg: Leg, paths: Sequence[Path]) -> Sequence[Path]:
    """Return the best paths at each probe, or all when they are few.

    Where none takes as much as a probe, those that take a smaller part are tried.
    """
    if len(paths) <= SHORTLIST:
        return paths
    ranked = (path for probe in leg.probes for path in _ranked(paths, leg.cost, probe)[:SHORTLIST])
    found = tuple(dict.fromkeys(ranked))
    smaller = (_ranked(paths, leg.cost, probe)[:SHORTLIST] for probe in _SMALL_PROBES)
    return found or next((some for some in smaller if some), ())


def _ranked(paths: Sequence[Path], cost: Cost, probe: int) -> list[Path]:
    """Return the paths that can do it, the best first."""
    costs = [(value, path) for path in paths if (value := cost((path,), probe)) is not None]
    return [path for _, path in sorted(costs, key=lambda item: item[0])]
