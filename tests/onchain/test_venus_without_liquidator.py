"""Venus without its Liquidator: a refusal is a status of one, which is no success."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from keeper.core.chain import Transaction
from keeper.core.lending import SeizeQuote
from keeper.core.units import Address
from keeper.devnet.executor import deploy_executor
from keeper.evm.program import Call, Program, call_parts
from keeper.evm.program_encoder import encode
from keeper.protocols.compound_v2.refusals import FAILURES, Refusal
from tests.support.others import fall
from tests.support.venus_governance import all_options, healthy_pair, open_copy, remove_liquidator
from tests.support.venus_scene import Scene, VenusNode, built_venus, failures, judge, liquidate_call


@pytest.fixture(scope="module")
def venus_node(anvil_binary: Path) -> Iterator[VenusNode]:
    with built_venus(anvil_binary) as node:
        fall(node.live.live, 5)
        yield node


@pytest.fixture
async def scene(anvil_binary: Path, venus_node: VenusNode) -> AsyncIterator[Scene]:
    async with open_copy(anvil_binary, venus_node) as opened:
        yield opened


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
