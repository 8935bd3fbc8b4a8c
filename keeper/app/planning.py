"""Hand a batch of opportunities to the planner."""

from typing import Generic, TypeVar

from keeper.app.deployment import Batch
from keeper.chain.fees import fees_for
from keeper.core.chain import next_base_fee
from keeper.core.lending import Rejection
from keeper.core.plan import Plan
from keeper.planner.case import case_of
from keeper.planner.planner import Planner

M = TypeVar("M")
P = TypeVar("P")


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
