"""What ``liquidateBorrow`` and redeeming its spoils would do, before they are called.

Mirrors ``CToken.liquidateBorrowFresh`` with ``Comptroller.liquidateBorrowAllowed`` and
``seizeAllowed``, in their order, and Venus's ``Liquidator.liquidateBorrow`` around them.
"""

from msgspec import Struct

from keeper.core.lending import Option, SeizeQuote
from keeper.core.units import WAD
from keeper.core.values import replace
from keeper.protocols.compound_v2 import rules
from keeper.protocols.compound_v2.case import KEY_SEPARATOR, Case, case_of, cases_of, markets_of
from keeper.protocols.compound_v2.health import accrued_at
from keeper.protocols.compound_v2.refusals import MarketRefusedError, Refusal
from keeper.protocols.compound_v2.state import Action, Deployment, Market, Position


def options(view: Deployment, position: Position) -> tuple[Option, ...]:
    """Return every pair that may be liquidated now, with the most that each takes."""
    found = []
    for case in cases_of(view, position):
        most = max_repay(view, case)
        if most > 0 and refusal_of(view, case, most) is None:
            found.append(
                Option(
                    collateral=case.collateral.asset,
                    debt=case.debt.asset,
                    max_repay=most,
                    key=KEY_SEPARATOR.join((case.collateral.token, case.debt.token)),
                )
            )
    return tuple(found)


def seize(view: Deployment, position: Position, option: Option, repay: int) -> SeizeQuote:
    """Return what repaying ``repay`` takes and gives; raise as the contracts would refuse.

    ``inputs`` names the markets to accrue first.
    """
    collateral, debt = markets_of(view, position, option)
    case = case_of(view, position, collateral, debt)
    if refusal := refusal_of(view, case, repay):
        pair = f"{collateral.symbol}/{debt.symbol}"
        raise MarketRefusedError(refusal, f"{pair}, repaying {repay} of {case.owed}")
    spoils = spoils_of(view, case, repay)
    # The Liquidator keeps what VAI's controller leaves of an offer; without it that stays ours.
    paid = repay if view.liquidator is not None else case.taken(repay)
    return SeizeQuote(
        repay=paid,
        offer=None if paid == repay else repay,
        seized=spoils.gross,
        protocol_fee=spoils.gross - spoils.received,
        inputs=case.found.accrue,
    )


def refusal_of(view: Deployment, case: Case, repay: int) -> Refusal | None:
    """Return why repaying that much would not work, in the order of the contracts' checks."""
    for reason in (_gate(view, case), _allowance(view, case, repay), _seizure(view, case, repay)):
        if reason is not None:
            return reason
    return None


def max_repay(view: Deployment, case: Case) -> int:
    """Return the most that may be repaid and whose spoils can be redeemed; 0 when nothing can."""
    if _gives_nothing(view, case):
        return 0
    most = _most_closed(view, case)
    by_tokens = rules.most_repaid_for(case.ratio, case.tokens)
    if by_tokens is not None:
        most = min(most, by_tokens)
    if most <= 0 or is_redeemable(view, case, most):
        return most
    return _most_redeemable(view, case, most)


class Spoils(Struct, frozen=True, kw_only=True):
    """What a liquidation takes, in underlying of the collateral, raw units."""

    gross: int
    """All that the borrower loses."""
    received: int
    """What the liquidator has after redeeming."""
    redeemed: int
    """What leaves the market's cash, the treasury's part included."""
    left: rules.Stored
    """The collateral's market when the spoils are redeemed; what was repaid to it is not in it."""


