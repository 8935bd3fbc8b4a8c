"""What ``Pool.liquidationCall`` would do, before it is called.

Mirrors ``LiquidationLogic.executeLiquidationCall`` with ``receiveAToken`` false, and the checks
of ``ValidationLogic.validateLiquidationCall`` in their order.
"""

from collections.abc import Callable
from typing import Final

from keeper.core.lending import Option, SeizeQuote
from keeper.core.units import Address
from keeper.protocols.aave_v3 import rules
from keeper.protocols.aave_v3.case import Case, case_of, leaves_no_collateral
from keeper.protocols.aave_v3.health import assess
from keeper.protocols.aave_v3.refusals import PoolRefusedError, Refusal
from keeper.protocols.aave_v3.revision import Rules
from keeper.protocols.aave_v3.seizing import (
    Pair,
    Seizure,
    available_collateral,
    clipped_fee,
    leaves_dust,
)
from keeper.protocols.aave_v3.state import AaveMarket, AavePosition

HEADROOM_SHARE: Final = 10_000
"""One basis point: the interest of a quarter of an hour at a rate of 300 % a year."""
HEADROOM_LEAST: Final = 4


def validate(view: AaveMarket, case: Case) -> None:
    """Mirror ``ValidationLogic.validateLiquidationCall``; raise RefusedError with its reason."""
    pair = f"{case.collateral.symbol}/{case.debt.symbol}"
    collateral, debt = case.collateral, case.debt
    if not (collateral.is_active and debt.is_active):
        raise PoolRefusedError(Refusal.RESERVE_INACTIVE, pair)
    if collateral.is_paused or debt.is_paused:
        raise PoolRefusedError(Refusal.RESERVE_PAUSED, pair)
    guarded = case.health.health_factor >= rules.CLOSE_FACTOR_HF
    if view.sentinel is not None and guarded and not view.sentinel.allows(view.timestamp):
        raise PoolRefusedError(Refusal.SENTINEL, f"sequencer down or in grace at {view.timestamp}")
    graced = max(collateral.grace_until, debt.grace_until)
    if view.rules.grace_period and graced >= view.timestamp:
        raise PoolRefusedError(Refusal.GRACE_PERIOD, pair)
    if not case.health.liquidatable:
        raise PoolRefusedError(Refusal.HEALTHY, f"health factor {case.health.health_factor}")
    if not case.in_collateral or not case.collateral_line.counts:
        raise PoolRefusedError(Refusal.NOT_COLLATERAL, case.collateral.symbol)
    if case.total_debt == 0:
        raise PoolRefusedError(Refusal.NOT_BORROWED, case.debt.symbol)


def close_factor_limit(release: Rules, case: Case) -> int:
    """Return the most that one call may repay, before dust is considered; raw units."""
    debt, pair = case.total_debt, case.pair
    if not release.whole_position_rule:
        return rules.max_repay_of_reserve(debt, case.health.health_factor)
    debt_value = release.debt_value(debt, pair.debt_price, pair.debt_unit)
    balance_value = rules.value_floor(pair.balance, pair.collateral_price, pair.collateral_unit)
    if not rules.is_close_factor_reduced(balance_value, debt_value, case.health.health_factor):
        return debt
    half = rules.max_repay_value_of_position(case.health.debt_base)
    return half * pair.debt_unit // pair.debt_price if debt_value > half else debt


def quote(view: AaveMarket, case: Case, repay: int) -> SeizeQuote:
    """Return what offering ``repay`` raw units takes and gives. Raises RefusedError.

    When the collateral is worth less than the offer, the Pool takes all of it. Up to 3.2 the
    quote is then for offering no more than the Pool takes: interest that the collateral earns
    before the transaction lands cannot raise the debt taken above what was borrowed for it. Later
    releases refuse the grain that interest would leave of a debt or a collateral that is to go
    whole: the offer and the money at hand get headroom for it.
    """
    validate(view, case)
    limit = close_factor_limit(view.rules, case)
    offer = min(repay, limit)
    seizure = _seizure(view.rules, case.pair, offer)
    headroom = 0
    if view.rules.whole_position_rule and _is_emptying(case, seizure):
        headroom = _headroom(case.pair, seizure.repay)
        offer = seizure.repay + headroom
        seizure = _seizure(view.rules, case.pair, min(offer, limit))
    elif seizure.repay < offer:
        offer = seizure.repay
        seizure = _seizure(view.rules, case.pair, offer)
    _require_executable(view, case, seizure)
    index = case.collateral_line.liquidity_index
    fee = clipped_fee(view.rules, seizure, case.scaled_collateral, index) if seizure.fee else 0
    return SeizeQuote(
        repay=seizure.repay,
        seized=seizure.net + fee,
        protocol_fee=fee,
        offer=None if offer == seizure.repay else offer,
        headroom=headroom,
    )


def _is_emptying(case: Case, seizure: Seizure) -> bool:
    """Return whether the whole debt or the whole collateral goes."""
    return seizure.repay >= case.total_debt or seizure.gross >= case.pair.balance


def _headroom(pair: Pair, repay: int) -> int:
    """Return raw units of debt for the interest of some minutes, and for what rounding takes."""
    per_grain = pair.debt_price * pair.collateral_unit
    grain = pair.collateral_price * pair.debt_unit // per_grain if per_grain else 0
    return repay // HEADROOM_SHARE + 2 * grain + HEADROOM_LEAST


