"""Pools that take next to nothing, which anybody can open, keep no plan from a better one."""

from fractions import Fraction
from itertools import product

import pytest

from keeper.core.plan import LoanKind, Plan
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.planner.case import Desk
from keeper.planner.planner import Planner
from keeper.venues.loan_book import LoanBook
from keeper.venues.uniswap_v2.book import UniswapV2Book
from keeper.venues.uniswap_v2.pair import PairState
from keeper.venues.uniswap_v3.pool import PoolState, TickBand
from tests.support.lending_desk import (
    DAI,
    USDC,
    WBTC,
    WETH,
    case_with,
    desk_of,
    option_of,
    planned,
    pool_at_par,
    terms_of,
)


def sliver(token_a: Address, token_b: Address, *, dollars: int) -> PoolState:
    """Return a pool of the least fee whose liquidity is all within four ticks of the price."""
    pool = pool_at_par(token_a, token_b, dollars=dollars, fee=100)
    edges = (pool.tick - 2, pool.tick + 2)
    nets = (pool.liquidity, -pool.liquidity)
    return replace(pool, band=replace_ticks(pool.band, edges, nets))


def replace_ticks(band: TickBand, ticks: tuple[int, ...], nets: tuple[int, ...]) -> TickBand:
    return TickBand(
        first_word=band.first_word, last_word=band.last_word, ticks=ticks, liquidity_net=nets
    )


def with_pair(desk: Desk, *, of: tuple[Address, Address], reserves: tuple[int, int]) -> Desk:
    """Return the desk with a pair of Uniswap V2 beside its pools."""
    state = PairState(
        address=Address("0x" + "e2" * 20),
        token0=of[0],
        token1=of[1],
        fee=3_000,
        reserve0=reserves[0],
        reserve1=reserves[1],
    )
    pairs = UniswapV2Book(venue="uniswap_v2", pairs={of: state})
    return replace(desk, books={"uniswap_v2": pairs, **desk.books})


def test_a_sliver_of_the_least_fee_does_not_make_a_loan_look_small() -> None:
    """It is the best for what it takes; the deep pool beside it is compared at what that takes."""
    buying = [pool_at_par(WBTC, USDC, dollars=300_000, fee=fee) for fee in (100, 500, 3_000)]
    deep = pool_at_par(WBTC, WETH, dollars=5_000_000)
    case = case_with(option_of(WBTC, USDC, dollars=400_000))
    alone = planned(case, desk_of(*buying, deep))
    beside = planned(case, desk_of(*buying, sliver(WBTC, WETH, dollars=50_000), deep))
    assert alone.quote.repay < alone.option.max_repay
    assert beside.forecast.net >= alone.forecast.net


def test_what_nobody_lends_is_bought_from_one_pool_however_many_there_are() -> None:
    """Divisions and pairs cannot hand it over first: they take no place from what can."""
    buying = [pool_at_par(WETH, USDC, dollars=500_000, fee=fee) for fee in (100, 500, 3_000)]
    case = case_with(option_of(WETH, USDC, dollars=3_000_000))
    alone = planned(case, desk_of(buying[0], cash=0))
    several = planned(case, desk_of(*buying, cash=0))
    pair = with_pair(
        desk_of(*buying, cash=0), of=(WETH, USDC), reserves=(2_000 * 10**18, 4 * 10**12)
    )
    beside = planned(case, pair)
    assert alone.forecast == several.forecast == beside.forecast


def test_a_loan_far_larger_than_all_its_pools_is_liquidated_in_part() -> None:
    """None of more paths than are tried takes a sixteenth of what might be repaid."""
    pairs = ((WBTC, WETH), (WBTC, USDC), (WBTC, DAI), (DAI, USDC))
    pools = [
        pool_at_par(*pair, dollars=100_000, fee=fee) for pair, fee in product(pairs, (500, 3_000))
    ]
    case = case_with(option_of(WBTC, USDC, dollars=60_000_000))
    desk = replace(desk_of(*pools, intermediates=(DAI,)), base_fee=10**6)
    found = Planner(terms=terms_of(), venues=(), lenders=()).plan(case, desk)
    assert isinstance(found, Plan), found
    assert found.forecast.net > 0


