"""The first block of a deployment: what is found, what is fine, and what cannot be told."""

from typing import Any

import pytest

from keeper.app.examine_start import LOOKED_BACK, examine_start
from keeper.core.chain import Log
from keeper.core.errors import KeeperError, RefusedError
from keeper.core.lending import AccountRef, Touched
from keeper.core.units import Address
from tests.support.ledger_records import block, hash32

ROOT = Address("0x" + "0e" * 20)
SOMEBODY = AccountRef(market="m", account=Address("0x" + "ab" * 20))
START = 20_000


class Node:
    """A node whose chain has logs at some blocks, and code at the root from one on."""

    def __init__(self, *logs: int, came: int = START, refuses: bool = False) -> None:
        self.logs, self.came, self.refuses = logs, came, refuses
        self.asked: list[tuple[int, int]] = []

    async def logs_between(self, _: object, first: int, last: int) -> list[Log]:
        if self.refuses:
            raise RefusedError("node: expected logs, found a limit")
        self.asked.append((first, last))
        return [log_at(one) for one in self.logs if first <= one <= last]

    async def block(self, number: int) -> object:
        return block(number)

    async def code(self, _: object, at: Any) -> bytes:
        if self.refuses:
            raise RefusedError("node: expected state, found it pruned")
        return b"\x60" if at.number >= self.came else b""


def log_at(number: int) -> Log:
    return Log(
        address=ROOT,
        topics=(),
        data=b"",
        block_number=number,
        block_hash=hash32(number),
        tx_hash=hash32(number),
        index=0,
    )


class Adapter:
    """A protocol whose logs name somebody, or nobody."""

    def __init__(self, start_block: int, *, names: bool = True) -> None:
        self.start_block, self.names = start_block, names

    def log_filter(self, _: object) -> object:
        return None

    def touched(self, _: object, logs: list[Log]) -> Touched:
        return Touched(accounts=frozenset([SOMEBODY] if self.names and logs else []))


async def said(node: Node, start: int = START, *, names: bool = True) -> str:
    reader: Any = node
    adapter: Any = Adapter(start, names=names)
    return await examine_start(reader, adapter, None, block(30_000), ROOT)


async def test_whoever_was_there_before_is_named() -> None:
    expected = "expected no account in a block before it, or it would be missed"
    with pytest.raises(KeeperError) as found:
        await said(Node(19_999, 20_000))
    assert str(found.value) == f"{START}: {expected}, found {SOMEBODY.account} in block 19999"


async def test_the_blocks_right_before_it_are_asked_and_none_below_the_first() -> None:
    node, young = Node(20_000), Node()
    assert await said(node) == f"{START}; {ROOT} came then or later"
    assert node.asked == [(START - LOOKED_BACK, START - 1)]
    await said(young, 7)
    assert young.asked == [(0, 6)]
    assert await said(Node(), 0) == "0"


async def test_a_contract_that_is_older_is_remarked_on_alone() -> None:
    older = f"{START}; {ROOT} is older, without an account in the 10,000 blocks before"
    assert await said(Node(5, came=1)) == older
    assert await said(Node(19_999, came=1), names=False) == older


async def test_a_node_that_does_not_tell_makes_nothing_of_it() -> None:
    found = await said(Node(19_999, refuses=True))
    assert found.startswith(f"{START}; not known whether anybody was there before: node: expected")


async def test_a_block_ahead_of_the_head_is_none() -> None:
    with pytest.raises(KeeperError, match="expected at most the head, 30000, found 30001"):
        await said(Node(), 30_001)
