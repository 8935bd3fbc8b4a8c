"""Aave V3 as a stage: the local market itself, with its borrowers."""

from functools import partial

from keeper.devnet.build import build_market
from keeper.devnet.live import open_live, under_water
from keeper.devnet.market import LocalMarket
from keeper.devnet.stages import DeploymentFile, Scene, Wanted


def stage(rpc_url: str, wanted: Wanted) -> Scene:
    """Build the market with its borrowers."""
    market = build_market(
        rpc_url,
        seed=wanted.seed,
        borrowers=wanted.borrowers,
        aave=wanted.aave,
        progress=wanted.progress,
    )
    live = open_live(market, rpc_url)
    return Scene(live=live, deployment=aave_file(market), under_water=partial(under_water, live))


def aave_file(market: LocalMarket) -> DeploymentFile:
    """Return what a keeper's file of the market's Aave says."""
    return DeploymentFile(
        protocol="aave_v3",
        start_block=market.start_block,
        parameters={"addresses_provider": market.provider},
    )
