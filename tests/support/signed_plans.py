"""Plans signed for real, since a restart reads what is in flight from the signed bytes."""

from keeper.core.chain import Fees, Transaction
from keeper.core.plan import Plan, Submission
from keeper.core.values import replace
from keeper.evm.transaction import LocalSigner
from tests.support.ledger_records import EXECUTOR, plan

SIGNER = LocalSigner(bytes(31) + b"\x01", chain_id=31337)


def sent_by_signer(number: int) -> Plan:
    """Return a plan whose transaction is told from others' by its data."""
    transaction = Transaction(sender=SIGNER.address, to=EXECUTOR, data=bytes([number]))
    return replace(plan(number), transaction=transaction)


ONE, TWO = sent_by_signer(1), sent_by_signer(2)


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
