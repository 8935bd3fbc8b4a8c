"""Ten loans of one market of Morpho Blue under the line, and an executor."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keeper.config.settings import Settings, load
from keeper.devnet.assets import ASSETS
from keeper.devnet.config_files import KeeperFiles, write_config
from keeper.devnet.executor import deploy_executor
from keeper.devnet.morpho import build_morpho
from keeper.devnet.morpho_specs import loan_of
from keeper.devnet.prices import move_market
from keeper.devnet.stage_morpho_blue import morpho_file
from tests.support.market_node import MarketNode, copied_market

LOANS = 10
FALL_BPS = 9_850
BITCOIN = 2
"""The place of the market of bitcoin against dollars."""


@contextmanager
def ten_loans(binary: Path, base: MarketNode, folder: Path) -> Iterator[Settings]:
    """Have ten loans of one market of Morpho Blue under the line, with the executor there."""
    loans = [loan_of(BITCOIN, 20_000 + 1_000 * i, 10_060 + 4 * i) for i in range(LOANS)]
    with copied_market(binary, base) as node:
        local = build_morpho(node.live, seed=1, borrowers=0, loans=loans)
        who = node.market.accounts
        executor = deploy_executor(
            node.live.rpc, owner=who.deployer, operator=who.keeper, recipient=who.recipient
        )
        move_market(node.live, {"WBTC": ASSETS["WBTC"].price * FALL_BPS // 10_000})
        files = KeeperFiles(
            rpc=str(node.anvil.ipc_path),
            mode="live",
            executor=executor,
            recipient=who.recipient,
            deployments=(morpho_file(local),),
        )
        yield load(write_config(folder, node.market, files))
