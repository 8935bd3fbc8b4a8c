"""With the lists of addresses that are right it liquidates; without one of them it names that."""

import json
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from keeper.app.log_observer import LIQUIDATION_REJECTED, LogObserver
from keeper.commands.report import Shown, report
from keeper.core.lending import Reason
from keeper.core.plan import Plan, Status
from keeper.core.units import Address
from keeper.executor.tending import CANCELLED
from keeper.ledger.books import read_books
from tests.support.fault_desk import keeper_desk
from tests.support.fault_proxy import FaultProxy
from tests.support.market_node import MarketNode

NOBODY = Address("0x" + "99" * 20)


def lists(market: MarketNode, **instead: Address) -> dict[str, object]:
    """Return the lists of a keeper of Aave: the pool repays and lends, and is given allowances."""
    pool = market.market.pool
    tokens = [one.token for one in market.market.assets]
    right = {"tokens": tokens, "targets": [pool], "spenders": [pool]}
    return {"limits": right | {name: [one] for name, one in instead.items()}}


async def test_with_exactly_the_lists_that_are_right_it_liquidates(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    async with keeper_desk(tmp_path, market, [proxy.ws_url], root=lists(market)) as desk:
        assert desk.settings.limits.targets is not None
        desk.fall()
        await desk.settle_landed()
        assert [one for one in desk.ears.rejections if one.reason is Reason.POLICY] == []
        desk.require_invariants()


@pytest.mark.parametrize(
    ("lacking", "words"),
    [
        ("targets", "the executor contract would call {}, which is not among limits.targets"),
        ("spenders", "{} would be let spend its tokens, and is not among limits.spenders"),
    ],
)
async def test_with_one_address_missing_nothing_is_sent_and_log_books_and_report_name_it(
    market: MarketNode,
    tmp_path: Path,
    proxy: FaultProxy,
    capsys: pytest.CaptureFixture[str],
    lacking: str,
    words: str,
) -> None:
    said = words.format(market.market.pool)
    root = lists(market, **{lacking: NOBODY})
    with capture_logs() as lines:
        urls = [proxy.ws_url]
        async with keeper_desk(tmp_path, market, urls, root=root, besides=[LogObserver()]) as desk:
            desk.fall()
            await desk.until(lambda: bool(desk.ears.rejections), mining=True)
            desk.mine(2)
            await desk.at_head()
            desk.require_invariants()
    assert proxy.sent == []
    assert said in {one["detail"] for one in lines if one["event"] == LIQUIDATION_REJECTED}
    books = read_books(desk.settings.database)
    assert (books.entries, books.open_intents) == ((), 0)
    assert {one.detail for one in books.missed if one.reason == Reason.POLICY} == {said}
    report(desk.settings.path, Shown(as_json=True, missed=True), since=0)
    shown = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert said in {one["detail"] for one in shown}
    report(desk.settings.path, Shown(), since=0)
    assert market.market.pool in capsys.readouterr().out


async def test_lists_are_whole_once_all_is_added_that_a_disarmed_keeper_names(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    made = {name: [NOBODY] for name in ("targets", "spenders")}
    desk_of = partial(keeper_desk, node=market, urls=[proxy.ws_url], armed=False)
    refused, plans = {""}, list[Plan]()
    while refused:
        async with desk_of(
            tmp_path / str(sum(map(len, made.values()))), root={"limits": made}
        ) as desk:
            desk.fall()
            await desk.at_head()
            refused = {one.detail for one in desk.ears.rejections if one.reason is Reason.POLICY}
            plans = desk.ears.plans
        assert len(refused) < 2
        for detail in refused:
            (missing,) = re.findall(r"0x[0-9a-f]{40}", detail)
            made[detail.rpartition(".")[2]] += [missing]
    pool = market.market.pool
    assert made == {"targets": [NOBODY, pool], "spenders": [NOBODY, pool]}
    assert plans != []
    assert proxy.sent == []


def of_event(lines: Sequence[Mapping[str, object]], name: str) -> list[Mapping[str, object]]:
    return [one for one in lines if one["event"] == name]


@pytest.mark.parametrize("shorter", ["tokens", "targets", "spenders"])
async def test_what_is_in_flight_when_a_list_is_made_shorter_is_cancelled_and_liquidates_nothing(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy, shorter: str
) -> None:
    urls = [proxy.ws_url]
    async with keeper_desk(tmp_path, market, urls, root=lists(market)) as desk:
        desk.fall()
        await desk.until(lambda: bool(desk.ears.sent_plans), mining=True)
        sent = {one.tx_hash for _, one in desk.ears.sent_plans}
    executor = desk.settings.executor
    root = lists(market, **{shorter: NOBODY})
    async with keeper_desk(tmp_path, market, urls, root=root, executor=executor) as again:
        with capture_logs() as lines:
            await again.until(lambda: len(of_event(lines, CANCELLED)) == len(sent))
        await again.settle()
        ended = again.ears.outcomes
    assert {one.status for one in ended} == {Status.CANCELLED}
    assert len(ended) == len(sent)
    assert sent & {one.tx_hash for one in ended} == set()
