"""What each of the three calls, and redeeming its spoils, would do before it is made.

Mirrors ``preLiquidateHook``, ``liquidateAccount`` and ``healAccount`` of ``Comptroller.sol`` and
``VToken._liquidateBorrowFresh`` and ``_seize``, in their order.
"""

from msgspec import Struct

from keeper.core.lending import Option, SeizeQuote
from keeper.core.units import WAD
from keeper.core.values import replace
from keeper.protocols.compound_v2 import rules as family
from keeper.protocols.compound_v2.rules import Stored
from keeper.protocols.venus_isolated import rules
from keeper.protocols.venus_isolated.case import Case, Way, cases_of, chosen, share_of
from keeper.protocols.venus_isolated.health import accrued_at
from keeper.protocols.venus_isolated.refusals import PoolRefusedError, Refusal
from keeper.protocols.venus_isolated.state import Action, Deployment, Position

_HEADROOM_PART = 10_000


def options(view: Deployment, position: Position) -> tuple[Option, ...]:
    """Return every way that is open now, with the most that each takes."""
    found = []
    for case in cases_of(view, position):
        most = max_repay(view, case)
        if most > 0 and refusal_of(view, case, most) is None:
            found.append(
                Option(
                    collateral=case.collateral.asset,
                    debt=case.debt.asset,
                    max_repay=most,
                    key=case.key,
                )
            )
    return tuple(found)


def seize(view: Deployment, position: Position, option: Option, repay: int) -> SeizeQuote:
    """Return what repaying ``repay`` takes and gives; raise as the contracts would revert.

    ``inputs`` names the markets to accrue first. What healing repays is reckoned by the contract
    when it runs: a little more is to be at hand.
    """
    case = chosen(view, position, option)
    if refusal := refusal_of(view, case, repay):
        pair = f"{case.collateral.symbol}/{case.debt.symbol}"
        raise PoolRefusedError(refusal, f"{case.way} {pair}, repaying {repay} of {case.owed}")
    spoils = spoils_of(view, case, repay)
    return SeizeQuote(
        repay=repay,
        seized=spoils.kept + spoils.received,
        protocol_fee=spoils.kept,
        inputs=case.accrue,
        headroom=repay // _HEADROOM_PART + 1 if case.way is Way.HEAL else 0,
    )


def max_repay(view: Deployment, case: Case) -> int:
    """Return the most that may be repaid and whose spoils can be redeemed; 0 when nothing can."""
    if case.way is Way.HEAL:
        return case.healed
    if case.way is Way.ACCOUNT:
        return case.owed
    most = _most_closed(case)
    by_tokens = family.most_repaid_for(case.ratio, case.tokens)
    if by_tokens is not None:
        most = min(most, by_tokens)
    if most <= 0 or is_redeemable(view, case, most):
        return most
    return _most_redeemable(view, case, most)


class Spoils(Struct, frozen=True, kw_only=True):
    """What a liquidation takes, in underlying of the collateral, raw units."""

    kept: int
    """By the protocol: its cTokens are redeemed as they are seized."""
    received: int
    """By the liquidator, after redeeming."""
    left: Stored
    """The collateral's market when the spoils are redeemed; what was repaid to it is not in it."""


def spoils_of(view: Deployment, case: Case, repay: int) -> Spoils:
    """Return what repaying takes; the protocol's part goes first, and its rounding moves the rate.

    What is repaid or forgiven moves between cash, debts and bad debt of a market, whose sum is all
    that its exchange rate knows.
    """
    tokens = case.seized(repay)
    market = case.collateral
    theirs = rules.protocol_tokens(tokens, share=market.seize_share, incentive=case.pool.incentive)
    after = accrued_at(view, market)
    rate = rules.exchange_rate(after, market.bad_debt, market.initial_rate)
    kept = family.redeemed(theirs, rate)
    after = replace(after, cash=after.cash - kept, supply=after.supply - theirs)
    rate = rules.exchange_rate(after, market.bad_debt, market.initial_rate)
    ours = tokens - theirs
    received = family.redeemed(ours, rate)
    return Spoils(
        kept=kept,
        received=received,
        left=replace(after, cash=after.cash - received, supply=after.supply - ours),
    )


