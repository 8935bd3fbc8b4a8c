"""JSON as nodes write it, and the values it becomes."""

from typing import TypeVar

import msgspec

from keeper.chain.base_fees import base_fee_rule
from keeper.chain.data_fees import Rollup
from keeper.chain.jsonrpc import UNREADABLE
from keeper.core.chain import BlockRef, Log, Receipt
from keeper.core.errors import TransientError
from keeper.core.units import Address, Hash32

T = TypeVar("T")

_WORD_SIZE = 32
_ADDRESS_SIZE = 20


class BlockRecord(msgspec.Struct, frozen=True, rename="camel"):
    """The header fields that Keeper reads."""

    number: str
    hash: str
    parent_hash: str
    timestamp: str
    gas_used: str
    gas_limit: str
    base_fee_per_gas: str | None = None
    logs_bloom: str | None = None
    extra_data: str | None = None
    blob_gas_used: str | None = None

    def value(self, rollup: Rollup | None = None) -> BlockRef:
        """Return the block, of a chain of that kind."""
        gas_used, gas_limit = quantity(self.gas_used), quantity(self.gas_limit)
        if rollup is Rollup.OP_STACK and self.blob_gas_used:
            # Of data, from Jovian on; its base fee goes by what is more.
            gas_used = max(gas_used, quantity(self.blob_gas_used))
        return BlockRef(
            number=quantity(self.number),
            hash=hash32(self.hash),
            parent_hash=hash32(self.parent_hash),
            timestamp=quantity(self.timestamp),
            base_fee=quantity(self.base_fee_per_gas) if self.base_fee_per_gas else 0,
            gas_used=gas_used,
            gas_limit=gas_limit,
            logs_bloom=_filter(self.logs_bloom or ""),
            base_fee_rule=base_fee_rule(
                rollup, gas_limit=gas_limit, extra_data=self.extra_data or ""
            ),
        )


class LogRecord(msgspec.Struct, frozen=True, rename="camel"):
    """An event log."""

    address: str
    topics: tuple[str, ...]
    data: str
    block_number: str
    block_hash: str
    transaction_hash: str
    log_index: str
    removed: bool = False

    def value(self, seen_ns: int = 0) -> Log:
        """Return the log."""
        try:
            return Log(
                address=Address(_sized(self.address, _ADDRESS_SIZE)),
                topics=tuple(map(_word, self.topics)),
                data=bytes.fromhex(self.data[2:]),
                block_number=int(self.block_number, 16),
                block_hash=Hash32(self.block_hash.lower()),
                tx_hash=Hash32(self.transaction_hash.lower()),
                index=int(self.log_index, 16),
                removed=self.removed,
                seen_ns=seen_ns,
            )
        except ValueError as e:
            raise TransientError(f"expected a log in hex, found one where {e}") from e


class LogGlimpse(msgspec.Struct, frozen=True, rename="camel"):
    """As much of a pushed log as must be known at once (``core.chain.LogHint``)."""

    address: str
    topics: tuple[str, ...]
    block_number: str
    block_hash: str
    log_index: str
    removed: bool = False


class _Glimpsed(msgspec.Struct, frozen=True):
    """The parameters of a push that brings a log."""

    subscription: str
    result: LogGlimpse


class _LogPush(msgspec.Struct, frozen=True):
    """A whole message that brings a log."""

    method: str
    params: _Glimpsed


class ReceiptRecord(msgspec.Struct, frozen=True, rename="camel"):
    """A receipt; ``l1Fee`` is there on OP-stack rollups.

    What says whether it succeeded and what it cost has no default: a loss must not look like none.
    """

    transaction_hash: str
    block_number: str
    block_hash: str
    transaction_index: str
    gas_used: str
    logs: tuple[LogRecord, ...]
    status: str
    effective_gas_price: str
    l1_fee: str | None = None

    def value(self) -> Receipt:
        """Return the receipt."""
        return Receipt(
            tx_hash=hash32(self.transaction_hash),
            block_number=quantity(self.block_number),
            block_hash=hash32(self.block_hash),
            index=quantity(self.transaction_index),
            success=quantity(self.status) == 1,
            gas_used=quantity(self.gas_used),
            effective_gas_price=quantity(self.effective_gas_price),
            l1_fee=quantity(self.l1_fee) if self.l1_fee else 0,
            logs=tuple(log.value() for log in self.logs),
        )


class SimulatedErrorRecord(msgspec.Struct, frozen=True):
    """Why a simulated call failed."""

    code: int = 0
    message: str = ""
    data: object = None


class SimulatedCallRecord(msgspec.Struct, frozen=True, rename="camel"):
    """One call of ``eth_simulateV1``."""

    status: str
    gas_used: str
    return_data: str = "0x"
    logs: tuple[LogRecord, ...] = ()
    error: SimulatedErrorRecord | None = None


class SimulatedBlockRecord(msgspec.Struct, frozen=True):
    """One block of ``eth_simulateV1``."""

    calls: tuple[SimulatedCallRecord, ...]


_log_decoder = msgspec.json.Decoder(LogRecord)
_push_decoder = msgspec.json.Decoder(_LogPush)


def decode_block(raw: msgspec.Raw, rollup: Rollup | None = None) -> BlockRef:
    """Return the block of a notification; raise TransientError on another shape."""
    return _decode(BlockRecord, raw).value(rollup)


def decode_log(raw: msgspec.Raw, seen_ns: int = 0) -> Log:
    """Return the log of a notification; raise TransientError on another shape."""
    try:
        return _log_decoder.decode(raw).value(seen_ns)
    except UNREADABLE as e:
        raise TransientError(f"expected a log, found {e}") from e


def glimpse_log(message: bytes) -> LogGlimpse | None:
    """Return what a whole message tells of a log, in one go; None when it is no log's push."""
    try:
        return _push_decoder.decode(message).params.result
    except UNREADABLE:
        return None


def quantity(text: str) -> int:
    """Return a hex quantity; raise TransientError when a node sent something else."""
    try:
        return int(text, 16)
    except ValueError as e:
        raise TransientError(f"expected a hex quantity, found {text[:20]!r}") from e


def data_bytes(text: str) -> bytes:
    """Return hex data; raise TransientError when a node sent something else."""
    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError as e:
        raise TransientError(f"expected hex data, found {text[:20]!r}") from e


def hash32(text: str) -> Hash32:
    """Return a hash in lower case."""
    return Hash32(text.lower())


def _filter(text: str) -> str:
    """Return a header's bloom filter, empty where the node writes it without a digit."""
    if text in ("", "0x"):
        return ""
    quantity(text)
    return text


def _word(text: str) -> Hash32:
    """Return a word in lower case. Raises ValueError unless it is one: contracts read topics."""
    return Hash32(_sized(text, _WORD_SIZE))


def _sized(text: str, size: int) -> str:
    """Return hex in lower case. Raises ValueError unless it is of so many bytes."""
    if len(text) != 2 + 2 * size or len(bytes.fromhex(text[2:])) != size:
        msg = f"expected {size} bytes, found {text[:20]!r}"
        raise ValueError(msg)
    return text.lower()


def _decode(kind: type[T], raw: msgspec.Raw) -> T:
    try:
        return msgspec.json.decode(raw, type=kind)
    except UNREADABLE as e:
        raise TransientError(f"expected a notification of the specification, found {e}") from e
