"""Many read-only calls at one block: through Multicall3, or one by one where that cannot be."""

from collections.abc import Sequence

from keeper.chain.classify import Meaning, error_bytes, meaning
from keeper.chain.jsonrpc import NodeError, Reply, Request
from keeper.chain.multicall import decode_aggregate3, encode_aggregate3
from keeper.chain.pinned import PinnedRpc
from keeper.chain.records import data_bytes
from keeper.core.chain import BlockRef, Call, CallResult
from keeper.core.units import Address
from keeper.runtime.parallel import each

_METHOD = "eth_call"
_SMALLEST_CHUNK = 8
_LONG_BORNE = 64
"""Chunks of full size that are answered in a row before larger ones are tried again."""


class CallBatch:
    """Runs calls in chunks, several in flight, and learns how large a chunk the node bears."""

    def __init__(
        self, pinned: PinnedRpc, *, multicall3: Address, chunk: int = 200, at_once: int = 4
    ) -> None:
        self._pinned = pinned
        self._multicall3 = multicall3
        self._chunk = self._largest = chunk
        self._borne = 0
        self._at_once = at_once

    async def run(self, calls: Sequence[Call], block: BlockRef) -> list[CallResult]:
        """Return the result of each call, in order; one bad call never fails the others."""
        results: dict[int, CallResult] = {}
        capped = [i for i, call in enumerate(calls) if call.gas is not None]
        free = [i for i, call in enumerate(calls) if call.gas is None]

        async def together(part: list[int]) -> None:
            answers = await self._aggregate([calls[i] for i in part], block)
            results.update(zip(part, answers, strict=True))

        async def alone(part: list[int]) -> None:
            answers = await self._one_by_one([calls[i] for i in part], block)
            results.update(zip(part, answers, strict=True))

        await each(_parts(free, self._chunk), together, at_once=self._at_once)
        await each(_parts(capped, self._chunk), alone, at_once=self._at_once)
        return [results[i] for i in range(len(calls))]

    async def _aggregate(self, calls: Sequence[Call], block: BlockRef) -> list[CallResult]:
        if len(calls) == 1:
            return await self._one_by_one(calls, block)
        data = "0x" + encode_aggregate3(calls).hex()
        target = {"to": self._multicall3, "data": data}
        reply = await self._pinned.ask(_METHOD, [target], block)
        if isinstance(reply, NodeError):
            return await self._halves(calls, block)
        answer = data_bytes(self._pinned.rpc.decode(str, _METHOD, reply))
        if not answer:  # no contract there at that block
            return await self._one_by_one(calls, block)
        results = decode_aggregate3(answer, len(calls))
        self._bear(len(calls))
        return await self._settled(calls, results, block)

    async def _halves(self, calls: Sequence[Call], block: BlockRef) -> list[CallResult]:
        """Ask again in two parts: the whole was too much for the node, or for the gas it gives."""
        middle = len(calls) // 2
        self._learn(middle)
        first = await self._aggregate(calls[:middle], block)
        return first + await self._aggregate(calls[middle:], block)

    async def _settled(
        self, calls: Sequence[Call], results: list[CallResult], block: BlockRef
    ) -> list[CallResult]:
        """Ask again, alone, what failed without a word: a greedy neighbour may have eaten its gas.

        A call that runs out of gas takes 63/64 of what the whole chunk had left.
        """
        silent = [i for i, r in enumerate(results) if not r.success and not r.data]
        if not silent:
            return results
        again = await self._one_by_one([calls[i] for i in silent], block)
        if any(result.success for result in again):
            self._learn(len(calls) // 2)
        settled = dict(zip(silent, again, strict=True))
        return [settled.get(i, result) for i, result in enumerate(results)]

    async def _one_by_one(self, calls: Sequence[Call], block: BlockRef) -> list[CallResult]:
        if len(calls) == 1:
            reply = await self._pinned.ask(_METHOD, [_target(calls[0])], block)
            return [self._result(reply)]
        replies = await self._pinned.ask_many(
            lambda at: [Request(method=_METHOD, params=(_target(call), at)) for call in calls],
            block,
        )
        if all(_is_refused(reply) for reply in replies):  # too many at once for the node
            middle = len(calls) // 2
            first = await self._one_by_one(calls[:middle], block)
            return first + await self._one_by_one(calls[middle:], block)
        return [self._result(reply) for reply in replies]

    def _result(self, reply: Reply) -> CallResult:
        if isinstance(reply, NodeError):
            if meaning(_METHOD, reply) is not Meaning.FAILED:
                self._pinned.rpc.raise_error(_METHOD, reply)
            return CallResult(success=False, data=error_bytes(reply))
        return CallResult(
            success=True, data=data_bytes(self._pinned.rpc.decode(str, _METHOD, reply))
        )

    def _learn(self, too_large: int) -> None:
        self._chunk, self._borne = max(min(self._chunk, too_large), _SMALLEST_CHUNK), 0

    def _bear(self, size: int) -> None:
        """Take note of a chunk that was answered; after many, larger ones may be again.

        What a chunk met once, such as an error of the node's own, must not count for ever.
        """
        self._borne += size == self._chunk
        if self._borne >= _LONG_BORNE:
            self._chunk, self._borne = min(2 * self._chunk, self._largest), 0


def _is_refused(reply: Reply) -> bool:
    return isinstance(reply, NodeError) and meaning(_METHOD, reply) is Meaning.REFUSED


def _parts(indices: list[int], size: int) -> list[list[int]]:
    return [indices[i : i + size] for i in range(0, len(indices), size)]


def _target(call: Call) -> dict[str, object]:
    target: dict[str, object] = {"to": call.to, "data": "0x" + call.data.hex()}
    if call.gas is not None:
        target["gas"] = hex(call.gas)
    return target
