"""VAI's debt, to the wei: what of an offer is taken, seized and kept, and what is refused."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from random import Random

import pytest

from keeper.core.lending import AccountRef, Option, SeizeQuote
from keeper.core.units import WAD
from keeper.core.values import replace
from keeper.devnet.crash import crash
from keeper.devnet.sender import Sender
from keeper.devnet.venus_actions import random_actions
from keeper.protocols.compound_v2 import codec
from keeper.protocols.compound_v2.case import KEY_SEPARATOR
from keeper.protocols.compound_v2.health import accrued_vai_debt
from keeper.protocols.compound_v2.refusals import Refusal
from tests.support.venus_governance import govern, open_copy, remove_liquidator
from tests.support.venus_scene import (
    Look,
    Scene,
    VenusNode,
    built_venus,
    differences,
    judge,
)


@pytest.fixture(scope="module")
def venus_node(anvil_binary: Path) -> Iterator[VenusNode]:
    with built_venus(anvil_binary) as node:
        random_actions(node.live, seed=11, count=80)
        for step in crash(node.live.live):
            if step.number == 8:
                break
        yield node


@pytest.fixture
async def scene(anvil_binary: Path, venus_node: VenusNode) -> AsyncIterator[Scene]:
    async with open_copy(anvil_binary, venus_node) as opened:
        yield opened


def pairs(scene: Scene, look: Look) -> list[tuple[AccountRef, Option, int]]:
    """Return every account's collaterals with its VAI, and what it owes of that."""
    view, vai = scene.view(look, ahead=1), look.market.vai
    assert vai is not None
    found = []
    for ref, position in sorted(look.positions.items()):
        owed = accrued_vai_debt(view, position)
        for entry in position.entries:
            if owed and entry.tokens:
                held = look.market.markets[entry.market]
                key = KEY_SEPARATOR.join((held.token, vai.controller))
                option = Option(collateral=held.asset, debt=vai.token, max_repay=0, key=key)
                found.append((ref, option, owed))
    return found


def options(scene: Scene, look: Look) -> list[tuple[AccountRef, Option]]:
    view, vai = scene.view(look, ahead=1), look.market.vai
    assert vai is not None
    return [
        (ref, option)
        for ref, position in sorted(look.positions.items())
        for option in scene.adapter.options(view, position)
        if option.debt == vai.token
    ]


