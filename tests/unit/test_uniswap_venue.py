"""What a snapshot asks, and what it makes of the answers."""

from typing import cast

import pytest

from keeper.core.chain import BlockRef, Call
from keeper.core.errors import InvariantError, StaleError
from keeper.core.ports import Reader
from keeper.core.units import ZERO_ADDRESS, Address, Hash32
from keeper.core.values import replace
from keeper.planner.exchange import Exchange
from keeper.venues.uniswap_v3.codec import Ask, Field, ask_pool, get_pool, tick_spacing
from keeper.venues.uniswap_v3.pool import TickBand
from keeper.venues.uniswap_v3.venue import UniswapV3Settings, UniswapV3Venue
from tests.support.lending_desk import BLOCK, DAI, USDC, WETH, book_of, named, pool_at_par
from tests.support.scripted_reader import ScriptedReader, words

FACTORY, POOL = named("f0"), named("f1")
NET = 10**18
Script = dict[tuple[Address, bytes], bytes]


def key(call: Call) -> tuple[Address, bytes]:
    return call.to, call.data


def factory_script(*, fees: tuple[int, ...] = (500,)) -> Script:
    script = {key(get_pool(FACTORY, WETH, USDC, fee)): words(0) for fee in fees}
    return {**script, key(tick_spacing(POOL)): words(10)}


