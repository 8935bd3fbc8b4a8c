"""Ways from the seized collateral to the repaid debt and to the native coin.

The collateral first buys exactly what the lender is owed; what is left of it is sold for the
wrapped native coin. Where debt or collateral is the wrapped native coin, or they are the same
asset, a leg falls away.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from keeper.core.lending import Option
from keeper.core.ports import Path
from keeper.core.units import Address
from keeper.planner.case import Desk

SHORTLIST: Final = 4
"""Paths of a leg that are tried at every amount."""
_REPAY_PROBES: Final = (0, 4)
_SALE_PROBES: Final = (2, 6)
"""Amounts that paths are compared at: the largest one, shifted right by so many bits."""

Cost = Callable[[Path, int], int | None]
"""Of a path at a probe, lowest best; None for a path that cannot do it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The paths of the two legs; an empty path is a leg that falls away."""

    repay: Path
    """Collateral to debt, for exactly what is owed."""
    sale: Path
    """All the remaining collateral to the native coin."""
    sale_repays: bool
    """True when the sale comes first and the loan is repaid out of it: the debt is native."""

    @property
    def hops(self) -> int:
        """Pools swapped through."""
        return len(self.repay) + len(self.sale)

    @property
    def crosses_itself(self) -> bool:
        """Whether the legs share a pool."""
        pools = {hop.pool for hop in self.repay}
        return any(hop.pool in pools for hop in self.sale)


def pairs_needed(option: Option, native: Address) -> tuple[tuple[Address, Address], ...]:
    """Return the (token in, token out) pairs that an option's legs swap between."""
    legs = []
    if option.debt not in (native, option.collateral):
        legs.append((option.collateral, option.debt))
    if option.collateral != native:
        legs.append((option.collateral, native))
    return tuple(legs)


def routes(
    desk: Desk, option: Option, native: Address, *, owed: int, received: int
) -> tuple[Route, ...]:
    """Return the routes worth trying, none when a leg has no path.

    ``owed`` and ``received`` are the largest amounts that will be asked about: they rank the
    paths when there are many.
    """
    same = option.collateral == option.debt
    sale_repays = option.debt == native and not same
    repays: Sequence[Path] = ((),)
    sales: Sequence[Path] = ((),)
    if not same and not sale_repays:
        paths = desk.paths(option.collateral, option.debt)
        repays = _shortlist(paths, _cheapest(desk, owed), _REPAY_PROBES)
    if option.collateral != native:
        paths = desk.paths(option.collateral, native)
        sales = _shortlist(paths, _dearest(desk, received), _SALE_PROBES)
    return tuple(
        Route(repay=repay, sale=sale, sale_repays=sale_repays) for repay in repays for sale in sales
    )


def _cheapest(desk: Desk, owed: int) -> Cost:
    def cost(path: Path, shift: int) -> int | None:
        quote = desk.exact_out(path, max(owed >> shift, 1))
        return None if quote is None else quote.amount_in

    return cost


def _dearest(desk: Desk, received: int) -> Cost:
    def cost(path: Path, shift: int) -> int | None:
        quote = desk.exact_in(path, max(received >> shift, 1))
        return None if quote is None else -quote.amount_out

    return cost


def _shortlist(paths: Sequence[Path], cost: Cost, probes: Sequence[int]) -> Sequence[Path]:
    """Return the best paths at each probe, or all when they are few."""
    if len(paths) <= SHORTLIST:
        return paths
    chosen: dict[Path, None] = {}
    for probe in probes:
        costs = [(value, path) for path in paths if (value := cost(path, probe)) is not None]
        costs.sort(key=lambda item: item[0])
        chosen |= dict.fromkeys(path for _, path in costs[:SHORTLIST])
    return tuple(chosen)
