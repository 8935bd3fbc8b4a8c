"""What several nodes must tell alike before money rests on it.

One node's word is enough to look by: what it invents or hides is met by the rehearsal. What a
send, a budget or a nonce is decided by is asked of every node that is fit, and counts when so many
told the same.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from msgspec import Struct

from keeper.chain.member import Member
from keeper.chain.pool import Pool
from keeper.chain.reader import ChainReader
from keeper.chain.simulator import NodeSimulator
from keeper.chain.wire import NodeWire
from keeper.core.chain import BlockRef, Simulated, StateOverride, Transaction
from keeper.core.errors import RefusedError, StaleError, TransientError
from keeper.core.units import Address
from keeper.runtime.clock import Clock

TRIES: Final = 4
PAUSE_S: Final = 0.25
"""How often, and how far apart, nodes are asked one of which does not know a block yet."""

T = TypeVar("T")


def _itself(told: object) -> object:
    return told


class Node(Struct, frozen=True, kw_only=True):
    """One node of several, asked by itself."""

    reader: ChainReader
    simulator: NodeSimulator
    wire: NodeWire


class Quorum:
    """Asks every node that is fit; so many must agree.

    One that cannot answer, or does not know the block, has no voice. Raises StaleError without
    enough equal voices.
    """

    def __init__(
        self,
        pool: Pool,
        nodes: Mapping[Member, Node],
        *,
        least: int,
        clock: Clock,
        patience_s: float,
    ) -> None:
        """Make ``least`` nodes agree; ``patience_s`` is for one that others need not wait for."""
        self._pool = pool
        self._nodes = nodes
        self._least = least
        self._clock = clock
        self._patience_s = patience_s

    def fit(self) -> list[Node]:
        """Return the nodes that may be asked now."""
        return [self._nodes[one] for one in self._pool.fit()]

    async def alike(
        self,
        what: str,
        ask: Callable[[Node], Awaitable[T]],
        essence: Callable[[T], object] = _itself,
    ) -> T:
        """Return what enough nodes tell, as soon as they have; ``what`` names it in the error.

        ``essence`` is what nodes of every make tell alike.
        """
        vote = await self._vote(ask, essence)
        for _ in range(TRIES - 1):
            if vote.agreed or not vote.is_behind:
                break
            await self._clock.sleep(PAUSE_S)
            vote = await self._vote(ask, essence)
        for told in vote.agreed:
            return told
        raise self._disagreement(what, vote.said)

    async def _vote(
        self, ask: Callable[[Node], Awaitable[T]], essence: Callable[[T], object]
    ) -> "_Vote[T]":
        """Ask once, for no longer than it takes to have enough equal voices."""
        vote, found = _Vote[T](), list[object]()
        async with aclosing(self._voices(ask)) as voices:
            async for name, voice in voices:
                if isinstance(voice, _Silence):
                    vote.said[name] = voice.why
                    vote.is_behind |= voice.is_behind
                    continue
                vote.said[name] = "another answer"
                found.append(essence(voice))
                if found.count(found[-1]) >= self._least:
                    vote.agreed.append(voice)
                    break
        return vote

    async def reached(self, what: str, ask: Callable[[Node], Awaitable[int]]) -> int:
        """Return the highest count that enough nodes have reached: of what only grows.

        One that is behind, or claims less, holds back nobody else; one that claims more is alone.
        """
        told = sorted(await self._all(what, ask), reverse=True)
        return told[self._least - 1]

    async def anybody(self, what: str, ask: Callable[[Node], Awaitable[bool]]) -> bool:
        """Return whether any node says so, of enough that answer."""
        return any(await self._all(what, ask))

    async def _all(self, what: str, ask: Callable[[Node], Awaitable[T]]) -> list[T]:
        """Return what each node tells within the patience; enough of them must."""
        told: list[T] = []
        said: dict[str, str] = {}
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience_s), aclosing(self._voices(ask)) as voices:
                async for name, voice in voices:
                    said[name] = voice.why if isinstance(voice, _Silence) else "an answer"
                    if not isinstance(voice, _Silence):
                        told.append(voice)
        if len(told) < self._least:
            raise self._disagreement(what, said)
        return told

    async def _voices(
        self, ask: Callable[[Node], Awaitable[T]]
    ) -> AsyncGenerator[tuple[str, "T | _Silence"], None]:
        """Yield each node's name and voice as they come; whoever has heard enough may close."""
        asked = {
            asyncio.ensure_future(_voice(ask, self._nodes[one])): one for one in self._pool.fit()
        }
        waiting = set(asked)
        try:
            while waiting:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for one in done:
                    yield asked[one].name, one.result()
        finally:
            for one in waiting:
                one.cancel()
            # All of them, also who was done and not heard: asyncio complains of an error not seen.
            await asyncio.gather(*asked, return_exceptions=True)

    def _disagreement(self, what: str, said: Mapping[str, str]) -> StaleError:
        found = "; ".join(f"{name}: {one}" for name, one in said.items()) or "no node"
        return StaleError(f"quorum: expected {self._least} nodes to agree on {what}, found {found}")


@dataclass(slots=True, kw_only=True)
class _Vote(Generic[T]):
    """What nodes said when they were asked once."""

    agreed: list[T] = field(default_factory=list)
    """What enough of them told, or nothing."""
    said: dict[str, str] = field(default_factory=dict)
    """Why each node's answer was not enough."""
    is_behind: bool = False
    """One did not know the block, and may in a moment."""


class _Silence(Struct, frozen=True, kw_only=True):
    """A node without a voice, and why."""

    why: str
    is_behind: bool


async def _voice(ask: Callable[[Node], Awaitable[T]], node: Node) -> "T | _Silence":
    try:
        return await ask(node)
    except (TransientError, StaleError, RefusedError) as e:
        return _Silence(why=str(e), is_behind=isinstance(e, StaleError))


class QuorumSimulator:
    """The ``Simulator`` of several nodes: so many must give the same result on the same block.

    The block is named by its hash, so that a node on another branch has no voice, and must be the
    same to its last field: fees and deadlines come from it. Results are compared whole, so that one
    that lies about a price or a balance is outvoted or stops the send.
    """

    def __init__(self, quorum: Quorum) -> None:
        """Ask the nodes of a quorum."""
        self._quorum = quorum

    async def probe(self) -> None:
        """Raise ConfigError unless each node that answers offers the simulation."""
        for node in self._quorum.fit():
            await node.simulator.probe()

    async def simulate(
        self,
        transactions: Sequence[Transaction],
        *,
        base: BlockRef,
        timestamp: int,
        base_fee: int,
        overrides: Mapping[Address, StateOverride],
    ) -> list[Simulated]:
        """Run the transactions on every node that is fit; return what enough of them say."""

        async def run(node: Node) -> list[Simulated]:
            found, results = await asyncio.gather(
                node.reader.block_by_hash(base.hash),
                node.simulator.simulate(
                    transactions,
                    base=base,
                    timestamp=timestamp,
                    base_fee=base_fee,
                    overrides=overrides,
                ),
            )
            if found != base:
                raise RefusedError(f"block {base.number}: {base.unlike(found)}")
            return results

        return await self._quorum.alike(f"what runs on block {base.number} {base.hash}", run, _ran)


def _ran(results: Sequence[Simulated]) -> object:
    """Return what nodes of every make tell alike: not their words, not a made-up block's hash."""
    return tuple(
        (
            one.success,
            one.gas_used,
            tuple((log.address, log.topics, log.data) for log in one.logs),
            one.return_data,
        )
        for one in results
    )
