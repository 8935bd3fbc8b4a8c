"""Pending transactions as the node sees them, of the kinds that are asked for."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import msgspec

from keeper.chain.errors import NodeRefusedError
from keeper.chain.jsonrpc import UNREADABLE
from keeper.chain.records import data_bytes, hash32, quantity
from keeper.chain.rpc import Rpc
from keeper.chain.subscriptions import Subscriptions
from keeper.chain.trouble import Report, Trouble, quiet
from keeper.core.errors import RefusedError, StaleError, TransientError
from keeper.core.pending import PendingTransaction
from keeper.core.units import Address
from keeper.runtime.clock import Clock

_SUBSCRIPTION = "newPendingTransactions"
_FIRST_WAIT_S = 0.1
_LONGEST_WAIT_S = 30.0
_SILENCE_S = 60.0


class TransactionRecord(msgspec.Struct, frozen=True, rename={"sender": "from"}):
    """The fields of a transaction that Keeper reads."""

    hash: str
    sender: str
    input: str
    to: str | None = None
    value: str = "0x0"


class PendingStream:
    """Follows the mempool for ever. It is an accelerator: what it misses, a block tells later.

    The node is asked for whole transactions; one that only tells hashes is asked for each of them.
    """

    def __init__(
        self,
        selectors: frozenset[bytes],
        rpc: Rpc,
        *,
        clock: Clock,
        subscriptions: Callable[[], Subscriptions],
        report: Report = quiet,
    ) -> None:
        """Tell of transactions whose calldata begins with one of the selectors."""
        self._selectors = frozenset("0x" + one.hex() for one in selectors)
        self._rpc = rpc
        self._clock = clock
        self._open = subscriptions
        self._report = report

    async def follow(self) -> AsyncGenerator[PendingTransaction, None]:
        """Yield each wanted transaction. Ends only when the consumer does."""
        wait_s = _FIRST_WAIT_S
        while True:
            socket: Subscriptions | None = None
            try:
                socket = self._open()
                async with aclosing(self._until_lost(socket)) as found:
                    async for transaction in found:
                        wait_s = _FIRST_WAIT_S
                        yield transaction
            except (TransientError, StaleError, RefusedError) as e:
                self._report(Trouble.LOST, str(e))
            finally:
                if socket is not None:
                    await socket.close()
            await self._clock.sleep(wait_s)
            wait_s = min(wait_s * 2, _LONGEST_WAIT_S)

    async def _until_lost(self, socket: Subscriptions) -> AsyncGenerator[PendingTransaction, None]:
        await _subscribe(socket)
        while True:
            pushed = await socket.next(_SILENCE_S)
            if pushed is None:
                continue
            record = await self._record(pushed.result)
            if record is not None and record.input[:10].lower() in self._selectors:
                yield _value(record)

    async def _record(self, raw: msgspec.Raw) -> TransactionRecord | None:
        """Return a notification's transaction, None when the node has it no more."""
        try:
            told = msgspec.json.decode(raw, type=TransactionRecord | str)
        except UNREADABLE as e:
            msg = f"{self._rpc.name}: {_SUBSCRIPTION}: expected a transaction, found {e}"
            raise TransientError(msg) from e
        if isinstance(told, TransactionRecord):
            return told
        return await self._rpc.read_optional(TransactionRecord, "eth_getTransactionByHash", told)


async def _subscribe(socket: Subscriptions) -> None:
    """Subscribe to whole transactions, or to hashes where the node has no more."""
    try:
        await socket.subscribe(_SUBSCRIPTION, True)
    except NodeRefusedError:
        await socket.subscribe(_SUBSCRIPTION)


def _value(record: TransactionRecord) -> PendingTransaction:
    return PendingTransaction(
        hash=hash32(record.hash),
        sender=Address(record.sender.lower()),
        to=None if record.to is None else Address(record.to.lower()),
        data=data_bytes(record.input),
        value=quantity(record.value),
    )
