"""No task dies silently: a loop that fails takes the process down with a reason and a code."""

import asyncio
from pathlib import Path

import pytest

from keeper.app.acting import Acting
from keeper.app.deployment import Deployment
from keeper.chain.pool import Pool
from keeper.commands.running import BROKEN, FAILED, CommandFailed, run_command
from keeper.core.errors import TransientError
from keeper.executor.settler import Settler
from tests.support.fault_desk import keeper_desk
from tests.support.fault_proxy import FaultProxy
from tests.support.market_node import MarketNode


class BugError(Exception):
    """Something that nobody foresaw."""


async def fail(*_: object, **__: object) -> None:
    msg = "https://node/secret-key"
    raise BugError(msg)


@pytest.mark.parametrize(
    ("owner", "method"),
    [(Deployment, "see_head"), (Acting, "_act_on"), (Deployment, "see_price"),
     (Settler, "settle")],
)  # fmt: skip
async def test_a_loop_that_fails_ends_the_keeper_and_every_other_task(
    market: MarketNode,
    tmp_path: Path,
    proxy: FaultProxy,
    monkeypatch: pytest.MonkeyPatch,
    owner: type,
    method: str,
) -> None:
    async with keeper_desk(tmp_path, market, [proxy.ws_url]) as desk:
        before = asyncio.all_tasks()
        monkeypatch.setattr(owner, method, fail)
        for ether_bps in range(9_900, 8_000, -100):
            desk.fall(ether_bps)
            await asyncio.wait([desk.running], timeout=0.5)
            if desk.running.done():
                break
        await asyncio.wait([desk.running], timeout=90)
        error = desk.running.exception()
        assert isinstance(error, ExceptionGroup)
        assert error.subgroup(BugError) is not None
        of_keeper = [one for one in before if "Keeper" in str(one.get_coro())]
        assert of_keeper
        assert all(one.done() for one in of_keeper)


async def test_a_watch_over_the_nodes_that_fails_ends_what_uses_them(
    market: MarketNode,
    tmp_path: Path,
    proxies: tuple[FaultProxy, FaultProxy],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = proxies

    async def run() -> None:
        async with keeper_desk(tmp_path, market, [first.url, second.url]) as desk:
            monkeypatch.setattr(Pool, "look", fail)
            await asyncio.wait([desk.running])

    with pytest.raises(ExceptionGroup) as found:
        await asyncio.wait_for(run(), 90)
    assert found.value.subgroup(BugError) is not None


def test_a_fault_of_ours_is_one_line_without_its_words_and_a_code(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(CommandFailed) as ended:
        run_command(fail)
    assert ended.value.code == BROKEN
    said = capsys.readouterr().err
    assert said.startswith("error: a fault of Keeper itself: BugError at ")
    assert len(said.splitlines()) == 1
    assert "secret" not in said


def test_a_trouble_of_the_node_that_nobody_caught_is_one_line_and_a_code(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def run() -> None:
        async with asyncio.TaskGroup():
            raise TransientError("node: expected a reply, found none")

    with pytest.raises(CommandFailed) as ended:
        run_command(run)
    assert ended.value.code == FAILED
    assert capsys.readouterr().err == "error: node: expected a reply, found none\n"
