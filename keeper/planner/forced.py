"""Liquidations at a loss: of accounts whose debt their collateral will not cover.

What can be lost is gas and no more: the executor contract cannot end with less of the native coin
at the recipient than before. A liquidation whose collateral does not bring what it owes needs money
put in, and is none of these.
"""

from collections.abc import Iterator, Mapping

from keeper.core.gas_limit import gas_limit_of
from keeper.core.lending import AssetValue, Health, Option, Reason, SeizeQuote
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.planner.case import Case, Desk
from keeper.planner.search import whole_trades
from keeper.planner.trade import Miss, Terms, Trade


def is_insolvent(
    health: Health, values: Mapping[Address, AssetValue], option: Option, quote: SeizeQuote
) -> bool:
    """Return whether debt will be left when all the collateral is taken at the quote's rate.

    ``collateral / seized < debt / repaid``, in values: the collateral, less the penalty of the
    pair, is worth less than the debt. An account at the very line is not insolvent.
    """
    collateral, debt = values[option.collateral], values[option.debt]
    seized = quote.seized * collateral.price * debt.unit
    repaid = quote.repay * debt.price * collateral.unit
    return health.collateral_base * repaid < health.debt_base * seized


def at_a_loss(case: Case, desk: Desk, terms: Terms, budget: int) -> Trade | Miss | None:
    """Return the trade that repays the most for a loss of at most ``budget`` wei.

    Of those that repay the same value it is the one of least loss. None for an account that is
    solvent, or of which no trade repays more than it loses; a miss when what there is could lose
    more than the budget.
    """
    health, values = case.opportunity.health, case.valuation.assets
    found = [
        one
        for one in _untipped(case, desk, terms)
        if is_insolvent(health, values, one.option, one.seize) and _repaid(case, one) > -one.net
    ]
    if not found:
        return None
    within = [one for one in found if most_lost(one, desk) <= budget]
    if within:
        best = max(within, key=lambda one: (_repaid(case, one), one.net))
        return replace(best, forced=True)
    least = min(found, key=lambda one: most_lost(one, desk))
    most = most_lost(least, desk)
    return Miss(
        reason=Reason.FORCED_BUDGET,
        detail=f"nets {least.net} wei and could lose {most} wei, {most - budget} wei over the "
        f"budget of {budget} wei for a forced liquidation",
        net=least.net,
    )


def most_lost(trade: Trade, desk: Desk) -> int:
    """Return the most that the trade's transaction can lose: its gas at its limit and fee, wei."""
    limit = gas_limit_of(trade.gas_units, desk.block.number) + trade.data.gas
    return limit * desk.fees.max_fee + trade.data.wei


def _untipped(case: Case, desk: Desk, terms: Terms) -> Iterator[Trade]:
    """Yield the trades, which pay nobody for being first: nobody races for a loss."""
    limits = replace(terms.limits, tip_fixed=0, tip_bps=0, bid_bps=0)
    return whole_trades(case, desk, replace(terms, limits=limits))


def _repaid(case: Case, trade: Trade) -> int:
    return case.valuation.wei_floor(trade.option.debt, trade.seize.repay)
