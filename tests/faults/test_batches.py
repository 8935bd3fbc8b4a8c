"""Several accounts in one transaction meet a competitor. Scenario 28, for each of them."""

from pathlib import Path
from typing import Any

from keeper.commands.local_run import Purse
from keeper.core.lending import AccountRef
from keeper.core.plan import Plan, Status
from keeper.ledger.books import Books, read_books
from tests.faults.test_market import rival
from tests.faults.test_signers import SIGNERS, fund
from tests.support.fault_desk import Desk, keeper_desk
from tests.support.fault_proxy import FaultProxy
from tests.support.market_node import MarketNode

TOGETHER = {"sending": {"batch": {"most": 10, "risk_bps": 0}}}


def purse(market: MarketNode) -> Purse:
    who = market.market.accounts
    return Purse(operator=who.keeper, recipient=who.recipient, wrapped_native=market.market.weth)


def batches(desk: Desk) -> dict[str, list[Plan]]:
    """Return the plans of each transaction that was sent."""
    found: dict[str, list[Plan]] = {}
    for plan, submission in desk.ears.sent_plans:
        found.setdefault(submission.tx_hash, []).append(plan)
    return found


def landed(desk: Desk) -> set[AccountRef]:
    return {one.liquidations[0].ref for one in desk.ears.landed()}


def books_of(desk: Desk) -> Books:
    return read_books(desk.settings.database)


async def test_accounts_that_fall_together_land_together_each_with_its_own_books(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    own = purse(market)
    before = own.count(market.live.rpc)
    async with keeper_desk(tmp_path, market, [proxy.ws_url], root=TOGETHER) as desk:
        desk.fall()
        await desk.until(lambda: bool(desk.ears.sent_plans))
        await desk.settle()
        sent = batches(desk)
        outcomes = desk.ears.landed()
        assert max(len(plans) for plans in sent.values()) >= 3
        assert len(proxy.sent) == len(sent) < len(outcomes)
        plans = {plan.id: plan for plan, _ in desk.ears.sent_plans}
        # A batch that a busy machine sent late is in another block than it was rehearsed for.
        in_time = [
            one for one in outcomes if one.block == plans[one.plan_id].opportunity.block.number + 1
        ]
        assert len(in_time) >= 3
        assert [one.realised for one in in_time] == [plans[one.plan_id].forecast for one in in_time]
        books = books_of(desk)
        assert {entry.status for entry in books.entries} == {Status.LANDED}
        assert books.total.realised.net == own.count(market.live.rpc) - before
        await desk.require_cold_start()
        desk.require_invariants()


async def test_28_a_competitor_for_one_account_costs_all_of_its_batch_the_revert_and_no_more(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    own = purse(market)
    before = own.count(market.live.rpc)
    async with keeper_desk(tmp_path, market, [proxy.ws_url], root=TOGETHER) as desk:
        desk.fall()
        await desk.until(lambda: bool(desk.ears.sent_plans))
        tx_hash, plans = max(batches(desk).items(), key=lambda pair: len(pair[1]))
        taken = plans[-1]
        rival(desk.node, taken)
        others = {plan.ref for plan in plans} - {taken.ref}
        for _ in range(10):
            await desk.settle()
            if others <= landed(desk) and not desk.session.keeper.in_flight:
                break
        ids = {plan.id for plan in plans}
        ended = [one for one in desk.ears.outcomes if one.plan_id in ids]
        assert {(one.status, one.tx_hash) for one in ended} == {(Status.REVERTED, tx_hash)}
        assert len(ended) == len(plans) >= 3
        receipt: Any = desk.rpc("eth_getTransactionReceipt", tx_hash)
        gas = int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16)
        assert sum(-one.realised.net for one in ended) == gas
        assert sum(one.gas_used for one in ended) == int(receipt["gasUsed"], 16)
        assert {plan.ref for plan in plans} - landed(desk) == {taken.ref}
        again = [own for own in list(batches(desk).values())[1:] if others & {o.ref for o in own}]
        assert {len(own) for own in again} == {1}
        assert desk.session.keeper._sending.standing.halted is None
        assert books_of(desk).total.realised.net == own.count(market.live.rpc) - before
        await desk.require_cold_start()
        desk.require_invariants()


async def test_a_batch_is_one_signer_s_whoever_was_to_send_its_plans(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    fund(market)
    async with keeper_desk(
        tmp_path, market, [proxy.ws_url], keys=lambda: SIGNERS, root=TOGETHER
    ) as desk:
        desk.fall()
        await desk.until(lambda: bool(desk.ears.sent_plans))
        await desk.settle()
        sent = batches(desk)
        assert max(len(plans) for plans in sent.values()) >= 3
        assert len(proxy.sent) == len(sent)
        assert {entry.status for entry in books_of(desk).entries} == {Status.LANDED}
        await desk.require_cold_start()
        desk.require_invariants()


async def test_what_a_batch_risks_is_weighed_against_what_it_saves(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    root = {"sending": {"batch": {"most": 10, "risk_bps": 10_000}}}
    async with keeper_desk(tmp_path, market, [proxy.ws_url], root=root) as desk:
        desk.fall()
        await desk.until(lambda: bool(desk.ears.sent_plans))
        await desk.settle()
        assert {len(plans) for plans in batches(desk).values()} == {1}
        desk.require_invariants()
