"""A pair's arithmetic, against the figures in Uniswap V2's own tests."""

import pytest

from keeper.core.errors import InvariantError
from keeper.core.ports import HopKind
from keeper.core.values import replace
from keeper.evm.program import BalanceOf, Known, PairSwap, Swap
from keeper.planner.exchange import Exchange
from keeper.planner.swap_steps import purchase_steps, sale_steps
from keeper.venues.uniswap_v2.book import UniswapV2Book
from keeper.venues.uniswap_v2.pair import MAX_RESERVE, PairState
from tests.support.lending_desk import USDC, WBTC, WETH, book_of, named, pool_at_par

ETHER = 10**18
PAIR = PairState(
    address=named("f1"), token0=WETH, token1=USDC, fee=3_000, reserve0=100, reserve1=100
)


def pair_of(reserve0: int, reserve1: int) -> PairState:
    return replace(PAIR, reserve0=reserve0, reserve1=reserve1)


@pytest.mark.parametrize(
    ("sold", "reserve_in", "reserve_out", "bought"),
    [
        (1, 5, 10, 1662497915624478906),
        (1, 10, 5, 453305446940074565),
        (2, 5, 10, 2851015155847869602),
        (2, 10, 5, 831248957812239453),
        (1, 10, 10, 906610893880149131),
        (1, 100, 100, 987158034397061298),
        (1, 1000, 1000, 996006981039903216),
    ],
)
def test_a_sale_gives_what_the_pair_s_own_tests_say(
    sold: int, reserve_in: int, reserve_out: int, bought: int
) -> None:
    """v2-core ``UniswapV2Pair.spec.ts``, ``getInputPrice``; amounts in ether."""
    swap = pair_of(reserve_in * ETHER, reserve_out * ETHER).exact_in(
        sold * ETHER, zero_for_one=True
    )
    assert swap is not None
    assert swap.amount_out == bought


def test_the_library_s_own_tests_are_met() -> None:
    """v2-periphery ``UniswapV2Router01.spec.ts``, ``getAmountOut`` and ``getAmountIn``."""
    sale, purchase = PAIR.exact_in(2, zero_for_one=True), PAIR.exact_out(1, zero_for_one=True)
    assert sale is not None
    assert purchase is not None
    assert (sale.amount_out, purchase.amount_in) == (1, 2)


def test_a_pair_never_gives_all_it_has() -> None:
    assert PAIR.exact_out(100, zero_for_one=True) is None
    assert PAIR.exact_out(99, zero_for_one=True) is not None


def test_a_sale_that_buys_nothing_or_overflows_the_reserve_is_no_quote() -> None:
    assert PAIR.exact_in(1, zero_for_one=True) is None
    full = pair_of(MAX_RESERVE - 10, 10**20)
    assert full.exact_in(11, zero_for_one=True) is None
    assert pair_of(100, MAX_RESERVE).exact_out(10**30, zero_for_one=True) is not None


def test_a_swap_of_nothing_is_a_mistake_of_ours() -> None:
    with pytest.raises(InvariantError, match="expected a positive amount"):
        PAIR.exact_in(0, zero_for_one=True)


def test_a_path_may_go_through_a_pool_and_a_pair() -> None:
    pools = book_of(pool_at_par(WBTC, WETH, dollars=10**7), intermediates=(WETH,))
    pairs = UniswapV2Book(
        venue="uniswap_v2", pairs={(WETH, USDC): pair_of(5_000 * ETHER, 10_000_000 * 10**6)}
    )
    exchange = Exchange(books={"uniswap_v3": pools, "uniswap_v2": pairs})
    (path,) = exchange.paths(WBTC, USDC)
    assert [hop.kind for hop in path] == [HopKind.UNISWAP_V3, HopKind.UNISWAP_V2]
    bought, sold = exchange.exact_out(path, 6_000 * 10**6), exchange.exact_in(path, 10**7)
    assert bought is not None
    assert sold is not None
    (last,) = purchase_steps([bought])
    assert isinstance(last, PairSwap)
    assert (last.amount, last.fee, last.token_in) == (Known.OWED, 3_000, WETH)
    (first,) = last.inner
    assert isinstance(first, Swap)
    assert (first.amount, first.limit) == (Known.OWED, BalanceOf(token=WBTC))
    assert [type(step) for step in sale_steps([sold])] == [Swap, PairSwap]
    after = exchange.after(sold).exact_in(path, 10**7)
    assert after is not None
    assert after.amount_out < sold.amount_out
