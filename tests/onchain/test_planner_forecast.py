"""When nothing else happens in the block, every plan comes to its forecast, to the wei.

Random prices, base fees and accounts' doings on both revisions of Aave; each plan is executed by
the real contracts at the block that it aims at. KEEPER_FORECAST_ROUNDS makes more of them.
"""

import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest

from keeper.core.values import replace
from keeper.devnet.actions import random_actions
from keeper.devnet.assets import ASSETS
from keeper.devnet.prices import move_market
from keeper.planner.costs import Limits
from tests.support.aave_scene import Scene, open_scene
from tests.support.crashed_market import (
    GWEI,
    Crashed,
    at_the_desk,
    forecast_at,
    plans_alone,
    realised,
)
from tests.support.executor_stage import RECIPIENT, deploy, executor_artifact
from tests.support.gas_band import in_band
from tests.support.market_node import MarketNode, built_market, copied_market

ROUNDS = int(os.environ.get("KEEPER_FORECAST_ROUNDS", "4"))
BORROWERS = 100
LEAST_CASES = 20
"""Plans that a round makes, at the least, on average."""


@pytest.fixture(scope="module", params=["3.0", "3.6"])
def node(
    anvil_binary: Path, request: pytest.FixtureRequest, local_market: MarketNode
) -> Iterator[MarketNode]:
    if request.param == "3.0":
        yield local_market
        return
    with built_market(anvil_binary, seed=5, borrowers=BORROWERS, aave=request.param) as built:
        yield built


@asynccontextmanager
async def opened(anvil_binary: Path, node: MarketNode) -> AsyncIterator[tuple[Scene, str]]:
    """Open a fork of the market with an executor on it."""
    with copied_market(anvil_binary, node) as fork:
        who = fork.market.accounts
        artifact = executor_artifact()
        executor = deploy(
            fork.live.rpc, who.deployer, artifact, who.deployer, [who.keeper], RECIPIENT
        )
        async with open_scene(fork.live, fork.anvil.http_url) as scene:
            yield scene, executor.address


def shake(scene: Scene, chance: Random) -> None:
    """Let accounts do things, and prices and the base fee move, all at random."""
    random_actions(scene.live, seed=chance.randrange(10**6), count=30)
    ether = chance.randint(6_800, 9_200)
    bps = {
        "WETH": ether,
        "WBTC": chance.randint(7_000, 9_600),
        "wstETH": ether * chance.randint(9_200, 10_000) // 10_000,
        "DAI": chance.randint(9_900, 10_100),
    }
    base_fee = chance.choice((10**6, GWEI // 10, 2 * GWEI, 30 * GWEI))
    scene.live.rpc.call("anvil_setNextBlockBaseFeePerGas", hex(base_fee))
    move_market(scene.live, {name: ASSETS[name].price * by // 10_000 for name, by in bps.items()})


def by_pair(crashed: Crashed) -> Crashed:
    """Return the scene with each pair of each account as a case of its own."""
    cases = tuple(
        replace(case, opportunity=replace(case.opportunity, options=(option,)))
        for case in crashed.cases
        for option in case.opportunity.options
    )
    return replace(crashed, cases=cases)


async def test_every_plan_comes_to_its_forecast(
    anvil_binary: Path, node: MarketNode, parity_report: list[str]
) -> None:
    chance, seen = Random(ROUNDS), Counter[int]()  # noqa: S311 - a market, not a secret
    async with opened(anvil_binary, node) as (scene, executor):
        for _ in range(ROUNDS):
            shake(scene, chance)
            crashed = await at_the_desk(scene, executor)
            planner = crashed.planner_with(
                Limits(min_profit=1, max_gas_price=1_000 * GWEI, tip_bps=chance.choice((0, 500)))
            )
            for plan in plans_alone(by_pair(crashed), planner):
                (done,) = await crashed.run(plan)
                assert done.success, f"{plan.id}: {done.error}"
                found = realised(crashed, plan, done)
                assert found == forecast_at(plan, crashed, done.gas_used), plan.id
                counted = plan.forecast.gas // crashed.desk.gas_price
                assert in_band(counted, done.gas_used), f"{plan.id}: {counted} of {done.gas_used}"
                assert done.gas_used * 5 < plan.gas_limit * 4, plan.id
                seen[len(plan.liquidations)] += 1
    release = crashed.view.rules.release
    parity_report.append(f"forecasts met to the wei on Aave {release}, by steps: {dict(seen)}")
    assert sum(seen.values()) > LEAST_CASES * ROUNDS
    assert max(seen) > 1
