"""Local quotes are the real contracts' own, to the wei: QuoterV2's and those of real swaps."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import pytest

from keeper.chain.session import Chain, ChainOptions, open_chain
from keeper.core.units import ZERO_ADDRESS, Address
from keeper.core.values import replace
from keeper.devnet.live import LiveMarket
from keeper.devnet.market import MarketPool
from keeper.devnet.sender import Sender, read, read_all
from keeper.planner.exchange import Exchange
from keeper.venues.uniswap_v3.book import UniswapV3Book
from keeper.venues.uniswap_v3.pool import PoolState
from keeper.venues.uniswap_v3.venue import UniswapV3Settings, UniswapV3Venue
from tests.support.market_node import MarketNode

AMOUNTS = 60
"""Random amounts, for each pool, direction and kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One quote: of which pool, which way, exact in or out, how much."""

    pool: MarketPool
    zero_for_one: bool
    exact_in: bool
    amount: int

    @property
    def tokens(self) -> tuple[Address, Address]:
        pair = (self.pool.token0, self.pool.token1)
        return pair if self.zero_for_one else pair[::-1]

    def quoter_call(self) -> tuple[str, tuple[object, ...]]:
        function = "quoteExactInputSingle" if self.exact_in else "quoteExactOutputSingle"
        return function, (*self.tokens, self.amount, self.pool.fee, 0)


def chain_options(live: LiveMarket) -> ChainOptions:
    return ChainOptions(chain_id=live.market.chain_id, multicall3=live.market.multicall3)


def venue_of(
    chain: Chain, live: LiveMarket, *, intermediates: tuple[str, ...] = (), reach_ticks: int = 3000
) -> UniswapV3Venue:
    settings = UniswapV3Settings(
        factory=live.market.uniswap_factory,
        intermediates=tuple(live.market.asset(symbol).token for symbol in intermediates),
        reach_ticks=reach_ticks,
    )
    return UniswapV3Venue(chain.reader, settings)


async def book_of(chain: Chain, live: LiveMarket, venue: UniswapV3Venue) -> UniswapV3Book:
    pairs = {(pool.token0, pool.token1) for pool in live.market.pools}
    return await venue.snapshot(pairs, await chain.reader.head())


def questions(pools: Sequence[MarketPool], book: UniswapV3Book, random: Random) -> list[Question]:
    """Draw amounts over eleven orders of magnitude, up to about what the pool holds."""
    found = []
    for pool in pools:
        state = book.pools[pool.address]
        for zero_for_one in (True, False):
            for exact_in in (True, False):
                in_token0 = zero_for_one == exact_in
                deep = virtual_reserve(state, in_token0=in_token0)
                for i in range(AMOUNTS):
                    smallest = -11 if i % 2 else -3
                    amount = max(1, int(deep * 10 ** random.uniform(smallest, -1)))
                    found.append(
                        Question(
                            pool=pool, zero_for_one=zero_for_one, exact_in=exact_in, amount=amount
                        )
                    )
    return found


def virtual_reserve(state: PoolState, *, in_token0: bool) -> int:
    if in_token0:
        return (state.liquidity << 96) // state.sqrt_price
    return state.liquidity * state.sqrt_price >> 96


@pytest.mark.parametrize("seed", [1, 2])
async def test_quotes_equal_quoter_v2(local_market: MarketNode, seed: int) -> None:
    live = local_market.live
    async with open_chain(local_market.anvil.http_url, chain_options(live)) as chain:
        book = await book_of(chain, live, venue_of(chain, live))
    answered = []
    for asked in questions(live.market.pools, book, Random(seed)):  # noqa: S311 - amounts, not secrets
        state = book.pools[asked.pool.address]
        quote = state.exact_in if asked.exact_in else state.exact_out
        swap = quote(asked.amount, zero_for_one=asked.zero_for_one)
        if swap is not None:
            answered.append((asked, swap))
    asks = [asked.quoter_call() for asked, _ in answered]
    calls = [(live.quoter, function, (arguments,)) for function, arguments in asks]
    answers = read_all(live.rpc, calls)
    for (asked, swap), answer in zip(answered, answers, strict=True):
        other = swap.amount_out if asked.exact_in else swap.amount_in
        assert (other, swap.sqrt_price) == tuple(answer[:2]), asked
    assert len(answered) > 4 * AMOUNTS * len(live.market.pools) * 4 // 5
    assert sum(answer[2] > 0 for answer in answers) > len(answered) // 5, "few crossed a tick"


async def test_the_known_band_ends_in_a_refusal(local_market: MarketNode) -> None:
    live = local_market.live
    async with open_chain(local_market.anvil.http_url, chain_options(live)) as chain:
        near = await book_of(chain, live, venue_of(chain, live, reach_ticks=1))
        far = await book_of(chain, live, venue_of(chain, live, reach_ticks=4000))
    pool = next(p for p in live.market.pools if p.fee == 100)
    state, wide = near.pools[pool.address], far.pools[pool.address]
    deep = virtual_reserve(state, in_token0=True)
    quotes = [
        (state.exact_in(amount, zero_for_one=True), wide.exact_in(amount, zero_for_one=True))
        for amount in (deep >> shift for shift in range(30))
    ]
    assert all(short is None or short == long for short, long in quotes)
    assert any(short is None and long is not None for short, long in quotes)
    assert any(short is not None for short, _ in quotes)


async def test_a_book_after_swaps_is_the_book_of_the_next_block(market_copy: MarketNode) -> None:
    """Real swaps move the pools exactly as the book that counted on them said."""
    live, random = market_copy.live, Random(7)  # noqa: S311 - amounts, not secrets
    trader = Sender.of(live.rpc, live.market.accounts.supplier)
    async with open_chain(market_copy.anvil.http_url, chain_options(live)) as chain:
        venue = venue_of(chain, live)
        book = await book_of(chain, live, venue)
        for token in live.tokens.values():
            trader.call(token, "approve", live.market.swap_router, 2**256 - 1)
        for pool in live.market.pools:
            path = random.choice(((pool.token0, pool.token1), (pool.token1, pool.token0)))
            hop = next(h for h in book.hops(*path) if h.pool == pool.address)
            deep = virtual_reserve(book.pools[pool.address], in_token0=path[0] == pool.token0)
            quote = book.sell(hop, deep // random.randint(100, 2_000))
            assert quote is not None
            order = (*path, pool.fee, trader.account, 2**40, quote.amount_in, 0, 0)
            trader.call(live.swap_router, "exactInputSingle", order)
            book = book.after(hop, quote)
        trader.mine()
        now = await book_of(chain, live, venue)
    assert set(now.pools) == {pool.address for pool in live.market.pools}
    for address, state in now.pools.items():
        counted_on = book.pools[address]
        assert state == replace(counted_on, band=state.band)


async def test_two_hops_equal_the_quoter_hop_by_hop(local_market: MarketNode) -> None:
    live = local_market.live
    wbtc, dai, weth = (live.market.asset(s).token for s in ("WBTC", "DAI", "WETH"))
    async with open_chain(local_market.anvil.http_url, chain_options(live)) as chain:
        venue = venue_of(chain, live, intermediates=("WETH", "USDC"))
        book = await venue.snapshot([(wbtc, dai)], await chain.reader.head())
    exchange = Exchange(books={venue.name: book})
    paths = exchange.paths(wbtc, dai)
    assert {tuple(hop.token_out for hop in path) for path in paths} == {
        (weth, dai),
        (live.market.asset("USDC").token, dai),
    }
    fees = {pool.address: pool.fee for pool in live.market.pools}
    for path in paths:
        sold = exchange.exact_in(path, 10**8)
        bought = exchange.exact_out(path, 50_000 * 10**18)
        assert sold is not None
        assert bought is not None
        tokens = [path[0].token_in, *(hop.token_out for hop in path)]
        route = [fees[hop.pool] for hop in path]
        forward = _packed(tokens, route)
        backward = _packed(tokens[::-1], route[::-1])
        got = read(live.rpc, live.quoter, "quoteExactInput", forward, 10**8)
        paid = read(live.rpc, live.quoter, "quoteExactOutput", backward, 50_000 * 10**18)
        assert (sold.amount_out, bought.amount_in) == (got[0], paid[0])


async def test_a_pair_without_a_pool_has_no_path(local_market: MarketNode) -> None:
    live = local_market.live
    async with open_chain(local_market.anvil.http_url, chain_options(live)) as chain:
        venue = venue_of(chain, live)
        pair = (live.market.weth, ZERO_ADDRESS)
        book = await venue.snapshot([pair], await chain.reader.head())
    assert book.hops(*pair) == ()


def _packed(tokens: Sequence[Address], fees: Sequence[int]) -> bytes:
    packed = bytes.fromhex(tokens[0][2:])
    for token, fee in zip(tokens[1:], fees, strict=True):
        packed += fee.to_bytes(3) + bytes.fromhex(token[2:])
    return packed
