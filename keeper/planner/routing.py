"""Ways from the seized collateral to the repaid debt and to the native coin.

The collateral first buys exactly what the lender is owed; what is left of it is sold for the
wrapped native coin. Where debt or collateral is the wrapped native coin, or they are the same
asset, a leg falls away. A collateral that is redeemed first is its underlying here. A leg goes
along one path, or is divided over several where that saves more than the gas of the further pools.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Final

from msgspec import Struct

from keeper.core.lending import Option
from keeper.core.ports import HopKind, Path
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.planner.broker import Broker
from keeper.planner.case import Desk
from keeper.planner.division import Way
from keeper.planner.joint_division import pools
from keeper.planner.ways import (
    REPAY_PROBES,
    SALE_PROBES,
    Leg,
    best_parts,
    brought,
    leading,
    shortlist,
    spent,
    ways_of,
)


class HopGas(Struct, frozen=True, kw_only=True):
    """What the gas of one more pool costs, in the two assets that legs are compared in."""

    collateral: int
    native: int


FREE: Final = HopGas(collateral=0, native=0)


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
    sale = Leg(cost=brought(broker, received), probes=SALE_PROBES, least=hop_gas.native)
    repay = Leg(cost=spent(broker, owed), probes=REPAY_PROBES, least=hop_gas.collateral)
    after = replace(repay, least=hop_gas.native)
    legs = _Legs(desk=desk, option=option, native=native, repay=repay, sale=sale, buyback=after)
    found = legs.routes()
    lender = _sole_lender(desk, option, owed, found)
    if lender is None:
        return found
    return tuple(dict.fromkeys((*found, *replace(legs, apart=lender).routes())))


class _Legs(Struct, frozen=True, kw_only=True):
    """What an option's legs are compared by."""

    desk: Desk
    option: Option
    native: Address
    repay: Leg
    sale: Leg
    buyback: Leg
    apart: Address | None = None
    """A pool that is not swapped through."""

    def routes(self) -> tuple[Route, ...]:
        """Return the ways of all legs that go together."""
        desk, debt, native = self.desk, self.option.debt, self.native
        sold = desk.unwinding.sold(self.option.collateral)
        outlets = () if sold == native else self._paths(sold, native)
        sales = ways_of(self.sale, outlets) if sold != native else ((),)
        if debt in (sold, native):
            sale_repays = debt != sold
            return tuple(Route(repay=(), sale=sale, sale_repays=sale_repays) for sale in sales)
        paths, back = self._paths(sold, debt), tuple[Path, ...]()
        is_lent = _is_lent(desk, self.option)
        if native in desk.middles and sold != native and is_lent:
            paths = tuple(path for path in paths if path[0].token_out != native)
            back = self._paths(native, debt)
        repays = ways_of(self.repay, paths) if is_lent else _unlent(self.repay, paths)
        buybacks = ways_of(self.buyback, back)
        aside = _aside(self.sale, outlets, sales, debt) if buybacks else ()
        found = (
            *((repay, sale, ()) for repay in repays for sale in sales),
            *(((), sale, buyback) for buyback in buybacks for sale in aside),
            *self._jointly(repays, aside, buybacks),
        )
        return tuple(
            Route(repay=repay, sale=sale, buyback=buyback)
            for repay, sale, buyback in found
            if pools(buyback).isdisjoint(pools((*repay, *sale)))
        )

    def _jointly(
        self, repays: Sequence[Way], sales: Sequence[Way], buybacks: Sequence[Way]
    ) -> Iterator[tuple[Way, Way, Way]]:
        """Yield the best ways together, each of those that share no pool with the one before."""
        beside = _choice(best_parts, self.buyback, buybacks)
        behind = _choice(leading, self.sale, sales)
        for repay in best_parts(self.repay, repays):
            for buyback in beside(repay):
                for sale in behind(buyback):
                    yield repay, sale, buyback

    def _paths(self, sold: Address, bought: Address) -> tuple[Path, ...]:
        found = self.desk.paths(sold, bought)
        if self.apart is None:
            return found
        return tuple(path for path in found if self.apart not in pools((path,)))


def _choice(
    choose: Callable[[Leg, Sequence[Way]], tuple[Way, ...]], leg: Leg, ways: Sequence[Way]
) -> Callable[[Way], tuple[Way, ...]]:
    """Return how ways of a leg are chosen of those that share no pool with another way."""
    best = choose(leg, ways)

    @cache
    def clear_of(other: Way) -> tuple[Way, ...]:
        taken = pools(other)
        if all(taken.isdisjoint(pools(way)) for way in best):
            return best
        return choose(leg, [way for way in ways if taken.isdisjoint(pools(way))])

    return clear_of


def _sole_lender(desk: Desk, option: Option, owed: int, found: Sequence[Route]) -> Address | None:
    """Return the pool that routes need unlocked: nobody else lends as much.

    The best pool is in every division, and those that do without it are not among them.
    """
    needed = pools(path for route in found for path in route.locks)
    loans = [] if option.pays_later else desk.loans_of(option.debt, owed)
    if not loans or any(loan.lender not in needed for loan in loans):
        return None
    return min(loans, key=lambda loan: (loan.fee, loan.gas)).lender


def _aside(leg: Leg, outlets: Sequence[Path], sales: Sequence[Way], debt: Address) -> Sequence[Way]:
    """Return the sales that what is owed can be bought out of: not for what it is bought with."""
    apart = tuple(path for path in outlets if all(hop.token_out != debt for hop in path))
    return sales if len(apart) == len(outlets) else ways_of(leg, apart)


def _unlent(leg: Leg, paths: Sequence[Path]) -> tuple[Way, ...]:
    """Return the single paths worth trying to what nobody lends: a pool has to hand it over first.

    Where none can, all are returned, so that it is said what is missing.
    """
    payable = tuple(path for path in paths if path[-1].kind is HopKind.UNISWAP_V3)
    return tuple((path,) for path in shortlist(leg, payable or paths))


def _is_lent(desk: Desk, option: Option) -> bool:
    """Return whether the debt is at hand before it is bought, so that a sale can come first."""
    return option.pays_later or desk.most(option.debt) > 0
