"""How many blocks a reorg undid is counted of those that a quorum had, where there is one."""

from collections.abc import AsyncIterator

import pytest

from keeper.chain.agreed import AgreedHeads
from keeper.chain.head_tracker import HeadEvent
from keeper.chain.session import Chain
from keeper.core.errors import StaleError
from tests.support.three_nodes import Three, three_nodes


@pytest.fixture
async def three() -> AsyncIterator[Three]:
    async with three_nodes() as made:
        yield made


async def told(chain: Chain, heads: AgreedHeads, reorg_from: int | None = None) -> int:
    """Tell the first node's head; return how many blocks it undoes by the word of that alone."""
    return heads.told(HeadEvent(block=await chain.reader.head(), reorg_from=reorg_from))


async def required(chain: Chain, heads: AgreedHeads) -> int:
    return await heads.require(await chain.reader.head())


async def test_a_reorg_that_one_of_three_tells_alone_undoes_nothing(three: Three) -> None:
    async with three.opened() as chain:
        heads = AgreedHeads(chain.agreed)
        assert await required(chain, heads) == 0
        for number in range(6, 31):
            three.chains[0].add(number, fork="b", parent_fork="a" if number == 6 else None)
        assert await told(chain, heads, 5) == 0
        with pytest.raises(StaleError):
            await required(chain, heads)
        for one in three.chains:
            one.add(6)
            for number in range(6, 12):
                one.add(number)
        assert await told(chain, heads, 5) == 0
        assert await required(chain, heads) == 0


async def test_a_reorg_that_two_of_three_tell_is_as_deep_as_what_they_had_before(
    three: Three,
) -> None:
    async with three.opened() as chain:
        heads = AgreedHeads(chain.agreed)
        await required(chain, heads)
        for one in three.chains[:2]:
            for number in range(7, 15):
                one.add(number, fork="b", parent_fork="a" if number == 7 else None)
        assert await told(chain, heads, 6) == 0
        assert await required(chain, heads) == 4
        assert await required(chain, heads) == 0


async def test_of_nodes_without_a_quorum_one_tells_how_deep_it_is(three: Three) -> None:
    async with three.opened(quorum=1) as chain:
        heads = AgreedHeads(chain.agreed)
        assert await told(chain, heads) == 0
        three.chains[0].add(8, fork="b", parent_fork="a")
        assert await told(chain, heads, 7) == 3
        assert await required(chain, heads) == 0