async def quoted(scene: Scene) -> list[SeizeQuote]:
    """Return the quotes of every option, each for several amounts, all held to the contracts."""
    look = await scene.look()
    random = Random(3)  # noqa: S311 - a sample, not a secret
    found = []
    for ref, option in options(scene, look):
        most = option.max_repay
        for repay in (most, most // 3 + 1, *(random.randrange(1, most + 1) for _ in range(3))):
            quote = await judge(scene, look, ref, option, repay)
            assert isinstance(quote, SeizeQuote)
            found.append(quote)
    assert len(found) >= 10
    return found


async def test_the_liquidator_keeps_what_the_controller_leaves_of_an_offer(scene: Scene):
    assert all(one.offer is None for one in await quoted(scene))


async def test_without_a_liquidator_what_is_left_of_an_offer_stays_ours(scene: Scene):
    remove_liquidator(scene)
    uneven = [one for one in await quoted(scene) if one.offer is not None]
    assert uneven
    assert all(one.offer is not None and one.repay < one.offer for one in uneven)


async def test_a_debt_that_was_repaid_in_part_keeps_its_past_interest_in_proportion(scene: Scene):
    before = await scene.look()
    owing = [ref for ref, one in before.positions.items() if one.vai_minted]
    supplier = Sender.of(scene.live.live.rpc, scene.supplier)
    for number, ref in enumerate(owing):
        amount = WAD + number * 10**17 + 13
        supplier.call(scene.live.vai_controller, "repayVAIBehalf", ref.account, amount)
    supplier.mine()
    scene.live.live.rpc.call("anvil_mine", hex(500))
    look = await scene.follow(before)
    assert await differences(scene, look) == []
    for ref, option in options(scene, look):
        assert isinstance(await judge(scene, look, ref, option, option.max_repay), SeizeQuote)


async def test_every_refusal_is_foreseen(scene: Scene):
    look = await scene.look()
    random = Random(2)  # noqa: S311 - a sample, not a secret
    found = Counter[Refusal | type[SeizeQuote]]()
    for ref, option, owed in pairs(scene, look):
        for repay in (0, 1, random.randrange(owed), owed // 2 + 1, owed * 2):
            said = await judge(scene, look, ref, option, repay)
            found[said if isinstance(said, Refusal) else SeizeQuote] += 1
    assert found[SeizeQuote] > 0
    assert found[Refusal.TOO_MUCH_REPAY] > 0
    assert found[Refusal.NO_AMOUNT] + found[Refusal.HEALTHY] > 0


async def test_without_a_liquidator_contract_a_refusal_is_soft(scene: Scene):
    remove_liquidator(scene)
    look = await scene.look()
    ref, option, owed = pairs(scene, look)[0]
    said = await judge(scene, look, ref, option, owed)
    assert said in (Refusal.TOO_MUCH_REPAY, Refusal.HEALTHY)


async def test_forced_vai_is_liquidated_in_full_and_in_health(scene: Scene):
    before = await scene.look()
    ref, option, owed = pairs(scene, before)[-1]
    controller = scene.live.venus.vai_controller
    args = (ref.account, controller, True)
    govern(scene, scene.live.comptroller, "_setForcedLiquidationForUser", *args)
    one = await scene.follow(before)
    assert one.positions[ref].vai_forced
    view = scene.view(one, ahead=1)
    assert scene.adapter.assess(view, one.positions[ref]).liquidatable
    mine = [o for who, o in options(scene, one) if who == ref and o.key == option.key]
    quote = await judge(scene, one, ref, mine[0], mine[0].max_repay)
    assert isinstance(quote, SeizeQuote)
    assert quote.repay > owed // 2
    govern(scene, scene.live.comptroller, "_setForcedLiquidation", controller, True)
    everyone = await scene.follow(one)
    assert everyone.market.vai is not None
    assert everyone.market.vai.forced
    assert len(options(scene, everyone)) >= len(options(scene, before))


async def test_a_pause_of_everything_is_foreseen(scene: Scene):
    before = await scene.look()
    ref, option = options(scene, before)[0]
    govern(scene, scene.live.comptroller, "_setProtocolPaused", True)
    look = await scene.follow(before)
    assert await judge(scene, look, ref, option, option.max_repay) is Refusal.PROTOCOL_PAUSED
    assert options(scene, look) == []


async def test_a_pause_of_vai_alone_is_foreseen(scene: Scene):
    """Nobody can set it any more; where it was set it still stops every repayment."""
    before = await scene.look()
    ref, option = options(scene, before)[0]
    pause_vai(scene)
    look = await scene.look()
    assert await judge(scene, look, ref, option, option.max_repay) is Refusal.VAI_PAUSED
    assert options(scene, look) == []


def pause_vai(scene: Scene) -> None:
    """Set ``repayVAIGuardianPaused`` in the Comptroller's storage."""
    rpc, comptroller = scene.live.live.rpc, scene.live.venus.comptroller
    ask = {"to": comptroller, "data": "0x" + codec.VAI_REPAY_PAUSED.hex()}
    for slot in range(20, 40):
        was = rpc.call("eth_getStorageAt", comptroller, hex(slot), "latest")
        for byte in range(32):
            word = int(was, 16) | 1 << 8 * byte
            rpc.call("anvil_setStorageAt", comptroller, hex(slot), f"0x{word:064x}")
            if int(rpc.call("eth_call", ask, "latest"), 16):
                rpc.call("evm_mine")
                return
        rpc.call("anvil_setStorageAt", comptroller, hex(slot), was)
    msg = "expected a flag that pauses VAI, found none"
    raise AssertionError(msg)


async def test_vai_that_must_go_first_may_go(scene: Scene):
    before = await scene.look()
    govern(scene, scene.live.liquidator, "setMinLiquidatableVAI", WAD)
    govern(scene, scene.live.liquidator, "resumeForceVAILiquidate")
    look = await scene.follow(before)
    ref, option = options(scene, look)[0]
    others = scene.adapter.options(scene.view(look, ahead=1), look.positions[ref])
    assert {o.debt for o in others} == {option.debt}
    assert isinstance(await judge(scene, look, ref, option, option.max_repay), SeizeQuote)


async def test_a_position_whose_vai_is_not_what_is_held_is_found_by_the_audit(scene: Scene):
    look = await scene.look()
    ref = pairs(scene, look)[0][0]
    wrong = replace(look.positions[ref], vai_minted=look.positions[ref].vai_minted + 10**6)
    view = scene.view(look)
    found = await scene.adapter.audit(scene.chain.reader, look.block, view, {ref: wrong})
    assert not found[ref].agree