def spoils_of(view: Deployment, case: Case, repay: int) -> Spoils:
    """Return what repaying takes.

    What is taken is counted at the rate at which the liquidator redeems; the market's or the
    treasury's part goes first, and its rounding moves that rate.
    """
    tokens = rules.seized_tokens(case.ratio, case.taken(repay))
    after = accrued_at(view, case.collateral)
    if view.liquidator is None:
        theirs = rules.protocol_share(tokens, case.collateral.seize_share)
        kept = rules.redeemed(theirs, _rate(after, case.collateral))
        after = replace(after, reserves=after.reserves + kept, supply=after.supply - theirs)
        paid = 0
    else:
        theirs = rules.treasury_cut(
            tokens, incentive=case.incentive, percent=view.liquidator.treasury_percent
        )
        paid = rules.redeemed(theirs, _rate(after, case.collateral))
        after = replace(after, cash=after.cash - paid, supply=after.supply - theirs)
    ours = tokens - theirs
    amount = rules.redeemed(ours, _rate(after, case.collateral))
    return Spoils(
        gross=tokens * amount // ours if ours else 0,
        received=amount - amount * view.redeem_fee // WAD,
        redeemed=paid + amount,
        left=replace(after, cash=after.cash - amount, supply=after.supply - ours),
    )


def is_redeemable(view: Deployment, case: Case, repay: int) -> bool:
    """Return whether the market's cash covers the spoils; what was repaid to it is its cash."""
    cash = view.lines[case.collateral.number].cash
    if case.collateral is case.debt:
        cash += repay
    return spoils_of(view, case, repay).redeemed <= cash


def _rate(stored: rules.Stored, market: Market) -> int:
    return rules.exchange_rate(stored, market.initial_rate)


def _gate(view: Deployment, case: Case) -> Refusal | None:
    """Return what ``Liquidator.liquidateBorrow`` checks before it repays."""
    if view.liquidator is None:
        return None
    if case.restricted:
        return Refusal.RESTRICTED
    guard = view.liquidator
    waits = view.vai is not None and not view.vai.liquidation_paused and guard.vai_first
    if case.minted is not None:
        return None
    if waits and not case.forced and case.vai >= guard.vai_minimum:
        return Refusal.VAI_FIRST
    return None


def _allowance(view: Deployment, case: Case, repay: int) -> Refusal | None:
    """Mirror ``liquidateBorrowAllowed`` and what ``liquidateBorrowFresh`` checks of the amount."""
    if view.paused:
        return Refusal.PROTOCOL_PAUSED
    if Action.LIQUIDATE in case.debt.paused:
        return Refusal.ACTION_PAUSED
    if not case.forced and case.found.value <= 0:
        return Refusal.HEALTHY
    if repay > _most_closed(view, case):
        return Refusal.TOO_MUCH_REPAY
    return Refusal.NO_AMOUNT if repay == 0 else None


def _seizure(view: Deployment, case: Case, repay: int) -> Refusal | None:
    """Return what repaying, seizing, handing over and redeeming check."""
    if Action.REPAY in case.debt.paused:
        return Refusal.ACTION_PAUSED if case.minted is None else Refusal.VAI_PAUSED
    if rules.seized_tokens(case.ratio, case.taken(repay)) > case.tokens:
        return Refusal.SEIZE_TOO_MUCH
    needed = {Action.SEIZE, Action.REDEEM}
    if view.liquidator is not None:
        needed.add(Action.TRANSFER)
        if _gives_nothing(view, case):
            return Refusal.NO_INCENTIVE
    if needed & case.collateral.paused:
        return Refusal.ACTION_PAUSED
    return None if is_redeemable(view, case, repay) else Refusal.ILLIQUID


def _gives_nothing(view: Deployment, case: Case) -> bool:
    """Return whether Venus's Liquidator finds no bonus to take the treasury's part of.

    So it is of a market that the borrower's pool does not list.
    """
    return view.liquidator is not None and case.incentive < WAD


def _most_closed(view: Deployment, case: Case) -> int:
    return case.owed if case.forced else rules.max_close(view.close_factor, case.owed)


def _most_redeemable(view: Deployment, case: Case, most: int) -> int:
    """Return the largest repayment whose spoils the market's cash covers."""
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        if is_redeemable(view, case, middle):
            low = middle
        else:
            high = middle
    return low
