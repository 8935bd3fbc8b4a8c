"""A market kept in the cache comes back as it was, and can be larger than one node builds."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from keeper.core.errors import ConfigError
from keeper.devnet.live import account_data, open_live
from keeper.devnet.prices import push_price
from keeper.devnet.saved import SavedMarket, ensure_saved, start_saved, strip_traces
from tests.support.market_node import MarketNode, copied_market


@pytest.fixture(scope="module")
def saved(
    anvil_binary: Path, tmp_path_factory: pytest.TempPathFactory, packages: object
) -> Iterator[SavedMarket]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("keeper.devnet.saved.cache_root", lambda: tmp_path_factory.mktemp("cache"))
        yield ensure_saved(anvil_binary, seed=1, borrowers=50, part=30)


@pytest.fixture
def restored(anvil_binary: Path, saved: SavedMarket) -> Iterator[MarketNode]:
    anvil, market = start_saved(anvil_binary, saved)
    with anvil:
        live = open_live(market, anvil.http_url)
        with closing(live.rpc):
            yield MarketNode(anvil=anvil, live=live)


def test_every_borrower_of_every_part_is_there(restored: MarketNode):
    data = account_data(restored.live, restored.market.borrowers)
    assert len(set(restored.market.borrowers)) == 50
    assert all(row.debt_base > 0 and row.health_factor > 10**18 for row in data)


def test_the_logs_of_every_part_are_there(restored: MarketNode):
    borrow = "0xb3d084820fb1a9decffb176436bd02558d15fac9b0ddfed8c465bc7359d7dce0"
    wanted = {"fromBlock": "0x0", "address": restored.market.pool, "topics": [borrow]}
    logs = restored.live.rpc.call("eth_getLogs", wanted)
    found = {"0x" + log["topics"][2][-40:] for log in logs}
    assert found == set(restored.market.borrowers)


def test_the_clock_goes_on_from_the_last_block(restored: MarketNode):
    blocks = [
        restored.live.rpc.call("eth_getBlockByNumber", block, False)
        for block in (hex(restored.market.ready_block), "latest")
    ]
    before, after = (int(block["timestamp"], 16) for block in blocks)
    assert after - before == 12


def test_a_restored_market_can_be_used(restored: MarketNode):
    block = push_price(restored.live, "WETH", 2_000_00000000)
    assert block == int(restored.live.rpc.call("eth_blockNumber"), 16)


def test_the_second_time_nothing_is_built(
    anvil_binary: Path, saved: SavedMarket, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("keeper.devnet.saved.cache_root", lambda: saved.state.parents[1])
    said: list[str] = []
    again = ensure_saved(anvil_binary, seed=1, borrowers=50, part=30, progress=said.append)
    assert (again, said) == (saved, [])


def test_a_missing_market_file_is_named(anvil_binary: Path, saved: SavedMarket, tmp_path: Path):
    lost = SavedMarket(state=saved.state, market=tmp_path / "lost.json")
    with pytest.raises(ConfigError, match=r"lost\.json: expected a saved local market"):
        start_saved(anvil_binary, lost)


def test_only_the_traces_are_taken_out_of_a_state():
    state = (
        b'{"block":{"a":1},"transactions":[{"info":{"traces":[{"x":[1]}],"n":7},"receipt":[2]}]}'
    )
    assert strip_traces(state) == (
        b'{"block":{"a":1},"transactions":[{"info":{"traces":[],"n":7},"receipt":[2]}]}'
    )


def test_a_copy_is_of_the_newest_block_and_has_nothing_of_another_copy(
    anvil_binary: Path, restored: MarketNode
):
    for _ in range(2):
        restored.live.rpc.call("evm_mine")
        newest = restored.live.rpc.call("eth_getBlockByNumber", "latest", False)["hash"]
        for _ in range(2):
            with copied_market(anvil_binary, restored) as copy:
                found = copy.live.rpc.call("eth_getBlockByNumber", "latest", False)["hash"]
                assert found == newest
                copy.live.rpc.call("evm_mine")
