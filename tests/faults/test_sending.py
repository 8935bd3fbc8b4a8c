"""Sends meet faults: unanswered, dry, out of gas, another chain. Scenarios 13, 26, 27, 29, 34."""

from pathlib import Path
from typing import Any

from keeper.chain.trouble import Trouble
from keeper.core.lending import Reason
from keeper.core.plan import Status
from tests.support.fault_desk import keeper_desk
from tests.support.fault_proxy import Deaf, FaultProxy, Lie
from tests.support.market_node import MarketNode

Two = tuple[FaultProxy, FaultProxy]
SEND = "eth_sendRawTransaction"


async def test_13_a_send_without_an_answer_is_looked_up_and_never_repeated(
    market: MarketNode, tmp_path: Path, proxies: Two
) -> None:
    first, second = proxies
    async with keeper_desk(tmp_path, market, [first.url, second.url]) as desk:
        # Which of the two is asked first is for the pool to say; the other one answers.
        rules = {one: one.spoil(Deaf(), method=SEND) for one in (first, second)}
        desk.fall()
        await desk.until(lambda: any(rule.hits for rule in rules.values()))
        next(one for one, rule in rules.items() if not rule.hits).heal()
        await desk.settle()
        first.heal()
        second.heal()
        await desk.require_cold_start()
        desk.require_invariants()
        sent = first.sent + second.sent
        assert len(sent) == len(set(sent))
        assert len(desk.ears.landed()) == len(desk.ears.sent_plans)


async def test_receipts_that_are_late_while_blocks_come_fast_accuse_nobody(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    async with keeper_desk(tmp_path, market, [proxy.ws_url]) as desk:
        desk.fall()
        await desk.until(lambda: desk.session.keeper.in_flight > 0, mining=True)
        late = proxy.spoil(Lie(alter=lambda *_: None), method="eth_getTransactionReceipt")
        for _ in range(4):  # of twelve seconds each
            desk.mine()
            asked = late.hits
            await desk.until(lambda asked=asked: late.hits > asked)
            await desk.at_head()
        proxy.heal()
        await desk.settle()
        assert desk.session.keeper.sending.standing.halted is None
        assert {one.status for one in desk.ears.outcomes} == {Status.LANDED}
        desk.require_invariants()


async def test_26_below_the_balance_floor_nothing_is_sent_until_there_is_money(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    async with keeper_desk(tmp_path, market, [proxy.ws_url]) as desk:
        who = market.market.accounts.keeper
        desk.rpc("anvil_setBalance", who, hex(10**17))
        desk.fall()
        await desk.until(lambda: bool(desk.ears.rejections), mining=True)
        desk.mine(3)
        await desk.at_head()
        assert proxy.sent == []
        assert any("operator balance" in one for one in desk.ears.reasons())
        desk.require_invariants()
        desk.rpc("anvil_setBalance", who, hex(10**20))
        desk.fall(8_400)
        await desk.settle_landed()


async def test_27_29_transactions_that_run_out_of_gas_stop_all_sending(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    def less_gas(_: list[Any], blocks: Any) -> Any:
        for block in blocks:
            for call in block["calls"]:
                call["gasUsed"] = hex(int(call["gasUsed"], 16) // 4)
        return blocks

    async with keeper_desk(tmp_path, market, [proxy.ws_url]) as desk:
        proxy.spoil(Lie(alter=less_gas), method="eth_simulateV1")
        desk.fall()
        await desk.until(lambda: bool(desk.ears.sent_plans), mining=True)
        await desk.settle()
        reverted = [one for one in desk.ears.outcomes if one.status is Status.REVERTED]
        assert len(reverted) >= 3
        before = len(proxy.sent)
        desk.fall(8_200)
        await desk.settle(3)
        assert len(proxy.sent) == before
        halted = [one for one in desk.ears.rejections if one.reason is Reason.HALTED]
        assert "circuit breaker" in halted[0].detail
        desk.require_invariants()


async def test_34_another_chain_id_in_the_middle_is_refused_before_signing(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    async with keeper_desk(tmp_path, market, [proxy.ws_url]) as desk:
        proxy.spoil(Lie(alter=lambda *_: "0x1"), method="eth_chainId")
        desk.fall()
        await desk.until(lambda: "chain id" in str(desk.ears.reasons()), mining=True)
        desk.mine(3)
        await desk.at_head()
        assert proxy.sent == []
        desk.require_invariants()


async def test_34_a_node_that_was_swapped_is_left_for_the_other(
    market: MarketNode, tmp_path: Path, proxies: Two
) -> None:
    first, second = proxies

    def other(asked: list[Any], result: Any) -> Any:
        return "0x1" if asked[0] == "eth_chainId" else result

    async with keeper_desk(tmp_path, market, [first.url, second.url]) as desk:
        first.spoil(Lie(alter=other))
        await desk.until(lambda: bool(desk.told(Trouble.EXCLUDED)))
        desk.fall()
        await desk.settle_landed()
        assert first.sent == []
        await desk.require_cold_start()
        desk.require_invariants()


async def test_i3_disarmed_sends_nothing_whatever_fails(
    market: MarketNode, tmp_path: Path, proxies: Two
) -> None:
    first, second = proxies
    async with keeper_desk(tmp_path, market, [first.url, second.ws_url], armed=False) as desk:
        first.spoil(Deaf(), count=5)
        desk.fall()
        await desk.until(lambda: bool(desk.ears.plans), mining=True)
        await desk.settle(3)
        desk.require_invariants()
    asked = first.methods + second.methods
    assert [one for one in asked if one.startswith(("eth_send", "personal_"))] == []
