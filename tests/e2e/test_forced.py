"""Bad debt on a real market that no liquidation pays for: closed at a loss, within a budget."""

from pathlib import Path

import pytest
import yaml

from keeper.core.plan import Status
from keeper.core.units import Address
from keeper.devnet.live import AccountData, account_data
from keeper.ledger.books import Entry, Missed
from tests.support.keeper_process import KeeperProcess, until
from tests.support.market_node import MarketNode
from tests.support.sending_stage import CHEAP, DEAR, GWEI, SendingStage, armed, stop
from tests.support.sending_stage import stage as staged

DOLLAR = 10**8
DEEP = 8_000
"""Price of ether in basis points of that before: small loans owe more than their ether brings."""

USUAL = 10 * GWEI
"""Base fee of blocks in which closing a small loan takes some five thousandths of an ether."""

BUDGET = 21 * 10**15
"""For one transaction and for the day: a little more than one may cost at most, and less than that
and what one costs in fact."""


@pytest.fixture
def stage(market_copy: MarketNode, tmp_path: Path) -> SendingStage:
    return staged(market_copy, tmp_path)


def allow(stage: SendingStage, *, each: int, day: int) -> None:
    """Write the section into the deployment's file."""
    path = stage.config.with_name("aave_v3.local.yaml")
    content = yaml.safe_load(path.read_text("utf-8"))
    content["forced"] = {"max_loss_per_tx_wei": each, "max_loss_per_day_wei": day}
    path.write_text(yaml.safe_dump(content), "utf-8")


def finish(stage: SendingStage, keeper: KeeperProcess, *, base_fee: int) -> None:
    """Mine until nothing is in flight, and stop the keeper."""
    for _ in range(8):
        if not stage.open_intents():
            break
        stage.mine_seen(keeper, base_fee=base_fee)
    stop(keeper)


def run(stage: SendingStage, *, blocks: int, base_fee: int) -> None:
    """Let an armed keeper deal with so many blocks and with what it sent."""
    with armed(stage) as keeper:
        for _ in range(blocks):
            stage.mine_seen(keeper, base_fee=base_fee)
        finish(stage, keeper, base_fee=base_fee)


def run_into_a_dear_block(stage: SendingStage) -> None:
    """The same, where what is sent at first misses a block that it cannot pay for."""
    with armed(stage) as keeper:
        stage.until_sent(keeper)
        stage.mine_seen(keeper, base_fee=DEAR)
        until(lambda: bool(keeper.events("transaction.not_replaced")))
        assert not keeper.events("liquidation.given_up")
        for _ in range(3):
            stage.mine_seen(keeper, base_fee=USUAL)
        finish(stage, keeper, base_fee=USUAL)


def on_chain(stage: SendingStage, account: Address) -> AccountData:
    (found,) = account_data(stage.node.live, [account])
    return found


def insolvent(stage: SendingStage) -> dict[Address, Missed]:
    """Return who was left alone and has collateral that ether's 5 % leaves too little of."""
    found = {}
    for one in stage.books().missed:
        data = on_chain(stage, one.account)
        if DOLLAR < data.collateral_base < data.debt_base * 105 // 100:
            found[one.account] = one
    return found


def forced(stage: SendingStage) -> list[Entry]:
    return [entry for entry in stage.books().entries if entry.forced]


def test_bad_debt_is_left_alone_then_closed_at_a_loss_until_the_budget_is_used_up(
    stage: SendingStage,
) -> None:
    stage.move(DEEP, base_fee=CHEAP)
    run(stage, blocks=3, base_fee=CHEAP)
    left = insolvent(stage)
    assert len(left) == 2
    assert {one.reason for one in left.values()} == {"below_min_profit"}
    assert all(one.net is not None and one.net < 0 for one in left.values())
    assert forced(stage) == []
    owed = {account: on_chain(stage, account).debt_base for account in left}
    ordinary = stage.books().total.realised.net
    assert ordinary == stage.grown() > 0

    allow(stage, each=BUDGET, day=BUDGET)
    stage.mine(base_fee=USUAL)
    run_into_a_dear_block(stage)
    (entry,) = forced(stage)
    ((at_stake,),) = stage.sql("SELECT gas_at_stake FROM intents WHERE forced")
    assert -entry.realised.net < int(at_stake) <= BUDGET
    assert (entry.status, entry.account in left) == (Status.LANDED, True)
    assert entry.realised.net < 0
    assert stage.books().total.realised.net == stage.grown()
    assert stage.grown() - ordinary == entry.realised.net
    closed = on_chain(stage, entry.account)
    assert closed.collateral_base == 0
    assert closed.debt_base < owed[entry.account] // 10
    (other,) = insolvent(stage).values()
    assert other.reason == "forced_budget"
    assert f"wei over the budget of {BUDGET} wei" in other.detail
    assert on_chain(stage, other.account).debt_base >= owed[other.account]

    run(stage, blocks=2, base_fee=USUAL)
    assert forced(stage) == [entry]
    assert "aave_v3.local: forced: on" in stage.command("doctor").stdout

    allow(stage, each=BUDGET, day=2 * BUDGET)
    run(stage, blocks=3, base_fee=USUAL)
    assert insolvent(stage) == {}
    assert {one.account for one in forced(stage)} == set(left)
    assert stage.books().total.realised.net == stage.grown()
    assert stage.books().forced.realised.net == stage.grown() - ordinary < 0
