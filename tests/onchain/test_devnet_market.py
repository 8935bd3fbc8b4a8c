"""The local market is real, is what it says it is, and is the same every time."""

import json
from itertools import pairwise
from pathlib import Path

import pytest

from keeper.core.errors import ConfigError
from keeper.devnet.assets import ASSETS, CATEGORIES, FLASH_PREMIUM_BPS
from keeper.devnet.build import BLOCK_INTERVAL_S, build_market
from keeper.devnet.live import account_data
from keeper.devnet.market import load_market
from keeper.devnet.prices import oracle_prices
from keeper.devnet.rebuild import ARTIFACT, artifact_text
from keeper.devnet.sender import Sender, read, read_all
from tests.support.market_node import MarketNode, built_market


def health_factors(node: MarketNode) -> list[int]:
    return [row.health_factor for row in account_data(node.live, node.market.borrowers)]


def test_the_committed_factory_is_what_its_source_compiles_to():
    assert ARTIFACT.read_text("utf-8") == artifact_text(), "run python -m keeper.devnet.rebuild"


def test_the_same_seed_builds_the_same_market(anvil_binary: Path):
    with (
        built_market(anvil_binary, seed=5, borrowers=60) as one,
        built_market(anvil_binary, seed=5, borrowers=60) as other,
    ):
        assert one.market == other.market
        assert health_factors(one) == health_factors(other)


def test_every_borrower_has_debt_and_is_healthy_at_first(local_market: MarketNode):
    data = account_data(local_market.live, local_market.market.borrowers)
    assert all(row.debt_base > 0 and row.collateral_base > row.debt_base for row in data)
    assert all(row.health_factor > 10**18 for row in data)
    assert len(set(local_market.market.borrowers)) == 100


def test_reserves_have_the_parameters_they_were_listed_with(local_market: MarketNode):
    live = local_market.live
    for symbol, spec in ASSETS.items():
        token = live.tokens[symbol].address
        decimals, ltv, threshold, bonus, factor, collateral, borrowing, _, active, frozen = read(
            live.rpc, live.data_provider, "getReserveConfigurationData", token
        )
        assert (decimals, ltv, threshold) == (spec.decimals, spec.ltv_bps, spec.threshold_bps)
        assert (bonus, factor) == (spec.bonus_bps, spec.reserve_factor_bps)
        assert (collateral, borrowing, active, frozen) == (True, True, True, False)
        fee = read(live.rpc, live.data_provider, "getLiquidationProtocolFee", token)
        category = read(live.rpc, live.data_provider, "getReserveEModeCategory", token)
        assert (fee, category) == (1_000, spec.category)


def test_borrowers_in_emode_have_its_threshold(local_market: MarketNode):
    live, borrowers = local_market.live, local_market.market.borrowers
    categories = read_all(live.rpc, [(live.pool, "getUserEMode", (b,)) for b in borrowers])
    found = {
        (category, row.threshold_bps)
        for category, row in zip(categories, account_data(live, borrowers), strict=True)
        if category
    }
    assert found == {(c.number, c.threshold_bps) for c in CATEGORIES.values()}


def test_the_pool_lends_flash_loans_at_the_stated_premium(local_market: MarketNode):
    live = local_market.live
    assert read(live.rpc, live.pool, "FLASHLOAN_PREMIUM_TOTAL") == FLASH_PREMIUM_BPS
    assert local_market.market.flash_premium_bps == FLASH_PREMIUM_BPS


def test_multicall3_answers_at_its_canonical_address(local_market: MarketNode):
    market = local_market.market
    assert market.multicall3 == "0xca11bde05977b3631167028862be2a173976ca11"
    get_chain_id = "0x3408e470"
    call = {"to": market.multicall3, "data": get_chain_id}
    assert int(local_market.live.rpc.call("eth_call", call, "latest"), 16) == market.chain_id


def test_wrapped_ether_can_be_unwrapped(market_copy: MarketNode):
    live = market_copy.live
    sender = Sender.of(live.rpc, market_copy.market.accounts.supplier)
    before = int(live.rpc.call("eth_getBalance", sender.account, "latest"), 16)
    sender.call(live.tokens["WETH"], "withdraw", 10**18)
    sender.mine()
    after = int(live.rpc.call("eth_getBalance", sender.account, "latest"), 16)
    assert 10**18 - 10**15 < after - before < 10**18


def test_blocks_are_twelve_seconds_apart(market_copy: MarketNode):
    rpc = market_copy.live.rpc
    rpc.batch([("evm_mine", []), ("evm_mine", [])])
    latest = int(rpc.call("eth_blockNumber"), 16)
    blocks = rpc.batch(
        ("eth_getBlockByNumber", [hex(number), False])
        for number in range(market_copy.market.start_block + 1, latest + 1)
    )
    times = [int(block["timestamp"], 16) for block in blocks]
    assert {b - a for a, b in pairwise(times)} == {BLOCK_INTERVAL_S}


def test_exchange_prices_are_those_of_the_oracle(local_market: MarketNode):
    live = local_market.live
    prices = oracle_prices(live)
    for pool in local_market.market.pools:
        token_in, token_out = pool.token0, pool.token1
        spec_in, spec_out = ASSETS[pool.symbol0], ASSETS[pool.symbol1]
        amount = 1_000 * 10**8 * 10**spec_in.decimals // prices[pool.symbol0]
        order = (token_in, token_out, amount, pool.fee, 0)
        received, *_ = read(live.rpc, live.quoter, "quoteExactInputSingle", order)
        usd = received * prices[pool.symbol1] / 10**spec_out.decimals / 1e8
        assert 1_000 * (1 - pool.fee / 1e6) == pytest.approx(usd, rel=1e-3), pool


def test_a_saved_market_is_the_market(local_market: MarketNode, tmp_path: Path):
    path = tmp_path / "market.json"
    local_market.market.save(path)
    assert load_market(path) == local_market.market


@pytest.mark.parametrize("content", ["", "[]", "{}", json.dumps({"format": 1}), '{"format": 99}'])
def test_a_file_that_is_no_market_is_refused_by_name(content: str, tmp_path: Path):
    path = tmp_path / "market.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"market\.json: expected"):
        load_market(path)


def test_a_chain_in_use_is_not_built_on(market_copy: MarketNode):
    with pytest.raises(ConfigError, match="expected an empty chain to build on"):
        build_market(market_copy.anvil.http_url)
