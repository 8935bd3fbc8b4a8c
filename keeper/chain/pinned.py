"""Questions about the state after one block, and never about another's."""

from collections.abc import Callable, Sequence

from keeper.chain.classify import Meaning, meaning
from keeper.chain.jsonrpc import NodeError, Reply, Request
from keeper.chain.records import BlockRecord
from keeper.chain.rpc import Rpc
from keeper.core.chain import BlockRef
from keeper.core.errors import StaleError

_INVALID_PARAMS = (-32602, -32600)
_HEADER = "eth_getBlockByNumber"

AtBlock = Callable[[object], list[Request]]
"""Builds requests around a block parameter."""


class PinnedRpc:
    """Pins reads by block hash (EIP-1898), or by number with a check on nodes that cannot."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc
        self._able: dict[str, bool] = {}
        """Whether a node can pin by hash, once that is known, by its name."""

    @property
    def rpc(self) -> Rpc:
        """Return the unpinned questions."""
        return self._rpc

    @property
    def _by_hash(self) -> bool | None:
        return self._able.get(self._rpc.name)

    async def ask(self, method: str, params: Sequence[object], block: BlockRef) -> Reply:
        """Return the reply to a method whose last parameter is the block. Raises StaleError."""
        if self._by_hash:
            reply = await self._rpc.ask(method, *params, by_hash(block))
            if not _is_refused_pin(reply):
                return self._checked([Request(method=method)], [reply])[0]
        (only,) = await self.ask_many(
            lambda at: [Request(method=method, params=(*params, at))], block
        )
        return only

    async def ask_many(self, build: AtBlock, block: BlockRef) -> list[Reply]:
        """Return the replies to requests built around the block parameter. Raises StaleError.

        A pin by hash that is refused is no answer, whatever is known: of several nodes another may
        have answered than the one that was to.
        """
        if self._by_hash is not False:
            requests = build(by_hash(block))
            replies = await self._rpc.ask_many(requests)
            if not any(_is_refused_pin(reply) for reply in replies):
                checked = self._checked(requests, replies)
                self._able[self._rpc.name] = True
                return checked
        return await self._ask_by_number(build, block)

    async def _ask_by_number(self, build: AtBlock, block: BlockRef) -> list[Reply]:
        number = hex(block.number)
        requests = build(number)
        replies = self._checked(requests, await self._rpc.ask_many(requests))
        record = await self._rpc.read_optional(BlockRecord, _HEADER, number, False)
        found = record.value().hash if record is not None else "no block"
        if found != block.hash:
            msg = f"block {block.number}: expected {block.hash}, found {found}"
            raise StaleError(msg)
        if not any(_is_refused_pin(reply) for reply in replies):
            self._able[self._rpc.name] = False
        return replies

    def _checked(self, requests: Sequence[Request], replies: list[Reply]) -> list[Reply]:
        for request, reply in zip(requests, replies, strict=True):
            if isinstance(reply, NodeError) and (meaning(request.method, reply) is Meaning.STALE):
                self._rpc.raise_error(request.method, reply)
        return replies


def by_hash(block: BlockRef) -> dict[str, object]:
    """Return the EIP-1898 block parameter that refuses blocks off the canonical chain."""
    return {"blockHash": block.hash, "requireCanonical": True}


def _is_refused_pin(reply: Reply) -> bool:
    return isinstance(reply, NodeError) and reply.code in _INVALID_PARAMS
