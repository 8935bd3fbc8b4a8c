"""Drift is found, stops acting, outlives the process, and a person ends it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from keeper.app.explain import explain
from keeper.app.session import Session, keeper_session
from keeper.app.study import studies
from keeper.commands.resume import resume
from keeper.config.settings import load
from keeper.core.errors import StaleError, TransientError
from keeper.core.lending import AccountRef, Reason
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.devnet.config_files import KeeperFiles, write_config
from keeper.devnet.crash import crash
from keeper.mirror.audit import AccountsDriftedError, Ground, ParityAudit
from keeper.mirror.mirror import Mirror
from keeper.oracle.watcher import PriceWatcher
from keeper.protocols.aave_v3.state import AavePosition
from tests.support.aave_scene import Scene, open_scene
from tests.support.eventually import eventually
from tests.support.heard import Heard
from tests.support.market_node import MarketNode

NOBODY = Address("0x" + "99" * 20)


@asynccontextmanager
async def ground_of(node: MarketNode) -> AsyncIterator[tuple[Scene, Ground[Any, Any]]]:
    async with open_scene(node.live, node.anvil.ws_url) as scene:
        reader = scene.chain.reader
        head = await reader.head()
        mirror = Mirror(scene.adapter, reader)
        snapshot = await mirror.start(head, None, lambda *_: None)
        watcher = PriceWatcher(reader)
        await watcher.follow(scene.adapter.feeds(snapshot.market), head)
        prices = await watcher.read(head, None)
        yield scene, Ground(snapshot=snapshot, prices=prices.prices)


def tampered(position: AavePosition) -> AavePosition:
    (reserve, scaled), *rest = position.debt
    return replace(position, debt=((reserve, scaled + scaled // 1_000 + 1), *rest))


def with_tampered(ground: Ground[Any, Any], ref: AccountRef) -> Ground[Any, Any]:
    held = ground.snapshot.positions
    snapshot = replace(ground.snapshot, positions={**held, ref: tampered(held[ref])})
    return replace(ground, snapshot=snapshot)


async def test_a_mirror_that_nobody_touched_is_the_chain_for_every_account(
    local_market: MarketNode,
) -> None:
    async with ground_of(local_market) as (scene, ground):
        audit = ParityAudit(scene.adapter, scene.chain.reader, sample=7)
        known = {
            *ground.snapshot.positions,
            AccountRef(market=scene.live.pool.address, account=NOBODY),
        }
        seen: set[AccountRef] = set()
        while len(seen) < len(known):
            seen.update(await audit.check_sample(ground, known))
        assert seen == known


async def one_turn(audit: ParityAudit[Any, Any], ground: Ground[Any, Any], *, size: int) -> None:
    for _ in range(0, len(ground.snapshot.positions), size):
        await audit.check_sample(ground, ground.snapshot.positions.keys())


async def test_an_injected_drift_is_found_within_one_turn_of_the_sample(
    local_market: MarketNode,
) -> None:
    async with ground_of(local_market) as (scene, ground):
        ref = sorted(ground.snapshot.positions)[37]
        bad = with_tampered(ground, ref)
        audit = ParityAudit(scene.adapter, scene.chain.reader, sample=10)
        with pytest.raises(AccountsDriftedError) as found:
            await one_turn(audit, bad, size=10)
        assert list(found.value.drifted) == [ref]
        sides = found.value.drifted[ref]
        (said,) = await scene.standings(bad.block, [ref])
        assert sides.chain["debt_base"] == said[2]
        assert sides.mirror["debt_base"] > said[2]
        assert ref.account in str(found.value)


async def test_a_debt_that_the_mirror_does_not_have_is_drift(local_market: MarketNode) -> None:
    async with ground_of(local_market) as (scene, ground):
        ref = next(iter(ground.snapshot.positions))
        held = {r: p for r, p in ground.snapshot.positions.items() if r != ref}
        bad = replace(ground, snapshot=replace(ground.snapshot, positions=held))
        audit = ParityAudit(scene.adapter, scene.chain.reader, sample=1)
        with pytest.raises(AccountsDriftedError, match="owes 0 in the mirror, 1 on chain"):
            await audit.check(bad, [ref])


async def test_a_wrong_price_is_drift_of_the_accounts_that_hold_it_when_it_stays(
    local_market: MarketNode,
) -> None:
    async with ground_of(local_market) as (scene, ground):
        weth = scene.live.tokens["WETH"].address
        off = replace(ground.prices[weth], value=ground.prices[weth].value + 1)
        bad = replace(ground, prices={**ground.prices, weth: off})
        audit = ParityAudit(scene.adapter, scene.chain.reader, sample=1)
        for ago in (2, 1):
            block = await scene.chain.reader.block(bad.block.number - ago)
            before = replace(bad, snapshot=replace(bad.snapshot, block=block))
            with pytest.raises(StaleError, match="found two for WETH"):
                await audit.check(before, bad.snapshot.positions)
        with pytest.raises(AccountsDriftedError) as found:
            await audit.check(bad, bad.snapshot.positions)
        feeds = {
            ref: scene.adapter.feeds_of(bad.snapshot.market, bad.snapshot.positions[ref])
            for ref in found.value.drifted
        }
        assert feeds
        assert all(weth in one for one in feeds.values())


async def test_an_account_is_asked_for_once_a_block(local_market: MarketNode) -> None:
    async with ground_of(local_market) as (scene, ground):
        asked: list[int] = []

        class Counting:
            async def call_many(self, calls: Any, block: Any) -> Any:
                asked.append(len(calls))
                return await scene.chain.reader.call_many(calls, block)

        audit = ParityAudit(scene.adapter, Counting(), sample=1)  # type: ignore[arg-type]
        ref = next(iter(ground.snapshot.positions))
        await audit.check(ground, [ref, ref])
        await audit.check(ground, [ref])
        assert asked == [1]


def watching(folder: Path, node: MarketNode) -> Path:
    wanted = KeeperFiles(rpc=node.anvil.ws_url, mode="observe", executor=None, recipient=None)
    config = write_config(folder, node.market, wanted)
    config.write_text(config.read_text() + "audit: {sample: 500, every_blocks: 1}\n")
    return config


@asynccontextmanager
async def running(config: Path, heard: Heard) -> AsyncIterator[Session]:
    stop = asyncio.Event()
    async with keeper_session(load(config), heard) as session, asyncio.TaskGroup() as group:
        group.create_task(session.keeper.run(session.head, stop))
        await session.keeper.watching.wait()
        yield session
        stop.set()


def kept_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.json"))


async def test_drift_in_a_running_keeper_stops_acting_until_a_person_resumes_it(
    market_copy: MarketNode, tmp_path: Path
) -> None:
    wanted = KeeperFiles(
        rpc=market_copy.anvil.ws_url, mode="observe", executor=None, recipient=None
    )
    config = write_config(tmp_path, market_copy.market, wanted)
    config.write_text(config.read_text() + "audit: {sample: 500, every_blocks: 1}\n")
    rpc, heard = market_copy.live.rpc, Heard()
    async with running(config, heard) as session:
        await eventually(lambda: bool(heard.blocks))
        (deployment,) = session.keeper.deployments
        snapshot = deployment.mirror.snapshot
        ref = sorted(snapshot.positions)[3]
        held = snapshot.positions.with_changes({ref: tampered(snapshot.positions[ref])})
        deployment.mirror._snapshot = replace(snapshot, positions=held)
        await asyncio.to_thread(rpc.call, "evm_mine")
        await eventually(lambda: bool(heard.pauses))
        assert ref.account in heard.pauses[0]
        await asyncio.to_thread(lambda: list(zip(range(4), crash(market_copy.live), strict=False)))
        await eventually(lambda: any(r.reason == "market_paused" for r in heard.rejections))
        assert not heard.plans
    file = tmp_path / "keeper.sqlite.aave_v3.local.paused.json"
    (evidence,) = json.loads(file.read_text())["evidence"]
    (account,) = evidence["accounts"]
    assert account["account"] == ref.account
    assert int(account["mirror"]["debt_base"]) > int(account["chain"]["debt_base"])
    barred = next(one for one in heard.rejections if one.reason is Reason.MARKET_PAUSED)
    async with studies(load(config)) as (study,):
        (page,) = await explain(study, barred.ref.account)
    assert page.action.startswith("leave it: market_paused: expected the mirror to be the chain")
    again = Heard()
    async with running(config, again) as session:
        await eventually(lambda: any(r.reason == "market_paused" for r in again.rejections))
        assert ref.account in again.pauses[0]
        assert not again.plans
        resume(config, "aave_v3.local", as_json=False)
        await asyncio.to_thread(rpc.call, "evm_mine")
        await eventually(lambda: again.resumptions == ["aave_v3.local"])
        await eventually(lambda: bool(again.plans))
    names = [one.name for one in kept_files(tmp_path)]
    assert file.name not in names
    assert len([one for one in names if ".paused-resumed-" in one]) == 1


async def test_a_pause_that_was_lifted_bars_until_everything_is_read_anew(
    market_copy: MarketNode, tmp_path: Path
) -> None:
    config, heard, rpc = watching(tmp_path, market_copy), Heard(), market_copy.live.rpc
    async with running(config, heard) as session:
        await eventually(lambda: bool(heard.blocks))
        (deployment,) = session.keeper.deployments
        snapshot = deployment.mirror.snapshot
        ref = sorted(snapshot.positions)[3]
        held = snapshot.positions.with_changes({ref: tampered(snapshot.positions[ref])})
        deployment.mirror._snapshot = replace(snapshot, positions=held)
        await asyncio.to_thread(rpc.call, "evm_mine")
        await eventually(lambda: bool(heard.pauses))

        async def silent(*_: object) -> None:
            raise TransientError("no answer")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(deployment.mirror, "start", silent)
            resume(config, "aave_v3.local", as_json=False)
            await asyncio.to_thread(rpc.call, "evm_mine")
            await eventually(lambda: bool(heard.skips))
            assert (heard.resumptions, deployment.is_barred) == ([], True)
        await asyncio.to_thread(rpc.call, "evm_mine")
        await eventually(lambda: heard.resumptions == ["aave_v3.local"])
        assert deployment.mirror.snapshot.positions[ref] == snapshot.positions[ref]
        assert len(heard.pauses) == 1
