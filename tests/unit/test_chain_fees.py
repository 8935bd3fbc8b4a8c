"""Fees aim at the next block and never pass the cap."""

import pytest

from keeper.chain.fees import fees_for, gas_price_at
from keeper.core.chain import BlockRef, Fees, next_base_fee
from keeper.core.errors import RefusedError
from keeper.core.units import Hash32

GWEI = 10**9


def full_block(base_fee: int) -> BlockRef:
    return BlockRef(
        number=1,
        hash=Hash32("0x" + "01" * 32),
        parent_hash=Hash32("0x" + "00" * 32),
        timestamp=1,
        base_fee=base_fee,
        gas_used=30_000_000,
        gas_limit=30_000_000,
    )


def test_the_maximum_has_headroom_over_the_next_base_fee() -> None:
    block = full_block(8 * GWEI)
    assert next_base_fee(block) == 9 * GWEI
    assert fees_for(block, priority_fee=GWEI) == Fees(max_fee=19 * GWEI, priority_fee=GWEI)
    assert fees_for(block, priority_fee=0, headroom=3).max_fee == 27 * GWEI


def test_the_cap_takes_from_the_headroom_only() -> None:
    fees = fees_for(full_block(8 * GWEI), priority_fee=GWEI, max_fee_cap=10 * GWEI)
    assert fees == Fees(max_fee=10 * GWEI, priority_fee=GWEI)


def test_a_block_dearer_than_the_cap_is_refused() -> None:
    with pytest.raises(RefusedError, match=f"expected at most {10 * GWEI - 1} wei, found"):
        fees_for(full_block(8 * GWEI), priority_fee=GWEI, max_fee_cap=10 * GWEI - 1)


def test_gas_costs_the_base_fee_and_the_tip_up_to_the_maximum() -> None:
    fees = Fees(max_fee=10, priority_fee=3)
    assert [gas_price_at(fees, base_fee) for base_fee in (5, 7, 8, 10)] == [8, 10, 10, 10]


def test_a_block_above_the_maximum_cannot_include_it() -> None:
    with pytest.raises(RefusedError, match="expected at least 11 wei, found 10"):
        gas_price_at(Fees(max_fee=10, priority_fee=3), 11)
