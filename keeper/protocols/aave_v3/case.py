"""An account with one collateral and one debt chosen, as the Pool sees it when it liquidates."""

from msgspec import Struct

from keeper.core.errors import StaleError
from keeper.core.lending import Health
from keeper.protocols.aave_v3 import rules
from keeper.protocols.aave_v3.health import (
    UNDEFINED,
    collateral_amount,
    debt_amounts,
    is_in_category,
    known_price,
    lines_of,
)
from keeper.protocols.aave_v3.revision import Rules
from keeper.protocols.aave_v3.seizing import Pair, Seizure
from keeper.protocols.aave_v3.state import AaveMarket, AavePosition, Line, Reserve


class Case(Struct, frozen=True, kw_only=True):
    """An account with one collateral and one debt chosen."""

    collateral: Reserve
    collateral_line: Line
    scaled_collateral: int
    debt: Reserve
    variable_debt: int
    variable_index: int
    stable_debt: int
    pair: Pair
    health: Health
    in_collateral: bool
    """Whether the account's word flags the collateral."""

    @property
    def is_of_one_asset(self) -> bool:
        """Tell whether what is owed is what is seized."""
        return self.collateral.id == self.debt.id

    @property
    def total_debt(self) -> int:
        """Debt in the chosen reserve, raw units."""
        return self.variable_debt + self.stable_debt


def case_of(
    view: AaveMarket, position: AavePosition, collateral: Reserve, debt: Reserve, health: Health
) -> Case:
    """Return the case of one pair. Raises StaleError when a price is not known."""
    lines = lines_of(view, position.emode)
    line, debt_line = lines[collateral.id], lines[debt.id]
    if line is None or debt_line is None:
        msg = f"reserves {collateral.id} and {debt.id}: expected both listed, found one dropped"
        raise StaleError(msg)
    scaled = dict(position.collateral)
    variable, stable = debt_amounts(view, position).get(debt.id, (0, 0))
    category = view.categories.get(position.emode, UNDEFINED)
    inside = is_in_category(view.rules, collateral, position.emode, category)
    debt_price = known_price(debt_line, debt.id)
    collateral_price = known_price(line, collateral.id)
    if position.emode and category.price_source is not None:
        # The category's price applies to the debt without asking whether it is a member.
        debt_price = view.prices[category.price_source]
        collateral_price = debt_price if inside else collateral_price
    pair = Pair(
        collateral_price=collateral_price,
        collateral_unit=collateral.unit,
        debt_price=debt_price,
        debt_unit=debt.unit,
        bonus_bps=category.bonus_bps if inside else collateral.bonus_bps,
        fee_bps=collateral.protocol_fee_bps,
        balance=collateral_amount(view, line, scaled.get(collateral.id, 0)),
    )
    return Case(
        collateral=collateral,
        collateral_line=line,
        scaled_collateral=scaled.get(collateral.id, 0),
        debt=debt,
        variable_debt=variable,
        variable_index=debt_line.variable_index,
        stable_debt=stable,
        pair=pair,
        health=health,
        in_collateral=collateral.id in scaled,
    )


def leaves_no_collateral(release: Rules, case: Case, seizure: Seizure) -> bool:
    """Return whether the liquidation takes the last collateral, which makes a deficit (3.3+)."""
    pair = case.pair
    gross = seizure.gross
    if release.deficit_by_scaled:
        index = case.collateral_line.liquidity_index
        burned = sum(
            release.scaled_burn_collateral(part, index) for part in (seizure.net, seizure.fee)
        )
        gross = release.collateral_balance(min(burned, case.scaled_collateral), index)
    value = rules.value_floor(gross, pair.collateral_price, pair.collateral_unit)
    return value == case.health.collateral_base
