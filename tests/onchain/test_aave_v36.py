"""Aave V3.6 as compiled from its authors' sources: bitmaps, dust rule, directed rounding."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from random import Random

import pytest

from keeper.core.errors import ConfigError
from keeper.core.lending import Option, SeizeQuote
from keeper.core.units import MAX_UINT256
from keeper.devnet.actions import random_actions
from keeper.devnet.crash import crash
from keeper.devnet.sender import Sender
from keeper.protocols.aave_v3.case import case_of, leaves_no_collateral
from keeper.protocols.aave_v3.codec import topic
from keeper.protocols.aave_v3.health import assess
from keeper.protocols.aave_v3.refusals import Refusal
from keeper.protocols.aave_v3.seizing import available_collateral
from keeper.protocols.aave_v3.state import AaveMarket, AavePosition
from tests.support.aave_fork import read_as_fork
from tests.support.aave_scene import (
    Look,
    Scene,
    differences,
    judge,
    open_scene,
    pairs_of,
    quote_of,
)
from tests.support.market_node import MarketNode, built_market, copied_market

BORROWERS = 120
DEFICIT_CREATED = topic("DeficitCreated(address,address,uint256)")


@pytest.fixture(scope="module")
def base(anvil_binary: Path) -> Iterator[MarketNode]:
    with built_market(anvil_binary, seed=3, borrowers=BORROWERS, aave="3.6") as node:
        yield node


@pytest.fixture
async def scene(anvil_binary: Path, base: MarketNode) -> AsyncIterator[Scene]:
    with copied_market(anvil_binary, base) as node:
        async with open_scene(node.live, node.anvil.http_url) as opened:
            yield opened


@pytest.mark.parametrize(
    ("release", "function"),
    [("3.0", "getLiquidationGracePeriod"), ("3.1", "getEModeCategoryCollateralBitmap"),
     ("3.2", "getReserveDeficit")],
)  # fmt: skip
async def test_earlier_rules_are_refused_on_a_pool_with_later_functions(
    base: MarketNode, release: str, function: str
) -> None:
    with pytest.raises(ConfigError, match=f"of the rules of {release}: expected no {function}"):
        await read_as_fork(base, {10: release})


async def test_accounts_stand_as_the_pool_says_and_logs_tell_all(scene: Scene):
    followed = await scene.look()
    assert followed.market.rules.release == "3.6"
    assert len(followed.positions) == BORROWERS
    assert await differences(scene, followed) == []
    for seed in range(3):
        random_actions(scene.live, seed=30 + seed, count=120)
        followed = await scene.follow(followed)
        cold = await scene.look(followed.positions)
        assert followed.market == cold.market
        assert followed.positions == cold.positions
        assert await differences(scene, followed) == []


async def crashed(scene: Scene, steps: int) -> Look:
    for step in crash(scene.live):
        if step.number == steps:
            break
    return await scene.look()


async def test_options_offers_and_refusals_are_those_of_the_pool(scene: Scene):
    random = Random(6)  # noqa: S311 - offers, not secrets
    look = await crashed(scene, 6)
    assert await differences(scene, look) == []
    timestamp = look.block.timestamp + 12
    view = scene.adapter.at(look.market, timestamp=timestamp, prices=look.prices)
    said: dict[str, int] = {}
    for ref, position in sorted(look.positions.items()):
        if not scene.adapter.assess(view, position).liquidatable:
            continue
        for option in scene.adapter.options(view, position):
            assert isinstance(
                await judge(scene, look, view, ref, option, option.max_repay), SeizeQuote
            )
            done = await scene.liquidate(look, ref, option, MAX_UINT256, timestamp)
            if done.success:
                assert quote_of(scene, view, done.logs).repay <= option.max_repay + 1
        for collateral, debt in pairs_of(view, position):
            option = Option(collateral=collateral, debt=debt, max_repay=0)
            owed = {leg.asset: leg.amount for leg in scene.adapter.legs(view, position).debt}
            top = owed.get(debt, 10)
            for offer in (MAX_UINT256, top // 2, random.randrange(1, top + 1), 1):
                found = await judge(scene, look, view, ref, option, offer)
                name = "quoted" if isinstance(found, SeizeQuote) else found.name
                said[name] = said.get(name, 0) + 1
    assert said["quoted"] > 50
    assert said["DUST"] > 10
    assert said["BURN_OF_NOTHING"] > 5


async def test_bad_debt_is_foretold(scene: Scene):
    look = await crashed(scene, 8)
    timestamp = look.block.timestamp + 12
    view = scene.adapter.at(look.market, timestamp=timestamp, prices=look.prices)
    foretold = {True: 0, False: 0}
    for ref, position in sorted(look.positions.items()):
        owed = {leg.asset: leg.amount for leg in scene.adapter.legs(view, position).debt}
        for option in scene.adapter.options(view, position):
            quote = scene.adapter.seize(view, position, option, option.max_repay)
            executor = scene.live.market.accounts.supplier
            (call,) = scene.adapter.calls(view, ref, option, quote, executor)
            done = await scene.attempt(look, call.data, timestamp)
            left = sum(owed.values()) - quote.repay
            expected = takes_the_last(view, position, option) and left > 0
            assert expected is any(log.topics[0] == DEFICIT_CREATED for log in done.logs)
            foretold[expected] += 1
    assert all(foretold.values()), foretold


def takes_the_last(view: AaveMarket, position: AavePosition, option: Option) -> bool:
    collateral, debt = view.reserve(option.collateral), view.reserve(option.debt)
    assert collateral is not None
    assert debt is not None
    case = case_of(view, position, collateral, debt, assess(view, position))
    seizure = available_collateral(view.rules, case.pair, option.max_repay)
    return leaves_no_collateral(view.rules, case, seizure)


async def test_a_grace_period_and_a_category_of_its_own_are_noticed(scene: Scene):
    look = await crashed(scene, 6)
    admin = Sender.of(scene.live.rpc, scene.live.market.accounts.deployer)
    configurator = scene.live.configurator
    weth, wbtc = (scene.live.market.asset(one).token for one in ("WETH", "WBTC"))
    pause = "setReservePause(address,bool,uint40)"
    admin.call(configurator, pause, weth, True, 0)
    admin.call(configurator, pause, weth, False, 3_600)
    admin.call(configurator, "setEModeCategory", 7, 9_000, 9_200, 10_200, "new")
    admin.call(configurator, "setAssetCollateralInEMode", wbtc, 7, True)
    admin.mine()
    followed = await scene.follow(look)
    cold = await scene.look(followed.positions)
    assert followed.market == cold.market
    assert followed.market.categories[7].collateral_bitmap != 0
    timestamp = followed.block.timestamp + 12
    view = scene.adapter.at(followed.market, timestamp=timestamp, prices=followed.prices)
    refused = 0
    for ref, position in sorted(followed.positions.items()):
        if scene.adapter.assess(view, position).liquidatable:
            for collateral, debt in pairs_of(view, position):
                option = Option(collateral=collateral, debt=debt, max_repay=0)
                found = await judge(scene, followed, view, ref, option, MAX_UINT256)
                refused += found is Refusal.GRACE_PERIOD
    assert refused > 3
