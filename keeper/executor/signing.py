"""The desk where transactions get their nonce and their signature."""

import asyncio
from collections.abc import Collection, Sequence

from keeper.core.chain import Fees, Transaction
from keeper.core.errors import RefusedError
from keeper.core.plan import Plan, Purpose, Submission
from keeper.core.ports import Signer, Wire
from keeper.core.units import Address, Hash32
from keeper.core.values import replace
from keeper.executor.airborne import Airborne, cancel_gas
from keeper.executor.nonce import NonceKeeper
from keeper.runtime.begun import begun


class SigningDesk:
    """Numbers and signs for one key on one chain. It sends nothing."""

    def __init__(self, *, chain_id: int, signer: Signer, wire: Wire, nonces: NonceKeeper) -> None:
        """Make a desk for one signer."""
        self._chain_id = chain_id
        self._signer = signer
        self._wire = wire
        self.nonces = nonces
        self._asked: asyncio.Future[None] | None = None
        """The answer to ``require_chain``, where it was asked beforehand."""

    @property
    def address(self) -> Address:
        """Return whose transactions these are."""
        return self._signer.address

    @property
    def is_instant(self) -> bool:
        """Return whether the key is in this process."""
        return self._signer.is_instant

    async def require_chain(self) -> None:
        """Raise RefusedError when the node is on another chain than the one configured."""
        found = await self._wire.chain_id()
        if found != self._chain_id:
            msg = f"chain id: expected {self._chain_id}, found {found}; nothing was signed"
            raise RefusedError(msg)

    def ask_chain(self) -> None:
        """Ask for the chain id while something else is waited for; ``sign`` waits for the answer.

        It is good for one signing, whose refusal is then this one's.
        """
        self._asked = begun(self.require_chain())

    async def confirmed(self) -> bool:
        """Return whether ``ask_chain`` was answered rightly; ``sign`` says what was not."""
        asked = self._asked  # it may be asked again, or taken, meanwhile
        if asked is None:
            return False
        if not asked.done():  # else two turns of the loop for nothing
            await asyncio.wait([asked])
        return not asked.cancelled() and asked.exception() is None

    def took(self, nonce: int) -> None:
        """Say that what was signed ahead for a nonce goes out: it is the signing asked for."""
        self._asked = None
        self.nonces.used(nonce)

    async def sign(
        self, plans: Sequence[Plan], *, held: Collection[int], target_block: int, lane: str
    ) -> list[Submission]:
        """Sign each plan with the next nonce, in order: all of them, or none and no nonce is used.

        Raises RefusedError when the node is on another chain or the key's holder will not.
        """
        asked, self._asked = self._asked, None
        await (self.require_chain() if asked is None else asked)
        nonces = await self.nonces.take(len(plans), held)
        signatures = await self._signatures(plans, nonces)
        signed: list[Submission] = []
        for plan, nonce, (raw, tx_hash) in zip(plans, nonces, signatures, strict=True):
            self.nonces.used(nonce)
            signed.append(
                Submission(
                    plan_id=plan.id,
                    sender=self.address,
                    nonce=nonce,
                    tx_hash=tx_hash,
                    raw=raw,
                    fees=plan.fees,
                    target_block=target_block,
                    lane=lane,
                )
            )
        return signed

    async def _signatures(
        self, plans: Sequence[Plan], nonces: Sequence[int]
    ) -> list[tuple[bytes, Hash32]]:
        """Return each plan's signed bytes and hash; a key elsewhere is asked for all at once."""
        asked = [
            self._signer.sign_soon(
                plan.transaction, nonce=nonce, gas_limit=plan.gas_limit, fees=plan.fees
            )
            for plan, nonce in zip(plans, nonces, strict=True)
        ]
        if self._signer.is_instant:
            return [await one for one in asked]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        for one in answers:
            if isinstance(one, BaseException):
                raise one
        return [one for one in answers if not isinstance(one, BaseException)]

    def renumbered(self, plan: Plan, signed: Submission, nonce: int) -> Submission:
        """Sign a plan's transaction again for another nonce; nothing of the first was sent.

        As ``sign_ahead`` only for a key that is in this process.
        """
        return self.sign_ahead(
            plan, nonce=nonce, target_block=signed.target_block, lane=signed.lane
        )

    def sign_ahead(self, plan: Plan, *, nonce: int, target_block: int, lane: str) -> Submission:
        """Sign a plan's transaction for a nonce that is not taken yet."""
        raw, tx_hash = self._signer.sign(
            plan.transaction, nonce=nonce, gas_limit=plan.gas_limit, fees=plan.fees
        )
        return Submission(
            plan_id=plan.id,
            sender=self.address,
            nonce=nonce,
            tx_hash=tx_hash,
            raw=raw,
            fees=plan.fees,
            target_block=target_block,
            lane=lane,
        )

    async def replace(
        self,
        newest: Submission,
        one: Airborne,
        *,
        fees: Fees,
        target_block: int,
        purpose: Purpose,
        lane: str,
    ) -> Submission:
        """Sign what takes the place of an intent's newest transaction: the same one, or nothing.

        Raises RefusedError when the node is on another chain.
        """
        await self.require_chain()
        transaction, gas_limit = one.transaction, one.gas_limit
        if purpose is Purpose.CANCEL or transaction is None:
            transaction = Transaction(sender=self.address, to=self.address, data=b"")
            gas_limit = cancel_gas(one, target_block)
        raw, tx_hash = await self._signer.sign_soon(
            transaction, nonce=newest.nonce, gas_limit=gas_limit, fees=fees
        )
        return replace(
            newest,
            tx_hash=tx_hash,
            raw=raw,
            fees=fees,
            target_block=target_block,
            purpose=purpose,
            lane=lane,
        )