@pytest.mark.parametrize("reserves", [(10**7, 1), (1, 10**7)])
def test_a_pair_of_dust_ends_no_plan_after_a_move_that_it_cannot_follow(
    reserves: tuple[int, int],
) -> None:
    """One of its reserves would be empty, and the rate along it nothing, or without end."""
    desk = desk_of(pool_at_par(WETH, WBTC, dollars=5_000_000))
    planner = Planner(terms=terms_of(), venues=(), lenders=())
    dusty = with_pair(desk, of=(WETH, WBTC), reserves=reserves)
    case = case_with(option_of(WBTC, WETH, dollars=20_000))
    for move in (Fraction(1, 2), Fraction(2)):
        moves = {WBTC: move}
        found = planner.plan(case, dusty.repriced(moves))
        assert found == planner.plan(case, desk.repriced(moves))


def lent_by(pool: PoolState, desk: Desk) -> Desk:
    """Return the desk with a pool as the only lender, of whatever is wanted of its tokens."""
    held = {pool.token0: 10**30, pool.token1: 10**30}
    book = LoanBook(
        source="uniswap_v3",
        lender=pool.address,
        kind=LoanKind.FLASH_POOL,
        held=held,
        gas=62_000,
        fee=pool.fee,
        fee_unit=10**6,
    )
    return replace(desk, loans=(book,))


@pytest.mark.parametrize("debt", [USDC, WETH], ids=["bought", "repaid out of the sale"])
def test_a_pool_that_alone_lends_keeps_no_sale_from_being_divided_over_others(
    debt: Address,
) -> None:
    """Locked while it lends, it takes no part; being the best one it was in every division."""
    lender, *others = (
        pool_at_par(WBTC, debt, dollars=dollars, fee=fee)
        for dollars, fee in ((3_000_000, 500), (1_000_000, 3_000), (600_000, 100))
    )
    deep = () if debt == WETH else (pool_at_par(WBTC, WETH, dollars=5_000_000),)
    case = case_with(option_of(WBTC, debt, dollars=60_000))
    alone = planned(case, lent_by(lender, desk_of(*others, *deep)))
    beside = planned(case, lent_by(lender, desk_of(lender, *others, *deep)))
    assert alone.route == beside.route
    assert alone.forecast == beside.forecast


def test_a_pool_that_makes_a_better_buyback_keeps_none_from_being_tried_beside_a_purchase() -> None:
    """Over DAI more is bought out of the sale, but the purchase needs that way's second pool."""
    pools = [
        pool_at_par(WBTC, USDC, dollars=100_000),
        pool_at_par(WBTC, DAI, dollars=3_500_000),
        pool_at_par(DAI, USDC, dollars=200_000, fee=100),
        pool_at_par(WBTC, WETH, dollars=8_000_000),
        pool_at_par(WETH, USDC, dollars=120_000, fee=3_000),
    ]
    case = case_with(option_of(WBTC, USDC, dollars=100_000))
    over_dai = pool_at_par(WETH, DAI, dollars=3_500_000, fee=100)
    without, beside = (
        planned(case, desk_of(*some, intermediates=(WETH, DAI)))
        for some in (pools, [*pools, over_dai])
    )
    least = without.forecast.net
    assert beside.forecast.net >= least - (least >> 20)  # divided with other paths beside


@pytest.mark.parametrize(
    ("direct", "dear", "cheap", "loan"),
    [(800_000, 80_000_000, 6_000_000, 50_000), (400_000, 40_000_000, 20_000_000, 400_000)],
    ids=["each path takes the whole", "one takes a part"],
)
def test_a_pool_that_is_better_for_a_part_keeps_no_deeper_one_from_a_division(
    direct: int, dear: int, cheap: int, loan: int
) -> None:
    """Both lead to DAI, and one pool from there on: only one of them goes along."""
    pools = [
        pool_at_par(WETH, USDC, dollars=direct),
        pool_at_par(DAI, USDC, dollars=10_000_000, fee=100),
        pool_at_par(WETH, DAI, dollars=dear, fee=3_000),
    ]
    case = case_with(option_of(WETH, USDC, dollars=loan))
    one = pool_at_par(WETH, DAI, dollars=cheap, fee=100)
    without, beside = (
        planned(case, desk_of(*some, intermediates=(DAI,))) for some in (pools, [*pools, one])
    )
    assert beside.forecast.net >= without.forecast.net


def test_what_is_sold_of_a_collateral_that_is_the_debt_is_divided_where_no_pool_takes_it() -> None:
    """It is a small part of what is seized: no pool takes an eighth of that."""
    pools = [pool_at_par(WBTC, WETH, dollars=300_000, fee=fee) for fee in (100, 500)]
    case = case_with(option_of(WBTC, WBTC, dollars=2_000_000))
    one, both = (planned(case, desk_of(*some)) for some in (pools[:1], pools))
    assert len(both.route) == 2
    assert both.forecast.net > one.forecast.net * 3 // 2