def is_redeemable(view: Deployment, case: Case, repay: int) -> bool:
    """Return whether the market's cash beyond its reserves covers the spoils."""
    free = view.lines[case.collateral.number].free
    if case.collateral.number == case.debt.number:
        free += repay
    spoils = spoils_of(view, case, repay)
    return spoils.kept + spoils.received <= free


def refusal_of(view: Deployment, case: Case, repay: int) -> Refusal | None:
    """Return why repaying that much would revert, in the order of the contracts' checks."""
    for reason in (_entrance(case, repay), _repayment(case, repay), _spoils(view, case, repay)):
        if reason is not None:
            return reason
    return None


def _entrance(case: Case, repay: int) -> Refusal | None:
    if case.way is Way.HEAL:
        return _healing(case, repay)
    if case.way is Way.ACCOUNT and (refusal := _account(case)):
        return refusal
    if Action.LIQUIDATE in case.debt.paused:
        return Refusal.ACTION_PAUSED
    if case.way is Way.BORROW and not case.forced and (refusal := _borrow(case)):
        return refusal
    if repay > _most_closed(case):
        return Refusal.TOO_MUCH_REPAY
    return Refusal.NO_AMOUNT if repay == 0 else None


def _borrow(case: Case) -> Refusal | None:
    """Return what ``preLiquidateHook`` finds of a debt that is not forced."""
    if case.found.total <= case.pool.least_collateral:
        return Refusal.TOO_LITTLE_COLLATERAL
    return Refusal.HEALTHY if case.found.shortfall <= 0 else None


def _account(case: Case) -> Refusal | None:
    """Return what ``liquidateAccount`` checks before its order."""
    if case.found.total > case.pool.least_collateral:
        return Refusal.TOO_MUCH_COLLATERAL
    if rules.collateral_for(case.found.borrows, case.pool.incentive) >= case.found.total:
        return Refusal.INSUFFICIENT_COLLATERAL
    return Refusal.HEALTHY if case.found.shortfall <= 0 else None


def _healing(case: Case, repay: int) -> Refusal | None:
    """Return what ``healAccount`` checks; the amount is not ours to choose."""
    if case.found.total > case.pool.least_collateral:
        return Refusal.TOO_MUCH_COLLATERAL
    if case.found.shortfall <= 0:
        return Refusal.HEALTHY
    if share_of(case.pool, case.found) > WAD:
        return Refusal.TOO_MUCH_COLLATERAL
    return Refusal.NOT_THE_SHARE if repay != case.healed else None


def _repayment(case: Case, repay: int) -> Refusal | None:
    """Return what repaying and seizing check."""
    if repay and Action.REPAY in case.debt.paused:
        return Refusal.ACTION_PAUSED
    if case.seized(repay) > case.tokens:
        return Refusal.SEIZE_TOO_MUCH
    if Action.SEIZE in case.collateral.paused:
        return Refusal.ACTION_PAUSED
    if case.way is Way.ACCOUNT and repay < case.owed:
        return Refusal.DEBT_LEFT
    return None


def _spoils(view: Deployment, case: Case, repay: int) -> Refusal | None:
    """Return what redeeming checks."""
    if spoils_of(view, case, repay).received == 0:
        return Refusal.NOTHING_TO_REDEEM
    if Action.REDEEM in case.collateral.paused:
        return Refusal.ACTION_PAUSED
    return None if is_redeemable(view, case, repay) else Refusal.ILLIQUID


def _most_closed(case: Case) -> int:
    if case.forced or case.way is Way.ACCOUNT:
        return case.owed
    return family.max_close(case.pool.close_factor, case.owed)


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
