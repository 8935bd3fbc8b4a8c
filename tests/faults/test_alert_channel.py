"""A channel that stalls or fails costs the operator its alerts, and nothing else. Scenario 47."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog

from keeper.app.alerting import alert_tap
from keeper.config.settings import load
from keeper.telemetry.alert_rules import AlertTap
from keeper.telemetry.channels import ALERT_FAILED, ALERT_LOST, WAITING
from keeper.telemetry.logging import configure_logging
from tests.support.alert_inbox import Inbox, alert_inbox
from tests.support.fault_desk import Desk, keeper_desk
from tests.support.fault_proxy import FaultProxy
from tests.support.market_node import MarketNode
from tests.support.settings_files import write_settings

FLOOD = 2 * WAITING


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with alert_inbox() as made:
        yield made


@pytest.fixture
def tapped(
    inbox: Inbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[AlertTap, io.StringIO]]:
    monkeypatch.setenv("CHANNEL", inbox.url)
    with tapping(inbox, tmp_path, most_per_hour=10**6) as found:
        yield found


@contextmanager
def tapping(
    inbox: Inbox, tmp_path: Path, **restraint: int
) -> Iterator[tuple[AlertTap, io.StringIO]]:
    """The log of this process, which alerts the inbox as `keeper run` does."""
    path = write_settings(tmp_path / "c", alerts={"urls": "${CHANNEL}", **restraint})
    root, out = logging.getLogger(), io.StringIO()
    handlers, level = root.handlers, root.level
    with alert_tap(load(path)) as tap:
        assert tap is not None
        configure_logging(form="json", stream=out, tap=tap)
        yield tap, out
        inbox.gate.set()
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


async def lose_and_find_the_gas_money(desk: Desk, inbox: Inbox) -> None:
    """Cause the first alert: the operator is under its floor for a block."""
    who = desk.node.market.accounts.keeper
    desk.rpc("anvil_setBalance", who, hex(10**17 - 1))
    desk.mine()
    await desk.until(lambda: inbox.asked > 0)
    desk.rpc("anvil_setBalance", who, hex(10**20))
    desk.mine()
    await desk.at_head()


def flood() -> None:
    for index in range(FLOOD):
        structlog.get_logger().error("market.paused", deployment=f"d{index}", why="a flood")


@pytest.mark.parametrize("how", ["stalls", "fails"])
async def test_47_trading_goes_on_while_the_alert_channel(
    market: MarketNode,
    tmp_path: Path,
    proxy: FaultProxy,
    inbox: Inbox,
    tapped: tuple[AlertTap, io.StringIO],
    how: str,
) -> None:
    if how == "stalls":
        inbox.gate.clear()
    else:
        inbox.status = 500
    async with keeper_desk(tmp_path, market, [proxy.ws_url]) as desk:
        await lose_and_find_the_gas_money(desk, inbox)
        flood()
        desk.fall()
        await desk.until(lambda: bool(desk.ears.sent_plans), mining=True)
        await desk.settle()
        assert inbox.taken == []
        assert len(desk.ears.landed()) == len(desk.ears.sent_plans) > 1
        await desk.require_cold_start()
        desk.require_invariants()
        written = tapped[1].getvalue()
        assert written.count(ALERT_LOST) >= FLOOD - WAITING - 2
        inbox.gate.set()
        inbox.status = 200
    assert ALERT_FAILED in tapped[1].getvalue() or how == "stalls"
    assert "canary" not in tapped[1].getvalue()


async def test_trouble_that_is_not_over_is_told_again_until_it_is(
    market: MarketNode,
    tmp_path: Path,
    proxy: FaultProxy,
    inbox: Inbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Gas money falls under its floor once; whoever did not hear of it does so later."""
    monkeypatch.setenv("CHANNEL", inbox.url)
    who, low = market.market.accounts.keeper, "the operator runs out of gas money"
    with tapping(inbox, tmp_path, repeat_s=1):
        async with keeper_desk(tmp_path, market, [proxy.ws_url]) as desk:
            desk.rpc("anvil_setBalance", who, hex(10**17 - 1))
            desk.mine()
            await desk.until(lambda: len(inbox.taken) >= 3)
            assert {one.rpartition(": ")[2] for one in inbox.titles} == {low}
            assert "It was told before, and is not over." in inbox.taken[-1]["message"]
            desk.rpc("anvil_setBalance", who, hex(10**20))
            desk.mine()
            await desk.at_head()
            await desk.until(lambda: not inbox.titles[-1].endswith(low))
