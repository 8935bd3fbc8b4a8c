"""Lending markets as the plans made so far leave them, for whoever comes next in the block."""

from collections.abc import Sequence

from keeper.core.errors import RefusedError
from keeper.core.lending import Option, SeizeQuote
from keeper.core.plan import Funding
from keeper.planner.case import Case, Desk
from keeper.planner.exchange import Exchange
from keeper.planner.trade import Terms, Trade, trade


class Markets:
    """Carries the market of each deployment from plan to plan. Cases of one share its view."""

    def __init__(self) -> None:
        """Start with every market as it is."""
        self._views: dict[str, object] = {}

    def copy(self) -> "Markets":
        """Return the markets as they are by now, to be carried on apart."""
        copied = Markets()
        copied._views |= self._views
        return copied

    def place(self, case: Case) -> Case:
        """Return a case, as it was found, in its market as it is by now."""
        if case.market is None or case.deployment not in self._views:
            return case
        return case.market.case(self._views[case.deployment])

    def take(self, case: Case, option: Option, steps: Sequence[SeizeQuote], loan: Funding) -> None:
        """Carry the market of a placed case past its liquidations and the loan they are paid by."""
        last = _before_last(case, option, steps)
        if last is not None and last.market is not None:
            left = last.market.after(option, steps[-1])
            self._views[case.deployment] = last.market.lent(left, loan)


def repeated(case: Case, desk: Desk, terms: Terms, was: Trade) -> Trade | None:
    """Return a trade of the same liquidations at another desk, None where it is to be another.

    What the chain has to see of it at the least, and what it leaves of the pools, follow from its
    swaps as they are quoted there.
    """
    if not _comes_out(case, was):
        return None
    if _is_quoted_alike(desk, was):
        return was
    found = trade(case, desk, terms, was.route, was.option, *was.steps)
    return found if isinstance(found, Trade) and not was.forced else None


def _comes_out(case: Case, trade: Trade) -> bool:
    """Return whether each liquidation of a trade is in a case what it was planned to be."""
    for number, step in enumerate(trade.steps, 1):
        try:
            quote = case.seize(trade.option, step.repay if step.offer is None else step.offer)
        except RefusedError:
            return False
        if quote != step:
            return False
        if number < len(trade.steps):
            after = case.after(trade.option, step)
            if after is None:
                return False
            case = after.case()
    return True


def _is_quoted_alike(desk: Desk, trade: Trade) -> bool:
    """Return whether a trade redeems and swaps at a desk as it was planned to."""
    exchange: Exchange = desk
    redeemed, books = trade.redeemed, desk.unwinding.books
    if redeemed is not None and redeemed.book != books[trade.option.collateral]:
        return False
    for quote in trade.swaps():
        if any(quote is one for one in trade.sale):
            found = exchange.exact_in(quote.path, quote.amount_in)
        else:
            found = exchange.exact_out(quote.path, quote.amount_out)
        if found != quote:
            return False
        exchange = exchange.after(quote)
    return True


def _before_last(case: Case, option: Option, steps: Sequence[SeizeQuote]) -> Case | None:
    """Return the case that the last of several liquidations finds."""
    for step in steps[:-1]:
        after = case.after(option, step)
        if after is None:
            return None
        case = after.case()
    return case
