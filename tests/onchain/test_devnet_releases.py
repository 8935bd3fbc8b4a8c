"""The local market on each release of Aave V3 that it can be built on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from keeper.core.errors import ConfigError
from keeper.core.units import ZERO_ADDRESS
from keeper.devnet.actions import random_actions
from keeper.devnet.assets import ASSETS, CATEGORIES, FLASH_PREMIUM_BPS
from keeper.devnet.build import build_market
from keeper.devnet.live import account_data, under_water
from keeper.devnet.market import load_market
from keeper.devnet.releases import RELEASES, release_of
from keeper.devnet.sender import Sender, read
from keeper.devnet.sentinel import DOWN, UP, install_sentinel
from tests.support.market_node import MarketNode, built_market, copied_market

REVISIONS = {"3.0": 1, "3.6": 10}


@pytest.fixture(scope="module", params=list(RELEASES))
def node(anvil_binary: Path, request: pytest.FixtureRequest) -> Iterator[MarketNode]:
    with built_market(anvil_binary, seed=4, borrowers=60, aave=request.param) as built:
        yield built


@pytest.fixture
def fork(anvil_binary: Path, node: MarketNode) -> Iterator[MarketNode]:
    with copied_market(anvil_binary, node) as forked:
        yield forked


def test_the_pool_is_of_the_release_asked_for(node: MarketNode):
    assert read(node.live.rpc, node.live.pool, "POOL_REVISION") == REVISIONS[node.market.aave]


def test_positions_and_prices_are_the_same_on_every_release(node: MarketNode):
    data = account_data(node.live, node.market.borrowers)
    assert len(data) == 60
    assert all(row.debt_base > 0 and row.health_factor > 10**18 for row in data)
    assert min(row.health_factor for row in data) < 1_030 * 10**15
    assert under_water(node.live) == []


def test_reserves_have_the_parameters_they_were_listed_with(node: MarketNode):
    live = node.live
    for symbol, spec in ASSETS.items():
        token = live.tokens[symbol].address
        decimals, ltv, threshold, bonus, factor, collateral, borrowing, _, active, frozen = read(
            live.rpc, live.data_provider, "getReserveConfigurationData", token
        )
        assert (decimals, ltv, threshold) == (spec.decimals, spec.ltv_bps, spec.threshold_bps)
        assert (bonus, factor) == (spec.bonus_bps, spec.reserve_factor_bps)
        assert (collateral, borrowing, active, frozen) == (True, True, True, False)
        assert read(live.rpc, live.data_provider, "getLiquidationProtocolFee", token) == 1_000
    assert read(live.rpc, live.pool, "FLASHLOAN_PREMIUM_TOTAL") == FLASH_PREMIUM_BPS


def test_categories_weigh_their_members(node: MarketNode):
    live, borrowers = node.live, node.market.borrowers
    found = {
        (category, row.threshold_bps)
        for account, row in zip(borrowers, account_data(live, borrowers), strict=True)
        if (category := read(live.rpc, live.pool, "getUserEMode", account))
    }
    assert found == {(c.number, c.threshold_bps) for c in CATEGORIES.values()}


def test_a_saved_market_says_its_release(node: MarketNode, tmp_path: Path):
    node.market.save(tmp_path / "market.json")
    assert load_market(tmp_path / "market.json") == node.market
    has_reckoner = node.market.liquidation_data_provider is not None
    assert has_reckoner is (node.live.liquidation_data_provider is not None)
    assert has_reckoner is (node.market.aave == "3.6")
    stable = {asset.stable_debt_token for asset in node.market.assets}
    assert (stable == {ZERO_ADDRESS}) is (node.market.aave == "3.6")


def test_random_life_goes_on_on_every_release(fork: MarketNode):
    report = random_actions(fork.live, seed=9, count=120)
    assert len(report.succeeded) >= 10
    assert sum(report.succeeded.values()) > sum(report.refused.values())


def test_a_sentinel_follows_the_sequencer(fork: MarketNode):
    live = fork.live
    sequencer = install_sentinel(live, grace_s=600)
    oracle_node = Sender.of(live.rpc, fork.market.accounts.oracle_node)

    def is_allowed_after(seconds: int) -> bool:
        now = int(live.rpc.call("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
        live.rpc.call("evm_setNextBlockTimestamp", now + seconds)
        live.rpc.call("evm_mine")
        return bool(read(live.rpc, sequencer.sentinel, "isLiquidationAllowed"))

    assert not is_allowed_after(12)
    assert is_allowed_after(600)
    sequencer.report(live, oracle_node, DOWN)
    oracle_node.mine()
    assert not is_allowed_after(6_000)
    sequencer.report(live, oracle_node, UP)
    oracle_node.mine()
    assert not is_allowed_after(300)
    assert is_allowed_after(400)


def test_an_unknown_release_is_refused_with_those_that_are_known():
    with pytest.raises(ConfigError, match=r"expected release 3\.0 or 3\.6, found '4'"):
        release_of("4")


def test_the_same_seed_builds_the_same_market_on_3_6(anvil_binary: Path):
    with (
        built_market(anvil_binary, seed=5, borrowers=60, aave="3.6") as one,
        built_market(anvil_binary, seed=5, borrowers=60, aave="3.6") as other,
    ):
        assert one.market == other.market
        borrowers = one.market.borrowers
        assert account_data(one.live, borrowers) == account_data(other.live, borrowers)
        with pytest.raises(ConfigError, match="expected an empty chain"):
            build_market(other.anvil.http_url, aave="3.6")
