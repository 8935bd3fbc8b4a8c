"""Morpho Blue as a stage: on the local market without Aave's own borrowers."""

from functools import partial

from keeper.devnet.build import build_market
from keeper.devnet.live import open_live
from keeper.devnet.morpho import LocalMorpho, build_morpho, liquidatable
from keeper.devnet.stages import DeploymentFile, Scene, Wanted


def stage(rpc_url: str, wanted: Wanted) -> Scene:
    """Build the market, then Morpho with its borrowers."""
    market = build_market(
        rpc_url, seed=wanted.seed, borrowers=0, aave=wanted.aave, progress=wanted.progress
    )
    live = open_live(market, rpc_url)
    local = build_morpho(
        live, seed=wanted.seed, borrowers=wanted.borrowers, progress=wanted.progress
    )
    return Scene(live=live, deployment=morpho_file(local), under_water=partial(liquidatable, local))


def morpho_file(local: LocalMorpho) -> DeploymentFile:
    """Return what a keeper's file of the local Morpho Blue says."""
    return DeploymentFile(
        protocol="morpho_blue",
        start_block=local.start_block,
        parameters={
            "morpho": local.morpho.address,
            "pre_liquidation_factories": [local.factory.address],
        },
    )
