"""The seize arithmetic of ``LiquidationLogic``: numbers in, numbers out."""

from msgspec import Struct

from keeper.protocols.aave_v3 import rules
from keeper.protocols.aave_v3.revision import Rules


class Pair(Struct, frozen=True, kw_only=True):
    """One collateral and one debt of an account, as the seize arithmetic takes them."""

    collateral_price: int
    collateral_unit: int
    debt_price: int
    debt_unit: int
    bonus_bps: int
    """Principal included: 10500 gives five percent."""
    fee_bps: int
    balance: int
    """Borrower's collateral, raw units."""


class Seizure(Struct, frozen=True, kw_only=True):
    """What the arithmetic takes for a repayment, before the fee is clipped."""

    net: int
    """Collateral that reaches the liquidator."""
    repay: int
    fee: int

    @property
    def gross(self) -> int:
        """Collateral that leaves the borrower."""
        return self.net + self.fee


def available_collateral(release: Rules, pair: Pair, repay: int) -> Seizure:
    """Mirror ``LiquidationLogic._calculateAvailableCollateralToLiquidate``.

    Raises ZeroDivisionError where the contract panics with 0x12.
    """
    base = (
        pair.debt_price * repay * pair.collateral_unit // (pair.collateral_price * pair.debt_unit)
    )
    amount = release.bonus_mul(base, pair.bonus_bps)
    if amount > pair.balance:
        amount = pair.balance
        worth = (
            pair.collateral_price
            * amount
            * pair.debt_unit
            // (pair.debt_price * pair.collateral_unit)
        )
        repay = release.needed_div(worth, pair.bonus_bps)
    fee = 0
    if pair.fee_bps:
        bonus = amount - release.principal_div(amount, pair.bonus_bps)
        fee = release.fee_mul(bonus, pair.fee_bps)
    return Seizure(net=amount - fee, repay=repay, fee=fee)


def clipped_fee(release: Rules, seizure: Seizure, scaled: int, index: int) -> int:
    """Return the fee that the borrower's remaining scaled balance can still pay."""
    left = scaled - release.scaled_burn_collateral(seizure.net, index)
    if release.scaled_burn_collateral(seizure.fee, index) > left:
        return release.collateral_balance(left, index)
    return seizure.fee


def leaves_dust(release: Rules, pair: Pair, debt: int, seizure: Seizure) -> bool:
    """Return whether too little would be left on either side (``MustNotLeaveDust``, 3.3+)."""
    if seizure.repay >= debt or seizure.gross >= pair.balance:
        return False
    debt_left = release.debt_value(debt - seizure.repay, pair.debt_price, pair.debt_unit)
    collateral_left = rules.value_floor(
        pair.balance - seizure.gross, pair.collateral_price, pair.collateral_unit
    )
    return min(debt_left, collateral_left) < rules.MIN_LEFTOVER_BASE
