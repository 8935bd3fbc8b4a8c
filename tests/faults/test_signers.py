"""Several signers side by side: nonces, balance floors and foreign use are each one's own."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from keeper.core.errors import ConfigError
from keeper.core.plan import Status
from keeper.devnet.accounts import KEEPER_KEY
from keeper.evm.keys import parse_key
from keeper.evm.transaction import LocalSigner
from keeper.executor.tending import CANCELLED, RAISED
from tests.support.fault_desk import Desk, keeper_desk
from tests.support.fault_proxy import FaultProxy, Refuse
from tests.support.market_node import MarketNode
from tests.support.proxy_faults import Json, Lie

CHAIN_ID = 31337
SIGNERS = [
    LocalSigner(key, chain_id=CHAIN_ID)
    for key in (parse_key(KEEPER_KEY), b"\x31" * 32, b"\x32" * 32)
]
FIRST, SECOND, THIRD = (one.address for one in SIGNERS)
SEND = "eth_sendRawTransaction"
DIPPED = 9_505
"""Ether in basis points of its first price: a few loans are under the line."""
OVER_ALL = 60 * 10**9
"""A base fee over what anything in flight offers."""


def fund(market: MarketNode) -> None:
    for one in (SECOND, THIRD):
        market.live.rpc.call("anvil_setBalance", one, hex(10**19))


def senders(desk: Desk) -> Counter[str]:
    return Counter(submission.sender for _, submission in desk.ears.sent_plans)


async def test_loans_are_spread_over_the_signers_and_all_land_in_one_block(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    fund(market)
    async with keeper_desk(tmp_path, market, [proxy.ws_url], keys=lambda: SIGNERS) as desk:
        desk.fall()
        await desk.until(lambda: bool(desk.ears.sent_plans), mining=True)
        await desk.settle()
        found = senders(desk)
        assert set(found) == {FIRST, SECOND, THIRD}
        assert max(found.values()) - min(found.values()) <= 1
        landed = desk.ears.landed()
        assert len(landed) == len(desk.ears.sent_plans)
        await desk.require_cold_start()
        desk.require_invariants()


async def test_a_signer_without_gas_money_is_passed_over_and_the_others_send(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    fund(market)
    market.live.rpc.call("anvil_setBalance", SECOND, hex(10**16))
    async with keeper_desk(tmp_path, market, [proxy.ws_url], keys=lambda: SIGNERS) as desk:
        desk.fall()
        await desk.until(lambda: bool(desk.ears.sent_plans), mining=True)
        await desk.settle()
        assert set(senders(desk)) == {FIRST, THIRD}
        assert len(desk.ears.landed()) == len(desk.ears.sent_plans)
        desk.require_invariants()


async def test_foreign_use_of_one_key_right_after_the_start_halts_all(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    fund(market)
    async with keeper_desk(tmp_path, market, [proxy.ws_url], keys=lambda: SIGNERS) as desk:
        desk.rpc("anvil_impersonateAccount", THIRD)
        desk.rpc("eth_sendTransaction", {"from": THIRD, "to": FIRST, "value": "0x1"})
        desk.mine()
        standing = desk.session.keeper.sending.standing
        await desk.until(lambda: standing.halted is not None)
        assert standing.halted is not None
        assert f"key of {THIRD}: nonce 0" in standing.halted
        desk.fall()
        await desk.at_head()
        desk.mine()
        await desk.at_head()
        assert proxy.sent == []
        desk.require_invariants()


async def test_a_refused_transaction_leaves_no_gap_at_any_signer(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    fund(market)
    async with keeper_desk(tmp_path, market, [proxy.ws_url], keys=lambda: SIGNERS) as desk:
        rule = proxy.spoil(Refuse(code=-32000, message="txpool is full"), method=SEND, count=2)
        desk.fall()
        await desk.until(lambda: rule.hits >= 2 and bool(desk.ears.sent_plans), mining=True)
        await desk.settle()
        desk.fall(8_300)
        await desk.settle()
        ended = {one.plan_id: one.status for one in desk.ears.outcomes}
        assert all(ended[plan.id] is Status.LANDED for plan, _ in desk.ears.sent_plans)
        desk.require_invariants()


async def test_a_restart_knows_the_nonces_of_each_signer(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    fund(market)
    async with keeper_desk(tmp_path, market, [proxy.ws_url], keys=lambda: SIGNERS) as desk:
        desk.fall()
        await desk.until(lambda: bool(desk.ears.sent_plans), mining=True)
        sent = {one.tx_hash: one for _, one in desk.ears.sent_plans}
        desk.running.cancel()
    async with keeper_desk(
        tmp_path, market, [proxy.ws_url], keys=lambda: SIGNERS, executor=desk.settings.executor
    ) as again:
        restored = again.session.keeper.sending.flight
        assert {one.tx_hash for one, _ in restored.in_order()} == set(sent)
        again.ears.sent_plans += desk.ears.sent_plans
        await again.settle()
        assert {one.tx_hash for one in again.ears.landed()} >= set(sent)
        again.require_invariants()


async def test_a_key_that_is_there_twice_is_refused_before_anything_is_sent(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    """As one at hand that a web3signer has too: each of the two would raise and cancel it all."""
    twice = [SIGNERS[0], LocalSigner(parse_key(KEEPER_KEY), chain_id=CHAIN_ID)]
    with pytest.raises(ConfigError, match=f"expected each key once, found that of {FIRST} twice"):
        async with keeper_desk(tmp_path, market, [proxy.ws_url], keys=lambda: twice):
            pass


async def test_nothing_is_given_to_a_signer_behind_what_missed_its_block(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    fund(market)
    root = {"sending": {"replace_after_blocks": 20}}
    async with keeper_desk(
        tmp_path, market, [proxy.ws_url], keys=lambda: SIGNERS, root=root
    ) as desk:
        desk.fall(DIPPED)
        await desk.until(lambda: FIRST in senders(desk), mining=True)
        before = len(desk.ears.sent_plans)
        for _, one in desk.ears.sent_plans:
            if one.sender == FIRST:
                desk.rpc("anvil_dropTransaction", one.tx_hash)
        desk.mine()
        await desk.at_head()
        desk.fall()
        await desk.until(lambda: len(desk.ears.sent_plans) > before + 3, mining=True)
        await desk.at_head()
        later = Counter(one.sender for _, one in desk.ears.sent_plans[before:])
        assert set(later) == {SECOND, THIRD}


async def test_a_signer_whose_transactions_no_node_runs_again_keeps_no_other_from_being_tended(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    fund(market)
    async with keeper_desk(tmp_path, market, [proxy.ws_url], keys=lambda: SIGNERS) as desk:
        desk.fall()
        await desk.until(lambda: set(senders(desk)) == {FIRST, SECOND, THIRD}, mining=True)
        await desk.at_head()
        rule = proxy.spoil(Lie(alter=refused_to(FIRST)), method="eth_simulateV1")
        desk.rpc("anvil_setNextBlockBaseFeePerGas", hex(OVER_ALL))
        with capture_logs() as lines:
            desk.mine()
            await desk.until(lambda: tended(desk, lines) == {SECOND, THIRD}, mining=True)
        assert rule.hits > 0
        await desk.until(lambda: "not for this one" in str(desk.ears.skips), mining=True)
        proxy.heal()
        desk.rpc("anvil_setNextBlockBaseFeePerGas", hex(1))
        await desk.settle()
        assert len(desk.ears.outcomes) == len(desk.ears.sent_plans)
        desk.require_invariants()


def refused_to(sender: str) -> Callable[[Json, Json], Json]:
    """Return what refuses to run the transactions of one sender, and of nobody else."""

    def alter(request: Json, reply: Json) -> Json:
        (block,) = request[1]["blockStateCalls"]
        if {one["from"] for one in block["calls"]} != {sender}:
            return reply
        return Refuse(code=-32000, message="not for this one")

    return alter


def tended(desk: Desk, lines: Sequence[Mapping[str, object]]) -> set[str]:
    """Return whose transactions were raised or cancelled."""
    plans = {one["plan"] for one in lines if one["event"] in (RAISED, CANCELLED)}
    return {one.sender for plan, one in desk.ears.sent_plans if plan.id in plans}
