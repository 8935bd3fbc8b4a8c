"""The base fee of the next block, by the rule that a chain's header tells."""

from typing import Any

import msgspec
import pytest

from keeper.chain.data_fees import Rollup
from keeper.chain.records import decode_block
from keeper.core.chain import EIP_1559, BlockRef, next_base_fee
from keeper.core.values import replace

MILLION = 10**6


def header(
    rollup: Rollup | None = Rollup.OP_STACK,
    *,
    gas_used: int,
    gas_limit: int = 30 * MILLION,
    base_fee: int = 10 * MILLION,
    **more: Any,
) -> BlockRef:
    raw = {
        "number": "0x1",
        "hash": "0x" + "11" * 32,
        "parentHash": "0x" + "22" * 32,
        "timestamp": "0x5",
        "gasUsed": hex(gas_used),
        "gasLimit": hex(gas_limit),
        "baseFeePerGas": hex(base_fee),
        **more,
    }
    return decode_block(msgspec.Raw(msgspec.json.encode(raw)), rollup)


def holocene(denominator: int, elasticity: int) -> str:
    return f"0x00{denominator:08x}{elasticity:08x}"


def jovian(denominator: int, elasticity: int, least: int) -> str:
    return f"0x01{denominator:08x}{elasticity:08x}{least:016x}"


@pytest.mark.parametrize(
    ("gas_used", "expected", "denominator", "elasticity"),
    [
        # The cases of op-geth's consensus/misc/eip1559 ``TestCalcBaseFeeOptimismHolocene``.
        (15_000_000, 10_000_000, 10, 2),
        (10_000_000, 9_666_667, 10, 2),
        (20_000_000, 10_333_333, 10, 2),
        (3_000_000, 10_000_000, 2, 10),
        (1_000_000, 6_666_667, 2, 10),
        (30_000_000, 55_000_000, 2, 10),
    ],
)
def test_an_op_stack_header_tells_how_its_base_fee_goes_on(
    gas_used: int, expected: int, denominator: int, elasticity: int
) -> None:
    told = holocene(denominator, elasticity)
    assert next_base_fee(header(gas_used=gas_used, extraData=told)) == expected


def test_an_op_stack_header_may_tell_a_least_base_fee() -> None:
    told = jovian(10, 2, 9_700_000)
    assert next_base_fee(header(gas_used=10 * MILLION, extraData=told)) == 9_700_000
    assert next_base_fee(header(gas_used=20 * MILLION, extraData=told)) == 10_333_333


def test_data_counts_as_gas_used_where_there_is_more_of_it() -> None:
    told = jovian(10, 2, 0)
    much = header(gas_used=MILLION, extraData=told, blobGasUsed=hex(20 * MILLION))
    assert next_base_fee(much) == 10_333_333
    little = header(gas_used=20 * MILLION, extraData=told, blobGasUsed=hex(MILLION))
    assert next_base_fee(little) == 10_333_333


@pytest.mark.parametrize(
    "told", ["0x", "0x01", holocene(0, 0), holocene(50, 6) + "00", "0xzz", "no hex"]
)
def test_an_op_stack_header_of_another_format_goes_on_as_ethereum_does(told: str) -> None:
    assert header(gas_used=MILLION, extraData=told).base_fee_rule == EIP_1559


def test_what_a_builder_writes_into_ethereum_s_header_changes_nothing() -> None:
    found = header(
        None, gas_used=30 * MILLION, extraData=holocene(1, 10), blobGasUsed=hex(99 * MILLION)
    )
    assert next_base_fee(found) == 11_250_000
    assert found.gas_used == 30 * MILLION


def test_arbitrum_s_base_fee_does_not_follow_from_its_gas_limit() -> None:
    found = header(Rollup.ARBITRUM, gas_used=7 * MILLION, gas_limit=2**50)
    assert next_base_fee(found) == found.base_fee
    # A local node that stands for it goes on as Ethereum does.
    assert next_base_fee(replace(found, gas_limit=30 * MILLION)) == found.base_fee
    local = header(Rollup.ARBITRUM, gas_used=30 * MILLION)
    assert next_base_fee(local) == 11_250_000
