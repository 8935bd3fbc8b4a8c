"""Somebody else liquidates: the books say what was in it for them, and why it was not us."""

import json
from pathlib import Path

import pytest

from keeper.commands.report import Shown, report
from keeper.core.taken import Cause, Taken
from keeper.core.values import replace
from keeper.devnet.chainlink import submit_answers
from keeper.devnet.live import under_water
from keeper.devnet.prices import push_prices
from keeper.devnet.sender import MAX_FEE_WEI, Sender, read_all
from keeper.ledger.books import Books, read_books
from tests.faults.test_market import fallen, rival
from tests.support.fault_desk import FALLEN, Desk, keeper_desk
from tests.support.fault_proxy import FaultProxy, Refuse
from tests.support.market_node import MarketNode

FALL = fallen(FALLEN)
FALLEN_A_LITTLE, FALLEN_ON = 9_000, 8_000
BUSY = Refuse(code=-32603, message="busy")


@pytest.fixture
def worthless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is worth sending."""
    monkeypatch.setenv("KEEPER_LIMITS__MIN_PROFIT_WEI", "1000000 ether")


def books_of(desk: Desk) -> Books:
    return read_books(desk.settings.database)


async def taken_by(desk: Desk, count: int = 1) -> list[Taken]:
    """Mine until so many liquidations by others were heard of; return them."""
    desk.mine()
    await desk.until(lambda: len(desk.ears.takens) >= count, mining=True)
    return desk.ears.takens


async def test_ours_was_out_and_theirs_came_first(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    async with keeper_desk(tmp_path, market, [proxy.ws_url]) as desk:
        desk.fall()
        await desk.until(lambda: bool(desk.ears.sent_plans), mining=True)
        plan, submission = desk.ears.sent_plans[0]
        rival(desk.node, plan)
        await desk.settle()
        await desk.until(lambda: bool(desk.ears.takens), mining=True)
        (found,) = desk.ears.takens
        assert found.ref == plan.ref
        assert found.cause is Cause.OUTRUN
        assert str(submission.target_block) in found.detail
        assert str(100 * 10**9) in found.detail
        assert found.forecast_net == plan.forecast.net
        _require_figures(desk, found)
        ours = {one.tx_hash for one in desk.ears.outcomes}
        assert found.tx_hash not in ours
        assert desk.ears.landed()
        assert books_of(desk).taken == (found,)


async def test_what_is_left_of_an_account_that_we_took_of_is_not_told_as_outrun(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    """Ours landed in the block before, behind which the price went on falling."""
    live = market.live
    async with keeper_desk(tmp_path, market, [proxy.ws_url], chain={"confirmations": 5}) as desk:
        desk.fall(FALLEN_A_LITTLE)
        await desk.until(lambda: bool(desk.ears.sent_plans), mining=True)
        fall_on(desk, FALLEN_ON, desk.ears.sent_plans[0][1].fees.max_fee // 2)
        desk.mine()
        await desk.at_head()
        left = set(under_water(live))
        plan = next(one for one, _ in desk.ears.sent_plans if one.ref.account in left)
        take(desk, plan.ref.account)
        (found,) = await taken_by(desk)
        assert found.ref == plan.ref
        assert not desk.ears.outcomes
        assert (found.cause, found.forecast_net) == (Cause.LATE, None)
        assert found.detail.endswith(", ours had ended by then: landed")
        _require_figures(desk, found)


def fall_on(desk: Desk, ether_bps: int, max_fee: int) -> None:
    """Let the feeds fall in the next block, behind what offers more than ``max_fee`` wei."""
    live = desk.node.live
    oracle_node = Sender.of(live.rpc, desk.node.market.accounts.oracle_node)
    submit_answers(live.rpc, oracle_node, live.aggregators, fallen(ether_bps))
    behind = {"maxFeePerGas": hex(max_fee)}
    oracle_node.queue = [replace(one, body={**one.body, **behind}) for one in oracle_node.queue]
    oracle_node.submit()


def _require_figures(desk: Desk, found: Taken) -> None:
    """Hold a note against the chain: its receipt, its logs, and values of its block."""
    receipt = desk.rpc("eth_getTransactionReceipt", found.tx_hash)
    cost = int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16)
    assert found.gas == cost
    assert int(receipt["blockNumber"], 16) == found.block
    assert receipt["blockHash"] == found.block_hash
    assert int(receipt["transactionIndex"], 16) == found.place
    assert receipt["from"] == found.liquidator
    pool = desk.node.live.pool
    (log,) = [one for one in receipt["logs"] if int(one["logIndex"], 16) == found.log_index]
    assert log["address"] == pool.address
    repaid, kept = (int(log["data"][2 + 64 * n : 66 + 64 * n], 16) for n in range(2))
    assert found.repaid == repaid
    assert found.penalty is not None
    assert found.protocol_fee is not None
    assert 0 < found.protocol_fee < found.penalty
    live = desk.node.live
    asked = (found.collateral.address, found.debt.address, desk.node.market.weth)
    calls = [(live.oracle, "getAssetPrice", (asset,)) for asset in asked]
    price, debt_price, native = read_all(live.rpc, calls, hex(found.block))
    worth, left = (
        amount * price * 10**18 // (found.collateral.unit * native)
        for amount in (found.seized, kept)
    )
    assert found.penalty == worth - repaid * debt_price * 10**18 // (found.debt.unit * native)
    assert found.protocol_fee == worth - left


async def test_a_disarmed_keeper_says_that_it_would_have_sent(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    async with keeper_desk(tmp_path, market, [proxy.ws_url], armed=False) as desk:
        desk.fall()
        await desk.until(lambda: bool(desk.ears.plans), mining=True)
        plan = desk.ears.plans[0]
        rival(desk.node, plan)
        (found,) = await taken_by(desk)
        assert found.ref == plan.ref
        assert found.cause is Cause.DISARMED
        assert found.forecast_net is not None
        _require_figures(desk, found)


async def test_what_is_shown_again_as_others_left_some_of_it_was_shown_before_theirs(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    """In a crash what others took is read when there is time, blocks later."""
    async with keeper_desk(tmp_path, market, [proxy.ws_url], armed=False) as desk:
        desk.fall(FALLEN_ON)
        await desk.until(lambda: bool(desk.ears.plans), mining=True)
        plan = desk.ears.plans[0]
        rival(desk.node, plan, plan.quote.repay // 10)
        fall_on(desk, FALLEN_ON - 100, 10**10)
        with proxy.spoiled(BUSY, method="eth_getTransactionReceipt"):
            desk.mine()
            await desk.until(lambda: [one.ref for one in desk.ears.plans].count(plan.ref) > 1)
        (found,) = await taken_by(desk)
        assert found.ref == plan.ref
        assert (found.cause, found.forecast_net) == (Cause.DISARMED, plan.forecast.net)
        _require_figures(desk, found)


@pytest.mark.usefixtures("worthless")
async def test_what_was_left_alone_is_told_with_the_reason(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    async with keeper_desk(tmp_path, market, [proxy.ws_url]) as desk:
        account = await left_alone(desk)
        assert not desk.ears.sent_plans
        take(desk, account)
        (found,) = await taken_by(desk)
        assert found.ref.account == account
        assert found.cause is Cause.LEFT
        assert found.detail.startswith("below_min_profit: ")
        _require_figures(desk, found)


async def left_alone(desk: Desk) -> str:
    """Let prices fall; return an account under the line that the keeper left alone."""
    desk.fall()
    await desk.until(lambda: bool(desk.ears.rejections), mining=True)
    return desk.ears.rejections[0].ref.account


def take(desk: Desk, account: str, *, max_fee: int = 500 * 10**9) -> None:
    """Let somebody liquidate an account in the next block, of the first pair that it has."""
    snapshot = desk.mirrors[0].snapshot
    position = next(one for ref, one in snapshot.positions.items() if ref.account == account)
    assets = {one.id: one.asset for one in snapshot.market.reserves if one is not None}
    live, who = desk.node.live, desk.node.market.accounts.supplier
    pair = [assets[side[0][0]] for side in (position.collateral, position.debt)]
    call = {
        "from": who,
        "to": live.pool.address,
        "data": "0x" + live.pool.encode("liquidationCall", *pair, account, 2**256 - 1, False).hex(),
        "gas": hex(2_000_000),
        "maxFeePerGas": hex(max_fee),
        "maxPriorityFeePerGas": hex(10**8),
    }
    desk.rpc("anvil_impersonateAccount", who)
    desk.rpc("eth_sendTransaction", call)


def who_falls(market: MarketNode) -> str:
    """Return an account that the fall of prices brings under the line."""
    kept = market.live.rpc.call("evm_snapshot")
    healthy = set(under_water(market.live))
    push_prices(market.live, FALL)
    falls = sorted(set(under_water(market.live)) - healthy)
    market.live.rpc.call("evm_revert", kept)
    return falls[0]


@pytest.mark.usefixtures("worthless")
async def test_what_falls_and_is_taken_within_one_block_is_told_so(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    account = who_falls(market)
    live = market.live
    async with keeper_desk(tmp_path, market, [proxy.ws_url]) as desk:
        oracle_node = Sender.of(live.rpc, market.market.accounts.oracle_node)
        submit_answers(live.rpc, oracle_node, live.aggregators, FALL)
        oracle_node.submit()
        take(desk, account, max_fee=MAX_FEE_WEI // 2)  # behind the feeds
        (found,) = await taken_by(desk)
        assert found.ref.account == account
        assert found.cause is Cause.ONE_BLOCK
        assert "WETH" in found.detail
        assert found.forecast_net is None
        _require_figures(desk, found)


@pytest.mark.usefixtures("worthless")
async def test_what_falls_and_is_taken_in_blocks_that_nobody_looked_at_is_told_so(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    account = who_falls(market)
    async with keeper_desk(tmp_path, market, [proxy.ws_url]) as desk:
        looked = max(desk.ears.blocks)
        with proxy.spoiled(BUSY, method="eth_call"), proxy.spoiled(BUSY, method="eth_getLogs"):
            desk.fall()
            await desk.until(lambda: bool(desk.ears.skips))
            take(desk, account)
            desk.mine()
            passed_over = len(desk.ears.skips) + 3  # of the two feeds' events, and of a head
            await desk.until(lambda: len(desk.ears.skips) >= passed_over)
        (found,) = await taken_by(desk)
        assert found.ref.account == account
        assert found.block > looked + 1
        assert found.cause is Cause.UNSEEN
        assert found.detail == f"all accounts were looked at last at block {looked}"
        _require_figures(desk, found)


@pytest.mark.usefixtures("worthless")
async def test_a_reorg_takes_theirs_out_of_the_books_and_back_in(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    async with keeper_desk(tmp_path, market, [proxy.ws_url]) as desk:
        account = await left_alone(desk)
        take(desk, account)
        (found,) = await taken_by(desk)
        assert books_of(desk).taken == (found,)
        desk.rpc("anvil_reorg", desk.height() - found.block + 1, [])
        desk.mine()
        await desk.until(lambda: not books_of(desk).taken, mining=True)
        take(desk, account)
        again = (await taken_by(desk, 2))[-1]
        assert again.ref == found.ref
        assert again.block_hash != found.block_hash
        assert books_of(desk).taken == (again,)


@pytest.mark.usefixtures("worthless")
async def test_the_report_shows_what_was_taken_to_people_and_to_machines(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy, capsys
) -> None:
    async with keeper_desk(tmp_path, market, [proxy.ws_url]) as desk:
        account = await left_alone(desk)
        take(desk, account)
        (found,) = await taken_by(desk)
        config = tmp_path / "keeper.yaml"
        shown = Shown(as_json=True, missed=True)
        report(config, Shown(), since=0)
        said = capsys.readouterr().out
        assert "Taken by others" in said
        assert "1 taken by others" in said
        report(config, shown, since=0)
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        (told,) = [one for one in lines if one["missed"] == "taken by others"]
        assert told["account"] == account
        assert told["cause"] == "left"
        assert told["penalty"] == str(found.penalty)
        assert told["gas"] == str(found.gas)
        assert {one["missed"] for one in lines} == {"taken by others", "left alone"}
