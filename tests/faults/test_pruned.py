"""A node keeps the state of old blocks for a while; what landed in one is settled all the same."""

from contextlib import closing
from pathlib import Path

from keeper.chain.anvil import AnvilOptions
from keeper.devnet.live import open_live
from keeper.ledger.books import read_books
from tests.support.fault_desk import keeper_desk
from tests.support.market_node import MarketNode, copied_node

KEPT_BLOCKS = 20
AWAY_BLOCKS = 200


async def test_what_landed_while_we_were_down_is_settled_though_its_state_is_gone(
    anvil_binary: Path, market: MarketNode, tmp_path: Path
) -> None:
    options = AnvilOptions(ipc=True, extra=("--prune-history", str(KEPT_BLOCKS)))
    with copied_node(anvil_binary, market, market.live.rpc, options) as anvil:
        live = open_live(market.market, anvil.http_url)
        with closing(live.rpc):
            node = MarketNode(anvil=anvil, live=live)
            async with keeper_desk(tmp_path, node, [anvil.http_url]) as desk:
                desk.fall()
                await desk.until(lambda: bool(desk.ears.sent_plans), mining=True)
                sent = {one.tx_hash for _, one in desk.ears.sent_plans}
                desk.running.cancel()
            for _ in range(AWAY_BLOCKS):
                live.rpc.call("evm_mine")
            async with keeper_desk(
                tmp_path, node, [anvil.http_url], executor=desk.settings.executor
            ) as again:
                await again.settle()
                assert {one.tx_hash for one in again.ears.landed()} >= sent
                assert again.session.keeper.in_flight == 0
    assert {one.tx_hash for one in read_books(desk.settings.database).entries} >= sent
