"""Several liquidations where one was best, along the routes on which that may be best of all."""

from collections.abc import Iterable, Iterator
from typing import Final

from keeper.planner.sizing import FINE
from keeper.planner.stepping import MOST_STEPS
from keeper.planner.trade import Miss, Trade
from keeper.planner.trials import Offer, Trials

_MARGIN: Final = 8
"""The last ``1/2**8`` of an amount tells what more of it would earn."""
_WORTH_SHIFT: Final = 10
"""Another step has to be able to bring ``1/2**10`` more: looking for it takes as long as a third of
all else, and who is second brings nothing."""


def in_steps(singles: Iterable[tuple[Trials, Trade]], bar: int) -> Iterator[Trade]:
    """Yield the best of each number of liquidations, the most profitable route's first.

    Left out is what cannot net clearly more than ``bar``, wei, nor than the best one found before:
    the rate only falls with the amount.
    """
    for trials, single in sorted(singles, key=lambda one: one[1].net, reverse=True):
        for trade in _of_route(trials, single, bar):
            bar = max(bar, trade.net)
            yield trade


def _of_route(trials: Trials, single: Trade, bar: int) -> Iterator[Trade]:
    """Yield the best of two liquidations, of three and so on, as long as one more may pay."""
    while len(single.steps) < MOST_STEPS and _is_capped(trials, single):
        offer = trials.offer
        less = _a_little_less(trials)
        if less is None or not _may_pay(offer, single, less):
            return
        further = offer.following()
        if further is None:
            return
        is_cured_by_more = further.before[-1] != offer.seize(offer.option.max_repay)
        steps = 1 if is_cured_by_more else MOST_STEPS - len(single.steps)
        if _at_most(further, single, less, steps) <= bar + (abs(bar) >> _WORTH_SHIFT):
            return
        trials = Trials(offer=further, route=trials.route, pieces=further.pieces())
        found = trials.best(FINE)
        if isinstance(found, Miss):
            return
        yield found
        single, bar = found, max(bar, found.net)
        if is_cured_by_more:
            return


def _is_capped(trials: Trials, single: Trade) -> bool:
    """Return whether it is the protocol's cap that keeps the trade from being larger."""
    return single.steps[-1] == trials.offer.seize(trials.offer.option.max_repay)


def _a_little_less(trials: Trials) -> Trade | None:
    """Return what a little less than the largest amount comes to, None where it is no trade."""
    largest = trials.offer.largest
    less = trials.at(largest - max(largest >> _MARGIN, 1))
    return None if isinstance(less, Miss) else less


def _may_pay(offer: Offer, single: Trade, less: Trade) -> bool:
    """Return whether another step of the same size could pay its gas at the last one's rate."""
    return (single.net - less.net) << _MARGIN > _gas_of_one_more(offer, single)


def _at_most(further: Offer, single: Trade, less: Trade, steps: int) -> int:
    """Return what so many more can net at the most, wei: all that they may repay, at that rate.

    Each may repay no more than the one before it. The rate is that of what is earned before tip and
    bid: bids have a cap, above which more is kept of it.
    """
    may_repay = steps * further.largest + sum(one.repay for one in further.before)
    more, margin = may_repay - single.seize.repay, single.seize.repay - less.seize.repay
    if more <= 0 or margin <= 0:
        return single.net
    gained = -((less.earned - single.earned) * more // margin)
    units = single.gas_units + single.data.gas + _units_of_one_more(further, single)
    limits, desk = further.terms.limits, further.desk
    earned = single.earned + gained - _gas_of_one_more(further, single)
    left = earned - limits.tip(earned, 0)
    return left - limits.bid(left, units, desk.fees.max_fee) * units + units  # a bid rounds down


def _gas_of_one_more(offer: Offer, single: Trade) -> int:
    """Return what the gas of another liquidation costs, wei."""
    return _units_of_one_more(offer, single) * offer.desk.gas_price


def _units_of_one_more(offer: Offer, single: Trade) -> int:
    once, last = offer.case.gas, single.steps[-1:]
    return once(offer.option, last * 2) - once(offer.option, last)
