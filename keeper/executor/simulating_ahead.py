"""A simulation begun before it is known that its answer is wanted."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from keeper.core.chain import BlockRef, Simulated, StateOverride, Transaction
from keeper.core.ports import Simulator
from keeper.core.units import Address
from keeper.runtime.begun import begun


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    transactions: Sequence[Transaction]
    base: BlockRef
    timestamp: int
    base_fee: int
    overrides: Mapping[Address, StateOverride]


class SimulatingAhead:
    """A ``Simulator`` that answers the question that was begun, if it is that very one."""

    def __init__(self, simulator: Simulator) -> None:
        """Ask ``simulator``."""
        self._simulator = simulator
        self._begun: tuple[_Question, asyncio.Future[list[Simulated]]] | None = None

    def begin(
        self,
        transactions: Sequence[Transaction],
        *,
        base: BlockRef,
        timestamp: int,
        base_fee: int,
        overrides: Mapping[Address, StateOverride],
    ) -> None:
        """Ask, in case that this is what will be asked next; what was begun before is dropped."""
        question = _Question(
            transactions=transactions,
            base=base,
            timestamp=timestamp,
            base_fee=base_fee,
            overrides=overrides,
        )
        self._begun = (question, begun(self._ask(question)))

    async def simulate(
        self,
        transactions: Sequence[Transaction],
        *,
        base: BlockRef,
        timestamp: int,
        base_fee: int,
        overrides: Mapping[Address, StateOverride],
    ) -> list[Simulated]:
        """Run the transactions in order in one block on top of ``base``. Raises as the port."""
        question = _Question(
            transactions=transactions,
            base=base,
            timestamp=timestamp,
            base_fee=base_fee,
            overrides=overrides,
        )
        ahead, self._begun = self._begun, None
        if ahead is not None and ahead[0] == question:
            return await ahead[1]
        return await self._ask(question)

    async def _ask(self, question: _Question) -> list[Simulated]:
        return await self._simulator.simulate(
            question.transactions,
            base=question.base,
            timestamp=question.timestamp,
            base_fee=question.base_fee,
            overrides=question.overrides,
        )
