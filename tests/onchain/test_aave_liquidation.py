"""What a liquidation takes, gives and refuses, as a real Aave V3 Pool does it."""

from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from keeper.core.lending import AccountRef, Option, SeizeQuote
from keeper.core.units import MAX_UINT256
from keeper.devnet.actions import random_actions
from keeper.devnet.crash import crash
from keeper.devnet.sender import Sender, held_mining
from keeper.protocols.aave_v3.refusals import Refusal
from keeper.protocols.aave_v3.state import AaveMarket
from tests.support.aave_scene import Look, Scene, judge, open_scene, pairs_of, quote_of
from tests.support.market_node import MarketNode, copied_market

NEXT_BLOCK_S = 12


@pytest.fixture
async def scene(anvil_binary: Path, local_market: MarketNode) -> AsyncIterator[Scene]:
    with copied_market(anvil_binary, local_market) as node:
        async with open_scene(node.live, node.anvil.http_url) as opened:
            yield opened


async def crashed(scene: Scene) -> tuple[Look, AaveMarket]:
    random_actions(scene.live, seed=5, count=60)
    for step in crash(scene.live):
        if step.number == 6:
            break
    look = await scene.look()
    timestamp = look.block.timestamp + NEXT_BLOCK_S
    return look, scene.adapter.at(look.market, timestamp=timestamp, prices=look.prices)


async def test_every_option_liquidates_as_quoted(scene: Scene):
    look, view = await crashed(scene)
    random = Random(1)  # noqa: S311 - a sample, not a secret
    quoted = 0
    for ref, position in sorted(look.positions.items()):
        for option in scene.adapter.options(view, position):
            most = option.max_repay
            for offer in (most, most // 2, random.randrange(1, most + 1)):
                found = await judge(scene, look, view, ref, option, offer)
                assert isinstance(found, SeizeQuote)
                assert found.repay <= offer
                quoted += 1
    assert quoted > 60


async def test_nothing_beyond_the_maximum_is_repaid(scene: Scene):
    look, view = await crashed(scene)
    compared = 0
    for ref, position in sorted(look.positions.items()):
        for option in scene.adapter.options(view, position):
            done = await scene.liquidate(look, ref, option, MAX_UINT256, view.timestamp)
            assert done.success
            taken = quote_of(scene, view, done.logs)
            assert taken.repay <= option.max_repay
            # The fee is clipped to what rounding left of the balance: a wei may stay.
            left = dict(held(scene, view, ref, look))[option.collateral] - taken.seized
            assert left in (0, 1) or taken.repay == option.max_repay
            compared += 1
    assert compared > 20


def held(scene: Scene, view: AaveMarket, ref: AccountRef, look: Look):
    legs = scene.adapter.legs(view, look.positions[ref])
    return [(leg.asset, leg.amount) for leg in legs.collateral]


async def test_what_the_pool_refuses_is_foretold_with_its_reason(scene: Scene):
    look, view = await crashed(scene)
    random = Random(2)  # noqa: S311 - a sample, not a secret
    said: dict[Refusal, int] = {}
    assets = [one.asset for one in view.reserves if one is not None]
    for ref in random.sample(sorted(look.positions), 60):
        pairs = pairs_of(view, look.positions[ref])
        strange = (random.choice(assets), random.choice(assets))
        for collateral, debt in (*pairs[:2], strange):
            option = Option(collateral=collateral, debt=debt, max_repay=0)
            for offer in (MAX_UINT256, 1, 0):
                found = await judge(scene, look, view, ref, option, offer)
                if isinstance(found, Refusal):
                    said[found] = said.get(found, 0) + 1
    for expected in (Refusal.HEALTHY, Refusal.NOT_COLLATERAL, Refusal.BURN_OF_NOTHING):
        assert said.get(expected), said


async def test_healthy_accounts_have_no_options_and_are_refused(scene: Scene):
    look = await scene.look()
    view = scene.adapter.at(look.market, timestamp=look.block.timestamp + 1, prices=look.prices)
    for ref, position in sorted(look.positions.items())[:40]:
        assert scene.adapter.options(view, position) == ()
        collateral, debt = pairs_of(view, position)[0]
        option = Option(collateral=collateral, debt=debt, max_repay=0)
        found = await judge(scene, look, view, ref, option, MAX_UINT256)
        assert found is Refusal.HEALTHY


async def test_a_liquidation_in_a_block_is_decoded_with_its_fee(scene: Scene):
    look, view = await crashed(scene)
    ref, option = next(
        (ref, scene.adapter.options(view, position)[0])
        for ref, position in sorted(look.positions.items())
        if scene.adapter.options(view, position)
    )
    quote = scene.adapter.seize(view, look.positions[ref], option, option.max_repay)
    supplier = scene.live.market.accounts.supplier
    (call,) = scene.adapter.calls(view, ref, option, quote, supplier)
    sender = Sender.of(scene.live.rpc, supplier)
    sender.add("liquidate", to=call.target, data=call.data)
    with held_mining(scene.live.rpc):
        ((_, tx_hash),) = sender.submit()
        scene.live.rpc.call("evm_setNextBlockTimestamp", view.timestamp)
        scene.live.rpc.call("evm_mine")
    receipt = await scene.chain.wire.receipt(tx_hash)
    assert receipt is not None
    assert receipt.success
    (found,) = scene.adapter.decode(look.market, receipt.logs)
    assert (found.ref, found.collateral, found.debt) == (ref, option.collateral, option.debt)
    assert (found.repaid, found.seized, found.protocol_fee) == (
        quote.repay,
        quote.seized,
        quote.protocol_fee,
    )
    assert found.protocol_fee > 0
    assert found.liquidator == supplier
    assert found.tx_hash == tx_hash
