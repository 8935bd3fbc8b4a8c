"""The penalty waterfall: where each wei that a borrower loses goes.

The same arithmetic makes the forecast and the books. Everything is wei of the native coin; the
identity ``net = penalty - protocol_fee - swap_cost - flash_fee - gas - tip`` holds to the wei.
"""

from collections.abc import Sequence

from msgspec import Struct

from keeper.core.errors import InvariantError
from keeper.core.lending import Liquidation, Valuation
from keeper.core.units import Address


class Waterfall(Struct, frozen=True, kw_only=True):
    """The split of a liquidation's penalty, wei of the native coin. Costs are positive."""

    penalty: int
    """Gross bonus: value seized from the borrower over the value repaid."""
    protocol_fee: int
    swap_cost: int
    """Oracle value of the collateral sold over what it brought; negative when it brought more."""
    flash_fee: int
    gas: int
    """Gas of the transaction with the L1 data fee."""
    tip: int
    """Paid to the block's proposer out of the proceeds."""
    net: int

    def __post_init__(self) -> None:
        """Raise InvariantError when the parts do not sum to the net."""
        costs = self.protocol_fee + self.swap_cost + self.flash_fee + self.gas + self.tip
        if self.penalty - costs != self.net:
            msg = f"waterfall: expected net {self.penalty - costs}, found {self.net}"
            raise InvariantError(msg)


class Settlement(Struct, frozen=True, kw_only=True):
    """What one executed (or simulated) transaction moved."""

    liquidations: tuple[Liquidation, ...]
    flash_fee_asset: Address | None
    flash_fee: int
    """Raw units of ``flash_fee_asset``."""
    received: int
    """Growth of the recipient's wrapped-native balance, wei, after the tip."""
    tip: int
    gas: int
    """Wei, L1 data fee included."""


def gas_only(gas: int) -> Waterfall:
    """Return the waterfall of a transaction that liquidated nothing and cost its gas."""
    return Waterfall(penalty=0, protocol_fee=0, swap_cost=0, flash_fee=0, gas=gas, tip=0, net=-gas)


def unvalued(settlement: Settlement) -> Waterfall:
    """Return the split where the tokens had no price: what came and went in coin is known."""
    return Waterfall(
        penalty=0,
        protocol_fee=0,
        swap_cost=-(settlement.received + settlement.tip),
        flash_fee=0,
        gas=settlement.gas,
        tip=settlement.tip,
        net=settlement.received - settlement.gas,
    )


def waterfall(settlement: Settlement, valuation: Valuation) -> Waterfall:
    """Split a settlement at the prices of its block.

    Each item is a difference of two floored wei values, so that the items telescope and the
    identity is exact: no rounding is left over.
    """
    gross, kept, repaid = _values(settlement.liquidations, valuation)
    fee = 0
    if settlement.flash_fee_asset is not None:
        fee = valuation.wei_floor(settlement.flash_fee_asset, settlement.flash_fee)
    proceeds = settlement.received + settlement.tip
    return Waterfall(
        penalty=gross - repaid,
        protocol_fee=gross - kept,
        swap_cost=kept - repaid - fee - proceeds,
        flash_fee=fee,
        gas=settlement.gas,
        tip=settlement.tip,
        net=settlement.received - settlement.gas,
    )


def _values(liquidations: Sequence[Liquidation], valuation: Valuation) -> tuple[int, int, int]:
    """Return the wei value of what was seized, of what the liquidator got, and repaid."""
    gross = kept = repaid = 0
    for one in liquidations:
        gross += valuation.wei_floor(one.collateral, one.seized)
        kept += valuation.wei_floor(one.collateral, one.seized - one.protocol_fee)
        repaid += valuation.wei_floor(one.debt, one.repaid)
    return gross, kept, repaid
