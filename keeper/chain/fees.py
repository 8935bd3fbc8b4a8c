"""Fee fields of a transaction for the next block."""

from keeper.chain.errors import GasCappedError
from keeper.core.chain import BlockRef, Fees, next_base_fee
from keeper.core.errors import RefusedError


def fees_for(
    block: BlockRef, *, priority_fee: int, max_fee_cap: int | None = None, headroom: int = 2
) -> Fees:
    """Return the fees of a transaction for the block after ``block``, wei per gas.

    The maximum is ``headroom`` times the next base fee and the priority fee, but never over the
    cap. Raises GasCappedError when even the next block would cost more than the cap.
    """
    base_fee = next_base_fee(block)
    wanted = base_fee * headroom + priority_fee
    if max_fee_cap is None:
        return Fees(max_fee=wanted, priority_fee=priority_fee)
    if base_fee + priority_fee > max_fee_cap:
        found = base_fee + priority_fee
        raise GasCappedError(f"gas price: expected at most {max_fee_cap} wei, found {found}")
    return Fees(max_fee=min(wanted, max_fee_cap), priority_fee=priority_fee)


def gas_price_at(fees: Fees, base_fee: int) -> int:
    """Return what a unit of gas would cost in a block of that base fee, wei.

    Raises RefusedError when such a block could not include the transaction.
    """
    if fees.max_fee < base_fee:
        raise RefusedError(f"max fee: expected at least {base_fee} wei, found {fees.max_fee}")
    return min(fees.max_fee, base_fee + fees.priority_fee)
