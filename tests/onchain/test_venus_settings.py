"""Venus under governance: pauses, forced liquidation, VAI first, fees and prices."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from keeper.core.lending import Option, SeizeQuote
from keeper.core.units import WAD, Address
from keeper.devnet.crash import crash
from keeper.devnet.sender import Sender
from keeper.evm.words import address_at, ask_address, selector, word_of_address, word_of_int
from keeper.protocols.compound_v2 import codec
from keeper.protocols.compound_v2.refusals import MarketRefusedError, Refusal
from keeper.protocols.compound_v2.state import Action, Position
from tests.support.others import fall
from tests.support.venus_governance import all_options, govern, healthy_pair, open_copy, some_option
from tests.support.venus_scene import (
    Scene,
    VenusNode,
    built_venus,
    differences,
    judge,
    liquidate_call,
)


@pytest.fixture(scope="module")
def venus_node(anvil_binary: Path) -> Iterator[VenusNode]:
    with built_venus(anvil_binary) as node:
        fall(node.live.live, 5)
        yield node


@pytest.fixture
async def scene(anvil_binary: Path, venus_node: VenusNode) -> AsyncIterator[Scene]:
    async with open_copy(anvil_binary, venus_node) as opened:
        yield opened


async def test_the_treasury_takes_its_part_of_the_bonus_alone(scene: Scene):
    govern(scene, scene.live.liquidator, "setTreasuryPercent", WAD // 5)
    look = await scene.look()
    ref, option = some_option(scene, look)
    quote = await judge(scene, look, ref, option, option.max_repay)
    assert isinstance(quote, SeizeQuote)
    assert 0 < quote.protocol_fee < quote.seized // 50


async def test_the_treasurys_fee_on_redeeming_is_foreseen(scene: Scene):
    accounts = scene.live.live.market.accounts
    percent = WAD // 1_000
    await_fee = (accounts.deployer, accounts.treasury, percent)
    govern(scene, scene.live.comptroller, "_setTreasuryData", *await_fee)
    look = await scene.look()
    assert look.market.redeem_fee == percent
    for ref, option in all_options(scene, look)[:6]:
        assert isinstance(await judge(scene, look, ref, option, option.max_repay), SeizeQuote)


@pytest.mark.parametrize(
    ("action", "side"),
    [(Action.LIQUIDATE, 1), (Action.REPAY, 1), (Action.SEIZE, 0), (Action.TRANSFER, 0)],
)
async def test_a_pause_is_foreseen(scene: Scene, action: Action, side: int):
    before = await scene.look()
    ref, option = some_option(scene, before)
    token = option.key.split(":")[side]
    govern(scene, scene.live.comptroller, "_setActionsPaused", [token], [action], True)
    look = await scene.look()
    assert await judge(scene, look, ref, option, option.max_repay) is Refusal.ACTION_PAUSED
    view = scene.view(look, ahead=1)
    assert option.key not in {o.key for o in scene.adapter.options(view, look.positions[ref])}


async def test_a_pause_of_everything_is_foreseen(scene: Scene):
    before = await scene.look()
    ref, option = some_option(scene, before)
    govern(scene, scene.live.comptroller, "_setProtocolPaused", True)
    look = await scene.follow(before)
    assert await judge(scene, look, ref, option, option.max_repay) is Refusal.PROTOCOL_PAUSED


async def test_a_forced_market_is_liquidated_in_full_and_in_health(scene: Scene):
    before = await scene.look()
    ref, option = healthy_pair(scene, before)
    debt = Address(option.key.split(":")[1])
    govern(scene, scene.live.comptroller, "_setForcedLiquidation", debt, True)
    look = await scene.look()
    view = scene.view(look, ahead=1)
    assert scene.adapter.assess(view, look.positions[ref]).liquidatable
    forced = [o for o in scene.adapter.options(view, look.positions[ref]) if debt in o.key]
    quote = await judge(scene, look, ref, forced[0], forced[0].max_repay)
    assert isinstance(quote, SeizeQuote)
    beyond = await judge(scene, look, ref, forced[0], 2 * forced[0].max_repay)
    assert beyond in (Refusal.TOO_MUCH_REPAY, Refusal.SEIZE_TOO_MUCH)


async def test_one_account_may_be_forced(scene: Scene):
    before = await scene.look()
    ref, option = healthy_pair(scene, before)
    debt = Address(option.key.split(":")[1])
    args = (ref.account, debt, True)
    govern(scene, scene.live.comptroller, "_setForcedLiquidationForUser", *args)
    look = await scene.follow(before)
    view = scene.view(look, ahead=1)
    assert scene.adapter.assess(view, look.positions[ref]).liquidatable
    (forced, *_) = scene.adapter.options(view, look.positions[ref])
    assert isinstance(await judge(scene, look, ref, forced, forced.max_repay), SeizeQuote)


def owes_vai(position: Position) -> bool:
    return position.vai_minted > 0


async def test_vai_counts_as_debt_and_must_go_first_when_told(scene: Scene):
    for step in crash(scene.live.live):
        if step.number == 8:
            break
    before = await scene.look()
    assert await differences(scene, before) == []
    view = scene.view(before, ahead=1)
    sick = [
        (ref, option)
        for ref, position in sorted(before.positions.items())
        if owes_vai(position)
        for option in scene.adapter.options(view, position)
    ]
    assert sick
    ref, option = sick[0]
    assert isinstance(await judge(scene, before, ref, option, option.max_repay), SeizeQuote)
    govern(scene, scene.live.liquidator, "setMinLiquidatableVAI", WAD)
    govern(scene, scene.live.liquidator, "resumeForceVAILiquidate")
    look = await scene.follow(before)
    assert await judge(scene, look, ref, option, option.max_repay) is Refusal.VAI_FIRST


async def test_a_restricted_borrower_is_left_alone(scene: Scene):
    before = await scene.look()
    ref, option = some_option(scene, before)
    govern(scene, scene.live.liquidator, "restrictLiquidation", ref.account)
    look = await scene.follow(before)
    assert await judge(scene, look, ref, option, option.max_repay) is Refusal.RESTRICTED
    assert scene.adapter.options(scene.view(look, ahead=1), look.positions[ref]) == ()


async def test_a_market_that_is_unlisted_does_not_count(scene: Scene):
    before = await scene.look()
    ref, option = some_option(scene, before)
    token = option.key.split(":")[0]
    for function, *arguments in (
        ("_setActionsPaused", [token], list(range(9)), True),
        ("_setMarketSupplyCaps", [token], [0]),
        ("_setMarketBorrowCaps", [token], [0]),
        ("setCollateralFactor(address,uint256,uint256)", token, 0, WAD // 2),
        ("unlistMarket", token),
    ):
        govern(scene, scene.live.comptroller, function, *arguments)
    look = await scene.follow(before)
    assert look.positions[ref] == before.positions[ref]
    assert await differences(scene, look) == []
    view = scene.view(look, ahead=1)
    assert all(token not in one.key for one in scene.adapter.options(view, look.positions[ref]))
    cold = await scene.look()
    assert scene.adapter.assess(view, look.positions[ref]) == scene.adapter.assess(
        view, cold.positions[ref]
    )


async def test_a_pool_that_gives_nothing_for_a_collateral_is_foreseen(scene: Scene):
    """Where it does not fall back on the core pool, collateral that it does not list is idle."""
    before, comptroller = await scene.look(), scene.live.comptroller
    ref, pool = next((r, one.pool) for r, one in sorted(before.positions.items()) if one.pool)
    markets, accounts = before.market.markets, scene.live.live.market.accounts
    idle = next(one for one in markets if not (one.native or one.risks[pool].listed))
    supplier = Sender.of(scene.live.live.rpc, accounts.supplier)
    data = selector("mintBehalf(address,uint256)") + word_of_address(ref.account)
    supplier.add("supply", to=idle.token, data=data + word_of_int(10**15))
    supplier.mine()
    scene.live.live.rpc.call("anvil_impersonateAccount", ref.account)
    scene.live.live.rpc.call("anvil_setBalance", ref.account, hex(10**6 * WAD))
    borrower = Sender.of(scene.live.live.rpc, ref.account)
    borrower.call(comptroller, "enterMarkets", [idle.token])
    borrower.mine()
    govern(scene, comptroller, "setAllowCorePoolFallback", pool, False)
    factor = "setCollateralFactor(uint96,address,uint256,uint256)"
    for one in markets:
        if one.risks[pool].listed:
            govern(scene, comptroller, factor, pool, one.token, WAD // 3, WAD // 3)
    look = await scene.follow(before)
    assert await differences(scene, look) == []
    taken = [option.key.split(":") for who, option in all_options(scene, look) if who == ref]
    assert taken
    assert idle.token not in {held for held, _ in taken}
    key = f"{idle.token}:{taken[0][1]}"
    debt = look.market.markets[look.market.numbers[Address(taken[0][1])]].asset
    option = Option(collateral=idle.asset, debt=debt, max_repay=1, key=key)
    with pytest.raises(MarketRefusedError, match=Refusal.NO_INCENTIVE):
        scene.adapter.seize(scene.view(look, ahead=1), look.positions[ref], option, 1_000)
    places = (Address(one) for one in key.split(":"))
    call = liquidate_call(scene.view(look, ahead=1), ref, *places, 1_000)
    assert not (await scene.run(look, call))[0].success


async def test_every_price_is_a_feeds_answer_times_its_multiplier(scene: Scene):
    look = await scene.look()
    feeds = {one.id: one for one in scene.adapter.feeds(look.market)}
    assert all(one.direct for one in feeds.values())
    market = scene.live.live.market
    for name, places in (("ETH", 10), ("DAI", 10), ("USDC", 22), ("WBTC", 20)):
        feed = feeds[scene.live.markets[name].address]
        assert feed.multiplier == 10**places
        assert feed.source == market.asset("WETH" if name == "ETH" else name).feed


async def test_a_price_that_is_not_the_feeds_is_read_from_the_oracle(scene: Scene):
    before = await scene.look()
    token = scene.live.live.market.asset("DAI").token
    data = selector("setDirectPrice(address,uint256)") + word_of_address(token)
    data += word_of_int(99 * 10**16)
    deployer = Sender.of(scene.live.live.rpc, scene.live.live.market.accounts.deployer)
    deployer.add("a price", to=await chainlink_oracle(scene), data=data)
    deployer.mine()
    look = await scene.follow(before)
    assert look.market == (await scene.look()).market
    (feed,) = [one for one in scene.adapter.feeds(look.market) if one.label == "DAI"]
    assert not feed.direct
    assert feed.source == scene.live.venus.oracle
    assert look.prices[feed.id].value == 99 * 10**16
    assert look.prices[feed.id] != before.prices[feed.id]


async def test_another_feed_of_an_asset_is_followed(scene: Scene):
    before, market = await scene.look(), scene.live.live.market
    dai, usdc = market.asset("DAI").token, market.asset("USDC").feed
    data = selector("setTokenConfig((address,address,uint256))") + word_of_address(dai)
    data += word_of_address(usdc) + word_of_int(10**9)
    deployer = Sender.of(scene.live.live.rpc, market.accounts.deployer)
    deployer.add("a feed", to=await chainlink_oracle(scene), data=data)
    deployer.mine()
    look = await scene.follow(before)
    assert look.market == (await scene.look()).market
    (feed,) = [one for one in scene.adapter.feeds(look.market) if one.label == "DAI"]
    assert (feed.source, feed.direct) == (usdc, True)


async def chainlink_oracle(scene: Scene) -> Address:
    """Return the oracle that the resilient one asks first."""
    token = scene.live.live.market.asset("DAI").token
    call = ask_address(scene.live.venus.oracle, codec.GET_TOKEN_CONFIG, token)
    (answer,) = await scene.chain.reader.call_many([call], await scene.chain.reader.head())
    return address_at(answer.data, 1)


async def test_redeeming_beyond_the_cash_is_refused(scene: Scene):
    before = await scene.look()
    ref, option = some_option(scene, before)
    collateral = Address(option.key.split(":")[0])
    number = before.market.numbers[collateral]
    market = before.market.markets[number]
    if market.native:
        scene.live.live.rpc.call("anvil_setBalance", collateral, hex(10**9))
    else:
        drain(scene, collateral)
    look = await scene.look()
    view = scene.view(look, ahead=1)
    fitting = [o for o in scene.adapter.options(view, look.positions[ref]) if o.key == option.key]
    assert all(one.max_repay < option.max_repay for one in fitting)


def drain(scene: Scene, token: Address) -> None:
    """Leave a market next to no cash of its own reckoning."""
    rpc = scene.live.live.rpc
    slots = range(200)
    cash = int(rpc.call("eth_call", {"to": token, "data": "0x3b1d21a2"}, "latest"), 16)
    words = rpc.batch(("eth_getStorageAt", [token, hex(one), "latest"]) for one in slots)
    for slot, word in zip(slots, words, strict=True):
        if int(word, 16) == cash:
            rpc.call("anvil_setStorageAt", token, hex(slot), "0x" + f"{10**6:064x}")
    rpc.call("evm_mine")
