"""Venus's isolated pools under governance: pauses, forced liquidation, factors, what is listed."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from keeper.core.lending import SeizeQuote
from keeper.core.units import WAD, Address
from keeper.devnet.isolated import PACKAGE, Works, add_market, isolated_artifacts
from keeper.devnet.isolated_market import LivePool
from keeper.devnet.packages import ensure_all
from keeper.devnet.sender import Sender
from keeper.evm.words import selector, word_of_address, word_of_int
from keeper.protocols.venus_isolated.case import KEY_SEPARATOR, Way
from keeper.protocols.venus_isolated.refusals import Refusal
from keeper.protocols.venus_isolated.state import Action
from tests.support.isolated_governance import all_options, comptroller_of, crashed, govern, way_of
from tests.support.isolated_scene import (
    IsolatedNode,
    Scene,
    built_isolated,
    copied_isolated,
    differences,
    every_case,
    judge,
    open_scene,
)


@pytest.fixture(scope="module")
def isolated_node(anvil_binary: Path) -> Iterator[IsolatedNode]:
    with built_isolated(anvil_binary, by_second=False) as node:
        yield node


@pytest.fixture
async def scene(anvil_binary: Path, isolated_node: IsolatedNode) -> AsyncIterator[Scene]:
    with copied_isolated(anvil_binary, isolated_node) as node:
        async with open_scene(node) as opened:
            yield opened


@pytest.mark.parametrize(
    ("action", "side"),
    [(Action.LIQUIDATE, 2), (Action.REPAY, 2), (Action.SEIZE, 1), (Action.REDEEM, 1)],
)
async def test_a_pause_is_foreseen(scene: Scene, action: Action, side: int):
    before = await crashed(scene)
    ref, option = next((r, o) for r, o in all_options(scene, before) if way_of(o) is Way.BORROW)
    token = option.key.split(KEY_SEPARATOR)[side]
    comptroller = comptroller_of(scene, ref)
    govern(scene, comptroller, "setActionsPaused", [token], [action], True)
    look = await scene.follow(before)
    assert await judge(scene, look, ref, option, option.max_repay) is Refusal.ACTION_PAUSED
    assert option.key not in {o.key for r, o in all_options(scene, look) if r == ref}


async def test_a_forced_market_is_liquidated_in_full_and_in_health(scene: Scene):
    before = await scene.look()
    ref, option, owed = next(
        (ref, option, owed)
        for ref, option, owed in every_case(before, scene.view(before, ahead=1))
        if not scene.adapter.assess(scene.view(before, ahead=1), before.positions[ref]).liquidatable
    )
    debt = option.key.split(KEY_SEPARATOR)[2]
    govern(scene, comptroller_of(scene, ref), "setForcedLiquidation", debt, True)
    look = await scene.follow(before)
    view = scene.view(look, ahead=1)
    assert scene.adapter.assess(view, look.positions[ref]).liquidatable
    mine = [o for o in scene.adapter.options(view, look.positions[ref]) if o.key == option.key]
    assert mine[0].max_repay > owed // 2
    assert isinstance(await judge(scene, look, ref, mine[0], mine[0].max_repay), SeizeQuote)


async def test_what_governance_sets_moves_every_quote(scene: Scene):
    before = await crashed(scene)
    ref, option = next((r, o) for r, o in all_options(scene, before) if way_of(o) is Way.BORROW)
    comptroller = comptroller_of(scene, ref)
    markets = {t.address: t for p in scene.live.pools for t in p.markets.values()}
    collateral = markets[Address(option.key.split(KEY_SEPARATOR)[1])]
    for contract, function, value in (
        (comptroller, "setCloseFactor", WAD // 4),
        (comptroller, "setLiquidationIncentive", WAD * 108 // 100),
        (comptroller, "setMinLiquidatableCollateral", 40 * WAD),
        (collateral, "setProtocolSeizeShare", WAD * 3 // 100),
    ):
        govern(scene, contract, function, value)
    govern(scene, scene.live.rate_model, "updateJumpRateModel", WAD, WAD, WAD, WAD // 2)
    look = await scene.follow(before)
    cold = await scene.look(look.positions)
    assert look.market == cold.market
    assert look.market.markets[0].rate > before.market.markets[0].rate
    assert await differences(scene, look) == []
    quotes = [
        await judge(scene, look, who, one, one.max_repay)
        for who, one in all_options(scene, look)
        if who == ref
    ]
    assert quotes
    assert all(isinstance(one, SeizeQuote) for one in quotes)


async def test_a_market_that_is_listed_later_leaves_the_numbers_of_others(scene: Scene):
    before = await scene.look()
    main = scene.live.pools[0]
    made = list_another(scene, main, "wstETH")
    look = await scene.follow(before)
    cold = await scene.look(look.positions)
    assert made in look.market.numbers
    assert look.market == cold.market
    assert look.positions == cold.positions
    assert await differences(scene, look) == []


def list_another(scene: Scene, pool: LivePool, name: str) -> Address:
    """Give a pool a market of an asset that only another has; return its vToken."""
    live, shared = scene.live.live, scene.live.isolated.shared
    works = Works(
        rpc=live.rpc,
        sender=Sender.of(live.rpc, live.market.accounts.deployer),
        artifacts=isolated_artifacts(ensure_all((PACKAGE,))),
        by_second=False,
    )
    market = add_market(works, shared, live, pool.comptroller, name)
    works.sender.mine()
    return market.address


async def test_a_market_that_is_unlisted_does_not_count(scene: Scene):
    before = await scene.look()
    ref, option, _ = next(iter(every_case(before, scene.view(before, ahead=1))))
    comptroller = comptroller_of(scene, ref)
    token = option.key.split(KEY_SEPARATOR)[1]
    govern(scene, comptroller, "setActionsPaused", [token], list(range(9)), True)
    govern(scene, comptroller, "setMarketSupplyCaps", [token], [0])
    govern(scene, comptroller, "setMarketBorrowCaps", [token], [0])
    govern(scene, comptroller, "setCollateralFactor", token, 0, 0)
    govern(scene, comptroller, "unlistMarket", token)
    look = await scene.follow(before)
    assert not look.market.markets[look.market.numbers[Address(token)]].listed
    assert look.positions[ref] == before.positions[ref]
    assert await differences(scene, look) == []


async def test_another_feed_of_an_asset_is_followed(scene: Scene):
    before = await scene.look()
    known = before.market.sources
    one, other = sorted(before.market.markets.values(), key=lambda market: market.unit)[-2:]
    main, feed = known[one.token].main, known[other.token].address
    assert feed != known[one.token].address
    live = scene.live.live
    data = selector("setTokenConfig((address,address,uint256))") + word_of_address(one.asset)
    data += word_of_address(feed) + word_of_int(10**9)
    sender = Sender.of(live.rpc, live.market.accounts.deployer)
    sender.add("a feed", to=main, data=data)
    sender.mine()
    look = await scene.follow(before)
    assert look.market.sources[one.token].address == feed
    assert look.market == (await scene.look()).market
