"""Venus on the local market as a value, and as contracts to call."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from keeper.core.units import Address
from keeper.devnet.contract import Artifact, Contract
from keeper.devnet.live import LiveMarket
from keeper.devnet.packages import ensure_all
from keeper.devnet.sender import read_all
from keeper.devnet.venus import PACKAGES, venus_artifacts


class LocalVenus(Struct, frozen=True, kw_only=True):
    """Everything a keeper, a test or a demo needs to know of it."""

    start_block: int
    comptroller: Address
    liquidator: Address
    oracle: Address
    vai_controller: Address
    vai: Address
    markets: Mapping[str, Address]
    """cToken by the market's name."""
    borrowers: tuple[Address, ...]


class LiveVenus(Struct, frozen=True, kw_only=True):
    """It on a node that answers."""

    venus: LocalVenus
    live: LiveMarket
    comptroller: Contract
    liquidator: Contract
    vai_controller: Contract
    vai: Contract
    markets: Mapping[str, Contract]


def open_venus(venus: LocalVenus, live: LiveMarket) -> LiveVenus:
    """Return it as contracts to call on the node of ``live``."""
    artifacts: Mapping[str, Artifact] = venus_artifacts(ensure_all(PACKAGES))
    return LiveVenus(
        venus=venus,
        live=live,
        comptroller=Contract(artifact=artifacts["Comptroller"], address=venus.comptroller),
        liquidator=Contract(artifact=artifacts["Liquidator"], address=venus.liquidator),
        vai_controller=Contract(artifact=artifacts["VAIController"], address=venus.vai_controller),
        vai=Contract(artifact=artifacts["VAI"], address=venus.vai),
        markets={
            name: Contract(
                artifact=artifacts["VBNB" if name == "ETH" else "VBep20Immutable"],
                address=place,
            )
            for name, place in venus.markets.items()
        },
    )


def shortfalls(live: LiveVenus, block: str = "latest") -> Mapping[Address, int]:
    """Return what the Comptroller says each borrower is short of, 1e18 dollars; 0 when healthy."""
    calls = [(live.comptroller, "getAccountLiquidity", (one,)) for one in live.venus.borrowers]
    rows = read_all(live.live.rpc, calls, block)
    return {
        account: shortfall
        for account, (_, _, shortfall) in zip(live.venus.borrowers, rows, strict=True)
    }


def under_water(live: LiveVenus) -> Sequence[Address]:
    """Return the borrowers that the Comptroller would let be liquidated now, worst first."""
    short = {account: value for account, value in shortfalls(live).items() if value}
    return sorted(short, key=lambda account: -short[account])
