"""A fault of ours in one deployment ends it alone: the other of its chain never misses a block."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from structlog.testing import capture_logs

from keeper.app import compartment, status
from keeper.app.board import Board
from keeper.app.deployment import Deployment
from keeper.core.errors import InvariantError
from keeper.core.lending import Reason
from keeper.core.plan import Status
from keeper.devnet.assets import ASSETS
from keeper.devnet.live import under_water
from keeper.devnet.morpho import build_morpho, liquidatable
from keeper.devnet.morpho_specs import loan_of
from keeper.devnet.prices import push_prices
from keeper.devnet.stage_aave_v3 import aave_file
from keeper.devnet.stage_morpho_blue import morpho_file
from keeper.executor import rehearsals
from keeper.executor.lanes.mempool import MempoolLane
from keeper.ledger.books import read_books
from keeper.runtime.clock import SystemClock
from keeper.telemetry.tallies import Tallies
from tests.support.fault_desk import Desk, keeper_desk
from tests.support.market_node import MarketNode
from tests.support.updates import submit

PLACE = 3
"""Of the market of ether against dollars that has no early liquidation."""
NEAR = [loan_of(PLACE, 50_000, 10_150 + 20 * number) for number in range(6)]
"""Loans that a small fall takes under."""
DIPPED = 9_710
"""Ether in basis points of its first price: far enough for some loans of both, and not too far for
what was signed ahead."""
FALLEN = 9_300
"""So far that it is answered by the ordinary way."""
CHEAP, DEAR = 10**9, 60 * 10**9
"""Base fees: under what every transaction of the keeper offers, and over that."""
AHEAD = {"sending": {"prearm_accounts": 8}}
PLAIN: dict[str, object] = {}


class BugError(Exception):
    """Something that nobody foresaw."""


async def fail(*_: object, **__: object) -> None:
    msg = "https://node/secret-key"
    raise BugError(msg)


def fail_at_once(*_: object, **__: object) -> None:
    msg = "https://node/secret-key"
    raise BugError(msg)


@dataclass(frozen=True, kw_only=True)
class Aboard:
    """A keeper of two deployments on one chain, of which one is to fail."""

    desk: Desk
    ill: Deployment
    sound: Deployment
    is_under: Callable[[], list[str]]
    """Which loans of the ill one are under the line on chain."""

    def sent_by(self, deployment: Deployment) -> list[Any]:
        sent = self.desk.ears.sent_plans
        return [plan for plan, _ in sent if plan.deployment == deployment.name]

    def landed_of(self, deployment: Deployment) -> list[Any]:
        mine = {plan.id for plan in self.sent_by(deployment)}
        return [one for one in self.desk.ears.landed() if one.plan_id in mine]

    def armed(self, deployment: Deployment) -> int:
        arming = self.desk.session.keeper.sending.arming
        assert arming is not None
        return arming.prearm.holds(deployment.name)

    def push(self, bps: int = DIPPED) -> int:
        """Move the feeds alone."""
        return push_prices(self.desk.node.live, {"WETH": ASSETS["WETH"].price * bps // 10_000})

    async def ended(self) -> BaseException:
        """Mine until the keeper has ended; return what ended it."""
        running = self.desk.running
        for _ in range(90):
            self.desk.mine()
            await asyncio.wait([running], timeout=1)
            if running.done():
                break
        error = running.exception()
        assert error is not None
        return error


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what failed stay out: a test that wants it back says so."""
    monkeypatch.setattr(compartment, "FIRST_WAIT_S", 1_000.0)


@pytest.fixture(autouse=True)
def lines() -> Iterator[list[Any]]:
    """What is logged: to show a fault with all that its frames hold would take a minute."""
    with capture_logs() as captured:
        yield captured


