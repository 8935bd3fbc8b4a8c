"""One intent that is out: what it may still cost, and what takes its place."""

from msgspec import Struct

from keeper.core.chain import DataCost, Fees, Transaction
from keeper.core.gas_limit import CANCEL_GAS, HEADS_APART, MOST_TO_CANCEL
from keeper.core.plan import Intent, Purpose, Status
from keeper.evm.signed_transaction import decode_signed


class Airborne(Struct, frozen=True, kw_only=True):
    """One open intent. ``transaction`` is None for one that never came to signing."""

    intent: Intent
    transaction: Transaction | None
    gas_limit: int = 0
    """Of the liquidation."""
    due: int = 0
    """The block that it aimed at first, as far as is known."""
    reserved: int = 0
    """The most that what is being signed in its place may cost, wei."""

    @property
    def data_cost(self) -> DataCost:
        """What a rollup charges for its data."""
        return self.intent.data_cost

    @property
    def worst_gas(self) -> int:
        """The most that it may still cost, wei: only one of its transactions can land."""
        costs = (self.cost(one.purpose, one.fees) for one in self.intent.attempts)
        return max(self.reserved, *costs, 0)

    def cost(self, purpose: Purpose, fees: Fees) -> int:
        """Return the most that one of its transactions may cost, wei.

        Of a cancellation at the most gas it can have: one counted as dear as a liquidation would
        leave those beside it no room for their own.
        """
        gas = self.cancel_gas if purpose is Purpose.CANCEL else self.gas_limit
        return gas * fees.max_fee + self.data_cost.wei

    @property
    def cancel_gas(self) -> int:
        """The highest gas limit of what cancels it, whatever its block."""
        return MOST_TO_CANCEL + self.data_cost.gas

    @property
    def cancelled(self) -> bool:
        """Whether its newest transaction is there to cancel it, or the next one is to be."""
        newest = self.intent.submission
        cancels = newest is not None and newest.purpose is Purpose.CANCEL
        return cancels or self.intent.status is Status.UNDONE


def restored(intent: Intent) -> Airborne:
    """Return an intent of the journal with what its signed bytes say."""
    first = next((one for one in reversed(intent.attempts)), None)
    if first is None:
        return Airborne(intent=intent, transaction=None)
    signed = decode_signed(first.raw, sender=first.sender)
    return Airborne(
        intent=intent,
        transaction=signed.transaction,
        gas_limit=signed.gas_limit,
        due=first.target_block,
    )


def cancel_gas(one: Airborne, target_block: int) -> int:
    """Return the gas limit of what cancels an intent in a block, another one in the next.

    Else one that was given up, and another of its nonce at the same fees, would be cancelled by
    the same bytes. Where data is charged as gas it is less than the liquidation's.
    """
    return CANCEL_GAS + target_block % HEADS_APART + one.data_cost.gas