def seizer(view: AaveMarket, position: AavePosition) -> Callable[[Option, int], SeizeQuote]:
    """Return ``seize`` of one account, which is judged once."""
    cases: dict[tuple[Address, Address], Case] = {}

    def one(option: Option, repay: int) -> SeizeQuote:
        pair = (option.collateral, option.debt)
        if pair not in cases:
            cases[pair] = _case(view, position, option)
        return quote(view, cases[pair], repay)

    return one


def seize(view: AaveMarket, position: AavePosition, option: Option, repay: int) -> SeizeQuote:
    """Return what offering ``repay`` raw units of an option takes and gives."""
    return quote(view, _case(view, position, option), repay)


def _case(view: AaveMarket, position: AavePosition, option: Option) -> Case:
    collateral, debt = view.reserve(option.collateral), view.reserve(option.debt)
    if collateral is None or debt is None:
        raise PoolRefusedError(
            Refusal.RESERVE_INACTIVE, f"{option.collateral}/{option.debt} not listed"
        )
    return case_of(view, position, collateral, debt, assess(view, position))


def options(view: AaveMarket, position: AavePosition) -> tuple[Option, ...]:
    """Return every pair with the most that one call may repay of it."""
    health = assess(view, position)
    if not health.liquidatable:
        return ()
    found = []
    for collateral_id, _ in position.collateral:
        for debt_id, _ in position.debt:
            collateral, debt = view.reserves[collateral_id], view.reserves[debt_id]
            if collateral is None or debt is None:
                continue
            case = case_of(view, position, collateral, debt, health)
            most = largest_repay(view, case)
            if most:
                option = Option(collateral=collateral.asset, debt=debt.asset, max_repay=most)
                found.append(option)
    return tuple(found)


def largest_repay(view: AaveMarket, case: Case) -> int:
    """Return the largest offer that the Pool takes, 0 when it takes none."""
    limit = close_factor_limit(view.rules, case)
    try:
        quote(view, case, limit)
    except PoolRefusedError as e:
        too_much = e.refusal in (Refusal.DUST, Refusal.ILLIQUID, Refusal.UNPAID)
        return _largest_below(view, case, limit) if too_much else 0
    return limit


def _largest_below(view: AaveMarket, case: Case, limit: int) -> int:
    """Return the largest offer that is not too much, when ``limit`` is; 0 when every one is.

    More repaid leaves less and takes more cash, so that a bisection finds the edge.
    """
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        if _is_too_much(view.rules, case, middle):
            high = middle - 1
        else:
            low = middle
    try:
        quote(view, case, low)
    except PoolRefusedError:
        return 0
    return low


def _is_too_much(release: Rules, case: Case, offer: int) -> bool:
    seizure = _seizure(release, case.pair, offer)
    if _shortage(release, case, seizure) is not None:
        return True
    return release.whole_position_rule and leaves_dust(release, case.pair, case.total_debt, seizure)


def _seizure(release: Rules, pair: Pair, offer: int) -> Seizure:
    try:
        return available_collateral(release, pair, offer)
    except ZeroDivisionError as e:
        if pair.collateral_price and pair.debt_price:
            raise PoolRefusedError(Refusal.NO_BONUS, "the collateral has no bonus") from e
        raise PoolRefusedError(Refusal.DIVISION_BY_ZERO, "a price is zero") from e


def _require_executable(view: AaveMarket, case: Case, seizure: Seizure) -> None:
    """Raise RefusedError where the Pool would revert on the amounts."""
    if view.rules.whole_position_rule and leaves_dust(
        view.rules, case.pair, case.total_debt, seizure
    ):
        raise PoolRefusedError(Refusal.DUST, f"repaying {seizure.repay} of {case.total_debt}")
    if _burns_nothing(view, case, seizure):
        detail = f"repaying {seizure.repay} takes {seizure.net}"
        raise PoolRefusedError(Refusal.BURN_OF_NOTHING, detail)
    shortage = _shortage(view.rules, case, seizure)
    if shortage is not None:
        found = min(case.collateral.cash, case.collateral.held)
        detail = f"{case.collateral.symbol}: expected cash of {seizure.net}, found {found}"
        raise PoolRefusedError(shortage, detail)


def _shortage(release: Rules, case: Case, seizure: Seizure) -> Refusal | None:
    """Return why the seized underlying could not leave the reserve.

    Of one asset the repayment is booked before it is paid: then it is the token that refuses.
    """
    booked = seizure.repay if release.virtual_balance and case.is_of_one_asset else 0
    if seizure.net > case.collateral.cash + booked:
        return Refusal.ILLIQUID
    return Refusal.UNPAID if seizure.net > case.collateral.held else None


def _burns_nothing(view: AaveMarket, case: Case, seizure: Seizure) -> bool:
    """Return whether a token burn would round to nothing (``_burnScaled``)."""
    release = view.rules
    if release.scaled_burn_collateral(seizure.net, case.collateral_line.liquidity_index) == 0:
        return True
    variable = min(seizure.repay, case.variable_debt)
    if release.whole_position_rule and leaves_no_collateral(release, case, seizure):
        variable = case.variable_debt  # what is not repaid becomes a deficit and burns too
    if variable == 0:
        return seizure.repay == 0
    return release.scaled_burn_debt(variable, case.variable_index) == 0
