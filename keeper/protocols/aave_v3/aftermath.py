"""An account and its market as a liquidation leaves them, in the same block.

Mirrors what ``LiquidationLogic.executeLiquidationCall`` burns, hands over and books. A second call
in the block finds the same indices: no time has passed.
"""

from keeper.core.lending import Option, SeizeQuote
from keeper.core.values import replace
from keeper.protocols.aave_v3.case import Case, case_of
from keeper.protocols.aave_v3.health import assess
from keeper.protocols.aave_v3.state import AaveMarket, AavePosition, Reserve

Balances = tuple[tuple[int, int], ...]


def after_seize(
    view: AaveMarket, position: AavePosition, option: Option, quote: SeizeQuote
) -> tuple[AaveMarket, AavePosition] | None:
    """Return market and position after the liquidation.

    None for a debt at a stable rate, and where the collateral is gone: nothing more can be taken
    for it.
    """
    collateral, debt = view.reserve(option.collateral), view.reserve(option.debt)
    if collateral is None or debt is None or position.stable:
        return None
    case = case_of(view, position, collateral, debt, assess(view, position))
    if quote.seized >= case.pair.balance:
        return None
    left = replace(
        position,
        collateral=_changed(
            position.collateral, collateral.id, _collateral_left(view, case, quote)
        ),
        debt=_changed(position.debt, debt.id, _debt_left(view, case, quote, position.debt)),
    )
    return market_after(view, option, quote), left


def market_after(view: AaveMarket, option: Option, quote: SeizeQuote) -> AaveMarket:
    """Return the market with the repayment in one reserve and the collateral out of the other.

    Nothing else of it moves for other accounts: indices and prices are those of the moment, a fee
    changes hands as aTokens, and bad debt is burned from the account alone.
    """
    moves = ((option.debt, quote.repay), (option.collateral, -quote.received))
    reserves = list(view.reserves)
    for asset, amount in moves:
        number = view.ids[asset]
        one = reserves[number]
        if one is not None:
            reserves[number] = replace(one, cash=one.cash + amount, held=one.held + amount)
    number = view.ids[option.collateral]
    reserves[number] = _burned(view, reserves[number], quote.received)
    return replace(view, reserves=tuple(reserves))


def _burned(view: AaveMarket, reserve: Reserve | None, amount: int) -> Reserve | None:
    """Return the reserve with that much of its aToken burned."""
    line = None if reserve is None else view.lines[reserve.id]
    if reserve is None or reserve.supplied is None or line is None:
        return reserve
    scaled = view.rules.scaled_burn_collateral(amount, line.liquidity_index)
    left = replace(reserve.supplied, scaled=reserve.supplied.scaled - scaled)
    return replace(reserve, supplied=left)


def _collateral_left(view: AaveMarket, case: Case, quote: SeizeQuote) -> int:
    """Return the scaled balance after the burn and the transfer of the fee to the treasury."""
    index, burned = case.collateral_line.liquidity_index, view.rules.scaled_burn_collateral
    fee = burned(quote.protocol_fee, index) if quote.protocol_fee else 0
    return case.scaled_collateral - burned(quote.received, index) - fee


def _debt_left(view: AaveMarket, case: Case, quote: SeizeQuote, debts: Balances) -> int:
    """Return the scaled variable debt after the burn; all of it goes when all is repaid."""
    if quote.repay >= case.variable_debt:
        return 0
    return dict(debts)[case.debt.id] - view.rules.scaled_burn_debt(quote.repay, case.variable_index)


def _changed(balances: Balances, number: int, left: int) -> Balances:
    """Return the balances with one replaced; none of it clears the account's flag."""
    kept = ((n, left if n == number else scaled) for n, scaled in balances)
    return tuple((n, scaled) for n, scaled in kept if n != number or scaled > 0)
