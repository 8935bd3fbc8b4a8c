"""The best trade of one option: over its routes, and over the amount along each."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from keeper.core.lending import Option, Reason
from keeper.planner.broker import Broker
from keeper.planner.case import Case, Desk
from keeper.planner.ceiling import Ceilings
from keeper.planner.in_steps import in_steps
from keeper.planner.routing import HopGas, pairs_needed, routes
from keeper.planner.sizing import FINE, ROUGH
from keeper.planner.trade import Miss, Terms, Trade
from keeper.planner.trials import Offer, Trials

_FINALISTS: Final = 3
"""Routes whose amount is searched."""
_LARGER: Final = (0, 2, 4, 6, 8, 10)
"""Amounts that they are found at: the most that is taken, shifted right by so many bits, where that
is more than one route takes best."""
_NEAR_SHIFT: Final = 6
"""A route within ``1/2**6`` of the best one is searched to the last unit."""


def best_trades(
    case: Case, desk: Desk, terms: Terms, pays: Callable[[Trade], bool] = lambda _: True
) -> list[Trade | Miss]:
    """Return the best that routes of options come to, and several liquidations in turn.

    Left out is an option that can at most bring what another one brings that ``pays``.
    """
    results: list[Trade | Miss] = []
    worth, ceilings = case.valuation.wei_floor, Ceilings(desk, terms)
    options = case.opportunity.options
    for option in sorted(options, key=lambda one: -worth(one.debt, one.max_repay)):
        paying = [one.net for one in results if isinstance(one, Trade) and pays(one)]
        bar = max(paying, default=None)
        if bar is None or ceilings.may_bring(case, option, bar):
            results += _best_of_option(case, desk, terms, option, bar)
    return results


def _best_of_option(
    case: Case, desk: Desk, terms: Terms, option: Option, bar: int | None
) -> list[Trade | Miss]:
    """Return the best that each route comes to.

    It is found roughly first, and to the last unit for those near the best of them. ``bar`` is what
    another option nets, wei, None without: where one liquidation stays below it, several may not.
    """
    trials = _trials(case, desk, terms, option)
    if isinstance(trials, Miss):
        return [trials]
    rough = [one.best(ROUGH) for one in trials]
    own = max((one.net for one in rough if isinstance(one, Trade)), default=0)
    best = own if bar is None else max(own, bar)
    results = [
        one.best(FINE) if _is_near(found, own) else found
        for one, found in zip(trials, rough, strict=True)
    ]
    near = [one for one in zip(trials, results, strict=True) if _is_near(one[1], own)]
    singles = [(one, found) for one, found in near if isinstance(found, Trade)]
    return [*results, *in_steps(singles, best)]


def _is_near(result: Trade | Miss, best: int) -> bool:
    """Return whether a net is near the best, wei."""
    return isinstance(result, Trade) and result.net >= best - (abs(best) >> _NEAR_SHIFT)


def whole_trades(case: Case, desk: Desk, terms: Terms) -> Iterator[Trade]:
    """Yield what each route comes to for the most that may be repaid, else for the best amount."""
    for option in case.opportunity.options:
        found = _trials(case, desk, terms, option)
        for one in () if isinstance(found, Miss) else found:
            whole = one.at(one.offer.largest)
            trade = one.best(FINE) if isinstance(whole, Miss) else whole
            if isinstance(trade, Trade):
                yield trade


def _trials(case: Case, desk: Desk, terms: Terms, option: Option) -> list[Trials] | Miss:
    """Return the routes to try for an option, or why there are none."""
    if option.max_repay < 1:
        return Miss(reason=Reason.NO_OPTION, detail="the protocol lets nothing be repaid")
    value = case.valuation.assets[option.collateral]
    if value.price < 1:
        # Whoever makes a market chooses its token and its price: it must not end a plan of others.
        detail = f"a whole {value.symbol} is worth less than the least that its market can tell"
        return Miss(reason=Reason.PRICE_UNUSABLE, detail=detail)
    refusal = desk.unwinding.refusal(option.collateral)
    if refusal is not None:
        return Miss(reason=Reason.NO_ROUTE, detail=f"cannot be redeemed: {refusal}")
    lent = 0 if option.pays_later else desk.most(option.debt)
    largest = min(option.max_repay, lent or option.max_repay)
    broker = Broker(desk)
    offer = Offer(case=case, desk=desk, broker=broker, terms=terms, option=option, largest=largest)
    most = offer.most_taken()
    received = _sold_worth(case, desk, option, case.valuation.wei_floor(option.debt, most))
    gas = _gas_of_a_hop(desk, terms)
    hop_gas = HopGas(native=gas, collateral=_sold_worth(case, desk, option, gas))
    found = routes(
        desk,
        option,
        terms.native,
        owed=most,
        received=received,
        hop_gas=hop_gas,
        broker=broker,
    )
    if not found:
        return _pathless(case, desk, terms, option)
    pieces = offer.pieces()
    return _finalists([Trials(offer=offer, route=route, pieces=pieces) for route in found])


def _sold_worth(case: Case, desk: Desk, option: Option, wei: int) -> int:
    """Return about how much of what is swapped is worth that much: it ranks paths."""
    amount = case.valuation.amount_ceil(option.collateral, wei)
    return desk.unwinding.worth(option.collateral, amount)


def _pathless(case: Case, desk: Desk, terms: Terms, option: Option) -> Miss:
    """Say which pair of the option no pool swaps, and where was looked."""
    assets, native = case.valuation.assets, terms.native
    sold = desk.unwinding.sold(option.collateral)
    needed = pairs_needed(sold, option.debt, native)
    missing = [pair for pair in needed if not desk.paths(*pair)]
    names = desk.unwinding.symbols()
    names |= {one: "the native coin" for one in (native,) if one not in assets}
    names |= {one: assets[one].symbol for pair in needed for one in pair if one in assets}
    pairs = " and ".join(f"{names[sold]} for {names[bought]}" for sold, bought in missing or needed)
    venues = ", ".join(sorted(desk.books)) or "no venue"
    what = "no pools swap" if missing else "no pools take even a part of a swap of"
    return Miss(reason=Reason.NO_ROUTE, detail=f"{what} {pairs} (looked at {venues})")


def _gas_of_a_hop(desk: Desk, terms: Terms) -> int:
    """Return what one more pool costs, wei, a rollup's data included."""
    price = desk.gas_price
    two, three = (desk.data_fees.at_most(terms.gas.size(hops)).at(price) for hops in (2, 3))
    return terms.gas.hop * price + three - two


