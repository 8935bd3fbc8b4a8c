"""Offers from outside in place of a trade's local sale: what is asked, and which one gains."""

from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import Struct

from keeper.core.ports import Ask, SwapOffer
from keeper.core.units import BPS
from keeper.core.values import replace
from keeper.planner.case import Case, Desk
from keeper.planner.trade import Terms, Trade
from keeper.planner.unwinding import value_floor

_LEFTOVER_GAS: Final = 15_000
"""Of an allowance given and revoked, and of looking for what the offer left over."""
_CALL_BYTES: Final = 120
"""Of an offer in the program, besides its calldata."""
_WORD: Final = 32
"""Bytes of the calldata to which the program adds one."""


class Chosen(Struct, frozen=True, kw_only=True):
    """The trade of an account that is to be carried out, and the desk that it is quoted at."""

    case: Case
    desk: Desk
    trade: Trade
    alone: Case
    """The account as if nobody were planned before it."""


def ask_of(chosen: Chosen, terms: Terms) -> Ask | None:
    """Return what to ask for: exactly what the sale sells, for the native coin.

    None where there is nothing to ask; a forced liquidation is planned without others.
    """
    trade, valuation = chosen.trade, chosen.case.valuation
    if trade.forced or not trade.sale or terms.native not in valuation.assets:
        return None
    token, done = trade.sold, trade.redeemed
    amount = sum(part.amount_in for part in trade.sale)
    unit = valuation.assets[token].unit if done is None else done.unwound.underlying.unit
    units = (unit, valuation.assets[terms.native].unit)
    return Ask(
        token_in=token,
        token_out=terms.native,
        amount_in=amount,
        taker=terms.executor,
        fair_out=value_floor(valuation, token, amount, done),
        decimals=(len(str(units[0])) - 1, len(str(units[1])) - 1),
    )


def best_offered(chosen: Chosen, terms: Terms, offers: Sequence[SwapOffer]) -> Trade | None:
    """Return the trade with the offer that nets the most, None when none gains enough."""
    return max(_gaining(chosen, terms, offers), key=lambda trade: trade.net, default=None)


def _gaining(chosen: Chosen, terms: Terms, offers: Sequence[SwapOffer]) -> Iterator[Trade]:
    local = chosen.trade
    sold = sum(part.amount_out for part in local.sale)
    for offer in offers:
        taken = with_offer(chosen, terms, offer)
        gain = taken.net - local.net
        if gain > 0 and gain * BPS >= offer.least_gain_bps * sold:
            yield taken


def with_offer(chosen: Chosen, terms: Terms, offer: SwapOffer) -> Trade:
    """Return the trade with the offer in place of its sale, its gas and data counted."""
    trade, desk = chosen.trade, chosen.desk
    proceeds = trade.proceeds - sum(part.amount_out for part in trade.sale) + offer.amount_out
    hops = sum(len(part.path) for part in trade.sale)
    units = trade.gas_units - hops * terms.gas.hop + offer.gas + _LEFTOVER_GAS
    pools = sum(len(part.path) for part in (*trade.repay, trade.sale[-1], *trade.buyback))
    size = terms.gas.size(pools, steps=len(trade.steps), unwinds=trade.redeemed is not None)
    size += _CALL_BYTES + len(offer.data) + len(offer.data) // _WORD
    data = desk.data_fees.at_most(size)
    gas = units * desk.gas_price + data.at(desk.gas_price)
    tip = terms.limits.tip(proceeds, gas)
    bid = terms.limits.bid(proceeds - gas - tip, units + data.gas, desk.fees.max_fee)
    return replace(
        trade,
        proceeds=proceeds,
        gas_units=units,
        data=data,
        bid=bid,
        gas=gas + bid * (units + data.gas),
        tip=tip,
        offer=offer,
    )
