"""Which pools are read again at a block."""

from typing import cast

import pytest

from keeper.core.chain import BlockRef, Call, Log
from keeper.core.errors import StaleError
from keeper.core.ports import Reader
from keeper.core.units import Address, Hash32
from keeper.core.values import replace
from keeper.evm.words import ask, word_of_address
from keeper.venues.uniswap_v2.venue import (
    GET_PAIR,
    GET_RESERVES,
    SYNC,
    UniswapV2Settings,
    UniswapV2Venue,
)
from tests.support.lending_desk import BLOCK, DAI, USDC, WETH, named
from tests.support.scripted_reader import ScriptedReader, words

FACTORY, ONE, OTHER = named("f0"), named("f1"), named("f2")
PAIRS = {(WETH, USDC): ONE, (WETH, DAI): OTHER}


def get_pair(tokens: tuple[Address, Address]) -> Call:
    return ask(FACTORY, GET_PAIR, *(word_of_address(token) for token in sorted(tokens)))


def reader_of(*, reserves: int = 10**6) -> ScriptedReader:
    script = {(c.to, c.data): words(int(PAIRS[p], 16)) for p in PAIRS for c in (get_pair(p),)}
    for pair in PAIRS.values():
        script[pair, GET_RESERVES] = words(reserves, reserves, 1)
    return ScriptedReader(answers=script)


def child(block: BlockRef, mark: int = 1) -> BlockRef:
    return replace(
        block,
        number=block.number + 1,
        hash=Hash32(f"0x{block.number + mark:064x}"),
        parent_hash=block.hash,
    )


def sync(pair: Address) -> Log:
    return Log(
        address=pair,
        topics=(SYNC,),
        data=b"",
        block_number=101,
        block_hash=Hash32(f"0x{1:064x}"),
        tx_hash=Hash32(f"0x{2:064x}"),
        index=0,
    )


async def held(reader: ScriptedReader) -> UniswapV2Venue:
    venue = UniswapV2Venue(cast("Reader", reader), UniswapV2Settings(factory=FACTORY))
    await venue.snapshot(PAIRS, BLOCK)
    reader.rounds.clear()
    return venue


def read(reader: ScriptedReader) -> set[Address]:
    return {call.to for calls in reader.rounds for call in calls}


async def test_pools_without_a_log_are_carried_to_the_next_block() -> None:
    reader = reader_of()
    venue = await held(reader)
    book = await venue.snapshot(PAIRS, child(BLOCK))
    assert len(reader.asked) == 1
    assert read(reader) == set()
    assert {state.address for state in book.pairs.values()} == {ONE, OTHER}


async def test_a_pool_with_a_log_is_read_again_and_no_other() -> None:
    reader = reader_of()
    venue = await held(reader)
    reader.logs = [sync(OTHER)]
    await venue.snapshot(PAIRS, child(BLOCK))
    assert read(reader) == {OTHER}


async def test_after_a_refresh_a_snapshot_reads_nothing() -> None:
    reader = reader_of()
    venue = await held(reader)
    reader.logs = [sync(ONE)]
    await venue.refresh(child(BLOCK))
    assert read(reader) == {ONE}
    reader.rounds.clear()
    reader.asked.clear()
    await venue.snapshot(PAIRS, child(BLOCK))
    assert (read(reader), reader.asked) == (set(), [])


async def test_a_block_that_is_not_the_child_has_everything_read_again() -> None:
    for block in (child(child(BLOCK)), child(replace(BLOCK, hash=Hash32(f"0x{9:064x}")), mark=7)):
        reader = reader_of()
        venue = await held(reader)
        await venue.snapshot(PAIRS, block)
        assert read(reader) == {ONE, OTHER}
        assert reader.asked == []


async def test_a_pair_without_reserves_is_left_out() -> None:
    venue = await held(reader_of(reserves=0))
    book = await venue.snapshot(PAIRS, child(BLOCK))
    assert book.hops(WETH, USDC) == ()


async def test_what_is_held_equals_a_snapshot_and_reads_nothing() -> None:
    reader = reader_of()
    venue = await held(reader)
    assert venue.held(PAIRS) == await venue.snapshot(PAIRS, BLOCK)
    assert (read(reader), reader.asked) == (set(), [])


async def test_while_a_changed_pool_is_not_read_again_nothing_is_held() -> None:
    reader = reader_of()
    venue = await held(reader)
    reader.logs = [sync(OTHER)]
    del reader.answers[OTHER, GET_RESERVES]
    with pytest.raises(StaleError):
        await venue.refresh(child(BLOCK))
    assert venue.held(PAIRS) is None
    assert venue.held([(WETH, USDC)]) is not None


async def test_a_pair_that_was_never_looked_for_is_not_held() -> None:
    venue = await held(reader_of())
    assert venue.held([(USDC, DAI)]) is None


async def test_what_nobody_asked_for_lately_is_not_read_again() -> None:
    reader = reader_of()
    venue = await held(reader)
    await venue.snapshot([(WETH, USDC)], later(200))
    reader.rounds.clear()
    await venue.refresh(later(301))
    assert read(reader) == {ONE}
    assert venue.held([(WETH, DAI)]) is None
    await venue.snapshot(PAIRS, later(301))
    assert read(reader) == {ONE, OTHER}


def later(blocks: int) -> BlockRef:
    return replace(BLOCK, number=BLOCK.number + blocks, hash=Hash32(f"0x{blocks:064x}"))
