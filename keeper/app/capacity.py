"""How much of what a move makes liquidatable the exchanges absorb at a profit, and what is left.

Plans made together on the real pools are held against each account's plan on an exchange that
never runs short (``keeper.app.endless``). Lenders, gas and least profit are the same for both.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from msgspec import Struct

from keeper.app.endless import VENUE, EndlessBook
from keeper.app.study import Study
from keeper.core.lending import AccountRef, BaseUnit, Rejection
from keeper.core.plan import Plan
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.planner.case import Case, Desk
from keeper.planner.routing import pairs_needed
from keeper.planner.unwinding import Unwinding
from keeper.scanner.scan import Scan


class Follow(NamedTuple):
    """The desk as it was read, and once the exchanges followed the move."""

    before: Desk
    after: Desk


class Capacity(Struct, frozen=True, kw_only=True):
    """What the configured venues make of one collateral, in markets of one unit.

    Debt is in base units, each plan's rounded down; collateral in raw units.
    """

    asset: Address
    symbol: str
    asset_unit: int
    """``10**decimals`` of the collateral."""
    unit: BaseUnit
    accounts: int
    """Whose liquidation pays, or would if the exchanges took any amount at the oracle's prices."""
    absorbed: int
    """Debt that is closed at a profit in one block, each plan on what the ones before leave."""
    sold: int
    """Collateral that comes with it."""
    left: int
    """Debt that would pay as well at the oracle's prices: it is left for lack of depth."""
    unknown: int
    """The same, where the move takes a pool beyond the ticks that were read: nobody can say."""

    @property
    def wanted(self) -> int:
        """Debt whose liquidation would pay if the exchanges took any amount, base units."""
        return self.absorbed + self.left + self.unknown


class Judged(Struct, frozen=True, kw_only=True):
    """A scan after the move, the positions it is of, and what was planned of it together."""

    scan: Scan[Any]
    positions: Mapping[AccountRef, Any]
    made: Sequence[Plan | Rejection]


def capacity_of(study: Study[Any, Any], judged: Judged, follow: Follow) -> tuple[Capacity, ...]:
    """Return what is absorbed and left, by unit and collateral, the most wanted first."""
    done = {one.ref: one for one in judged.made if isinstance(one, Plan) and not one.forced}
    shares = list[Capacity]()
    for case in study.cases(judged.scan, judged.positions):
        plan, ideal = done.get(case.opportunity.ref), _ideal(study, case, follow.after)
        if plan is not None or ideal is not None:
            shares.append(_share(study, judged, case, _Pair(plan, ideal), follow))
    return _added(shares)


class _Pair(NamedTuple):
    """An account's plan and the one on an exchange without end; at least one of them is."""

    plan: Plan | None
    ideal: Plan | None


def _ideal(study: Study[Any, Any], case: Case, desk: Desk) -> Plan | None:
    """Return the account's plan on an exchange without end, which takes shares of vaults too."""
    native = study.settings.chain.wrapped_native
    book = EndlessBook(valuation=case.valuation, native=native)
    found = study.planner.plan(case, replace(desk, books={VENUE: book}, unwinding=Unwinding()))
    return found if isinstance(found, Plan) and not found.forced else None


def _share(
    study: Study[Any, Any], judged: Judged, case: Case, pair: _Pair, follow: Follow
) -> Capacity:
    """Return one account's share: of the collateral that is taken, else of that which would be."""
    ref, plan = case.opportunity.ref, pair.plan
    legs = study.adapter.legs(judged.scan.view, judged.positions[ref])
    prices = {leg.asset: leg.price for leg in legs.debt}
    absorbed = _repaid(plan, prices)
    short = max(_repaid(pair.ideal, prices) - absorbed, 0)
    is_known = pair.ideal is None or not _is_lost(study, pair.ideal, follow)
    asset = next(one.option.collateral for one in pair if one is not None)
    value = case.valuation.assets[asset]
    return Capacity(
        asset=asset,
        symbol=value.symbol,
        asset_unit=value.unit,
        unit=study.adapter.base_unit(judged.scan.view, ref),
        accounts=1,
        absorbed=absorbed,
        sold=0 if plan is None else plan.quote.received,
        left=short if is_known else 0,
        unknown=0 if is_known else short,
    )


def _repaid(plan: Plan | None, prices: Mapping[Address, int]) -> int:
    """Return the debt that a plan repays, base units, rounded down; none repays nothing."""
    if plan is None:
        return 0
    debt = plan.option.debt
    return plan.quote.repay * prices[debt] // plan.valuation.assets[debt].unit


def _is_lost(study: Study[Any, Any], ideal: Plan, follow: Follow) -> bool:
    """Return whether the move took a path away that the plan's swaps could have gone along."""
    sold = follow.before.unwinding.sold(ideal.option.collateral)
    pairs = pairs_needed(sold, ideal.option.debt, study.settings.chain.wrapped_native)
    return any(len(follow.after.paths(*p)) < len(follow.before.paths(*p)) for p in pairs)


def _added(shares: Iterable[Capacity]) -> tuple[Capacity, ...]:
    """Return the shares added up by unit and collateral, the most wanted first."""
    found: dict[tuple[BaseUnit, Address], Capacity] = {}
    for one in shares:
        key = (one.unit, one.asset)
        found[key] = one if key not in found else _sum(found[key], one)
    return tuple(sorted(found.values(), key=lambda one: (one.unit.symbol, -one.wanted, one.asset)))


def _sum(one: Capacity, other: Capacity) -> Capacity:
    return replace(
        one,
        accounts=one.accounts + other.accounts,
        absorbed=one.absorbed + other.absorbed,
        sold=one.sold + other.sold,
        left=one.left + other.left,
        unknown=one.unknown + other.unknown,
    )
