"""An account and its markets as a liquidation leaves them, in the same block, spoils redeemed.

Mirrors what ``liquidateBorrowFresh``, ``seize`` and ``redeem`` store. The next call of the block
accrues nothing more.
"""

from dataclasses import replace

from keeper.core.lending import Option, SeizeQuote
from keeper.protocols.compound_v2 import rules
from keeper.protocols.compound_v2.case import NO_MARKET, Case, case_of, markets_of
from keeper.protocols.compound_v2.health import accrued_at, view_at
from keeper.protocols.compound_v2.liquidation import spoils_of
from keeper.protocols.compound_v2.state import Deployment, Entry, Market, Position


def after_seize(
    view: Deployment, position: Position, option: Option, quote: SeizeQuote
) -> tuple[Deployment, Position] | None:
    """Return markets and position after the liquidation.

    None for a debt of VAI, and where an accrual pays reserves out.
    """
    case = case_of(view, position, *markets_of(view, position, option))
    if case.debt.number == NO_MARKET or any(
        _sheds(view, one) for one in (case.collateral, case.debt)
    ):
        return None
    tokens = rules.seized_tokens(case.ratio, quote.repay)
    entries = (_left(view, one, case, quote.repay, tokens) for one in position.entries)
    left = replace(position, entries=tuple(e for e in entries if e.tokens or e.principal))
    markets = tuple(_after(view, one, case, quote) for one in view.markets)
    stored = replace(view, markets=markets)
    return view_at(stored, view.block, view.timestamp, view.prices), left


def _sheds(view: Deployment, market: Market) -> bool:
    return market.sheds_at is not None and view.block >= market.sheds_at


def _left(view: Deployment, entry: Entry, case: Case, repay: int, tokens: int) -> Entry:
    if entry.market == case.debt.number:
        index = view.lines[entry.market].borrow_index
        entry = entry._replace(principal=case.owed - repay, principal_index=index)
    if entry.market == case.collateral.number:
        entry = entry._replace(tokens=entry.tokens - tokens)
    return entry


def _after(view: Deployment, market: Market, case: Case, quote: SeizeQuote) -> Market:
    """Return a market with what the liquidation accrued and moved in it stored."""
    now = view.timestamp if view.by_second else view.block
    touched = {case.debt.number, case.collateral.number, *quote.inputs}
    if market.number not in touched:
        return market
    stored = accrued_at(view, market)
    if market.number == case.collateral.number:
        stored = spoils_of(view, case, quote.repay).left
    if market.number == case.debt.number:
        stored = replace(
            stored,
            cash=stored.cash + quote.repay,
            borrows=stored.borrows - quote.repay,
        )
    return replace(market, stored=stored, accrued_at=now)
