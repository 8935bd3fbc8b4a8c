"""Signed ahead with three keys on a real chain: each price brings several accounts at once."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from keeper.app.prearming import AT_ONCE
from keeper.chain.rpc import RetryPolicy
from keeper.core.errors import DriftError
from keeper.core.plan import Submission
from keeper.core.values import replace
from keeper.devnet.build import BLOCK_INTERVAL_S
from keeper.devnet.prices import push_prices
from keeper.executor.aftermath import Fired
from keeper.executor.salvo import Salvo
from tests.faults.test_signers import FIRST, SECOND, SIGNERS, THIRD, fund
from tests.support.fault_desk import PATIENCE_S, Desk, keeper_desk
from tests.support.fault_proxy import FaultProxy, Hold
from tests.support.market_node import MarketNode

AHEAD = {"sending": {"prearm_accounts": 8}, "limits": {"slippage_bps": 500}}
PATIENT = RetryPolicy(timeout_s=PATIENCE_S, budget_s=PATIENCE_S)


def salvo(desk: Desk, symbol: str) -> Salvo | None:
    """Return what is signed ahead for the side of a feed that would bring most accounts."""
    deployment, arming = desk.session.keeper.deployments[0], desk.session.keeper.sending.arming
    assert arming is not None
    feeds = deployment._watcher.following.feeds
    found = [
        one
        for (_, feed), salvos in arming.prearm._salvos.items()
        if feeds[feed].feed.label == symbol
        for one in salvos
        if one.block == desk.height()
    ]
    return max(found, key=lambda one: len(one.shots), default=None)


def held(desk: Desk) -> int:
    """Return how much is ready to be sent ahead."""
    arming = desk.session.keeper.sending.arming
    assert arming is not None
    return arming.prearm.holds(desk.session.keeper.deployments[0].name)


async def armed(desk: Desk, symbol: str) -> Salvo:
    """Return what is signed ahead for a feed at the newest head."""
    await desk.until(lambda: salvo(desk, symbol) is not None, mining=True)
    found = salvo(desk, symbol)
    assert found is not None
    return found


async def reached(desk: Desk, signed: Sequence[Submission]) -> None:
    """Return once the node has everything that was signed, before any block that could have it."""
    waiting = [one.tx_hash for one in signed]
    await desk.until(
        lambda: all(desk.rpc("eth_getTransactionByHash", one) is not None for one in waiting)
    )


def listen(desk: Desk) -> list[Fired]:
    """Return what is sent ahead of its turn, as it is."""
    fired: list[Fired] = []
    arming = desk.session.keeper.sending.arming
    assert arming is not None
    arming.prearm.aftermath.on_fired(fired.append)
    return fired


async def test_what_prices_bring_is_shared_by_the_signers_and_lands_once_for_each_account(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    fund(market)
    nodes = [proxy.ws_url]
    async with keeper_desk(tmp_path, market, nodes, keys=lambda: SIGNERS, root=AHEAD) as desk:
        fired, due = listen(desk), 0
        for symbol in ("WBTC", "WETH", "USDT"):
            ready = await armed(desk, symbol)
            due += len(ready.shots)
            shared = Counter(one.submission.sender for one in ready.shots)
            assert max(shared.values()) - min(shared[one.address] for one in SIGNERS) <= 1
            push_prices(market.live, {symbol: ready.shots[-1].price})
            await reached(desk, [one.submission for one in ready.shots])
            await desk.settle()
        assert len(fired) == due >= 6
        assert {one.submission.sender for one in fired} == {FIRST, SECOND, THIRD}
        sent = [(plan.ref, one) for plan, one in desk.ears.sent_plans]
        assert {one.plan.ref for one in fired} <= {ref for ref, _ in sent}
        assert len({ref for ref, _ in sent}) == len(sent)
        assert {one.tx_hash for one in desk.ears.landed()} == {one.tx_hash for _, one in sent}
        require_whole_rows(desk)
        await desk.require_cold_start()
        desk.require_invariants()


def require_whole_rows(desk: Desk) -> None:
    """Require each signer's nonces to be those that its chain has, one transaction each."""
    used = defaultdict[str, list[int]](list)
    for _, one in desk.ears.sent_plans:
        used[one.sender].append(one.nonce)
    for sender, nonces in used.items():
        count = int(desk.rpc("eth_getTransactionCount", sender, "latest"), 16)
        assert sorted(nonces) == list(range(count - len(nonces), count))


