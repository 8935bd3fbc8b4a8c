"""Accounts that pay only because others are sent anyway: planned at what they add to the gas.

A further account of a transaction does not pay for the transaction itself, nor for what the ones
before it have touched already. What that saves is estimated here; the rehearsal of the whole says
how much it is, and nothing of this goes alone.
"""

from collections.abc import Collection, Iterator, Sequence
from functools import partial
from typing import Final

from keeper.core.lending import AccountRef, Option, Reason, Rejection, SeizeQuote
from keeper.core.values import replace
from keeper.planner.case import Case, Desk, Market
from keeper.planner.markets import Markets
from keeper.planner.offers import Chosen
from keeper.planner.trade import Terms

LEAST_SAVED: Final = 125_000
"""Gas that a further account was seen to save at the least."""
_MOST_SAVED: Final = 400_000
"""And at the most: who lacks more is not planned again."""


def terms_along(terms: Terms) -> Terms:
    """Return terms of what goes along: it pays nobody for being first, and loses nothing."""
    limits = replace(terms.limits, tip_fixed=0, tip_bps=0, bid_bps=0, max_forced_loss=None)
    return replace(terms, limits=limits)


def worth_a_look(rejected: Sequence[Rejection], desk: Desk, most: int) -> list[Rejection]:
    """Return those of the refused that lack no more than gas that may be saved, the best first."""
    saved = _MOST_SAVED * desk.gas_price
    close = [
        one
        for one in rejected
        if one.reason is Reason.BELOW_MIN_PROFIT and one.net_wei is not None
        if one.net_wei + saved > 0
    ]
    return sorted(close, key=lambda one: -(one.net_wei or 0))[:most]


def along(case: Case) -> Case:
    """Return a case at the gas that it adds to a transaction that is sent anyway."""
    market = case.market
    if market is not None:
        market = replace(market, case=partial(_along_in, market))
    return replace(case, gas=partial(_added_gas, case), market=market)


def after(chosen: Sequence[Chosen], desk: Desk, markets: Markets) -> tuple[Desk, Markets]:
    """Return desk and markets as chosen trades leave them."""
    markets = markets.copy()
    for one in chosen:
        desk = one.trade.leave(desk)
        markets.take(one.case, one.trade.option, one.trade.steps, one.trade.funding)
    return desk, markets


def only_along(cases: Sequence[Case], close: Collection[AccountRef]) -> Iterator[Case]:
    """Yield the cases of some accounts, as they go along with others."""
    return (along(case) for case in cases if case.opportunity.ref in close)


def _along_in(market: Market, view: object) -> Case:
    return along(market.case(view))


def _added_gas(case: Case, option: Option, quotes: Sequence[SeizeQuote]) -> int:
    """Return about what liquidations add: a first one no more than a further one of the pair."""
    gas = case.gas(option, quotes)
    further = case.gas(option, [*quotes, quotes[-1]]) - gas
    return gas - max(case.gas(option, quotes[:1]) - further, LEAST_SAVED)
