"""Venus as a stage: on a local market whose Aave has no borrowers and only lends."""

from functools import partial

from keeper.devnet.build import build_market
from keeper.devnet.live import open_live
from keeper.devnet.market import LocalMarket
from keeper.devnet.stages import DeploymentFile, Scene, Wanted
from keeper.devnet.venus_build import build_venus
from keeper.devnet.venus_market import LocalVenus, open_venus, under_water


def stage(rpc_url: str, wanted: Wanted) -> Scene:
    """Build the market, then Venus with its borrowers."""
    market = build_market(
        rpc_url, seed=wanted.seed, borrowers=0, aave=wanted.aave, progress=wanted.progress
    )
    live = open_live(market, rpc_url)
    venus = build_venus(
        live, seed=wanted.seed, borrowers=wanted.borrowers, progress=wanted.progress
    )
    wanted.progress(f"Venus ready: {len(venus.borrowers):,} borrowers")
    return Scene(
        live=live,
        deployment=venus_file(market, venus),
        under_water=partial(under_water, open_venus(venus, live)),
    )


def venus_file(market: LocalMarket, venus: LocalVenus) -> DeploymentFile:
    """Return what a keeper's file of the market's Venus says."""
    return DeploymentFile(
        protocol="venus",
        start_block=venus.start_block,
        parameters={"comptroller": venus.comptroller, "wrapped_native": market.weth},
    )