def closest(results: Iterable[Trade | Miss]) -> Trade | Miss:
    """Return the trade with the greatest net, or the miss nearest to being one."""
    return max(results, key=_rank)


def _rank(result: Trade | Miss) -> tuple[int, int]:
    """Order trades by net above misses, misses with a known loss above those without."""
    if isinstance(result, Trade):
        return (2, result.net)
    return (0, 0) if result.net is None else (1, result.net)


def _finalists(trials: list[Trials]) -> list[Trials]:
    """Return the routes that do best where the widest of them do, or all when they are few.

    That is where a route is compared with others at what it may really repay: the largest amount
    may be refused, or more than the pools take. Of what is divided jointly the widest come first:
    where they leave paths out, that is known of the narrower ones. A pool that anybody can open may
    take next to nothing, and be the best one for that: larger amounts are looked at as well.
    """
    if len(trials) <= _FINALISTS:
        return trials
    by_width = sorted(trials, key=lambda one: -one.route.hops)
    widest = {_kind(one): one for one in reversed(by_width)}
    offers = [(one, one.best_offer(ROUGH)) for one in widest.values()]
    best, amount = max(offers, key=lambda offer: _rank(offer[0].at(offer[1])))
    least, most = amount if best.net(amount) is not None else 0, best.offer.most_taken()
    amounts = {amount, *(most >> shift for shift in _LARGER if most >> shift > least)}

    def rank(one: Trials) -> tuple[int, int]:
        return max(_rank(one.at(amount)) for amount in amounts)

    return sorted(by_width, key=rank, reverse=True)[:_FINALISTS]


def _kind(one: Trials) -> tuple[bool, bool]:
    """Return by what its debt is bought: with collateral, out of the sale or both at once."""
    return (not one.route.repay, one.route.is_joint)
