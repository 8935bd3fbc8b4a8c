"""The local market as a value: every address of it, and its JSON."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct, to_builtins

from keeper.core.errors import ConfigError
from keeper.core.units import Address
from keeper.devnet.accounts import Accounts

FORMAT = 2


class MarketAsset(Struct, frozen=True, kw_only=True):
    """One reserve: its token, Aave's tokens for it, and its price feed."""

    symbol: str
    decimals: int
    token: Address
    a_token: Address
    stable_debt_token: Address
    variable_debt_token: Address
    feed: Address
    aggregator: Address


class MarketPool(Struct, frozen=True, kw_only=True):
    """One Uniswap V3 pool, its tokens in the pool's order."""

    address: Address
    symbol0: str
    symbol1: str
    token0: Address
    token1: Address
    fee: int


class LocalMarket(Struct, frozen=True, kw_only=True):
    """Everything a keeper, a test or a demo needs to know of a built market."""

    aave: str
    """The release of Aave V3."""
    chain_id: int
    seed: int
    start_block: int
    ready_block: int
    flash_premium_bps: int
    provider: Address
    pool: Address
    configurator: Address
    acl_manager: Address
    oracle: Address
    data_provider: Address
    liquidation_data_provider: Address | None
    """Aave's own reckoning of liquidations, where the release has one."""
    multicall3: Address
    uniswap_factory: Address
    position_manager: Address
    swap_router: Address
    swap_router_02: Address
    quoter: Address
    borrower_factory: Address
    accounts: Accounts
    assets: tuple[MarketAsset, ...]
    pools: tuple[MarketPool, ...]
    borrowers: tuple[Address, ...]

    def asset(self, symbol: str) -> MarketAsset:
        """Return an asset by its symbol."""
        return next(asset for asset in self.assets if asset.symbol == symbol)

    @property
    def weth(self) -> Address:
        """Return the wrapped native coin."""
        return self.asset("WETH").token

    def save(self, path: Path) -> None:
        """Write the market as JSON."""
        path.write_text(json.dumps({"format": FORMAT, **to_builtins(self)}, indent=1), "utf-8")


def load_market(path: Path) -> LocalMarket:
    """Return a market saved before; raise ConfigError when the file is not one."""
    try:
        content: dict[str, Any] = json.loads(path.read_text("utf-8"))
        found = content.pop("format")
        if found != FORMAT:
            raise ConfigError(f"{path}: expected a market of format {FORMAT}, found {found}")
        return _market(content)
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise ConfigError(f"{path}: expected a saved local market, found {e!r}") from e


def _market(content: Mapping[str, Any]) -> LocalMarket:
    accounts = dict(content["accounts"])
    accounts["actors"] = tuple(accounts["actors"])
    return LocalMarket(
        **{
            **content,
            "accounts": Accounts(**accounts),
            "assets": tuple(MarketAsset(**asset) for asset in content["assets"]),
            "pools": tuple(MarketPool(**pool) for pool in content["pools"]),
            "borrowers": tuple(content["borrowers"]),
        }
    )
