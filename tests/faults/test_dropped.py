"""What was dropped may land after all, or leave a gap behind, until a reorg reaches it no more."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

from keeper.core.plan import Status
from keeper.core.units import Address
from keeper.executor.totals import TotalLimits, Totals
from tests.support.fault_desk import Desk, keeper_desk
from tests.support.fault_proxy import FaultProxy, Refuse
from tests.support.instant_clock import HastyClock
from tests.support.market_node import MarketNode

SEND = "eth_sendRawTransaction"
REFUSED = Refuse(code=-32000, message="txpool is full")
DEPTH = 8
"""The local chain's ``finality_depth``."""
RISEN = 10_000


def sql(desk: Desk, statement: str) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(desk.settings.database, timeout=10)) as db:
        return db.execute(statement).fetchall()


def refused(desk: Desk) -> tuple[int, str]:
    """Return the lowest nonce that was signed with, and the first transaction of it."""
    ((nonce, raw),) = sql(
        desk, "SELECT nonce, hex(raw) FROM submissions ORDER BY nonce, sequence LIMIT 1"
    )
    return int(nonce), "0x" + raw.lower()


def mined(desk: Desk, who: Address, since: int) -> dict[int, str]:
    """Return the hash of each transaction of a key on the chain after block ``since``."""
    found = {}
    for number in range(since + 1, desk.height() + 1):
        block = desk.rpc("eth_getBlockByNumber", hex(number), True)
        mine = [one for one in block["transactions"] if one["from"] == who]
        found |= {int(one["nonce"], 16): one["hash"] for one in mine}
    return found


def booked(desk: Desk) -> set[str]:
    """Return the transactions that the books have an outcome of."""
    return {hash_ for (hash_,) in sql(desk, "SELECT tx_hash FROM outcomes WHERE block > 0")}


def nobody(market: MarketNode) -> list[object]:
    """Return a transaction for a block of a reorg: empty ones would be the same blocks again."""
    who = market.market.accounts.deployer
    return [{"from": who, "to": who}, 0]


async def refuse_all(desk: Desk, proxy: FaultProxy) -> None:
    """Let the price fall, and the node refuse all that is sent; then let it rise again."""
    rule = proxy.spoil(REFUSED, method=SEND)
    desk.fall()
    await desk.until(lambda: rule.hits > 0, mining=True)
    await desk.until(lambda: not desk.session.keeper.in_flight)
    desk.fall(RISEN)
    await desk.at_head()
    proxy.heal()


async def test_what_was_refused_and_lands_after_all_is_in_the_books(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    share = Totals(TotalLimits(max_in_flight=9), now=time.time).share("local")
    async with keeper_desk(tmp_path, market, [proxy.ws_url], share=share) as desk:
        began, who = desk.height(), market.market.accounts.keeper
        await refuse_all(desk, proxy)
        assert share.spent_since(0) == 0
        nonce, raw = refused(desk)
        desk.rpc(SEND, raw)
        desk.mine()
        await desk.at_head()
        found = mined(desk, who, began)
        assert set(found) == {nonce}
        await desk.until(lambda: booked(desk) == set(found.values()), mining=True)
        ((gas,),) = sql(desk, "SELECT gas FROM outcomes WHERE block > 0")
        await desk.until(lambda: share.spent_since(0) == int(gas) > 0)  # told after the disk
        assert desk.session.keeper.sending.standing.halted is None


async def test_what_was_dropped_and_lands_when_a_reorg_frees_its_nonce_is_in_the_books(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    async with keeper_desk(tmp_path, market, [proxy.ws_url]) as desk:
        await refuse_all(desk, proxy)
        nonce, raw = refused(desk)
        desk.mine(DEPTH + 2)
        await desk.at_head()
    async with keeper_desk(
        tmp_path, market, [proxy.ws_url], executor=desk.settings.executor
    ) as again:
        began, who = again.height(), market.market.accounts.keeper
        again.fall()
        await again.until(lambda: bool(again.ears.sent_plans), mining=True)
        assert min(one.nonce for _, one in again.ears.sent_plans) == nonce
        again.mine()
        await again.at_head()
        await again.until(lambda: bool(again.ears.landed()), mining=True)
        depth = again.height() - again.ears.landed()[0].block + 1
        assert depth <= DEPTH
        again.rpc("anvil_reorg", depth, [[raw, 0]])
        await again.at_head()
        await again.settle()
        found = mined(again, who, began)
        assert found[nonce] not in {one.tx_hash for _, one in again.ears.sent_plans}
        assert set(found.values()) <= booked(again)
        again.require_invariants()


async def test_a_reorg_that_frees_the_nonce_of_what_was_dropped_leaves_no_gap(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    root = {"sending": {"on_foreign_nonce": "resync"}}
    async with keeper_desk(tmp_path, market, [proxy.ws_url], root=root, clock=HastyClock()) as desk:
        began, who = desk.height(), market.market.accounts.keeper
        desk.fall()
        await desk.until(lambda: bool(desk.ears.sent_plans), mining=True)
        await desk.until(lambda: desk.session.keeper.in_flight > 0)
        first = min((one for _, one in desk.ears.sent_plans), key=lambda one: one.nonce)
        desk.rpc("anvil_dropTransaction", first.tx_hash)
        desk.rpc("anvil_impersonateAccount", who)
        dear = {"from": who, "to": who, "nonce": hex(first.nonce), "gasPrice": hex(10**12)}
        desk.rpc("eth_sendTransaction", dear)
        desk.mine()
        used = desk.height()
        assert first.nonce in mined(desk, who, began)
        desk.rpc("evm_increaseTime", 12)
        await desk.settle()
        assert Status.DROPPED in {one.status for one in desk.ears.outcomes}
        before = desk.height() - used + 1
        assert before <= DEPTH
        desk.rpc("anvil_reorg", before, [nobody(market)])
        await desk.at_head()
        await desk.settle()
        assert desk.session.keeper.in_flight == 0
        found = mined(desk, who, began)
        assert sorted(found) == list(range(first.nonce, first.nonce + len(found)))
        assert set(found.values()) == booked(desk)
        assert desk.ears.broken == []
        await desk.require_cold_start()


async def test_what_is_of_a_deployment_that_is_no_longer_configured_ends_nothing_after_a_reorg(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    async with keeper_desk(tmp_path, market, [proxy.ws_url]) as desk:
        desk.fall()
        await desk.until(lambda: bool(desk.ears.sent_plans), mining=True)
        await desk.settle()
        landed = desk.ears.landed()[0]
    with closing(sqlite3.connect(desk.settings.database)) as db, db:
        db.execute("UPDATE intents SET deployment = 'aave_v3.gone'")
        ((raw,),) = db.execute(
            "SELECT hex(raw) FROM submissions WHERE tx_hash = ?", (landed.tx_hash,)
        )
    async with keeper_desk(
        tmp_path, market, [proxy.ws_url], executor=desk.settings.executor
    ) as again:
        assert landed.block is not None
        depth = again.height() - landed.block + 1
        again.rpc("anvil_reorg", depth, [["0x" + raw.lower(), 1]])
        for _ in range(3):
            again.mine()
            await again.at_head()
        assert not again.running.done(), again.running.exception()
        assert again.ears.pauses == []
