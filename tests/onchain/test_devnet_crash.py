"""Prices move through real feeds and real trades, and the crash does what it is for."""

import pytest
from eth_utils.crypto import keccak

from keeper.devnet.assets import ASSETS
from keeper.devnet.crash import crash
from keeper.devnet.live import account_data, under_water
from keeper.devnet.prices import move_market, oracle_prices, push_price, push_prices
from keeper.devnet.sender import held_mining, read_all
from keeper.devnet.uniswap import sqrt_price_x96
from tests.support.market_node import MarketNode

ANSWER_UPDATED = "0x" + keccak(text="AnswerUpdated(int256,uint256,uint256)").hex()


def test_a_pushed_price_is_what_aave_reads(market_copy: MarketNode):
    push_price(market_copy.live, "WBTC", 81_234_56789012)
    assert oracle_prices(market_copy.live)["WBTC"] == 81_234_56789012


def test_a_pushed_price_is_announced_by_the_aggregator_not_by_the_proxy(market_copy: MarketNode):
    block = push_price(market_copy.live, "WETH", 2_999_00000000)
    logs = market_copy.live.rpc.call(
        "eth_getLogs",
        {"fromBlock": hex(block), "toBlock": hex(block), "topics": [ANSWER_UPDATED]},
    )
    assert [log["address"] for log in logs] == [market_copy.market.asset("WETH").aggregator]
    assert int(logs[0]["topics"][1], 16) == 2_999_00000000


def test_several_prices_move_in_one_block(market_copy: MarketNode):
    before = int(market_copy.live.rpc.call("eth_blockNumber"), 16)
    block = push_prices(market_copy.live, {"WETH": 2_900_00000000, "DAI": 99900000})
    assert block == before + 1 == int(market_copy.live.rpc.call("eth_blockNumber"), 16)


def test_the_exchange_follows_the_oracle_to_the_last_bit(market_copy: MarketNode):
    live = market_copy.live
    move_market(live, {"WETH": 2_100_00000000, "WBTC": 95_000_00000000, "USDT": 99500000})
    prices = oracle_prices(live)
    slots = read_all(live.rpc, [(pool, "slot0", ()) for pool, _ in live.exchange_pools])
    for (_, pair), slot0 in zip(live.exchange_pools, slots, strict=True):
        assert slot0[0] == sqrt_price_x96(pair, prices[pair.symbol0], prices[pair.symbol1])


def test_a_feed_alone_can_leave_the_exchange_behind(market_copy: MarketNode):
    live = market_copy.live
    calls = [(pool, "slot0", ()) for pool, _ in live.exchange_pools]
    before = read_all(live.rpc, calls)
    push_price(live, "WETH", 2_100_00000000)
    assert read_all(live.rpc, calls) == before


def test_mining_is_left_as_it_was_found(market_copy: MarketNode):
    rpc = market_copy.live.rpc
    for automine in (True, False):
        rpc.call("evm_setAutomine", automine)
        with held_mining(rpc):
            assert rpc.call("anvil_getAutomine") is False
        assert rpc.call("anvil_getAutomine") is automine


def test_the_crash_goes_on_from_the_block_a_step_is_in(market_copy: MarketNode):
    first = market_copy.market.ready_block + 1
    steps = list(crash(market_copy.live))
    assert [step.block for step in steps] == list(range(first, first + len(steps)))
    assert [step.number for step in steps] == list(range(1, steps[0].count + 1))


def test_the_crash_puts_fifteen_and_more_under_water(market_copy: MarketNode):
    assert under_water(market_copy.live) == []
    counts = [len(under_water(market_copy.live)) for _ in crash(market_copy.live)]
    assert counts == sorted(counts)
    assert counts[-1] >= 15


def test_the_crash_leaves_one_with_more_debt_than_collateral(market_copy: MarketNode):
    for _ in crash(market_copy.live):
        pass
    data = account_data(market_copy.live, market_copy.market.borrowers)
    assert any(row.debt_base > row.collateral_base for row in data)
    # A threshold of 95 % is the loop in eMode: even a liquidator at every step cannot save it.
    assert any(row.debt_base > row.collateral_base for row in data if row.threshold_bps == 9_500)


def test_the_crash_raises_the_base_fee(market_copy: MarketNode):
    rpc = market_copy.live.rpc
    fees = [
        int(rpc.call("eth_getBlockByNumber", hex(step.block), False)["baseFeePerGas"], 16)
        for step in crash(market_copy.live)
    ]
    assert fees[0] == 2 * 10**9
    assert max(fees) == 6 * 10**9


@pytest.mark.parametrize("dollars", [1_000, 100_000])
def test_the_exchange_keeps_its_depth_through_the_crash(market_copy: MarketNode, dollars: int):
    live = market_copy.live
    for _ in crash(live):
        pass
    weth, usdc = (live.tokens[symbol].address for symbol in ("WETH", "USDC"))
    price = oracle_prices(live)["WETH"]
    amount = dollars * 10**8 * 10**18 // price
    calls = [(live.quoter, "quoteExactInputSingle", ((weth, usdc, amount, 500, 0),))]
    received, *_ = read_all(live.rpc, calls)[0]
    assert dollars * 0.99 < received / 10 ** ASSETS["USDC"].decimals < dollars
