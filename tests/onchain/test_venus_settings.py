"""Venus under governance: pauses, forced liquidation, VAI first, fees, and no Liquidator."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from keeper.core.chain import Transaction
from keeper.core.lending import AccountRef, Option, SeizeQuote
from keeper.core.units import WAD, Address
from keeper.devnet.contract import Contract
from keeper.devnet.crash import crash
from keeper.devnet.executor import deploy_executor
from keeper.devnet.sender import Sender
from keeper.devnet.venus_actions import allow_liquidations
from keeper.evm.program import Call, Program, call_parts
from keeper.evm.program_encoder import encode
from keeper.evm.words import address_at, ask_address, selector, word_of_address, word_of_int
from keeper.protocols.compound_v2 import codec
from keeper.protocols.compound_v2.refusals import FAILURES, Refusal
from keeper.protocols.compound_v2.state import Action, Position
from tests.support.venus_scene import (
    Look,
    Scene,
    VenusNode,
    built_venus,
    copied_venus,
    differences,
    failures,
    judge,
    liquidate_call,
    open_scene,
)


@pytest.fixture(scope="module")
def venus_node(anvil_binary: Path) -> Iterator[VenusNode]:
    with built_venus(anvil_binary) as node:
        for step in crash(node.live.live):
            if step.number == 5:
                break
        yield node


@pytest.fixture
async def scene(anvil_binary: Path, venus_node: VenusNode) -> AsyncIterator[Scene]:
    with copied_venus(anvil_binary, venus_node) as node:
        async with open_scene(node) as opened:
            allow_liquidations(node.live, Sender.of(node.live.live.rpc, opened.supplier))
            yield opened


def govern(scene: Scene, contract: Contract, function: str, *arguments: object) -> None:
    deployer = Sender.of(scene.live.live.rpc, scene.live.live.market.accounts.deployer)
    deployer.call(contract, function, *arguments)
    deployer.mine()


def remove_liquidator(scene: Scene) -> None:
    """Take the Liquidator out of the Comptroller's storage: governance cannot."""
    rpc, comptroller = scene.live.live.rpc, scene.live.venus.comptroller
    wanted = int(scene.live.venus.liquidator, 16)
    slots = range(100)
    words = rpc.batch(("eth_getStorageAt", [comptroller, hex(one), "latest"]) for one in slots)
    (slot,) = [one for one, word in zip(slots, words, strict=True) if int(word, 16) == wanted]
    rpc.call("anvil_setStorageAt", comptroller, hex(slot), "0x" + "00" * 32)
    rpc.call("evm_mine")


def some_option(scene: Scene, look: Look) -> tuple[AccountRef, Option]:
    view = scene.view(look, ahead=1)
    for ref, position in sorted(look.positions.items()):
        for option in scene.adapter.options(view, position):
            return ref, option
    msg = "expected somebody to liquidate, found nobody"
    raise AssertionError(msg)


def all_options(scene: Scene, look: Look) -> list[tuple[AccountRef, Option]]:
    view = scene.view(look, ahead=1)
    return [
        (ref, option)
        for ref, position in sorted(look.positions.items())
        for option in scene.adapter.options(view, position)
    ]


def healthy_pair(scene: Scene, look: Look) -> tuple[AccountRef, Option]:
    view = scene.view(look, ahead=1)
    markets = look.market.markets
    for ref, position in sorted(look.positions.items()):
        health = scene.adapter.assess(view, position)
        held = [markets[one.market] for one in position.entries if one.tokens]
        owed = [one for one in position.entries if one.principal]
        if not health.liquidatable and held and owed and not markets[owed[0].market].native:
            debt = markets[owed[0].market]
            key = f"{held[0].token}:{debt.token}"
            return ref, Option(collateral=held[0].asset, debt=debt.asset, max_repay=1, key=key)
    msg = "expected a healthy borrower, found none"
    raise AssertionError(msg)