async def test_what_is_stale_by_a_block_is_not_sent_ahead_and_goes_the_ordinary_way(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    fund(market)
    nodes, hold = [proxy.ws_url], Hold()
    async with keeper_desk(
        tmp_path, market, nodes, keys=lambda: SIGNERS, root=AHEAD, retry=PATIENT
    ) as desk:
        fired, ready = listen(desk), await armed(desk, "WBTC")
        proxy.spoil(hold, method="eth_simulateV1")  # nothing can be armed on the block that comes
        desk.mine()
        came = push_prices(market.live, {"WBTC": ready.shots[-1].price})
        await desk.until(lambda: desk.mirrors[0].snapshot.block.number >= came)
        await desk.until(hold.answered.is_set)
        assert fired == []
        assert proxy.sent == []
        proxy.rules.clear()
        hold.release.set()
        await desk.settle()
        refs = [plan.ref for plan, _ in desk.ears.sent_plans]
        assert {one.ref for one in ready.shots} <= set(refs)
        assert len(desk.ears.landed()) == len(refs) == len(set(refs))
        desk.require_invariants()


async def test_what_was_signed_at_a_block_that_a_reorg_undid_is_not_sent_ahead(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    hold = Hold()
    async with keeper_desk(tmp_path, market, [proxy.ws_url], root=AHEAD, retry=PATIENT) as desk:
        desk.mine()
        await desk.at_head()
        fired, ready = listen(desk), await armed(desk, "WBTC")
        proxy.spoil(hold, method="eth_call")  # nothing can be armed on the block that comes
        desk.rpc("anvil_reorg", 1, [])
        instead = desk.rpc("eth_getBlockByNumber", "latest", False)["hash"]
        executor = desk.session.keeper.sending.executor
        await desk.until(lambda: executor.newest is not None and executor.newest.hash == instead)
        push_prices(market.live, {"WBTC": ready.shots[-1].price})
        await desk.until(hold.answered.is_set)
        assert held(desk) == 0  # nothing is armed at the block that came instead either
        proxy.rules.clear()
        hold.release.set()
        await desk.settle()
        assert fired == []
        refs = [plan.ref for plan, _ in desk.ears.sent_plans]
        assert {one.ref for one in ready.shots} <= set(refs)
        assert len(desk.ears.landed()) == len(refs) == len(set(refs))
        desk.require_invariants()


async def test_what_a_head_of_another_branch_makes_void_is_not_sent_before_it_is_told(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    hold = Hold()
    async with keeper_desk(tmp_path, market, [proxy.ws_url], root=AHEAD, retry=PATIENT) as desk:
        desk.mine()
        await desk.at_head()
        fired, ready = listen(desk), await armed(desk, "WBTC")
        executor = desk.session.keeper.sending.executor
        before = executor.newest
        # Where it parted is not known yet; what is pushed waits for no look at the newest block.
        proxy.spoil(hold, method="eth_getBlockByNumber", but="latest")
        desk.rpc("anvil_reorg", 1, [])
        await desk.until(hold.answered.is_set)
        seen = len(proxy.methods)
        push_prices(market.live, {"WBTC": ready.shots[-1].price})
        await desk.until(lambda: "eth_getLogs" in proxy.methods[seen:])  # the ordinary way
        assert executor.newest == before
        assert (fired, proxy.sent) == ([], [])
        proxy.rules.clear()
        hold.release.set()
        await desk.settle()
        refs = [plan.ref for plan, _ in desk.ears.sent_plans]
        assert {one.ref for one in ready.shots} <= set(refs)
        assert len(desk.ears.landed()) == len(refs) == len(set(refs))
        desk.require_invariants()


@pytest.mark.parametrize(("least_debt", "least_net"), [(10_000 * 10**8, 1), (0, 10**17)])
async def test_accounts_that_are_not_worth_it_do_not_keep_out_who_is(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy, least_debt: int, least_net: int
) -> None:
    """Two that cross before owe less, and bring less, than the one that is worth it."""
    limits = {"slippage_bps": 500, "min_profit_wei": str(least_net)}
    root = {"sending": {"prearm_accounts": 1}, "limits": limits}
    async with keeper_desk(tmp_path, market, [proxy.ws_url], root=root) as desk:
        prearming = desk.session.keeper.deployments[0].outlook.prearming
        assert prearming is not None
        crossings = prearming._crossings
        crossings._bench = replace(crossings._bench, min_debt_base=least_debt)
        desk.mine()
        await desk.at_head()
        fired, ready = listen(desk), await armed(desk, "WBTC")
        (shot,) = ready.shots
        assert shot.plan.opportunity.health.debt_base >= least_debt
        assert shot.plan.forecast.net >= least_net
        push_prices(market.live, {"WBTC": shot.price})
        await reached(desk, [shot.submission])
        await desk.settle()
        assert [one.plan.ref for one in fired] == [shot.ref]
        desk.require_invariants()


async def test_who_was_planned_in_vain_once_is_signed_for_again_where_places_are_left(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    """As after a block in which somebody moved a pool: it may be the one most worth it."""
    async with keeper_desk(tmp_path, market, [proxy.ws_url], root=AHEAD) as desk:
        before = await armed(desk, "WBTC")
        refs = [one.ref for one in before.shots]
        prearming = desk.session.keeper.deployments[0].outlook.prearming
        assert prearming is not None
        for ref in refs:
            prearming._in_vain.note(before.feed, ref, desk.height())
        desk.mine()
        await desk.at_head()
        await desk.until(lambda: salvo(desk, "WBTC") is not None)
        after = salvo(desk, "WBTC")
        assert after is not None
        assert [one.ref for one in after.shots] == refs
        desk.require_invariants()


@pytest.fixture
def by_the_clock(market: MarketNode) -> Iterator[MarketNode]:
    """The market, with blocks that are as far apart as they come.

    It was built with blocks twelve seconds apart, within a few: its time may be ahead of ours, and
    blocks would be a second apart until ours has caught up.
    """
    rpc = market.live.rpc
    rpc.call("anvil_removeBlockTimestampInterval")
    newest = int(rpc.call("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
    rpc.call("evm_increaseTime", max(newest + 1 - int(time.time()), 0))
    yield market
    rpc.call("anvil_setBlockTimestampInterval", BLOCK_INTERVAL_S)


async def test_what_could_only_pass_its_deadline_as_its_block_is_late_goes_the_ordinary_way(
    by_the_clock: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    """As after a sequencer stood still: the chain goes on with the prices of that time."""
    root = {**AHEAD, "limits": {"slippage_bps": 500, "deadline_s": 4}}
    nodes, chain = [proxy.ws_url], {"block_time_s": 1}
    async with keeper_desk(tmp_path, by_the_clock, nodes, root=root, chain=chain) as desk:
        desk.mine()
        await desk.at_head()
        fired, ready = listen(desk), await armed(desk, "WBTC")
        await asyncio.sleep(6)
        push_prices(by_the_clock.live, {"WBTC": ready.shots[-1].price})
        await desk.until(lambda: len(desk.ears.sent_plans) >= len(ready.shots))
        assert fired == []
        deadlines = {plan.ref: plan.deadline for plan, _ in desk.ears.sent_plans}
        assert all(deadlines[one.ref] > one.plan.deadline for one in ready.shots)


async def test_what_was_signed_ahead_before_a_pause_is_not_sent(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    async with keeper_desk(tmp_path, market, [proxy.ws_url], root=AHEAD) as desk:
        fired, ready = listen(desk), await armed(desk, "WBTC")
        deployment = desk.session.keeper.deployments[0]
        # As by the audit of whom it is acted for at this head: it is signed ahead for by then.
        deployment._parity.pause(deployment.name, DriftError("another debt"), desk.session.head)
        push_prices(market.live, {"WBTC": ready.shots[-1].price})
        await desk.at_head()
        assert (fired, proxy.sent) == ([], [])


async def test_on_a_far_node_several_are_rehearsed_at_once_and_no_more_than_that(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    hold = Hold()
    async with keeper_desk(tmp_path, market, [proxy.ws_url], root=AHEAD, retry=PATIENT) as desk:
        before = await armed(desk, "WBTC")
        seen = len(proxy.methods)
        proxy.spoil(hold, method="eth_simulateV1")
        desk.mine()
        await desk.until(lambda: proxy.methods[seen:].count("eth_simulateV1") == AT_ONCE)
        await desk.until(hold.answered.is_set)
        assert proxy.methods[seen:].count("eth_simulateV1") == AT_ONCE
        assert salvo(desk, "WBTC") is None  # nothing is armed on this head yet
        hold.release.set()
        after = await armed(desk, "WBTC")
        assert proxy.methods[seen:].count("eth_simulateV1") > AT_ONCE
        assert [one.plan.ref for one in after.shots] == [one.plan.ref for one in before.shots]


async def test_a_start_at_the_head_of_an_earlier_run_signs_nothing_ahead_before_the_next(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    async with keeper_desk(tmp_path, market, [proxy.ws_url], root=AHEAD) as desk:
        await armed(desk, "WBTC")
        executor, height = desk.settings.executor, desk.height()
    nodes = [proxy.ws_url]
    async with keeper_desk(tmp_path, market, nodes, root=AHEAD, executor=executor) as desk:
        assert desk.height() == height
        assert not desk.running.done(), desk.running.exception()
        assert salvo(desk, "WBTC") is None
        desk.mine()
        ready = await armed(desk, "WBTC")
        push_prices(market.live, {"WBTC": ready.shots[-1].price})
        await desk.settle()
        sent = [one.tx_hash for _, one in desk.ears.sent_plans]
        assert {one.submission.tx_hash for one in ready.shots} <= set(sent)
        desk.require_invariants()


async def test_a_keeper_that_is_told_to_stop_leaves_nothing_to_be_in_doubt_of(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    async with keeper_desk(tmp_path, market, [proxy.ws_url], root=AHEAD) as desk:
        await armed(desk, "WBTC")
        assert await desk.session.journal.armed()
        desk.stop.set()
        await desk.running
        assert await desk.session.journal.armed() == []
