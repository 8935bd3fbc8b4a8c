"""A second source on real aggregators and pools: what it says, and when it stops acting."""

import pytest

from keeper.core.units import Address
from keeper.devnet.prices import move_market, oracle_prices, push_price
from keeper.oracle.policy import OraclePolicy
from keeper.oracle.second_source import FeedOpinion, PoolOpinion
from tests.support.oracle_stage import DAY, OracleStage, oracle_stage, submit

stage = pytest.fixture(oracle_stage)


async def test_a_second_feed_that_disagrees_stops_acting(stage: OracleStage) -> None:
    other = stage.deploy_aggregator(low=1, high=10**30, decimals=18)
    proxy = stage.deploy_proxy(other)
    now = oracle_prices(stage.live)["WETH"]
    submit(stage, other, now * 10**10)
    opinion = FeedOpinion(proxy=proxy.address, most_bps=200, decimals=8)
    await stage.follow(OraclePolicy(second_sources={"WETH": opinion}))
    assert await stage.problem("WETH") == ""
    push_price(stage.live, "WETH", now * 102 // 100)
    assert await stage.problem("WETH") == ""
    push_price(stage.live, "WETH", now * 103 // 100)
    said = await stage.problem("WETH")
    assert said.startswith(f"WETH: expected {now} within 2 % (feed {proxy.address}), found ")


def eth_pool(stage: OracleStage) -> tuple[Address, int]:
    pools = [p for p in stage.live.market.pools if {p.symbol0, p.symbol1} == {"WETH", "USDC"}]
    return pools[0].address, pools[0].fee


async def test_a_pools_mean_price_is_the_second_source(stage: OracleStage) -> None:
    pool, _ = eth_pool(stage)
    opinion = PoolOpinion(
        pool=pool, base=stage.key("WETH"), quote="USDC", window_s=600, most_bps=300, decimals=8
    )
    stage.wait(700)
    await stage.follow(OraclePolicy(second_sources={"WETH": opinion}))
    assert await stage.problem("WETH") == ""
    assert stage.book is not None
    mean = stage.book.evidence.seconds[stage.key("WETH")]
    now = oracle_prices(stage.live)["WETH"]
    assert mean is not None
    assert abs(mean - now) * 1_000 < now
    push_price(stage.live, "WETH", now * 104 // 100)
    assert f"within 3 % (mean of 600 s in pool {pool})" in await stage.problem("WETH")


async def test_a_pools_mean_price_of_its_second_token_is_the_inverse(stage: OracleStage) -> None:
    pool, _ = eth_pool(stage)
    opinion = PoolOpinion(
        pool=pool, base=stage.key("USDC"), quote="WETH", window_s=600, most_bps=300, decimals=8
    )
    stage.wait(700)
    book = await stage.follow(OraclePolicy(second_sources={"USDC": opinion}))
    mean = book.evidence.seconds[stage.key("USDC")]
    assert mean is not None
    assert abs(mean - 10**8) < 10**5


async def test_the_mean_lags_a_swap_and_a_window_that_is_forgotten_is_no_opinion(
    stage: OracleStage,
) -> None:
    pool, _ = eth_pool(stage)
    weth = stage.key("WETH")
    opinion = PoolOpinion(
        pool=pool, base=weth, quote="USDC", window_s=600, most_bps=300, decimals=8
    )
    contract = next(c for c, _ in stage.live.exchange_pools if c.address == pool)
    stage.do(contract, "increaseObservationCardinalityNext", 20)
    stage.wait(700)
    await stage.follow(OraclePolicy(second_sources={"WETH": opinion}))
    now = oracle_prices(stage.live)["WETH"]
    move_market(stage.live, {"WETH": now * 80 // 100})
    stage.wait(30)
    assert "within 3 %" in await stage.problem("WETH")
    stage.wait(700)
    assert await stage.problem("WETH") == ""
    forgotten = PoolOpinion(
        pool=pool, base=weth, quote="USDC", window_s=10 * DAY, most_bps=300, decimals=8
    )
    await stage.follow(OraclePolicy(second_sources={"WETH": forgotten}))
    assert "expected a second price from mean of 864000 s" in await stage.problem("WETH")


async def test_a_second_source_that_is_none_says_so(stage: OracleStage) -> None:
    nobody = Address("0x" + "12" * 20)
    opinions = {
        "WETH": FeedOpinion(proxy=nobody, most_bps=1, decimals=8),
        "DAI": PoolOpinion(
            pool=nobody, base=nobody, quote=None, window_s=60, most_bps=1, decimals=8
        ),
    }
    await stage.follow(OraclePolicy(second_sources=opinions))
    assert "expected decimals of the second feed" in await stage.problem("WETH")
    assert "found no pool" in await stage.problem("DAI")
