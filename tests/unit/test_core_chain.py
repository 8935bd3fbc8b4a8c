"""What the next block will cost, from the last one."""

import pytest

from keeper.core.chain import BlockRef, next_base_fee
from keeper.core.units import Hash32
from keeper.core.values import replace


def block(*, base_fee: int, gas_used: int, gas_limit: int = 30_000_000) -> BlockRef:
    return BlockRef(
        number=1,
        hash=Hash32("0x" + "01" * 32),
        parent_hash=Hash32("0x" + "00" * 32),
        timestamp=0,
        base_fee=base_fee,
        gas_used=gas_used,
        gas_limit=gas_limit,
    )


@pytest.mark.parametrize(
    ("base_fee", "gas_used", "expected"),
    [
        (10**9, 15_000_000, 10**9),
        (10**9, 30_000_000, 1_125_000_000),
        (10**9, 0, 875_000_000),
        (10**9, 14_999_999, 10**9 - 8),
        (7, 15_000_001, 8),
        (7, 0, 7),
        (1, 30_000_000, 2),
        (0, 30_000_000, 1),
        (0, 0, 0),
    ],
)
def test_the_fee_follows_the_gas_used_around_the_target(base_fee, gas_used, expected):
    assert next_base_fee(block(base_fee=base_fee, gas_used=gas_used)) == expected


def test_two_words_of_one_block_differ_by_what_the_error_names():
    told = block(base_fee=1, gas_used=5)
    found = replace(told, base_fee=7, timestamp=9, logs_bloom="0x1")
    assert told.unlike(found) == "timestamp: expected 0, found 9; base_fee: expected 1, found 7"
    assert told.unlike(replace(told, logs_bloom="0x1")) == ""


def test_a_block_without_a_gas_limit_keeps_the_fee():
    assert next_base_fee(block(base_fee=5, gas_used=0, gas_limit=0)) == 5
