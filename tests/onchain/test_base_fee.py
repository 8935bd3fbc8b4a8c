"""The base fee of the next block, as a node computes it."""

from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from keeper.chain.anvil import AnvilOptions, start_anvil
from keeper.core.chain import BlockRef, next_base_fee
from keeper.core.units import Hash32
from keeper.devnet.rpc import Rpc

GAS_LIMIT = 200_000
LOADS = (0, 9, 0, 4, 5, 9, 9, 0, 0, 1, 4, 6, 0, 9, 5, 3)
"""Transfers of 21,000 gas in each block, 9 of which fill it."""


@pytest.fixture
def rpc(anvil_binary: Path) -> Iterator[Rpc]:
    options = AnvilOptions(base_fee_wei=10**9, automine=False, gas_limit=GAS_LIMIT)
    with start_anvil(anvil_binary, options) as anvil, closing(Rpc(anvil.http_url)) as opened:
        yield opened


def block_at(rpc: Rpc, number: int) -> BlockRef:
    found = rpc.call("eth_getBlockByNumber", hex(number), False)
    return BlockRef(
        number=number,
        hash=Hash32(found["hash"]),
        parent_hash=Hash32(found["parentHash"]),
        timestamp=int(found["timestamp"], 16),
        base_fee=int(found["baseFeePerGas"], 16),
        gas_used=int(found["gasUsed"], 16),
        gas_limit=int(found["gasLimit"], 16),
    )


def test_each_block_has_the_fee_foreseen_from_its_parent(rpc: Rpc):
    rich, poor, *_ = rpc.call("eth_accounts")
    for load in LOADS:
        sending = {"from": rich, "to": poor, "value": "0x1", "gas": hex(21_000)}
        fees = {"maxFeePerGas": hex(10**12), "maxPriorityFeePerGas": "0x0"}
        for _ in range(load):
            rpc.call("eth_sendTransaction", {**sending, **fees})
        rpc.call("evm_mine")
    last = int(rpc.call("eth_blockNumber"), 16)
    # The first block after genesis has the fee that anvil was started with.
    blocks = [block_at(rpc, number) for number in range(1, last + 1)]
    assert {one.gas_used for one in blocks} >= {0, 9 * 21_000}
    assert [next_base_fee(parent) for parent in blocks[:-1]] == [b.base_fee for b in blocks[1:]]
    assert len({b.base_fee for b in blocks}) > len(LOADS) // 2
    assert all(child.parent_hash == parent.hash for parent, child in pairwise(blocks))
