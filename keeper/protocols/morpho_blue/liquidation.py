"""What ``liquidate`` and ``preLiquidate`` would do, before they are called."""

from typing import Final

from msgspec import Struct

from keeper.core.lending import Option, SeizeQuote
from keeper.core.units import WAD
from keeper.core.values import replace
from keeper.protocols.morpho_blue import rules
from keeper.protocols.morpho_blue.health import assess, borrowed, line_of, price_of
from keeper.protocols.morpho_blue.refusals import MorphoRefusedError, Refusal
from keeper.protocols.morpho_blue.state import IsolatedMarket, Line, MorphoMarket, MorphoPosition

_HEADROOM_SHARE: Final = 100_000
"""The part of the repaid amount to have at hand beyond it: some minutes at the highest rates."""
_HEADROOM_LEAST: Final = 2
"""Raw units by which shares may round differently in a later block."""


class Case(Struct, frozen=True, kw_only=True):
    """A liquidatable position with the factors that its liquidation goes by."""

    market: IsolatedMarket
    line: Line
    position: MorphoPosition
    price: int
    incentive: int
    most_shares: int
    """The most that one call may repay."""
    keeps_health: bool
    """True when the account must be healthy afterwards, at the market's own price."""


def options(view: MorphoMarket, position: MorphoPosition) -> tuple[Option, ...]:
    """Return the account's one pair with the most that one call may repay of it."""
    if not assess(view, position).liquidatable:
        return ()
    try:
        full = full_close(case_of(view, position))
    except MorphoRefusedError:
        return ()
    market = view.market_of(position.market)
    if market is None or full.repay == 0:
        return ()
    pair = Option(
        collateral=market.collateral.address,
        debt=market.loan.address,
        max_repay=full.repay,
        pays_later=True,
    )
    return (pair,)


def seize(view: MorphoMarket, position: MorphoPosition, option: Option, repay: int) -> SeizeQuote:
    """Return what repaying at most ``repay`` raw units takes and gives."""
    case = case_of(view, position)
    pair = (case.market.collateral.address, case.market.loan.address)
    if pair != (option.collateral, option.debt):
        detail = f"expected {pair}, found {option.collateral} and {option.debt}"
        raise MorphoRefusedError(Refusal.NOT_CREATED, detail)
    full = full_close(case)
    return full if repay >= full.repay else part_close(case, repay)


