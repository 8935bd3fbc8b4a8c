"""Bad debt: what a liquidation that takes the last collateral writes off (3.3+)."""

from collections.abc import Mapping

from keeper.core.units import Address
from keeper.protocols.aave_v3.case import Case, leaves_no_collateral
from keeper.protocols.aave_v3.health import debt_amounts
from keeper.protocols.aave_v3.seizing import Seizure
from keeper.protocols.aave_v3.state import AaveMarket, AavePosition


def written_off(
    view: AaveMarket, position: AavePosition, case: Case, seizure: Seizure
) -> Mapping[Address, int]:
    """Mirror ``LiquidationLogic._burnDebtTokens`` and ``_burnBadDebt``: raw units by asset.

    Empty when collateral is left, and up to 3.2, where bad debt stays with the account.
    """
    if not view.rules.whole_position_rule or not leaves_no_collateral(view.rules, case, seizure):
        return {}
    found = {}
    for number, (variable, _) in debt_amounts(view, position).items():
        reserve = view.reserves[number]
        if reserve is None or not reserve.is_active:
            continue
        repaid = seizure.repay if reserve.id == case.debt.id else 0
        if variable > repaid:
            found[reserve.asset] = variable - repaid
    return found
