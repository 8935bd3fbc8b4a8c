"""Sign and send to the node's own mempool; on a fork this is the fork's."""

from keeper.core.errors import RefusedError, TransientError
from keeper.core.plan import Plan, Submission
from keeper.core.ports import Journal, Signer, Wire
from keeper.executor.nonce import NonceKeeper


class MempoolLane:
    """Sends for real. The signed transaction is on disk before it is on the wire."""

    def __init__(
        self, *, chain_id: int, signer: Signer, wire: Wire, journal: Journal, nonces: NonceKeeper
    ) -> None:
        """Make a lane for one signer on one chain."""
        self._chain_id = chain_id
        self._signer = signer
        self._wire = wire
        self._journal = journal
        self._nonces = nonces

    async def sign(self, plan: Plan) -> Submission:
        """Sign a plan with the next nonce and put it on disk.

        Raises RefusedError when the node is on another chain than the one configured.
        """
        await self._require_chain()
        nonce = await self._nonces.peek()
        raw, tx_hash = self._signer.sign(
            plan.transaction, nonce=nonce, gas_limit=plan.gas_limit, fees=plan.fees
        )
        submission = Submission(
            plan_id=plan.id,
            sender=self._signer.address,
            nonce=nonce,
            tx_hash=tx_hash,
            raw=raw,
            fees=plan.fees,
            target_block=plan.opportunity.block.number + 1,
        )
        await self._journal.record_signed(submission)
        return submission

    async def send(self, submission: Submission) -> None:
        """Send a journaled transaction once.

        Raises RefusedError when the node did not take it: then nothing is in flight. After a
        TransientError it may be: it is looked up by its hash later.
        """
        try:
            await self._wire.send_raw(submission.raw)
        except RefusedError:
            self._nonces.resync()
            raise
        except TransientError:
            self._nonces.used(submission.nonce)
            raise
        self._nonces.used(submission.nonce)
        await self._journal.record_sent(submission)

    async def _require_chain(self) -> None:
        found = await self._wire.chain_id()
        if found != self._chain_id:
            msg = f"chain id: expected {self._chain_id}, found {found}; nothing was signed"
            raise RefusedError(msg)
