"""The best trade of one option: over its routes, and over the amount along each."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from keeper.core.lending import Option, Reason, SeizeQuote
from keeper.planner.case import Case, Desk
from keeper.planner.routing import HopGas, Route, pairs_needed, routes
from keeper.planner.sizing import (
    FINE,
    ROUGH,
    Piece,
    best_amount,
    best_of,
    edge_from,
    pieces_of,
    split,
)
from keeper.planner.stepping import MOST_STEPS, largest_step
from keeper.planner.trade import Miss, Terms, Trade, seizure, trade

_FINALISTS: Final = 4
"""Routes whose amount is searched, for each of the probed amounts."""
_PROBES: Final = (0, 4)
"""Amounts that routes are compared at: the largest one, shifted right by so many bits."""
_MARGIN: Final = 8
"""The last ``1/2**8`` of an amount tells what more of it would earn."""
_NEAR_SHIFT: Final = 6
"""A route within ``1/2**6`` of the best one is searched to the last unit."""


def best_trades(case: Case, desk: Desk, terms: Terms) -> list[Trade | Miss]:
    """Return the best that each route of each option comes to.

    It is found roughly first, and to the last unit for those near the best of all.
    """
    results: list[Trade | Miss] = []
    trials: list[_Trials] = []
    for option in case.opportunity.options:
        found = _trials(case, desk, terms, option)
        if isinstance(found, Miss):
            results.append(found)
        else:
            trials += found
    rough = [one.best(ROUGH) for one in trials]
    bar = max((one.net for one in rough if isinstance(one, Trade)), default=0)
    bar -= abs(bar) >> _NEAR_SHIFT
    for one, found_roughly in zip(trials, rough, strict=True):
        near = isinstance(found_roughly, Trade) and found_roughly.net >= bar
        results.append(one.best(FINE) if near else found_roughly)
        if near:
            results += _in_steps(one, results[-1])
    return results


def whole_trades(case: Case, desk: Desk, terms: Terms) -> Iterator[Trade]:
    """Yield what each route comes to for the most that may be repaid, else for the best amount."""
    for option in case.opportunity.options:
        found = _trials(case, desk, terms, option)
        for one in () if isinstance(found, Miss) else found:
            whole = one.at(one.offer.largest)
            trade = one.best(FINE) if isinstance(whole, Miss) else whole
            if isinstance(trade, Trade):
                yield trade


def _in_steps(trials: "_Trials", single: Trade | Miss) -> Iterator[Trade | Miss]:
    """Yield the best of each number of liquidations, as long as one more may pay."""
    while isinstance(single, Trade) and len(single.steps) < MOST_STEPS:
        if not _is_capped(trials, single) or not _may_pay(trials, single):
            return
        further = _next_offer(trials.offer)
        if further is None:
            return
        is_cured_by_more = further.before[-1] != trials.offer.seize(trials.offer.option.max_repay)
        trials = _Trials(offer=further, route=trials.route, pieces=further.pieces())
        single = trials.best(FINE)
        yield single
        if is_cured_by_more:
            return


def _is_capped(trials: "_Trials", single: Trade) -> bool:
    """Return whether it is the protocol's cap that keeps the trade from being larger."""
    return single.steps[-1] == trials.offer.seize(trials.offer.option.max_repay)


def _may_pay(trials: "_Trials", single: Trade) -> bool:
    """Return whether another step of the same size could pay its gas at the last one's rate.

    The rate only falls with the amount, so that what is left out would not have paid.
    """
    offer = trials.offer
    less = trials.at(offer.largest - max(offer.largest >> _MARGIN, 1))
    if isinstance(less, Miss):
        return False
    gained = (single.net - less.net) << _MARGIN
    once, last = offer.case.gas, single.steps[-1:]
    more = once(offer.option, last * 2) - once(offer.option, last)
    return gained > more * offer.desk.gas_price


def _next_offer(offer: "_Offer") -> "_Offer | None":
    """Return what may be repaid after the largest step that leaves the account liquidatable."""
    first = largest_step(offer.case, offer.option)
    if first is None:
        return None
    quote, left, option = first
    before = (*offer.before, quote)
    lent = offer.desk.most(option.debt) - sum(one.repay for one in before)
    largest = min(option.max_repay, lent)
    if largest < 1:
        return None
    return _Offer(
        case=left,
        desk=offer.desk,
        terms=offer.terms,
        option=option,
        largest=largest,
        before=before,
    )