def pool_script(*, tick: int = 5, initialised: tuple[int, ...] = (-30, 40), price: int) -> Script:
    """Script a pool of spacing 10 around the word of ``tick``."""
    script = {
        key(ask_pool(POOL, Ask(field=Field.SLOT0))): words(price, tick, 0, 0, 0, 0, 1),
        key(ask_pool(POOL, Ask(field=Field.LIQUIDITY))): words(NET),
    }
    for word in range(-4, 5):
        bits = sum(1 << (t // 10 % 256) for t in initialised if t // 10 // 256 == word)
        script[key(ask_pool(POOL, Ask(field=Field.WORD, at=word)))] = words(bits)
    for at in initialised:
        net = NET if at < 0 else -NET
        script[key(ask_pool(POOL, Ask(field=Field.TICK, at=at)))] = words(
            NET, net, 0, 0, 0, 0, 0, 1
        )
    return script


def venue_over(reader: ScriptedReader, **changes: object) -> UniswapV3Venue:
    settings = UniswapV3Settings(factory=FACTORY, fees=(500,), reach_ticks=2_000, **changes)  # type: ignore[arg-type]  # a test's shorthand
    return UniswapV3Venue(cast("Reader", reader), settings)


def reader_of(**changes: int | tuple[int, ...]) -> ScriptedReader:
    script = {
        **factory_script(),
        key(get_pool(FACTORY, WETH, USDC, 500)): words(int(POOL, 16)),
        **pool_script(price=1 << 96, **changes),  # type: ignore[arg-type]  # a test's shorthand
    }
    return ScriptedReader(answers=script)


async def test_the_first_snapshot_takes_a_round_for_each_thing_it_learns() -> None:
    reader = reader_of()
    book = await venue_over(reader).snapshot([(USDC, WETH)], BLOCK)
    assert len(reader.rounds) == 5, "pool, spacing, price, words, ticks"
    assert set(reader.blocks) == {BLOCK}
    state = book.pools[POOL]
    assert (state.tick, state.liquidity, state.tick_spacing) == (5, NET, 10)
    assert state.band == TickBand(
        first_word=-1, last_word=1, ticks=(-30, 40), liquidity_net=(NET, -NET)
    )


async def test_the_next_block_takes_one_round() -> None:
    reader = reader_of()
    venue = venue_over(reader)
    await venue.snapshot([(USDC, WETH)], BLOCK)
    reader.rounds.clear()
    later = _next_block()
    book = await venue.snapshot([(USDC, WETH)], later)
    assert len(reader.rounds) == 1
    assert book.pools[POOL].band.ticks == (-30, 40)


async def test_a_tick_that_appears_is_read_in_a_second_round() -> None:
    reader = reader_of()
    venue = venue_over(reader)
    await venue.snapshot([(USDC, WETH)], BLOCK)
    reader.answers = {**reader.answers, **reader_of(initialised=(-30, 40, 70)).answers}
    reader.rounds.clear()
    book = await venue.snapshot([(USDC, WETH)], _next_block())
    assert len(reader.rounds) == 2
    assert book.pools[POOL].band.ticks == (-30, 40, 70)


async def test_the_same_block_is_read_once() -> None:
    reader = reader_of()
    venue = venue_over(reader)
    await venue.snapshot([(USDC, WETH)], BLOCK)
    reader.rounds.clear()
    await venue.snapshot([(WETH, USDC)], BLOCK)
    assert reader.rounds == []


async def test_a_pool_that_is_not_there_is_looked_for_again_later() -> None:
    reader = ScriptedReader(answers=factory_script())
    venue = venue_over(reader)
    book = await venue.snapshot([(USDC, WETH)], BLOCK)
    assert book.hops(USDC, WETH) == ()
    await venue.snapshot([(USDC, WETH)], _next_block())
    assert len(reader.rounds) == 1
    await venue.snapshot([(USDC, WETH)], _next_block(by=300))
    assert len(reader.rounds) == 2


async def test_a_pool_without_a_price_is_left_out() -> None:
    reader = reader_of()
    empty = pool_script(price=0)
    reader.answers = {**reader.answers, **empty}
    book = await venue_over(reader).snapshot([(USDC, WETH)], BLOCK)
    assert book.hops(USDC, WETH) == ()


async def test_a_pool_that_reverts_makes_the_block_stale() -> None:
    reader = reader_of()
    reader.answers = {k: v for k, v in reader.answers.items() if k[1][:4] != Field.SLOT0.value}
    with pytest.raises(StaleError, match="expected an answer"):
        await venue_over(reader).snapshot([(USDC, WETH)], BLOCK)


async def test_an_address_without_code_is_not_taken_for_a_pool_at_price_zero() -> None:
    reader = reader_of()
    reader.answers = {k: b"" if k[0] == POOL else v for k, v in reader.answers.items()}
    with pytest.raises(StaleError, match="expected at least 32 bytes, found 0"):
        await venue_over(reader).snapshot([(USDC, WETH)], BLOCK)


async def test_intermediates_add_the_pairs_of_two_hops() -> None:
    script = {
        key(get_pool(FACTORY, *sorted(pair), 500)): words(int(ZERO_ADDRESS, 16))
        for pair in ((WETH, USDC), (WETH, DAI), (USDC, DAI))
    }
    reader = ScriptedReader(answers=script)
    await venue_over(reader, intermediates=(DAI,)).snapshot([(USDC, WETH)], BLOCK)
    assert {key(call) for call in reader.rounds[0]} == set(script)


def test_paths_are_direct_first_and_then_over_an_intermediate() -> None:
    direct = pool_at_par(WETH, USDC, dollars=10**6)
    legs = (pool_at_par(WETH, DAI, dollars=10**6), pool_at_par(DAI, USDC, dollars=10**6))
    book = book_of(*legs, direct, intermediates=(DAI, USDC))
    exchange = Exchange(books={book.venue: book})
    assert [[hop.pool for hop in path] for path in exchange.paths(WETH, USDC)] == [
        [direct.address],
        [legs[0].address, legs[1].address],
    ]


def test_a_swap_of_nothing_is_a_mistake_of_ours() -> None:
    with pytest.raises(InvariantError, match="expected a positive amount"):
        pool_at_par(WETH, USDC, dollars=10**6).exact_in(0, zero_for_one=True)


def test_a_sale_that_buys_nothing_is_no_quote() -> None:
    book = book_of(pool_at_par(WETH, USDC, dollars=10**6))
    (hop,) = book.hops(WETH, USDC)
    assert book.sell(hop, 1) is None


def test_a_band_of_unordered_ticks_is_a_mistake_of_ours() -> None:
    with pytest.raises(InvariantError, match="expected ascending ticks"):
        TickBand(first_word=0, last_word=0, ticks=(2, 1), liquidity_net=(1, 1))


def _next_block(by: int = 1) -> BlockRef:
    return replace(BLOCK, number=BLOCK.number + by, hash=Hash32(f"0x{by:064x}"))
