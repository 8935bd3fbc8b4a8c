"""An account and its markets as a liquidation leaves them, in the same block, spoils redeemed.

Mirrors what ``liquidateBorrowFresh``, ``seize`` and ``redeem`` store. The next call of the block
accrues nothing more.
"""

from keeper.core.lending import Option, SeizeQuote
from keeper.core.values import replace
from keeper.protocols.compound_v2 import rules
from keeper.protocols.compound_v2.case import NO_MARKET, Case, case_of, markets_of
from keeper.protocols.compound_v2.health import accrued_at, line_at
from keeper.protocols.compound_v2.liquidation import spoils_of
from keeper.protocols.compound_v2.state import Deployment, Entry, Market, Position, Vai


def after_seize(
    view: Deployment, position: Position, option: Option, quote: SeizeQuote
) -> tuple[Deployment, Position] | None:
    """Return markets and position after the liquidation; None for a debt of VAI."""
    case = case_of(view, position, *markets_of(view, position, option))
    if case.debt.number == NO_MARKET:
        return None
    tokens = rules.seized_tokens(case.ratio, quote.repay)
    entries = (_left(view, one, case, quote.repay, tokens) for one in position.entries)
    aside = dict(position.unentered)
    if case.collateral.number in aside:
        aside[case.collateral.number] -= tokens
    left = replace(
        position,
        entries=tuple(e for e in entries if e.tokens or e.principal),
        unentered=tuple((number, held) for number, held in aside.items() if held),
    )
    return _booked(view, case, quote), left


def market_after(
    view: Deployment, position: Position, option: Option, quote: SeizeQuote
) -> Deployment:
    """Return the markets after the liquidation: what it accrued in them, and what it moved."""
    return _booked(view, case_of(view, position, *markets_of(view, position, option)), quote)


def _left(view: Deployment, entry: Entry, case: Case, repay: int, tokens: int) -> Entry:
    if entry.market == case.debt.number:
        index = view.lines[entry.market].borrow_index
        entry = entry._replace(principal=case.owed - repay, principal_index=index)
    if entry.market == case.collateral.number:
        entry = entry._replace(tokens=entry.tokens - tokens)
    return entry


def _booked(view: Deployment, case: Case, quote: SeizeQuote) -> Deployment:
    """Return the view with what the liquidation stored; only touched markets are made anew."""
    markets, lines = list(view.markets), list(view.lines)
    for number in {case.collateral.number, case.debt.number, *quote.inputs} - {NO_MARKET}:
        markets[number] = _after(view, view.markets[number], case, quote)
        lines[number] = line_at(view, markets[number])
    return replace(view, markets=tuple(markets), lines=tuple(lines), vai=_vai(view, case))


def _after(view: Deployment, market: Market, case: Case, quote: SeizeQuote) -> Market:
    """Return a market with what the liquidation accrued and moved in it stored."""
    stored = accrued_at(view, market)
    if market.number == case.collateral.number:
        offer = quote.repay if quote.offer is None else quote.offer
        stored = spoils_of(view, case, offer).left
    if market.number == case.debt.number:
        stored = replace(
            stored,
            cash=stored.cash + quote.repay,
            borrows=stored.borrows - quote.repay,
        )
    return replace(
        market, stored=stored, accrued_at=view.timestamp if view.by_second else view.block
    )


def _vai(view: Deployment, case: Case) -> Vai | None:
    """Return VAI's index as stored: its controller accrues on repaying, and for the Liquidator."""
    if view.vai is None or (view.liquidator is None and case.debt.number != NO_MARKET):
        return view.vai
    return replace(view.vai, index=view.vai_index, accrued_at=view.block)
