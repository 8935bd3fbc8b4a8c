"""A rehearsal that several nodes must tell alike before money rests on it."""

import asyncio
from collections.abc import Hashable, Mapping, Sequence

from keeper.chain.member import Member
from keeper.chain.pool import Pool
from keeper.chain.simulator import NodeSimulator
from keeper.core.chain import BlockRef, Simulated, StateOverride, Transaction
from keeper.core.errors import RefusedError, StaleError, TransientError
from keeper.core.units import Address


class QuorumSimulator:
    """The ``Simulator`` of several nodes: so many must give the same result on the same block.

    The block is named by its hash, so that a node on another branch has no voice; results are
    compared whole, so that one that lies about a price or a balance is outvoted or stops the send.
    Raises StaleError without enough equal voices.
    """

    def __init__(
        self, pool: Pool, simulators: Mapping[Member, NodeSimulator], *, least: int
    ) -> None:
        self._pool = pool
        self._simulators = simulators
        self._least = least

    async def probe(self) -> None:
        """Raise ConfigError unless each node that answers offers the simulation."""
        for member in self._pool.fit():
            await self._simulators[member].probe()

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
        members = self._pool.fit()
        voices = await asyncio.gather(
            *(
                self._voice(
                    self._simulators[one],
                    transactions,
                    base=base,
                    timestamp=timestamp,
                    base_fee=base_fee,
                    overrides=overrides,
                )
                for one in members
            )
        )
        told = [voice for voice in voices if isinstance(voice, list)]
        for voice in told:
            alike = sum(_essence(other) == _essence(voice) for other in told)
            if alike >= self._least:
                return voice
        raise StaleError(self._disagreement(base, members, voices))

    async def _voice(
        self,
        simulator: NodeSimulator,
        transactions: Sequence[Transaction],
        *,
        base: BlockRef,
        timestamp: int,
        base_fee: int,
        overrides: Mapping[Address, StateOverride],
    ) -> list[Simulated] | str:
        """Return a node's result, or why it has none."""
        try:
            return await simulator.simulate(
                transactions,
                base=base,
                timestamp=timestamp,
                base_fee=base_fee,
                overrides=overrides,
            )
        except (TransientError, StaleError, RefusedError) as e:
            return str(e)

    def _disagreement(
        self,
        base: BlockRef,
        members: Sequence[Member],
        voices: Sequence[list[Simulated] | str],
    ) -> str:
        said = [
            f"{member.name}: {voice if isinstance(voice, str) else 'another result'}"
            for member, voice in zip(members, voices, strict=True)
        ]
        found = "; ".join(said) or "no node"
        return (
            f"quorum: expected {self._least} nodes to agree on what runs on block "
            f"{base.number} {base.hash}, found {found}"
        )


def _essence(results: Sequence[Simulated]) -> Hashable:
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