@asynccontextmanager
async def aboard(
    folder: Path,
    market: MarketNode,
    *,
    of_aave: bool = False,
    root: dict[str, object] = AHEAD,
    **more: Any,
) -> AsyncIterator[Aboard]:
    """Run Aave, which is sound, beside Morpho, which is ill; or the other way round."""
    local = build_morpho(market.live, seed=5, borrowers=len(NEAR), loans=NEAR)
    files = (aave_file(market.market), morpho_file(local))
    urls = [market.anvil.ws_url]
    async with keeper_desk(folder, market, urls, deployments=files, root=root, **more) as desk:
        aave, morpho = desk.session.keeper.deployments
        assert morpho.name.startswith("morpho")
        if of_aave:
            under = partial(under_water, market.live)
            yield Aboard(desk=desk, ill=aave, sound=morpho, is_under=under)
        else:
            under = partial(liquidatable, local)
            yield Aboard(desk=desk, ill=morpho, sound=aave, is_under=under)


async def deployments_of(shown: status.Status) -> list[Any]:
    found = (await shown.status())["deployments"]
    assert isinstance(found, list)
    return found


DOORS = {
    "the watch over heads": lambda ill: (ill, "see_head", fail),
    "acting": lambda ill: (ill.acting, "_act_on", fail),
    "the tap of prices": lambda ill: (ill, "hear_price", fail_at_once),
    "signing ahead": lambda ill: (ill.outlook.prearming, "_prepare", fail),
}


@pytest.mark.parametrize("door", DOORS)
async def test_a_fault_of_one_deployment_leaves_the_other_liquidating_in_the_next_block(
    market: MarketNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[Any], door: str
) -> None:
    async with aboard(tmp_path, market) as both:
        desk = both.desk
        await desk.until(lambda: both.armed(both.sound) > 0, mining=True)
        monkeypatch.setattr(*DOORS[door](both.ill))
        if door == "signing ahead":  # it is done behind what a fall brings
            desk.mine()
            await desk.until(lambda: bool(desk.ears.pauses))
        fallen = desk.fall(FALLEN)
        await desk.until(lambda: bool(desk.ears.pauses and both.sent_by(both.sound)))
        await desk.settle()
        assert min(one.block for one in both.landed_of(both.sound)) == fallen + 1
        assert both.sent_by(both.ill) == []
        assert both.is_under()
        assert both.armed(both.ill) == 0
        await desk.until(lambda: not desk.session.keeper._precedence.is_claimed)
        (line,) = [one for one in lines if one["event"] == compartment.DEPLOYMENT_FAILED]
        assert (line["deployment"], line["kind"]) == (both.ill.name, "BugError")
        assert isinstance(line["exc_info"], BugError)
        (why,) = desk.ears.pauses
        assert why.startswith("a fault of Keeper itself: BugError at ")
        assert "secret" not in why
        assert desk.ears.losses == [both.ill.name]
        assert desk.ears.broken == []


