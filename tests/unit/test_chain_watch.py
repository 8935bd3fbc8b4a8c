"""Who of several nodes is fit: at which distance, against which block, and by whose word."""

from collections.abc import AsyncIterator

import pytest

from keeper.chain.agreed import require_agreed
from keeper.chain.pool import Pool
from keeper.chain.session import Chain
from tests.support.fake_node import Refusal
from tests.support.three_nodes import Three, three_nodes

LAG, DEPTH = 3, 2
"""Blocks that a node may be behind, and below the newest at which all must have the same."""


@pytest.fixture
async def three() -> AsyncIterator[Three]:
    async with three_nodes() as made:
        yield made


def pool_of(chain: Chain) -> Pool:
    assert chain.pool is not None
    return chain.pool


def add(three: Three, *numbers: int, nodes: slice = slice(None), fork: str = "a") -> None:
    for one in three.chains[nodes]:
        for number in numbers:
            one.add(number, fork=fork)


async def looked(chain: Chain) -> list[bool]:
    """Return who is fit after one more look."""
    pool = pool_of(chain)
    await pool.look()
    return [not one.trouble for one in chain.nodes()]


@pytest.mark.parametrize("quorum", [1, 2])
async def test_a_node_may_be_so_many_blocks_behind_and_no_more(three: Three, quorum: int) -> None:
    async with three.opened(quorum=quorum) as chain:
        add(three, *range(11, 11 + LAG), nodes=slice(2))
        assert await looked(chain) == [True, True, True]
        add(three, 11 + LAG, nodes=slice(2))
        assert await looked(chain) == [True, True, False]


@pytest.mark.parametrize("quorum", [1, 2])
async def test_all_must_have_the_block_so_far_below_the_newest(three: Three, quorum: int) -> None:
    """The third one forks at block 11."""
    async with three.opened(quorum=quorum) as chain:
        for number in (11, 12):
            add(three, number, nodes=slice(2))
            add(three, number, nodes=slice(2, 3), fork="b")
            assert await looked(chain) == [True, True, True], number
        for number in (13, 14):
            add(three, number, nodes=slice(2))
            add(three, number, nodes=slice(2, 3), fork="b")
            found = await looked(chain)
        assert found == [True, True, False]


async def test_without_a_quorum_the_others_must_agree_with_the_active_node(three: Three) -> None:
    async with three.opened(quorum=1) as chain:
        for number in (11, 12):
            add(three, number)
            assert await looked(chain) == [True, True, True]
        for one in three.chains[:1]:
            one.add(10, fork="b", parent_fork="a")
        add(three, *range(11, 14), nodes=slice(1), fork="b")
        add(three, 13, nodes=slice(1, 3))
        await pool_of(chain).look()
        add(three, 14, nodes=slice(1), fork="b")
        add(three, 14, nodes=slice(1, 3))
        assert await looked(chain) == [True, False, False]
        assert pool_of(chain).name == chain.nodes()[0].name


async def test_with_a_quorum_the_active_node_that_forks_is_left(three: Three) -> None:
    async with three.opened() as chain:
        for number in (11, 12, 13, 14):
            add(three, number, nodes=slice(1), fork="b")
            add(three, number, nodes=slice(1, 3))
            found = await looked(chain)
        assert found == [False, True, True]
        assert [one.is_active for one in chain.nodes()] == [False, True, False]
        assert "block 11: hash: expected" in chain.nodes()[0].trouble


async def test_as_many_nodes_as_must_agree_say_who_is_behind(three: Three) -> None:
    three.nodes[2].answers["eth_chainId"] = lambda _: Refusal(code=-32000, message="starting")
    async with three.opened() as chain:
        add(three, *range(11, 12 + LAG), nodes=slice(1))
        assert await looked(chain) == [True, True, False], "one alone may claim to be ahead"
        add(three, *range(11, 12 + LAG), nodes=slice(1, 2))
        assert await looked(chain) == [True, True, False]
        three.nodes[2].answers["eth_chainId"] = three.nodes[1].answers["eth_chainId"]
        assert await looked(chain) == [True, True, False], "now as it is behind"
        assert chain.nodes()[2].trouble == f"{1 + LAG} blocks behind block {11 + LAG}"


