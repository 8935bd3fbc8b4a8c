"""A node that answers truly and pushes otherwise is not subscribed to, where others outvote it."""

from collections.abc import AsyncIterator

import pytest

from keeper.chain.pushed import Pushed
from keeper.chain.session import Chain
from keeper.core.chain import BlockRef
from keeper.core.values import replace
from tests.support.fake_node import block_hash
from tests.support.three_nodes import Three, three_nodes


@pytest.fixture
async def three() -> AsyncIterator[Three]:
    async with three_nodes() as made:
        yield made


async def heads(chain: Chain, numbers: range) -> list[BlockRef]:
    return [await chain.reader.block(number) for number in numbers]


def forged(block: BlockRef) -> BlockRef:
    """Return another block of that number, on one of the same branch."""
    return replace(
        block, hash=block_hash(block.number, "f"), parent_hash=block_hash(block.number - 1, "f")
    )


def pushed_of(chain: Chain) -> Pushed:
    assert chain.pool is not None
    return chain.pool.members[0].pushed


async def looked(chain: Chain) -> str:
    assert chain.pool is not None
    await chain.pool.look()
    return pushed_of(chain).doubt


async def test_the_same_block_with_another_fee_is_a_lie_at_once(three: Three) -> None:
    async with three.opened() as chain:
        (head,) = await heads(chain, range(10, 11))
        pushed_of(chain).take(replace(head, base_fee=1))
        assert await looked(chain) == "pushed block 10: base_fee: expected 1000000000, found 1"
        assert [one.trouble for one in chain.nodes()] == ["", "", ""], "it may be asked"
        three.clock.time += 601
        assert await looked(chain) == ""


async def test_another_block_is_one_when_it_is_pushed_for_long(three: Three) -> None:
    async with three.opened() as chain:
        for one in await heads(chain, range(8, 11)):
            pushed_of(chain).take(forged(one))
        assert await looked(chain) == ""
        three.clock.time += 11
        assert "pushed block 8: hash: expected" in await looked(chain)


async def test_a_reorg_whose_push_comes_late_is_none(three: Three) -> None:
    async with three.opened() as chain:
        head, *_ = await heads(chain, range(10, 11))
        pushed_of(chain).take(forged(head))
        assert await looked(chain) == ""
        pushed_of(chain).take(head)
        three.clock.time += 11
        assert await looked(chain) == ""


async def test_blocks_that_nobody_comes_to_are_one(three: Three) -> None:
    async with three.opened() as chain:
        (head,) = await heads(chain, range(10, 11))
        for number in range(900, 903):
            pushed_of(chain).take(replace(forged(head), number=number))
            assert await looked(chain) == ""
            three.clock.time += 5
        assert "pushed block 900: found no other node beyond block 10" in await looked(chain)


async def test_one_that_pushes_a_block_before_others_have_it_is_believed(three: Three) -> None:
    async with three.opened() as chain:
        for number in range(11, 20):
            for one in three.chains[:1]:
                one.add(number)
            (told,) = await heads(chain, range(number, number + 1))
            pushed_of(chain).take(told)
            assert await looked(chain) == ""
            for one in three.chains[1:]:
                one.add(number)
            three.clock.time += 8
            assert await looked(chain) == ""


async def test_without_a_quorum_nothing_is_held_against_it(three: Three) -> None:
    async with three.opened(quorum=1) as chain:
        (head,) = await heads(chain, range(10, 11))
        pushed_of(chain).take(replace(head, base_fee=1))
        assert await looked(chain) == ""