def _trials(case: Case, desk: Desk, terms: Terms, option: Option) -> "list[_Trials] | Miss":
    """Return the routes to try for an option, or why there are none."""
    if option.max_repay < 1:
        return Miss(reason=Reason.NO_OPTION, detail="the protocol lets nothing be repaid")
    refusal = desk.unwinding.refusal(option.collateral)
    if refusal is not None:
        return Miss(reason=Reason.NO_ROUTE, detail=f"cannot be redeemed: {refusal}")
    lent = 0 if option.pays_later else desk.most(option.debt)
    largest = min(option.max_repay, lent or option.max_repay)
    offer = _Offer(case=case, desk=desk, terms=terms, option=option, largest=largest)
    most = offer.most_taken()
    received = _sold_worth(case, desk, option, case.valuation.wei_floor(option.debt, most))
    gas = _gas_of_a_hop(desk, terms)
    hop_gas = HopGas(native=gas, collateral=_sold_worth(case, desk, option, gas))
    found = routes(desk, option, terms.native, owed=most, received=received, hop_gas=hop_gas)
    if not found:
        return _pathless(case, desk, terms, option)
    pieces = offer.pieces()
    return _finalists([_Trials(offer=offer, route=route, pieces=pieces) for route in found], most)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Offer:
    """One option, with the seizures already asked for: amounts recur along routes."""

    case: Case
    desk: Desk
    terms: Terms
    option: Option
    largest: int
    """The most that may be repaid and borrowed, raw units of the debt."""
    before: tuple[SeizeQuote, ...] = ()
    """Liquidations of the pair that come first; the case is what they leave."""
    seized: dict[int, SeizeQuote | Miss] = field(default_factory=dict)

    def seize(self, repay: int) -> SeizeQuote | Miss:
        found = self.seized.get(repay)
        if found is None:
            found = self.seized[repay] = seizure(self.case, self.option, repay)
        return found

    def is_near_edge(self, repay: int) -> bool:
        """Return whether a little more would be refused, though there is more to repay."""
        more = repay + (repay >> 12) + 1
        return more <= self.largest and self.refuses(more)

    def refuses(self, repay: int) -> bool:
        """Return whether the protocol would not take that much."""
        return repay > self.largest or isinstance(self.seize(repay), Miss)

    def most_taken(self) -> int:
        """Return what the protocol really takes of an offer of the largest amount."""
        whole = self.seize(self.largest)
        return self.largest if isinstance(whole, Miss) else min(whole.repay, self.largest)

    def pieces(self) -> tuple[Piece, ...]:
        """Return the ranges of amounts that are searched one by one."""
        pieces = pieces_of(self.refuses, self.largest, self.most_taken())
        if self.option.pays_later:
            return pieces
        borrowed = sum(one.repay for one in self.before)
        return split(pieces, (most - borrowed for most in self.desk.lent(self.option.debt)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trials:
    """What has been tried along one route, by amount."""

    offer: _Offer
    route: Route
    pieces: tuple[Piece, ...]
    tried: dict[int, Trade | Miss] = field(default_factory=dict)

    def at(self, repay: int) -> Trade | Miss:
        """Return what repaying that much comes to."""
        found = self.tried.get(repay)
        if found is None:
            found = self.tried[repay] = self._try(repay)
        return found

    def best(self, precision: int) -> Trade | Miss:
        """Return the trade with the greatest net, or the miss of the largest amount."""
        best = best_of(self.net, self.pieces, precision) or self.offer.largest
        if precision == FINE and best == self.pieces[0][1] and self.offer.is_near_edge(best):
            edge = edge_from(self.offer.refuses, best)
            best = best_amount(self.net, edge, precision, low=best) or best
        return self.at(best)

    def net(self, repay: int) -> int | None:
        """Return the net, None where there is no trade."""
        result = self.at(repay)
        return result.net if isinstance(result, Trade) else None

    def _try(self, repay: int) -> Trade | Miss:
        offer = self.offer
        seize = offer.seize(repay)
        if isinstance(seize, Miss):
            return seize
        steps = (*offer.before, seize)
        return trade(offer.case, offer.desk, offer.terms, self.route, offer.option, *steps)


def _finalists(trials: list[_Trials], largest: int) -> list[_Trials]:
    """Return the routes that do best at a probed amount, or all when they are few."""
    if len(trials) <= _FINALISTS:
        return trials
    chosen: set[int] = set()
    for shift in _PROBES:
        amount = max(largest >> shift, 1)
        ranks = [_rank(one.at(amount)) for one in trials]
        ranked = sorted(range(len(trials)), key=ranks.__getitem__, reverse=True)
        chosen.update(ranked[:_FINALISTS])
    return [trials[index] for index in sorted(chosen)]
