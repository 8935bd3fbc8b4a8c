"""The gas of the executor's main shapes, as ``contracts/gas-snapshot.json`` has it on record."""

import json
import os
from collections.abc import Callable

from keeper.core.chain import Transaction
from keeper.core.lending import Option
from keeper.devnet.executor import deploy_executor
from keeper.evm.program_encoder import encode
from keeper.planner.build import protocol_call
from tests.support import isolated_scene, venus_scene
from tests.support.executor_market import flash, program, repay_leg
from tests.support.executor_stage import ROOT

SNAPSHOT = ROOT / "contracts" / "gas-snapshot.json"
WRITING = "KEEPER_WRITE_GAS_SNAPSHOT"
TOLERANCE_BPS = 100
"""Amounts follow the clock of the build, and with them a few bytes of calldata."""

Scene = venus_scene.Scene | isolated_scene.Scene


def on_record(name: str, gas: int) -> None:
    """Compare the gas of a shape with the snapshot, or write it."""
    kept = json.loads(SNAPSHOT.read_text("utf-8")) if SNAPSHOT.exists() else {}
    if os.environ.get(WRITING):
        text = json.dumps(dict(sorted((kept | {name: gas}).items())), indent=2)
        SNAPSHOT.write_text(text + "\n", "utf-8")
        return
    expected = kept[name]
    assert abs(gas - expected) * 10_000 <= TOLERANCE_BPS * expected, (
        f"{name}: expected {expected} gas within 1 %, found {gas}; scripts/gas_snapshot records it"
    )


async def gas_of_a_whole_liquidation(
    scene: Scene, debt: str, accepts: Callable[[Option], bool]
) -> int:
    """Return the gas of a loan, the first such liquidation for ether, and the leg that repays."""
    live, who = scene.live.live, scene.live.live.market.accounts
    executor = deploy_executor(
        live.rpc, owner=who.deployer, operator=who.keeper, recipient=who.recipient
    )
    look = await scene.look()
    view, pair = scene.view(look, ahead=1), (live.market.weth, live.market.asset(debt).token)
    ref, option = next(
        (ref, option)
        for ref, position in sorted(look.positions.items())
        for option in scene.adapter.options(view, position)
        if (option.collateral, option.debt) == pair and accepts(option)
    )
    quote = scene.adapter.seize(view, look.positions[ref], option, option.max_repay)
    calls = scene.adapter.calls(view, ref, option, quote, executor)
    borrowed = flash(
        live,
        debt,
        quote.repay + quote.headroom,
        *(protocol_call(one) for one in calls),
        repay_leg(live, "WETH", debt),
    )
    (done,) = await scene.chain.simulator.simulate(
        [Transaction(sender=who.keeper, to=executor, data=encode(program(live, borrowed)))],
        base=look.block,
        timestamp=look.block.timestamp + 12,
        base_fee=0,
        overrides={},
    )
    assert done.success, done.error
    assert len(scene.adapter.decode(view, done.logs)) == 1
    return done.gas_used
