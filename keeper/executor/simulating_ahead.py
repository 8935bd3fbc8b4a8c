"""A simulation begun before it is known that its answer is wanted."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import TypedDict, Unpack

from keeper.core.chain import BlockRef, Simulated, StateOverride, Transaction
from keeper.core.ports import Simulator
from keeper.core.units import Address
from keeper.runtime.begun import begun


class Setting(TypedDict):
    """Where transactions are simulated, as the port takes it."""

    base: BlockRef
    timestamp: int
    base_fee: int
    overrides: Mapping[Address, StateOverride]


class SimulatingAhead:
    """A ``Simulator`` that answers the question that was begun, if it is that very one."""

    def __init__(self, simulator: Simulator) -> None:
        """Ask ``simulator``."""
        self._simulator = simulator
        self._begun: tuple[object, asyncio.Future[list[Simulated]]] | None = None

    def begin(self, transactions: Sequence[Transaction], **setting: Unpack[Setting]) -> None:
        """Ask, in case that this is what will be asked next; what was begun before is dropped."""
        answer = begun(self._simulator.simulate(transactions, **setting))
        self._begun = (transactions, setting), answer

    async def simulate(
        self, transactions: Sequence[Transaction], **setting: Unpack[Setting]
    ) -> list[Simulated]:
        """Run the transactions in order in one block on top of ``base``. Raises as the port."""
        ahead, self._begun = self._begun, None
        if ahead is not None and ahead[0] == (transactions, setting):
            return await ahead[1]
        return await self._simulator.simulate(transactions, **setting)
