"""Markets as a liquidation or a healing leaves them, in the same block, spoils redeemed.

Mirrors what ``VToken._liquidateBorrowFresh``, ``healBorrow``, ``_seize`` and ``redeem`` store. The
next call of the block accrues nothing more.
"""

from keeper.core.lending import Option, SeizeQuote
from keeper.core.values import replace
from keeper.protocols.compound_v2.rules import Stored
from keeper.protocols.venus_isolated.case import Case, Way, chosen
from keeper.protocols.venus_isolated.health import accrued_at, entered, line_at
from keeper.protocols.venus_isolated.liquidation import spoils_of
from keeper.protocols.venus_isolated.state import Deployment, Market, Position


def market_after(
    view: Deployment, position: Position, option: Option, quote: SeizeQuote
) -> Deployment:
    """Return the pool after the call: what it accrued, and what it moved. Only that is made anew.

    Healing accrues every market that the account is in; what it forgives becomes bad debt.
    """
    case = chosen(view, position, option)
    touched = {case.collateral.number, case.debt.number, *quote.inputs}
    if case.way is Way.HEAL:
        touched |= {one.market for one in entered(view, position)}
    after = {number: _after(view, view.markets[number], case, quote.repay) for number in touched}
    return replace(
        view,
        markets={**view.markets, **after},
        lines={**view.lines, **{number: line_at(view, one) for number, one in after.items()}},
    )


def _after(view: Deployment, market: Market, case: Case, repay: int) -> Market:
    """Return a market with what the call accrued and moved in it stored."""
    stored, bad_debt = accrued_at(view, market), market.bad_debt
    if market.number == case.collateral.number:
        stored = spoils_of(view, case, repay).left
    if market.number == case.debt.number:
        gone = case.owed if case.way is Way.HEAL else repay
        stored = _repaid(stored, repay, gone)
        bad_debt += gone - repay
    now = view.timestamp if view.by_second else view.block
    return replace(market, stored=stored, bad_debt=bad_debt, accrued_at=now)


def _repaid(stored: Stored, repay: int, gone: int) -> Stored:
    """Return a market's storage with a debt repaid, or repaid in part and gone."""
    return replace(stored, cash=stored.cash + repay, borrows=stored.borrows - gone)
