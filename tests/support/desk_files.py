"""The files of an armed keeper on a market node, with what a test wants otherwise."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from keeper.core.units import Address
from keeper.devnet.config_files import KeeperFiles, write_config
from keeper.devnet.stages import DeploymentFile
from tests.support.market_node import MarketNode


def desk_files(
    folder: Path,
    node: MarketNode,
    urls: Sequence[str],
    *,
    executor: Address,
    chain: Mapping[str, object] | None = None,
    root: Mapping[str, object] | None = None,
    deployments: tuple[DeploymentFile, ...] = (),
) -> Path:
    """Write the files of a keeper on the nodes at ``urls``; return the root's path."""
    files = KeeperFiles(
        rpc=urls[0],
        mode="live",
        executor=executor,
        recipient=node.market.accounts.recipient,
        deployments=deployments,
    )
    path = write_config(folder, node.market, files)
    _edit(folder / "chain.yaml", {"rpc": list(urls), **(chain or {})})
    _edit(path, root or {})
    return path


def _edit(path: Path, keys: Mapping[str, object]) -> None:
    """Set keys of a file; of a section that it has those that are given."""
    content = yaml.safe_load(path.read_text("utf-8"))
    for key, value in keys.items():
        before = content.get(key)
        is_section = isinstance(before, dict) and isinstance(value, Mapping)
        content[key] = {**before, **value} if is_section else value
    path.write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")
