"""Why an account is not planned, with the figures behind it."""

from keeper.core.lending import Reason, Rejection
from keeper.planner.case import Case, Desk
from keeper.planner.costs import Limits
from keeper.planner.trade import Miss, Trade


def gas_refusal(case: Case, desk: Desk, limits: Limits) -> Rejection | None:
    """Return that gas costs too much just now, None where it does not."""
    if desk.gas_price > limits.max_gas_price:
        over = desk.gas_price - limits.max_gas_price
        detail = f"gas at {desk.gas_price} wei is {over} wei above the most that is offered, "
        return refused(case, Reason.GAS_PRICE_CAP, f"{detail}{limits.max_gas_price}")
    if desk.fees.max_fee < desk.base_fee:
        short = desk.base_fee - desk.fees.max_fee
        detail = f"the fee of {desk.fees.max_fee} wei is {short} wei below the next base fee"
        return refused(case, Reason.GAS_PRICE_CAP, detail)
    return None


def missed(case: Case, miss: Miss, limits: Limits) -> Rejection:
    """Return why the best amount of an account cannot be carried out."""
    detail = miss.detail
    if miss.net is not None:
        detail += f": needs {limits.min_profit - miss.net} more wei"
    return refused(case, miss.reason, detail, miss.net)


def too_little(case: Case, best: Trade, missing: int) -> Rejection:
    """Return that the best trade is short of the least net by so many wei."""
    assets = case.valuation.assets
    pair = f"{assets[best.option.collateral].symbol}>{assets[best.option.debt].symbol}"
    detail = (
        f"{pair} nets {best.net} wei (proceeds {best.proceeds}, gas {best.gas}, "
        f"tip {best.tip}): needs {missing} more wei"
    )
    return refused(case, Reason.BELOW_MIN_PROFIT, detail, best.net)


def refused(case: Case, reason: Reason, detail: str, net: int | None = None) -> Rejection:
    """Return a refusal of an account at its block; ``net`` is the best that was found, wei."""
    opportunity = case.opportunity
    return Rejection(
        ref=opportunity.ref,
        block=opportunity.block.number,
        reason=reason,
        detail=detail,
        net_wei=net,
    )
