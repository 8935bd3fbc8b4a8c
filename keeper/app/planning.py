"""Hand a batch of opportunities to the planner."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from keeper.chain.fees import fees_for
from keeper.core.chain import next_base_fee
from keeper.core.lending import AccountRef, Rejection, Valuation
from keeper.core.plan import Opportunity, Plan
from keeper.core.ports import ProtocolAdapter
from keeper.planner.case import case_of
from keeper.planner.planner import Planner
from keeper.scanner.scan import Book

M = TypeVar("M")
P = TypeVar("P")


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch(Generic[M, P]):
    """What a planner plans from."""

    adapter: ProtocolAdapter[M, P]
    view: M
    book: Book[M, P]
    opportunities: Sequence[Opportunity]
    valuations: Mapping[AccountRef, Valuation]
    """Of each opportunity's market."""


class Planning(Protocol[M, P]):
    """Turns a batch into plans and rejections. Implemented over ``keeper.planner``."""

    async def plan(self, batch: Batch[M, P]) -> tuple[list[Plan], list[Rejection]]:
        """Return the plans in the order to send them, and why the others are not taken."""
        ...


class PlannerDesk(Generic[M, P]):
    """Plans batches at the fees of the block after theirs."""

    def __init__(self, planner: Planner, *, priority_fee: int, max_gas_price: int) -> None:
        """Take the chain's priority fee and the operator's cap, wei per gas."""
        self._planner = planner
        self._priority_fee = priority_fee
        self._max_gas_price = max_gas_price

    async def plan(self, batch: Batch[M, P]) -> tuple[list[Plan], list[Rejection]]:
        """Return plans in sending order and rejections.

        Raises RefusedError when gas costs more than the operator's cap.
        """
        block = batch.book.block
        fees = fees_for(block, priority_fee=self._priority_fee, max_fee_cap=self._max_gas_price)
        desk = await self._planner.desk(
            batch.opportunities, block, fees=fees, base_fee=next_base_fee(block)
        )
        cases = [
            case_of(
                batch.adapter,
                batch.view,
                batch.book.positions[one.ref],
                opportunity=one,
                valuation=batch.valuations[one.ref],
            )
            for one in batch.opportunities
        ]
        done = self._planner.plan_all(cases, desk)
        plans = [one for one in done if isinstance(one, Plan)]
        return plans, [one for one in done if isinstance(one, Rejection)]
