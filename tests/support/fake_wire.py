"""The chain's side of sending, by hand: what landed, what is pending, what nonces are used."""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field

from keeper.core.chain import BlockRef, Call, CallResult, Log, LogFilter, Receipt
from keeper.core.errors import StaleError
from keeper.core.primed import Primed, post
from keeper.core.units import Address, Hash32
from tests.support.ledger_records import FEES, block


@dataclass(slots=True)
class FakeWire:
    """Implements ``Wire`` and the reads of blocks from what a test sets."""

    receipts: dict[Hash32, Receipt] = field(default_factory=dict)
    pending: set[Hash32] = field(default_factory=set)
    used: int = 0
    """Nonces that transactions in blocks have used."""
    queued: int = 0
    """Nonces that pending transactions hold on top."""
    sent: list[bytes] = field(default_factory=list)
    asked_nonces: list[Address] = field(default_factory=list)
    """Whose."""
    late: set[Hash32] = field(default_factory=set)
    """Whose receipts are not handed out before somebody asks for a nonce."""
    freed: int | None = None
    """What ``used`` is once it was told: a reorg takes back what used the others."""
    disputed: set[Hash32] = field(default_factory=set)
    """Whose receipts several nodes tell otherwise."""

    def include(
        self, tx_hash: Hash32, number: int, *, success: bool = True, logs: Sequence[Log] = ()
    ) -> Receipt:
        """Put a transaction into a block."""
        receipt = Receipt(
            tx_hash=tx_hash,
            block_number=number,
            block_hash=block(number).hash,
            index=0,
            success=success,
            gas_used=500_000,
            effective_gas_price=FEES.max_fee // 2,
            l1_fee=7,
            logs=tuple(logs),
        )
        self.receipts[tx_hash] = receipt
        self.pending.discard(tx_hash)
        return receipt

    async def send_raw(self, raw: bytes) -> Hash32:
        self.sent.append(raw)
        return Hash32("0x" + raw.hex().rjust(64, "0")[-64:])

    def prime_raw(self, raw: bytes) -> Primed[Hash32] | None:  # noqa: ARG002 - the port's
        """Have no open socket."""
        return None

    def post_raw(self, raw: bytes) -> Awaitable[Hash32] | None:
        """Write at once where a socket is open."""
        return post(self.prime_raw(raw))

    async def receipt(self, tx_hash: Hash32) -> Receipt | None:
        if tx_hash in self.disputed:
            msg = f"expected the receipt of {tx_hash} twice alike"
            raise StaleError(msg)
        return None if tx_hash in self.late else self.receipts.get(tx_hash)

    async def knows(self, tx_hash: Hash32) -> bool:
        return tx_hash in self.pending or tx_hash in self.receipts

    async def nonce(self, sender: Address, *, pending: bool) -> int:
        self.asked_nonces.append(sender)
        self.late.clear()
        used = self.used
        if self.freed is not None:
            self.used, self.freed = self.freed, None
        return used + (self.queued if pending else 0)

    async def chain_id(self) -> int:
        return 31337


@dataclass(slots=True)
class FakeBlocks:
    """Implements ``Reader`` for blocks alone."""

    last: int

    async def head(self) -> BlockRef:
        return block(self.last)

    async def block(self, number: int) -> BlockRef:
        if number > self.last:
            msg = f"expected block {number}, found none"
            raise StaleError(msg)
        return block(number)

    async def call_many(self, calls: Sequence[Call], block: BlockRef) -> list[CallResult]:
        raise NotImplementedError

    async def logs_at(self, wanted: LogFilter, block: BlockRef) -> list[Log]:
        raise NotImplementedError

    async def logs_of(self, wanted: LogFilter, block_hash: Hash32) -> list[Log]:
        raise NotImplementedError

    async def logs_between(self, wanted: LogFilter, first: int, last: int) -> list[Log]:
        raise NotImplementedError

    async def code(self, address: Address, block: BlockRef) -> bytes:
        raise NotImplementedError

    async def balance(self, address: Address, block: BlockRef) -> int:
        raise NotImplementedError

    async def nonce(self, address: Address, block: BlockRef) -> int:
        raise NotImplementedError

    async def storage(self, address: Address, slot: int, block: BlockRef) -> int:
        raise NotImplementedError
