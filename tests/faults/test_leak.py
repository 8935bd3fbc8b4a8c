"""What was private becomes public, late. Scenario 42."""

from pathlib import Path

from keeper.core.plan import Status
from tests.support.fault_desk import Desk, keeper_desk
from tests.support.fault_proxy import FaultProxy
from tests.support.market_node import MarketNode
from tests.support.relay import running_relay

RISEN = 10_000
WETH_BALANCE = "0x70a08231" + "00" * 12


def profit(desk: Desk) -> int:
    """Return the recipient's balance of the wrapped native coin, wei."""
    market = desk.node.market
    call = {"to": market.weth, "data": WETH_BALANCE + market.accounts.recipient[2:]}
    return int(desk.rpc("eth_call", call, "latest"), 16)


async def test_42_private_transactions_that_leak_when_they_no_longer_pay_revert_for_their_gas(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    with running_relay(market.anvil.http_url) as relay:
        lane = {"kind": "private", "name": "protect", "rpc": relay.url}
        chain, root = {"lanes": [lane]}, {"sending": {"lane": "protect"}}
        async with keeper_desk(tmp_path, market, [proxy.ws_url], chain=chain, root=root) as desk:
            before = profit(desk)
            desk.fall()
            await desk.until(lambda: bool(desk.ears.sent_plans), mining=True)
            raws = ["0x" + submission.raw.hex() for _, submission in desk.ears.sent_plans]
            desk.fall(RISEN)
            await desk.at_head()
            for raw in raws:
                desk.rpc("eth_sendRawTransaction", raw)
            await desk.settle()
            ended = {one.plan_id: one for one in desk.ears.outcomes}
            found = {ended[plan.id].status for plan, _ in desk.ears.sent_plans}
            assert found == {Status.REVERTED}
            assert all(one.realised.net == -one.realised.gas < 0 for one in ended.values())
            assert profit(desk) == before
            assert proxy.sent == []
            desk.require_invariants()


async def test_42_private_transactions_that_leak_after_their_deadline_revert(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    with running_relay(market.anvil.http_url) as relay:
        lane = {"kind": "bundle", "name": "builders", "rpc": [relay.url]}
        chain, root = {"lanes": [lane]}, {"sending": {"lane": "builders"}}
        async with keeper_desk(tmp_path, market, [proxy.ws_url], chain=chain, root=root) as desk:
            before = profit(desk)
            desk.fall()
            await desk.until(lambda: bool(desk.ears.sent_plans), mining=True)
            (plan, submission), *_ = desk.ears.sent_plans
            desk.stop.set()
            late = plan.deadline + 1
            desk.rpc("evm_setNextBlockTimestamp", late)
            tx_hash = desk.rpc("eth_sendRawTransaction", "0x" + submission.raw.hex())
            desk.mine()
            receipt = desk.rpc("eth_getTransactionReceipt", tx_hash)
            assert receipt["status"] == "0x0"
            assert profit(desk) == before
            assert proxy.sent == []