@pytest.mark.parametrize("quorum", [1, 2])
async def test_a_chain_that_became_shorter_on_every_node_is_followed(
    three: Three, quorum: int
) -> None:
    """As a rollup's does whose sequencer lost what it had told."""
    async with three.opened(quorum=quorum) as chain:
        add(three, *range(11, 31))
        await looked(chain)
        for one in three.chains:
            one.add(18, fork="b", parent_fork="a")
        add(three, 19, 20, fork="b", nodes=slice(2))
        await looked(chain)
        add(three, 19, 20, fork="b", nodes=slice(2, 3))
        for _ in range(3):
            assert await looked(chain) == [True, True, True]
        head = await chain.reader.head()
        assert head.number == 20
        await require_agreed(chain.agreed, head)


@pytest.mark.parametrize("ahead", [0, 1])
async def test_nobody_is_behind_a_node_that_is_gone(three: Three, ahead: int) -> None:
    """Without a quorum one node may claim any block; gone, it must not keep the others out."""
    async with three.opened(of=2, quorum=1) as chain:
        add(three, *range(11, 31), nodes=slice(ahead, ahead + 1))
        await looked(chain)
        three.nodes[ahead].answers["eth_chainId"] = lambda _: Refusal(code=-32000, message="down")
        assert await looked(chain) == [False, False], "it may be back in a moment"
        three.clock.time += 11
        assert await looked(chain) == [ahead == 1, ahead == 0]
        assert (await chain.reader.head()).number == 10


async def test_two_are_followed_back_when_one_has_long_been_alone_with_more(three: Three) -> None:
    async with three.opened() as chain:
        add(three, *range(11, 31))
        assert await looked(chain) == [True, True, True]
        for one in three.chains[1:]:
            one.shrink(20)
        assert await looked(chain) == [True, False, False]
        three.clock.time += 11
        assert await looked(chain) == [False, True, True]
        assert (await chain.reader.head()).number == 20


async def test_one_that_long_claims_a_block_that_nobody_else_has_gives_no_heads(
    three: Three,
) -> None:
    async with three.opened() as chain:
        add(three, *range(11, 31), nodes=slice(1))
        assert await looked(chain) == [True, True, True]
        three.clock.time += 11
        assert await looked(chain) == [False, True, True]
        assert chain.nodes()[0].trouble == "block 30: found no other node beyond block 10"
        head = await chain.reader.head()
        assert head.number == 10
        await require_agreed(chain.agreed, head)
        add(three, *range(11, 31), nodes=slice(1, 3))
        assert await looked(chain) == [True, True, True]


async def test_one_that_is_always_first_is_believed_where_others_follow(three: Three) -> None:
    async with three.opened() as chain:
        for number in range(11, 30):
            add(three, number, number + 1, number + 2, nodes=slice(1))
            add(three, number, nodes=slice(1, 3))
            three.clock.time += 2
            assert await looked(chain) == [True, True, True], number
        assert pool_of(chain).name == chain.nodes()[0].name


async def test_one_that_is_ahead_is_kept_where_too_few_would_be_left(three: Three) -> None:
    async with three.opened() as chain:
        add(three, *range(11, 31), nodes=slice(1))
        add(three, *range(11, 21), nodes=slice(1, 2))
        for _ in range(2):
            assert await looked(chain) == [True, True, False]
            three.clock.time += 11
    async with three.opened(of=2) as chain:
        for _ in range(2):
            assert await looked(chain) == [True, True]
            three.clock.time += 11


async def test_one_that_has_not_come_to_the_block_of_all_is_not_held_to_it(three: Three) -> None:
    """It may lag by more blocks than that one is below the newest."""
    async with three.opened(quorum=1) as chain:
        for number in range(11, 11 + LAG):
            add(three, number, nodes=slice(2))
            assert await looked(chain) == [True, True, True], number
        add(three, 11 + LAG, nodes=slice(2))
        add(three, *range(11, 12 + LAG), nodes=slice(2, 3))
        three.chains[2].blocks.pop(10 + LAG - DEPTH)
        found = await looked(chain)
    assert found == [True, True, False]
    assert chain.nodes()[2].trouble.endswith("found no block")


@pytest.mark.parametrize(
    ("forks", "found"), [(1, [False, True, True, True]), (2, [True, True, False, False])]
)
async def test_of_four_only_what_most_of_them_tell_counts_against_the_others(
    forks: int, found: list[bool]
) -> None:
    """Where two tell otherwise than two, as amid a reorg, it is as without a quorum."""
    async with three_nodes(4) as four, four.opened(of=4) as chain:
        for number in (11, 12, 13, 14):
            add(four, number, nodes=slice(forks), fork="b")
            add(four, number, nodes=slice(forks, 4))
            fit = await looked(chain)
    assert fit == found
