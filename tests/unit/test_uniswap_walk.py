"""Ranges of next to nothing, which anybody can open by the thousand, are gone through once."""

import pytest

from keeper.core.values import replace
from keeper.venues.uniswap_v3 import swap_math
from keeper.venues.uniswap_v3.pool import PoolState, TickBand
from tests.support.lending_desk import USDC, WETH, pool_at_par

RANGES = 2_000


def comb() -> PoolState:
    """Return a pool of five dollars with a position's edge at every tick for 22 % each way."""
    pool = pool_at_par(WETH, USDC, dollars=5, fee=100)
    ticks = tuple(range(pool.tick - RANGES, pool.tick + RANGES + 1))
    half = pool.liquidity // 2
    nets = tuple((half, -half)[n % 2] if tick != pool.tick else 0 for n, tick in enumerate(ticks))
    words = [tick // 256 for tick in (ticks[0], ticks[-1])]
    band = TickBand(first_word=words[0], last_word=words[1], ticks=ticks, liquidity_net=nets)
    return replace(pool, band=band)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Collect the liquidity of each range that something is computed of."""
    seen, real = list[int](), swap_math.amount0_delta_ceil

    def counted(lower: int, upper: int, liquidity: int) -> int:
        seen.append(liquidity)
        return real(lower, upper, liquidity)

    monkeypatch.setattr(swap_math, "amount0_delta_ceil", counted)
    return seen


def test_a_hundred_amounts_go_through_a_range_once(steps: list[int]) -> None:
    pool = comb()
    taken = [pool.exact_in(10**14 * n, zero_for_one=True) for n in range(1, 101)]
    assert taken[0] is not None
    assert taken[-1] is None
    assert RANGES < len(steps) < RANGES + 3 * len(taken)


def test_where_a_swap_leaves_the_pool_others_are_asked_about_anew() -> None:
    pool = comb()
    first = pool.exact_in(10**14, zero_for_one=True)
    assert first is not None
    after = pool.after(first)
    again, fresh = (one.exact_in(10**14, zero_for_one=True) for one in (after, alike(after)))
    assert again == fresh != first


def test_only_so_many_beginnings_are_kept() -> None:
    pool = comb()
    for _ in range(100):
        swap = pool.exact_in(10**11, zero_for_one=True)
        assert swap is not None
        pool = pool.after(swap)
    assert len(pool.band._walks) <= 16


def alike(pool: PoolState) -> PoolState:
    """Return the same pool without anything that was found out of it."""
    band = pool.band
    return replace(
        pool,
        band=TickBand(
            first_word=band.first_word,
            last_word=band.last_word,
            ticks=band.ticks,
            liquidity_net=band.liquidity_net,
        ),
    )
