"""What feeds answer in a block that is simulated after the head."""

import asyncio
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from keeper.core.chain import BlockRef, StateOverride, Transaction, next_base_fee
from keeper.core.errors import RefusedError
from keeper.core.lending import Feed
from keeper.core.ports import Simulator
from keeper.core.units import ZERO_ADDRESS, Address
from keeper.evm.words import WORD

Overrides = Mapping[Address, StateOverride]


async def asked(
    simulator: Simulator,
    feeds: Sequence[Feed],
    head: BlockRef,
    timestamp: int,
    overrides: Overrides = MappingProxyType({}),
) -> dict[str, int]:
    """Return what feeds answer in a simulated block after the head; nothing of one that fails.

    Where one takes all the gas geth tells of none: then each is asked alone. Raises TransientError
    or StaleError when the node does not answer.
    """
    try:
        return await _asked_together(simulator, feeds, head, timestamp, overrides)
    except RefusedError:
        alone = feeds if len(feeds) > 1 else ()
    found = await asyncio.gather(
        *(asked(simulator, [one], head, timestamp, overrides) for one in alone)
    )
    return {key: value for one in found for key, value in one.items()}


async def _asked_together(
    simulator: Simulator,
    feeds: Sequence[Feed],
    head: BlockRef,
    timestamp: int,
    overrides: Overrides,
) -> dict[str, int]:
    results = await simulator.simulate(
        [Transaction(sender=ZERO_ADDRESS, to=f.read.to, data=f.read.data) for f in feeds],
        base=head,
        timestamp=timestamp,
        base_fee=next_base_fee(head),
        overrides=overrides,
    )
    return {
        feed.id: int.from_bytes(result.return_data)
        for feed, result in zip(feeds, results, strict=True)
        if result.success and len(result.return_data) == WORD
    }
