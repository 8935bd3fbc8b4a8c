"""Transactions run against the state after a block, without being sent."""

from collections.abc import Mapping, Sequence
from typing import Final

from keeper.chain.classify import Meaning, error_bytes, meaning
from keeper.chain.jsonrpc import NodeError, Request
from keeper.chain.pinned import PinnedRpc
from keeper.chain.records import (
    SimulatedBlockRecord,
    SimulatedCallRecord,
    data_bytes,
    quantity,
)
from keeper.core.chain import BlockRef, Simulated, StateOverride, Transaction
from keeper.core.errors import ConfigError, TransientError
from keeper.core.units import Address

_METHOD: Final = "eth_simulateV1"
_NO_SUCH_METHOD = -32601


class NodeSimulator:
    """The ``Simulator`` of a node that offers ``eth_simulateV1``.

    Besides the port's errors raises NodeRefusedError when the node refuses the whole block, such
    as for a sender without funds.
    """

    def __init__(self, pinned: PinnedRpc) -> None:
        self._pinned = pinned
        self._rpc = pinned.rpc

    async def probe(self) -> None:
        """Raise ConfigError unless the node offers ``eth_simulateV1``."""
        empty: dict[str, object] = {"blockStateCalls": [{"calls": []}]}
        reply = await self._rpc.ask(_METHOD, empty, "latest")
        if isinstance(reply, NodeError) and _is_missing(reply):
            msg = f"{self._rpc.name}: expected a node with {_METHOD}, found {reply.message!r}"
            raise ConfigError(msg)

    async def simulate(
        self,
        transactions: Sequence[Transaction],
        *,
        base: BlockRef,
        timestamp: int,
        base_fee: int,
        overrides: Mapping[Address, StateOverride],
    ) -> list[Simulated]:
        """Run the transactions in order in one block on top of ``base``.

        They name no gas price, so senders need no funds for gas; contracts that ask for the base
        fee then read 0 on the nodes seen, whatever ``base_fee`` says.
        """
        environment = {
            "number": hex(base.number + 1),
            "time": hex(timestamp),
            "baseFeePerGas": hex(base_fee),
        }
        state = {address: _override(one) for address, one in overrides.items()}
        block = {
            "calls": [_call(one) for one in transactions],
            "blockOverrides": environment,
            "stateOverrides": state,
        }
        results = await self._run({"blockStateCalls": [block], "validation": False}, base)
        if len(results) != len(transactions):
            msg = f"{_METHOD}: expected {len(transactions)} results, found {len(results)}"
            raise TransientError(msg)
        if len(results) == 1 and not results[0].success and not results[0].return_data:
            reason = await self._reason(transactions[0], base, state, environment)
            return [_with_reason(results[0], *reason)]
        return results

    async def _run(self, payload: Mapping[str, object], base: BlockRef) -> list[Simulated]:
        reply = await self._pinned.ask(_METHOD, [payload], base)
        blocks = self._rpc.decode(tuple[SimulatedBlockRecord, ...], _METHOD, reply)
        return [simulated(call) for block in blocks for call in block.calls]

    async def _reason(
        self,
        transaction: Transaction,
        base: BlockRef,
        state: Mapping[Address, object],
        environment: Mapping[str, str],
    ) -> tuple[str, bytes]:
        """Return message and revert data of the same call as ``eth_call`` tells them.

        Empty when that knows no better: an ``eth_call`` has another gas limit.
        """
        call = _call(transaction)
        (reply,) = await self._pinned.ask_many(
            lambda at: [Request(method="eth_call", params=(call, at, state, environment))], base
        )
        if isinstance(reply, NodeError) and meaning("eth_call", reply) is Meaning.FAILED:
            return reply.message, error_bytes(reply)
        return "", b""


def _call(transaction: Transaction) -> dict[str, str]:
    call = {
        "from": transaction.sender,
        "to": transaction.to,
        "input": "0x" + transaction.data.hex(),
    }
    if transaction.value:
        call["value"] = hex(transaction.value)
    return call


def _override(override: StateOverride) -> dict[str, object]:
    written: dict[str, object] = {}
    if override.code is not None:
        written["code"] = "0x" + override.code.hex()
    if override.balance is not None:
        written["balance"] = hex(override.balance)
    if override.storage:
        written["stateDiff"] = {
            f"0x{slot:064x}": f"0x{word:064x}" for slot, word in override.storage.items()
        }
    return written


def simulated(record: SimulatedCallRecord) -> Simulated:
    """Return what a simulated call came to."""
    data = data_bytes(record.return_data)
    error = ""
    if record.error is not None:
        told = record.error
        failed = NodeError(code=told.code, message=told.message, data=told.data)
        error = failed.message or "execution failed"
        data = data or error_bytes(failed)
    success = quantity(record.status) == 1
    return Simulated(
        success=success,
        gas_used=quantity(record.gas_used),
        logs=tuple([log.value() for log in record.logs]),
        return_data=data,
        error=error if error or success else "execution failed",
    )


def _with_reason(result: Simulated, message: str, data: bytes) -> Simulated:
    return Simulated(
        success=result.success,
        gas_used=result.gas_used,
        logs=result.logs,
        return_data=data,
        error=message or result.error,
    )


def _is_missing(error: NodeError) -> bool:
    text = error.message.lower()
    return error.code == _NO_SUCH_METHOD or "not found" in text or "not supported" in text
