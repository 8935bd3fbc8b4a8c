"""More than anybody should emit, burn or return. Scenarios 15 and 40, on real contracts."""

from pathlib import Path

import pytest

from keeper.chain.session import ChainOptions, open_chain
from keeper.core.chain import Call
from keeper.core.units import Address
from keeper.devnet.assets import ASSETS
from keeper.devnet.prices import oracle_prices, push_price
from tests.support.fault_desk import FALLEN, Desk, keeper_desk
from tests.support.fault_proxy import Lie, Refuse, fault_proxy
from tests.support.hostile_code import EMPTY_REVERT, GAS_BOMB, HUGE_RETURN, flooding, put
from tests.support.market_node import MarketNode

LOGS = 50_000
MOST_TOLD = 1_000
TRANSACTIONS = 5
ASIDE = Address("0x" + "a5" * 20)
LATEST_ANSWER = bytes.fromhex("50d25bcd")


def flood(desk: Desk, emitter: Address, logs: int = LOGS) -> str:
    """Emit as many price events in one block; return its number."""
    desk.rpc("evm_setBlockGasLimit", hex(2 * 10**9))
    who = desk.node.market.accounts.deployer
    body = {"from": who, "to": emitter, "gas": hex(50_000_000), "maxFeePerGas": hex(10**11)}
    data = "0x" + (logs // TRANSACTIONS).to_bytes(32, "big").hex()
    for _ in range(TRANSACTIONS):
        desk.rpc("eth_sendTransaction", {**body, "data": data, "maxPriorityFeePerGas": "0x0"})
    desk.mine()
    return str(desk.rpc("eth_blockNumber"))


async def test_15_fifty_thousand_logs_in_a_block_fill_no_memory_and_hold_up_no_scan(
    market: MarketNode, tmp_path: Path
) -> None:
    aggregator = market.market.asset("WETH").aggregator
    put(
        market.live.rpc,
        ASIDE,
        bytes.fromhex(market.live.rpc.call("eth_getCode", aggregator, "latest")[2:]),
    )
    put(market.live.rpc, aggregator, flooding(ASIDE, oracle_prices(market.live)["WETH"]))
    async with keeper_desk(tmp_path, market, [market.anvil.ws_url]) as desk:
        number = flood(desk, aggregator)
        block = desk.rpc("eth_getBlockByNumber", number, False)
        emitted = desk.rpc("eth_getLogs", {"blockHash": block["hash"], "address": aggregator})
        assert len(emitted) == LOGS
        await desk.at_head()
        desk.fall()
        await desk.until(lambda: bool(desk.ears.sent_plans), mining=True)
        await desk.settle()
        assert len(desk.ears.landed()) == len(desk.ears.sent_plans) > 1
        await desk.require_cold_start()
        desk.require_invariants()


async def test_15_more_logs_of_a_block_than_the_node_tells_hold_up_no_mirror(
    market: MarketNode, tmp_path: Path
) -> None:
    """Some providers tell so many for a question: the block's own receipts tell of all."""
    rpc, token = market.live.rpc, market.market.asset("WETH").a_token
    put(rpc, ASIDE, bytes.fromhex(rpc.call("eth_getCode", token, "latest")[2:]))
    put(rpc, token, flooding(ASIDE, 1))
    few = Refuse(code=-32005, message="query returned more than 1000 results")
    async with fault_proxy(market.anvil.http_url) as proxy:
        proxy.spoil(
            Lie(alter=lambda _, told: few if len(told) > MOST_TOLD else told), method="eth_getLogs"
        )
        async with keeper_desk(tmp_path, market, [proxy.ws_url]) as desk:
            flood(desk, token, 3 * MOST_TOLD)
            desk.fall()
            await desk.until(lambda: bool(desk.ears.sent_plans), mining=True)
            await desk.settle()
            assert len(desk.ears.landed()) == len(desk.ears.sent_plans) > 1
            await desk.require_cold_start()
            desk.require_invariants()


@pytest.mark.parametrize("bad", [GAS_BOMB, HUGE_RETURN, EMPTY_REVERT])
async def test_40_a_call_that_burns_or_returns_too_much_fails_no_other_of_its_batch(
    market: MarketNode, bad: bytes
) -> None:
    put(market.live.rpc, ASIDE, bad)
    good = Call(to=market.market.asset("WETH").feed, data=LATEST_ANSWER)
    calls = [good] * 150 + [Call(to=ASIDE, data=LATEST_ANSWER)] + [good] * 150
    options = ChainOptions(
        chain_id=market.market.chain_id, multicall3=Address(market.market.multicall3)
    )
    async with open_chain([market.anvil.http_url], options) as chain:
        results = await chain.reader.call_many(calls, await chain.reader.head())
    answer = oracle_prices(market.live)["WETH"]
    assert [int.from_bytes(one.data, "big") for one in results[:150]] == [answer] * 150
    assert [int.from_bytes(one.data, "big") for one in results[151:]] == [answer] * 150
    assert results[150].success is (bad == HUGE_RETURN)


@pytest.mark.parametrize("bad", [GAS_BOMB, HUGE_RETURN])
async def test_40_a_feed_that_burns_or_returns_too_much_stops_its_own_accounts_alone(
    market: MarketNode, tmp_path: Path, bad: bytes
) -> None:
    put(market.live.rpc, market.market.asset("WBTC").feed, bad)
    async with keeper_desk(tmp_path, market, [market.anvil.ws_url]) as desk:
        push_price(market.live, "WETH", ASSETS["WETH"].price * FALLEN // 10_000)
        await desk.until(lambda: bool(desk.ears.sent_plans), mining=True)
        await desk.settle_landed()
        assert all(desk.ears.reasons())
