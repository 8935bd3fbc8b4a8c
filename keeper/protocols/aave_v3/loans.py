"""What a loan within the transaction leaves of the market that lends it.

Mirrors ``FlashLoanLogic._handleFlashLoanRepayment`` with ``ReserveLogic.updateState`` and
``cumulateToLiquidityIndex``. Up to 3.3 the suppliers' part of the premium lifts the liquidity index
at once: whoever is liquidated later in the block has a grain more of that collateral.
"""

from keeper.core.fixed_point import percent_mul_half_up, ray_div_half_up, ray_mul_half_up
from keeper.core.plan import Funding
from keeper.core.values import replace
from keeper.protocols.aave_v3 import rules
from keeper.protocols.aave_v3.health import by_category
from keeper.protocols.aave_v3.state import AaveMarket, Line, Reserve, Supplied


def after_loan(view: AaveMarket, loan: Funding) -> AaveMarket:
    """Return the market once the loan is given back; the same where another lends."""
    number = view.ids.get(loan.asset)
    reserve = None if number is None else view.reserves[number]
    line = None if number is None else view.lines[number]
    if loan.lender != view.pool or reserve is None or line is None:
        return view
    paid = replace(reserve, cash=reserve.cash + loan.fee, held=reserve.held + loan.fee)
    if reserve.supplied is None:
        return _with(view, paid, line)
    supplied = accrued(reserve, reserve.supplied, line)
    to_protocol = percent_mul_half_up(loan.fee, view.premium_to_protocol_bps)
    total = ray_mul_half_up(supplied.scaled, line.liquidity_index)
    total += ray_mul_half_up(supplied.treasury, line.liquidity_index)
    lifted = rules.lifted_index(line.liquidity_index, total, loan.fee - to_protocol)
    treasury = supplied.treasury + ray_div_half_up(to_protocol, lifted)
    paid = replace(
        paid,
        liquidity_index=lifted,
        variable_index=line.variable_index,
        updated=view.timestamp,
        supplied=replace(supplied, treasury=treasury),
    )
    return _with(view, paid, line._replace(liquidity_index=lifted))


def accrued(reserve: Reserve, supplied: Supplied, line: Line) -> Supplied:
    """Mirror ``ReserveLogic._accrueToTreasury`` of a reserve without stable debt."""
    grown = ray_mul_half_up(supplied.variable, line.variable_index)
    grown -= ray_mul_half_up(supplied.variable, reserve.variable_index)
    minted = percent_mul_half_up(grown, supplied.factor_bps)
    treasury = supplied.treasury + ray_div_half_up(minted, line.liquidity_index)
    return replace(supplied, treasury=treasury)


def _with(view: AaveMarket, reserve: Reserve, line: Line) -> AaveMarket:
    """Return the view with a reserve and its index replaced, for every category of accounts."""
    lines = tuple(
        one
        if i != reserve.id or one is None
        else one._replace(liquidity_index=line.liquidity_index)
        for i, one in enumerate(view.lines)
    )
    reserves = list(view.reserves)
    reserves[reserve.id] = reserve
    return replace(
        view,
        reserves=tuple(reserves),
        lines=lines,
        category_lines=by_category(view, lines, view.prices),
    )