def case_of(view: MorphoMarket, position: MorphoPosition) -> Case:
    """Return the case of a position. Raises RefusedError when it may not be liquidated."""
    market = view.market_of(position.market)
    line = line_of(view, position)
    if market is None:
        raise MorphoRefusedError(Refusal.NOT_CREATED, position.market)
    health = assess(view, position)
    early = view.pre_liquidations.get(position.market)
    price = price_of(view, position)
    if early is None:
        if not health.liquidatable:
            raise MorphoRefusedError(Refusal.HEALTHY, f"health factor {health.health_factor}")
        return Case(
            market=market,
            line=line,
            position=position,
            price=price,
            incentive=line.incentive,
            most_shares=position.shares,
            keeps_health=False,
        )
    if not health.liquidatable:
        under = health.health_factor < WAD
        refusal = Refusal.LIQUIDATABLE if under else Refusal.NOT_PRE_LIQUIDATABLE
        raise MorphoRefusedError(refusal, f"health factor {health.health_factor}")
    curve = rules.pre_curve(
        borrowed(line, position),
        rules.collateral_value(position.collateral, price),
        line.lltv,
        early.terms,
    )
    return Case(
        market=market,
        line=line,
        position=position,
        price=price,
        incentive=curve.incentive,
        most_shares=min(position.shares, position.shares * curve.close // WAD),
        keeps_health=True,
    )


def full_close(case: Case) -> SeizeQuote:
    """Return the largest liquidation that the position allows.

    Asking for all the collateral takes as many shares as it is worth: where the debt is larger,
    that clears the collateral and makes the rest bad debt. Where it is not, all shares are repaid
    and some collateral stays. The other input of each would underflow.
    """
    position, totals = case.position, case.line.totals
    by_seized = rules.amounts_of_seized(position.collateral, case.price, case.incentive, totals)
    if by_seized.repaid_shares <= case.most_shares and not case.keeps_health:
        return _quote(case, by_seized, (by_seized.seized, 0))
    by_shares = _by_shares(case, case.most_shares)
    return _quote(case, by_shares, (0, by_shares.repaid_shares))


def part_close(case: Case, repay: int) -> SeizeQuote:
    """Return the liquidation by the most shares that ``repay`` pays for."""
    totals = case.line.totals
    shares = rules.to_shares_floor(repay, totals.borrow_assets, totals.borrow_shares)
    if shares == 0:
        raise MorphoRefusedError(Refusal.INCONSISTENT_INPUT, f"{repay} pays for no share")
    amounts = _by_shares(case, shares)
    return _quote(case, amounts, (0, amounts.repaid_shares))


def bad_debt(case: Case, quote: SeizeQuote) -> int:
    """Return what suppliers lose by a liquidation, raw units of the loan token."""
    if quote.seized != case.position.collateral:
        return 0
    shares = _repaid_shares(case, quote)
    return rules.bad_debt(case.position.shares - shares, _after(case, shares, quote.repay))


def market_after(view: MorphoMarket, position: MorphoPosition, quote: SeizeQuote) -> MorphoMarket:
    """Return the market as the liquidation leaves it, bad debt taken off.

    Every repayment moves what a share is worth: the next one in the block rounds on that.
    """
    case = case_of(view, position)
    shares, lost = _repaid_shares(case, quote), bad_debt(case, quote)
    totals = _after(case, shares, quote.repay)
    if quote.seized == position.collateral:
        totals = rules.Totals(
            supply_assets=totals.supply_assets - lost,
            supply_shares=totals.supply_shares,
            borrow_assets=totals.borrow_assets - lost,
            borrow_shares=totals.borrow_shares - (position.shares - shares),
        )
    key = case.market.id
    stored = replace(case.market, totals=totals, updated=view.timestamp)
    return replace(
        view,
        markets={**view.markets, key: stored},
        lines={**view.lines, key: case.line._replace(totals=totals)},
    )


def _repaid_shares(case: Case, quote: SeizeQuote) -> int:
    """Return the shares that a quoted liquidation repays."""
    seized, shares = quote.inputs
    if not seized:
        return shares
    totals = case.line.totals
    return rules.amounts_of_seized(seized, case.price, case.incentive, totals).repaid_shares


def _by_shares(case: Case, shares: int) -> rules.Amounts:
    if shares == 0:
        raise MorphoRefusedError(Refusal.INCONSISTENT_INPUT, "no share may be repaid")
    try:
        return rules.amounts_of_shares(shares, case.price, case.incentive, case.line.totals)
    except ZeroDivisionError as e:
        raise MorphoRefusedError(Refusal.DIVISION_BY_ZERO, "the price is zero") from e


def _quote(case: Case, amounts: rules.Amounts, inputs: tuple[int, int]) -> SeizeQuote:
    """Return the quote; raise RefusedError where the contract would revert on the amounts."""
    position = case.position
    if amounts.seized > position.collateral or amounts.repaid_shares > position.shares:
        detail = f"{amounts.repaid_shares} shares take {amounts.seized} of {position.collateral}"
        raise MorphoRefusedError(Refusal.UNDERFLOW, detail)
    if case.keeps_health:
        _require_health(case, amounts)
    return SeizeQuote(
        repay=amounts.repaid,
        seized=amounts.seized,
        protocol_fee=0,
        inputs=inputs,
        headroom=amounts.repaid // _HEADROOM_SHARE + _HEADROOM_LEAST,
    )


def _require_health(case: Case, amounts: rules.Amounts) -> None:
    """Mirror the check of ``withdrawCollateral``, which goes by the market's own oracle."""
    totals = _after(case, amounts.repaid_shares, amounts.repaid)
    left = case.position.shares - amounts.repaid_shares
    owed = rules.to_assets_ceil(left, totals.borrow_assets, totals.borrow_shares) if left else 0
    collateral = case.position.collateral - amounts.seized
    limit = rules.max_borrow(collateral, case.line.price or 0, case.line.lltv)
    if left and not rules.is_healthy(owed, limit):
        detail = f"{owed} owed of {limit} at the market's own price"
        raise MorphoRefusedError(Refusal.INSUFFICIENT_COLLATERAL, detail)


def _after(case: Case, shares: int, repaid: int) -> rules.Totals:
    """Return the totals after a repayment."""
    totals = case.line.totals
    return totals._replace(
        borrow_assets=max(totals.borrow_assets - repaid, 0),
        borrow_shares=totals.borrow_shares - shares,
    )
