"""What the block after one costs, and the planner's desk at that."""

from collections.abc import Sequence

from keeper.chain.data_fees import NewestDataFees, Rollup
from keeper.chain.fees import fees_for
from keeper.config.chain_file import ChainSettings
from keeper.core.chain import BlockRef, Fees, next_base_fee
from keeper.core.plan import Opportunity
from keeper.core.ports import Reader
from keeper.evm.data_fees import DataFees
from keeper.planner.case import Desk
from keeper.planner.planner import Planner


async def open_desk(
    planner: Planner,
    chain: ChainSettings,
    *,
    opportunities: Sequence[Opportunity],
    block: BlockRef,
    data_fees: DataFees,
    max_gas_price: int | None = None,
) -> Desk:
    """Read what planning depends on at ``block``, with the fees of the block after it.

    Raises GasCappedError when gas costs more than ``max_gas_price``, in wei.
    """
    return await planner.desk(
        opportunities,
        block,
        fees=fees_of(chain, block, max_gas_price),
        base_fee=next_base_fee(block),
        data_fees=data_fees,
    )


def data_fees_of(reader: Reader, chain: ChainSettings) -> NewestDataFees:
    """Return what reads the cost of data on a chain."""
    rollup = None if chain.rollup is None else Rollup(chain.rollup)
    return NewestDataFees(reader, rollup, chain_id=chain.chain_id)


def fees_of(chain: ChainSettings, block: BlockRef, cap: int | None) -> Fees:
    """Return the fees of the block after ``block``. Raises GasCappedError over the cap."""
    return fees_for(block, priority_fee=chain.priority_fee_wei, max_fee_cap=cap)
