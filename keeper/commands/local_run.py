"""What ``demo`` and ``dry-run`` share: a keeper on a node of our own, and the count of the money.

On such a node keys hold nothing of value, so it is armed with a throwaway one.
"""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from keeper.app.keeper import Keeper
from keeper.chain.anvil import find_anvil
from keeper.commands.console import say
from keeper.core.units import Address
from keeper.devnet.packages import ensure_anvil
from keeper.devnet.rpc import Rpc

_BALANCE_OF = "0x70a08231"


class Purse(Struct, frozen=True, kw_only=True):
    """Native and wrapped native coin of the operator and the recipient together, wei."""

    operator: Address
    recipient: Address
    wrapped_native: Address

    def count(self, rpc: Rpc) -> int:
        """Return what the two hold now, read from the node and not from the books."""
        total = 0
        for holder in {self.operator, self.recipient}:
            total += int(rpc.call("eth_getBalance", holder, "latest"), 16)
            data = _BALANCE_OF + holder[2:].rjust(64, "0")
            call = {"to": self.wrapped_native, "data": data}
            total += int(rpc.call("eth_call", call, "latest"), 16)
        return total


def anvil_binary() -> Path:
    """Return anvil from the PATH when new enough, else the pinned one from npm."""
    found = find_anvil()
    if found is not None:
        return found
    return ensure_anvil(progress=say)


PATIENCE_S = 60.0
"""Longest wait for the keeper to deal with a block, before the next one comes anyway."""


async def mine_until(done: Callable[[], bool], keeper: Keeper, rpc: Rpc, *, pace_s: float) -> None:
    """Mine blocks until ``done``, at least ``pace_s`` apart and each dealt with by the keeper.

    A real chain leaves seconds between blocks; a loaded machine must not make this a race.
    """
    while not done():
        await asyncio.sleep(pace_s)
        await asyncio.to_thread(rpc.call, "evm_mine")
        await dealt_with(keeper, rpc)


async def dealt_with(keeper: Keeper, rpc: Rpc) -> None:
    """Wait until the keeper has acted on the newest block, or has had its time."""
    mined = int(await asyncio.to_thread(rpc.call, "eth_blockNumber"), 16)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_S):
            while keeper.acted_on < mined and not keeper.stopped:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
