"""Venus's isolated pools on the local market as a value, and as contracts to call."""

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from keeper.core.units import Address
from keeper.devnet.contract import Contract
from keeper.devnet.isolated import PACKAGE, Registry, isolated_artifacts
from keeper.devnet.live import LiveMarket
from keeper.devnet.packages import ensure_all
from keeper.devnet.sender import read_all


class LocalPool(Struct, frozen=True, kw_only=True):
    """A pool: its Comptroller, its vTokens by asset, its borrowers."""

    name: str
    comptroller: Address
    markets: Mapping[str, Address]
    borrowers: tuple[Address, ...]


class LocalIsolated(Struct, frozen=True, kw_only=True):
    """Everything a keeper, a test or a demo needs to know of them."""

    start_block: int
    shared: Registry
    pools: tuple[LocalPool, ...]

    @property
    def registry(self) -> Address:
        """Where a deployment begins."""
        return self.shared.registry.address


class LivePool(Struct, frozen=True, kw_only=True):
    """A pool on a node that answers."""

    pool: LocalPool
    comptroller: Contract
    markets: Mapping[str, Contract]


class LiveIsolated(Struct, frozen=True, kw_only=True):
    """They on a node that answers."""

    isolated: LocalIsolated
    live: LiveMarket
    pools: tuple[LivePool, ...]
    rate_model: Contract

    def loans(self) -> Iterator[tuple[LivePool, Address]]:
        """Yield every borrower with its pool."""
        for one in self.pools:
            for account in one.pool.borrowers:
                yield one, account


def open_isolated(isolated: LocalIsolated, live: LiveMarket) -> LiveIsolated:
    """Return them as contracts to call on the node of ``live``."""
    artifacts = isolated_artifacts(ensure_all((PACKAGE,)))
    return LiveIsolated(
        isolated=isolated,
        live=live,
        pools=tuple(
            LivePool(
                pool=one,
                comptroller=Contract(artifact=artifacts["Comptroller"], address=one.comptroller),
                markets={
                    name: Contract(artifact=artifacts["VToken"], address=token)
                    for name, token in one.markets.items()
                },
            )
            for one in isolated.pools
        ),
        rate_model=isolated.shared.rate_model,
    )


def under_water(live: LiveIsolated, block: str = "latest") -> Sequence[Address]:
    """Return the borrowers whose Comptroller says that they are short, worst first."""
    loans = list(live.loans())
    calls = [(pool.comptroller, "getAccountLiquidity", (account,)) for pool, account in loans]
    rows = read_all(live.live.rpc, calls, block)
    short = {
        account: shortfall
        for (_, account), (_, _, shortfall) in zip(loans, rows, strict=True)
        if shortfall
    }
    return sorted(short, key=lambda account: -short[account])
