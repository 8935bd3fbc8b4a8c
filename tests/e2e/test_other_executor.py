"""Started with another executor contract, or after its owner set another recipient: the books."""

from pathlib import Path

import pytest
import yaml

from keeper.core.plan import Status
from keeper.core.units import Address
from keeper.devnet.executor import deploy_executor
from keeper.evm.words import selector, word_of_address
from tests.support.market_node import MarketNode
from tests.support.sending_stage import CHEAP, FALLEN, SendingStage, armed, stop
from tests.support.sending_stage import stage as staged

OTHER = Address("0x" + "77" * 20)
"""Who is paid from then on."""


@pytest.fixture
def stage(market_copy: MarketNode, tmp_path: Path) -> SendingStage:
    return staged(market_copy, tmp_path)


def pay_another(stage: SendingStage) -> None:
    """Have the executor's owner set another recipient."""
    data = "0x" + (selector("setRecipient(address)") + word_of_address(OTHER)).hex()
    owner = stage.node.market.accounts.deployer
    set_ = {"from": owner, "to": stage.executor, "data": data, "gas": hex(200_000)}
    tx_hash = stage.rpc("eth_sendTransaction", set_)
    stage.mine(base_fee=CHEAP)
    assert stage.rpc("eth_getTransactionReceipt", tx_hash)["status"] == "0x1"


def deploy_anew(stage: SendingStage) -> None:
    """Deploy another executor, which pays another recipient, and configure it."""
    who = stage.node.market.accounts
    stage.rpc("evm_setAutomine", True)
    executor = deploy_executor(
        stage.node.live.rpc, owner=who.deployer, operator=who.keeper, recipient=OTHER
    )
    stage.rpc("evm_setAutomine", False)
    root = yaml.safe_load(stage.config.read_text("utf-8"))
    stage.config.write_text(yaml.safe_dump(root | {"executor": executor}), "utf-8")


@pytest.mark.parametrize("change", [pay_another, deploy_anew])
def test_what_landed_before_is_in_the_books_as_it_was_paid_out_then(stage, change):
    with armed(stage) as keeper:
        stage.move(FALLEN, base_fee=CHEAP)
        stage.until_sent(keeper)
        keeper.kill()
    stage.mine(base_fee=CHEAP)
    signed = stage.sql("SELECT plan_id, tx_hash FROM submissions")
    left = {plan for plan, tx in signed if stage.rpc("eth_getTransactionReceipt", tx)}
    grown = stage.grown()
    change(stage)
    with armed(stage) as keeper:
        stage.mine_seen(keeper, base_fee=CHEAP)
        stage.settle(keeper)
        stop(keeper)
    landed = [one for one in stage.books().entries if one.plan_id in left]
    assert {one.plan_id for one in landed} == left != set()
    assert {one.status for one in landed} == {Status.LANDED}
    assert sum(one.realised.net for one in landed) == grown > 0
    assert [one.realised.flash_fee for one in landed] == [one.forecast.flash_fee for one in landed]
    assert all(one.realised.flash_fee for one in landed)
