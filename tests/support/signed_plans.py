"""Plans signed for real, since a restart reads what is in flight from the signed bytes."""

from keeper.core.chain import Fees
from keeper.core.plan import Plan, Submission
from keeper.evm.transaction import LocalSigner

SIGNER = LocalSigner(bytes(31) + b"\x01", chain_id=31337)


def signed(of: Plan, nonce: int, *, max_fee: int = 30 * 10**9) -> Submission:
    """Return a plan's transaction, signed."""
    fees = Fees(max_fee=max_fee, priority_fee=10**9)
    raw, tx_hash = SIGNER.sign(of.transaction, nonce=nonce, gas_limit=of.gas_limit, fees=fees)
    return Submission(
        plan_id=of.id,
        sender=SIGNER.address,
        nonce=nonce,
        tx_hash=tx_hash,
        raw=raw,
        fees=fees,
        target_block=101,
    )
