"""What-if and explain, held against a market whose prices then really move."""

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from keeper.app.explain import explain
from keeper.app.study import Study, studies
from keeper.app.whatif import Move, aftermath, sweep
from keeper.config.settings import load
from keeper.core.errors import ConfigError
from keeper.core.plan import Plan
from keeper.devnet.live import account_data, under_water
from keeper.devnet.prices import oracle_prices, push_prices
from keeper.scanner.crossing import crossing_price
from tests.support.keeper_process import configured
from tests.support.market_node import MarketNode

WAD = 10**18


@pytest.fixture
async def study(market_copy: MarketNode, tmp_path: Path) -> AsyncIterator[Study[Any, Any]]:
    config = configured(tmp_path, market_copy, mode="observe")
    async with studies(load(config)) as found:
        yield found[0]


def without_pools(config: Path) -> Path:
    """Let a configuration look only for pools of a fee that the market has none of."""
    chain = config.parent / "chain.yaml"
    content = yaml.safe_load(chain.read_text("utf-8"))
    content["venues"][0]["fee_tiers"] = [100]
    chain.write_text(yaml.safe_dump(content), "utf-8")
    return config


def quiet(_what: str, _done: int, _of: int) -> None:
    """Report to nobody."""


async def test_the_accounts_that_fall_are_those_that_then_fall_on_chain(
    market_copy: MarketNode, study: Study[Any, Any]
) -> None:
    positions = await study.everyone(quiet)
    moves = [Move(label="WETH", bps=-1_550), Move(label="wstETH", bps=-1_550)]
    found = await aftermath(study, positions, moves)
    now = oracle_prices(market_copy.live)
    push_prices(market_copy.live, {s: now[s] * 8_450 // 10_000 for s in ("WETH", "wstETH")})
    fallen = {one.ref.account for one in found.fallen}
    assert len(fallen) >= 5
    assert fallen == set(under_water(market_copy.live))
    data = account_data(market_copy.live, sorted(fallen))
    by_account = {one.ref.account: one for one in found.fallen}
    for account, row in zip(sorted(fallen), data, strict=True):
        assert by_account[account].health.health_factor == row.health_factor
        assert by_account[account].health.debt_base == row.debt_base


async def test_plans_of_a_what_if_earn_on_pools_that_followed_the_move(
    study: Study[Any, Any],
) -> None:
    positions = await study.everyone(quiet)
    found = await aftermath(study, positions, [Move(label="WETH", bps=-1_500)])
    plans = [one.done for one in found.fallen if isinstance(one.done, Plan)]
    assert plans
    for plan in plans:
        split = plan.forecast
        # Pools left at the old price would make the swaps a gain as large as the fall.
        assert abs(split.swap_cost) < split.penalty


async def test_a_sweep_never_falls_as_the_price_does(study: Study[Any, Any]) -> None:
    positions = await study.everyone(quiet)
    steps = [0, -1_000, -2_000, -4_000, -8_000]
    (points,) = (await sweep(study, positions, "WETH", steps)).values()
    bad = [one.bad_debt for one in points]
    assert bad == sorted(bad)
    assert points[-1].accounts > points[0].accounts


async def test_what_is_closed_is_what_the_plans_repay(study: Study[Any, Any]) -> None:
    found = await aftermath(study, await study.everyone(quiet), [Move(label="WETH", bps=-3_500)])
    repaid, received = Counter[str](), Counter[str]()
    for plan in found.plans:
        debt = plan.valuation.assets[plan.option.debt]
        repaid[plan.option.collateral] += plan.quote.repay * debt.price // debt.unit
        received[plan.option.collateral] += plan.quote.received
    assert {one.asset: one.absorbed for one in found.capacity if one.absorbed} == repaid
    assert {one.asset: one.sold for one in found.capacity if one.sold} == received
    assert sum(one.wanted for one in found.capacity) <= sum(found.debt.values())


async def test_pools_without_depth_leave_what_they_could_close_at_the_oracles_prices(
    market_copy: MarketNode, tmp_path: Path, study: Study[Any, Any]
) -> None:
    positions = await study.everyone(quiet)
    moves = [Move(label="WETH", bps=-1_500)]
    deep = await aftermath(study, positions, moves)
    config = without_pools(configured(tmp_path / "dry", market_copy, mode="observe"))
    async with studies(load(config)) as (dry,):
        shallow = await aftermath(dry, positions, moves)
    assert sum(one.absorbed for one in deep.capacity) > 0
    assert not shallow.plans
    assert sum(one.absorbed for one in shallow.capacity) == 0
    assert sum(one.left for one in shallow.capacity) == sum(one.wanted for one in shallow.capacity)
    assert sum(one.wanted for one in shallow.capacity) >= sum(one.absorbed for one in deep.capacity)


async def test_pools_that_were_not_read_so_far_make_it_unknown(
    market_copy: MarketNode, tmp_path: Path
) -> None:
    config = configured(tmp_path / "near", market_copy, mode="observe")
    async with studies(load(config), reach_ticks=1) as (near,):
        found = await aftermath(
            near, await near.everyone(quiet), [Move(label="WETH", price=WAD * 10**4)]
        )
    assert found.fallen
    assert any(one.unknown for one in found.capacity)


async def test_an_unknown_feed_is_named_with_those_that_there_are(study: Study[Any, Any]) -> None:
    with pytest.raises(ConfigError, match=r"expected a feed of DAI, USDC.*found 'DOGE'"):
        await aftermath(study, await study.everyone(quiet), [Move(label="DOGE", bps=-1)])


@pytest.mark.parametrize("symbol", ["WETH", "WBTC"])
async def test_the_crossing_price_is_exact_on_chain(
    market_copy: MarketNode, study: Study[Any, Any], symbol: str
) -> None:
    live = market_copy.live
    feed = market_copy.market.asset(symbol).token
    checked = 0
    for ref, position in (await study.everyone(quiet)).items():
        if feed not in study.adapter.feeds_of(study.market, position) or checked == 4:
            continue
        at = crossing_price(
            study.adapter,
            study.market,
            position,
            number=study.block.number + 1,
            timestamp=study.target,
            prices=study.prices.prices,
            feed=feed,
        )
        if at is None or at < study.prices.prices[feed].value // 2:
            continue
        toward_now = 1 if at < study.prices.prices[feed].value else -1
        for answer, under in ((at, True), (at + toward_now, False)):
            before = live.rpc.call("evm_snapshot")
            live.rpc.call("evm_setNextBlockTimestamp", study.target)
            push_prices(live, {symbol: answer})
            (data,) = account_data(live, [ref.account])
            assert (data.health_factor < WAD) is under
            live.rpc.call("evm_revert", before)
        checked += 1
    assert checked >= 2


async def test_a_page_adds_up_to_the_pools_own_figures(
    market_copy: MarketNode, study: Study[Any, Any]
) -> None:
    account = market_copy.market.borrowers[0]
    (page,) = await explain(study, account)
    (data,) = account_data(market_copy.live, [account])
    assert sum(term.value for term in page.collateral) == data.collateral_base
    assert sum(term.value for term in page.debt) == data.debt_base
    assert page.health.health_factor == data.health_factor
    assert page.crossings


async def test_a_stranger_has_no_page(study: Study[Any, Any]) -> None:
    assert await explain(study, study.contract.operator) == []