async def test_a_fault_by_way_of_the_mempool_leaves_the_other_foreseeing(
    market: MarketNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with aboard(tmp_path, market, chain={"watch_mempool": True}) as both:
        desk = both.desk
        monkeypatch.setattr(both.ill, "see_pending", fail_at_once)
        bps = DIPPED
        while not (desk.ears.pauses and desk.ears.foreseens):  # nobody may listen yet
            tx_hash = submit(desk.node.live, ASSETS["WETH"].price * bps // 10_000)
            for _ in range(100):
                await asyncio.sleep(0.01)
                if desk.ears.pauses and desk.ears.foreseens:
                    break
            desk.rpc("anvil_dropTransaction", tx_hash)
            bps -= 1
        await desk.settle()
        assert desk.ears.losses == [both.ill.name]


async def test_what_a_failed_deployment_signed_ahead_is_never_sent(
    market: MarketNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with aboard(tmp_path, market, of_aave=True) as both:
        desk = both.desk
        await desk.until(lambda: both.armed(both.ill) > 0, mining=True)
        monkeypatch.setattr(both.ill, "see_head", fail)
        desk.mine()
        await desk.until(lambda: bool(desk.ears.pauses))
        await desk.at_head()
        both.push()
        await desk.until(lambda: bool(both.sent_by(both.sound)))
        await desk.settle()
        assert both.landed_of(both.sound)
        assert both.is_under()
        assert both.sent_by(both.ill) == []
        assert both.armed(both.ill) == 0


async def test_what_is_being_signed_ahead_when_it_fails_is_never_sent(
    market: MarketNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with aboard(tmp_path, market, of_aave=True) as both:
        desk, signing, failed = both.desk, asyncio.Event(), asyncio.Event()
        assert both.ill.outlook.prearming is not None
        whole = both.ill.outlook.prearming._prepare

        async def late(ahead: Any) -> None:
            signing.set()
            await failed.wait()
            await whole(ahead)

        monkeypatch.setattr(both.ill.outlook.prearming, "_prepare", late)
        desk.mine()
        await desk.until(signing.is_set)
        monkeypatch.setattr(both.ill, "see_head", fail)
        desk.mine()
        await desk.until(lambda: bool(desk.ears.pauses))
        failed.set()
        both.push()
        await desk.until(lambda: bool(both.sent_by(both.sound)), mining=True)
        await desk.settle()
        assert both.is_under()
        assert both.sent_by(both.ill) == []


async def test_what_a_failed_deployment_has_rehearsed_is_not_signed_any_more(
    market: MarketNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with aboard(tmp_path, market, root=PLAIN) as both:
        desk, rehearsing, failed = both.desk, asyncio.Event(), asyncio.Event()
        whole = rehearsals.rehearse

        async def late(plans: Any, *rest: Any) -> Any:
            found = await whole(plans, *rest)
            if any(one.deployment == both.ill.name for one in plans):
                rehearsing.set()
                await failed.wait()
            return found

        monkeypatch.setattr(rehearsals, "rehearse", late)
        desk.fall()
        await desk.until(rehearsing.is_set, mining=True)
        monkeypatch.setattr(both.ill, "see_head", fail)
        desk.mine()
        await desk.until(lambda: bool(desk.ears.pauses))
        failed.set()
        await desk.until(lambda: bool(both.landed_of(both.sound)), mining=True)
        await desk.settle()
        assert both.is_under()
        assert both.sent_by(both.ill) == []
        said = [one for one in desk.ears.rejections if one.ref.account in both.is_under()]
        assert {one.reason for one in said} == {Reason.MARKET_PAUSED}
        assert read_books(desk.settings.database).open_intents == 0


async def test_what_a_failed_deployment_has_in_flight_is_settled_and_booked(
    market: MarketNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tallies = Tallies(registry := CollectorRegistry())
    board = Board(tallies, now=lambda: 0.0)
    async with aboard(tmp_path, market, root=PLAIN, besides=[board]) as both:
        desk = both.desk
        await desk.until(lambda: both.ill.closest(1) != [])
        shown = status.Status(
            desk.settings,
            desk.session,
            board,
            tallies,
            SystemClock(),
            halt=desk.session.keeper.halt,
        )
        (page,) = [one for one in await deployments_of(shown) if one["name"] == both.ill.name]
        assert page["accounts"] == len(NEAR)
        assert page["closest"] != []
        desk.fall()
        await desk.until(lambda: bool(both.sent_by(both.ill)))
        assert shown.unready() == []
        flying = {plan.id for plan in both.sent_by(both.ill)}
        monkeypatch.setattr(both.ill, "see_head", fail)
        desk.mine()
        await desk.until(lambda: bool(desk.ears.pauses))
        await desk.settle()
        books = read_books(desk.settings.database)
        booked = {one.plan_id: one for one in books.entries if one.plan_id in flying}
        assert set(booked) == flying
        assert {one.status for one in booked.values()} == {Status.LANDED}
        assert all(one.realised.net > 0 for one in booked.values())
        assert books.open_intents == 0
        assert not desk.running.done()
        aave, morpho = await deployments_of(shown)
        assert (morpho["accounts"], morpho["under"], morpho["closest"]) == (None, None, [])
        assert aave["accounts"] > 0
        assert morpho["block"] < aave["block"] == desk.height()
        assert [one.split(":")[0] for one in shown.unready()] == [f"{both.ill.name} is paused"]
        measures = generate_latest(registry).decode()
        assert f'keeper_paused{{deployment="{both.ill.name}"}} 1.0' in measures
        assert f'keeper_accounts{{deployment="{both.sound.name}"}}' in measures
        assert f'keeper_accounts{{deployment="{both.ill.name}"}}' not in measures
        assert f'keeper_accounts_liquidatable{{deployment="{both.ill.name}"}}' not in measures


async def test_an_outcome_that_its_deployment_cannot_read_holds_up_no_other(
    market: MarketNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with aboard(tmp_path, market, root=PLAIN) as both:
        desk = both.desk
        desk.fall()
        await desk.until(lambda: bool(both.sent_by(both.ill) and both.sent_by(both.sound)))
        flying = {plan.id for plan in both.sent_by(both.ill)}
        monkeypatch.setattr(both.ill, "decoders", fail_at_once)
        await desk.until(lambda: bool(both.landed_of(both.sound)), mining=True)
        await desk.until(lambda: desk.ears.losses == [both.ill.name], mining=True)
        desk.mine()
        await desk.at_head()
        assert not desk.running.done()
        assert flying <= set(desk.session.keeper.sending.flight.airborne)
        monkeypatch.undo()  # mended, as by a restart: nothing was lost meanwhile
        await desk.until(lambda: len(both.landed_of(both.ill)) == len(flying), mining=True)
        await desk.settle()
        assert read_books(desk.settings.database).open_intents == 0


async def test_what_is_overdue_and_cannot_be_read_holds_up_no_other(
    market: MarketNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with aboard(tmp_path, market, root={"sending": {"replace_after_blocks": 0}}) as both:
        desk = both.desk
        desk.fall()
        await desk.until(lambda: bool(both.sent_by(both.ill) and both.sent_by(both.sound)))
        monkeypatch.setattr(both.ill, "decoders", fail_at_once)
        desk.rpc("anvil_setNextBlockBaseFeePerGas", hex(DEAR))
        desk.mine()
        await desk.until(lambda: desk.ears.losses == [both.ill.name], mining=True)
        sent = len(both.sent_by(both.ill))
        monkeypatch.undo()  # what lands is read as after a restart
        desk.rpc("anvil_setNextBlockBaseFeePerGas", hex(CHEAP))
        await desk.settle()
        assert not desk.running.done()
        assert both.landed_of(both.sound)
        assert len(both.sent_by(both.ill)) == sent
        mine = {plan.id for plan in both.sent_by(both.ill)}
        ended = [one.status for one in desk.ears.outcomes if one.plan_id in mine]
        assert len(ended) == sent
        assert Status.CANCELLED in ended
        assert read_books(desk.settings.database).open_intents == 0


async def test_a_deployment_that_failed_is_opened_anew_and_liquidates(
    market: MarketNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compartment, "FIRST_WAIT_S", 0.05)
    async with aboard(tmp_path, market, root=PLAIN) as both:
        desk = both.desk
        monkeypatch.setattr(both.ill, "see_head", fail)
        desk.mine()
        await desk.until(lambda: desk.ears.resumptions == [both.ill.name])
        fresh = desk.session.keeper.deployments[1]
        assert fresh is not both.ill
        await desk.require_cold_start()
        desk.fall()
        await desk.until(lambda: bool(both.sent_by(fresh)), mining=True)
        await desk.settle()
        assert both.landed_of(fresh)
        assert both.landed_of(both.sound)
        assert both.is_under() == []
        desk.require_invariants()


async def test_when_both_deployments_fail_the_chain_does(
    market: MarketNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with aboard(tmp_path, market, root=PLAIN) as both:
        monkeypatch.setattr(both.ill, "see_head", fail)
        both.desk.mine()
        await both.desk.until(lambda: bool(both.desk.ears.pauses))
        monkeypatch.setattr(both.sound, "see_head", fail)
        error = await both.ended()
        assert isinstance(error, ExceptionGroup)
        assert error.subgroup(BugError) is not None


async def test_a_promise_that_one_deployment_breaks_ends_the_keeper(
    market: MarketNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        msg = "the disk is full"
        raise InvariantError(msg)

    async with aboard(tmp_path, market, root=PLAIN) as both:
        monkeypatch.setattr(both.ill, "see_head", broken)
        error = await both.ended()
        assert isinstance(error, ExceptionGroup)
        assert error.subgroup(InvariantError) is not None


async def test_a_fault_between_signature_and_books_is_the_chains(
    market: MarketNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with aboard(tmp_path, market, root=PLAIN) as both:
        monkeypatch.setattr(MempoolLane, "post", fail_at_once)
        both.desk.fall()
        error = await both.ended()
        assert isinstance(error, ExceptionGroup)
        assert error.subgroup(BugError) is not None
