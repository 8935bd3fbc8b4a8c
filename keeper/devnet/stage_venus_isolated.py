"""The isolated pools as a stage: on a local market whose Aave only lends within transactions."""

from functools import partial

from keeper.devnet.build import build_market
from keeper.devnet.isolated_build import build_isolated
from keeper.devnet.isolated_market import LocalIsolated, open_isolated, under_water
from keeper.devnet.live import open_live
from keeper.devnet.stages import DeploymentFile, Scene, Wanted


def stage(rpc_url: str, wanted: Wanted) -> Scene:
    """Build the market, then the pools, which share the borrowers."""
    market = build_market(
        rpc_url, seed=wanted.seed, borrowers=0, aave=wanted.aave, progress=wanted.progress
    )
    live = open_live(market, rpc_url)
    isolated = build_isolated(
        live, seed=wanted.seed, borrowers=wanted.borrowers // 2, progress=wanted.progress
    )
    wanted.progress(f"isolated pools ready: {len(isolated.pools)}")
    return Scene(
        live=live,
        deployment=isolated_file(isolated),
        under_water=partial(under_water, open_isolated(isolated, live)),
    )


def isolated_file(isolated: LocalIsolated) -> DeploymentFile:
    """Return what a keeper's file of the pools says."""
    return DeploymentFile(
        protocol="venus_isolated",
        start_block=isolated.start_block,
        parameters={"pool_registry": isolated.registry},
    )
