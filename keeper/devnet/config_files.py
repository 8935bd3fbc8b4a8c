"""Write the configuration of a local market, in the same files that a real chain has."""

from pathlib import Path

import yaml
from msgspec import Struct

from keeper.core.units import Address
from keeper.devnet.market import LocalMarket
from keeper.devnet.stage_aave_v3 import aave_file
from keeper.devnet.stages import DeploymentFile

INTERMEDIATES = ("WETH", "USDC")


class KeeperFiles(Struct, frozen=True, kw_only=True):
    """What the root file of a local market says."""

    rpc: str
    mode: str
    executor: Address | None
    recipient: Address | None
    block_time_s: int = 12
    min_profit: str = "0.002 ether"
    database: str = "keeper.sqlite"
    chain: str = "local"
    """The chain's name."""
    deployments: tuple[DeploymentFile, ...] = ()
    """None are Aave's alone."""


def write_config(folder: Path, market: LocalMarket, wanted: KeeperFiles) -> Path:
    """Write ``keeper.yaml`` with its chain and protocol files into a folder; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "chain.yaml", _chain(market, wanted))
    files = {
        f"{one.protocol}.local.yaml": _protocol(one, wanted.chain)
        for one in wanted.deployments or (aave_file(market),)
    }
    for name, content in files.items():
        _write(folder / name, content)
    root = folder / "keeper.yaml"
    _write(root, _root(wanted, list(files)))
    return root


def _write(path: Path, content: dict[str, object]) -> None:
    path.write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")


def _chain(market: LocalMarket, wanted: KeeperFiles) -> dict[str, object]:
    return {
        "name": wanted.chain,
        "chain_id": market.chain_id,
        "rpc": [wanted.rpc],
        "native_symbol": "ETH",
        "wrapped_native": market.weth,
        "native_feed": market.asset("WETH").feed,
        "price_feeds": {asset.token: asset.feed for asset in market.assets},
        "multicall3": market.multicall3,
        "block_time_s": wanted.block_time_s,
        "confirmations": 0,
        "finality_depth": 8,
        "max_head_age_s": 60,
        "follows_wall_clock": False,
        "priority_fee_wei": "0.1 gwei",
        "flash_sources": [{"kind": "aave_v3", "pool": market.pool}],
        "venues": [
            {
                "kind": "uniswap_v3",
                "factory": market.uniswap_factory,
                "quoter_v2": market.quoter,
                "fee_tiers": sorted({pool.fee for pool in market.pools}),
                "intermediates": [market.asset(symbol).token for symbol in INTERMEDIATES],
            }
        ],
    }


def _protocol(deployment: DeploymentFile, chain: str) -> dict[str, object]:
    return {
        "protocol": deployment.protocol,
        "chain": chain,
        "start_block": deployment.start_block,
        "parameters": dict(deployment.parameters),
    }


def _root(wanted: KeeperFiles, protocols: list[str]) -> dict[str, object]:
    return {
        "mode": wanted.mode,
        "chain": "chain.yaml",
        "protocols": protocols,
        "database": wanted.database,
        "executor": wanted.executor,
        "recipient": wanted.recipient,
        "limits": {
            "min_profit_wei": wanted.min_profit,
            "max_gas_price_wei": "200 gwei",
            "max_gas_per_tx_wei": "0.5 ether",
            "max_gas_per_hour_wei": "5 ether",
            "max_gas_per_day_wei": "20 ether",
            "min_balance_wei": "0.1 ether",
            "max_in_flight": 25,
            "slippage_bps": 300,
            "deadline_s": 120,
        },
    }