async def test_without_a_liquidator_contract_a_refusal_is_soft(scene: Scene):
    remove_liquidator(scene)
    look = await scene.look()
    assert look.market.liquidator is None
    ref, option = healthy_pair(scene, look)
    view = scene.view(look, ahead=1)
    collateral, debt = (Address(one) for one in option.key.split(":"))
    assert await judge(scene, look, ref, option, 10**6) is Refusal.HEALTHY
    (done,) = await scene.run(look, liquidate_call(view, ref, collateral, debt, 10**6))
    assert done.success
    assert len(failures(done.logs)) == 1
    assert scene.adapter.decode(view, done.logs) == ()


async def test_without_a_liquidator_contract_options_liquidate_as_quoted(scene: Scene):
    remove_liquidator(scene)
    for token in scene.live.markets.values():
        for asset in scene.live.live.tokens.values():
            data = asset.encode("approve", token.address, 2**255)
            scene.live.live.rpc.call(
                "eth_sendTransaction",
                {"from": scene.supplier, "to": asset.address, "data": "0x" + data.hex()},
            )
    look = await scene.look()
    quotes = [
        await judge(scene, look, ref, option, option.max_repay)
        for ref, option in all_options(scene, look)
    ]
    assert len(quotes) > 10
    assert all(isinstance(one, SeizeQuote) and one.protocol_fee == 0 for one in quotes)


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
    chainlink = await chainlink_oracle(scene)
    rpc, deployer = scene.live.live.rpc, scene.live.live.market.accounts.deployer
    data = selector("setDirectPrice(address,uint256)") + word_of_address(token)
    data += word_of_int(99 * 10**16)
    call = {"from": deployer, "to": chainlink, "data": "0x" + data.hex()}
    rpc.call("eth_sendTransaction", call)
    rpc.call("evm_mine")  # anvil answers before its own mining is done
    look = await scene.look()
    (feed,) = [one for one in scene.adapter.feeds(look.market) if one.label == "DAI"]
    assert not feed.direct
    assert feed.source == scene.live.venus.oracle
    assert look.prices[feed.id].value == 99 * 10**16
    assert look.prices[feed.id] != before.prices[feed.id]


async def chainlink_oracle(scene: Scene) -> Address:
    """Return the oracle that the resilient one asks first."""
    token = scene.live.live.market.asset("DAI").token
    call = ask_address(scene.live.venus.oracle, codec.GET_TOKEN_CONFIG, token)
    (answer,) = await scene.chain.reader.call_many([call], await scene.chain.reader.head())
    return address_at(answer.data, 1)


async def test_status_one_is_not_success(scene: Scene):
    """A program whose market refuses softly runs to its end, and liquidates nobody."""
    remove_liquidator(scene)
    look = await scene.look()
    who = scene.live.live.market.accounts
    executor = deploy_executor(
        scene.live.live.rpc, owner=who.deployer, operator=who.keeper, recipient=who.recipient
    )
    look = await scene.look()
    ref, option = healthy_pair(scene, look)
    view = scene.view(look, ahead=1)
    quote = SeizeQuote(repay=10**6, seized=0, protocol_fee=0)
    calls = [
        Call(target=one.target, selector=one.data[:4], parts=call_parts(one.data)[1])
        for one in scene.adapter.calls(view, ref, option, quote, executor)
    ]
    program = Program(
        deadline=look.block.timestamp + 100,
        profit_token=scene.live.live.market.weth,
        min_profit=0,
        steps=tuple(calls),
    )
    transaction = Transaction(sender=who.keeper, to=executor, data=encode(program))
    (done,) = await scene.chain.simulator.simulate(
        [transaction],
        base=look.block,
        timestamp=look.block.timestamp + 12,
        base_fee=0,
        overrides={},
    )
    assert done.success
    assert failures(done.logs) == [FAILURES[Refusal.HEALTHY]]
    assert scene.adapter.decode(view, done.logs) == ()


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
