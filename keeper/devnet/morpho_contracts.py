"""Morpho Blue, compiled from its published sources, and the contracts of ours around it."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Final

from keeper.devnet.compile_cache import Program, ensure_compiled
from keeper.devnet.contract import Artifact
from keeper.devnet.packages import Progress, ensure, quiet
from keeper.devnet.solc import Settings
from keeper.devnet.source_tree import gather_sources

MORPHO_PACKAGES: Final = ("morpho-blue", "solc-0.8.19")

_OURS: Final = ("MorphoModels.sol", "MorphoEarly.sol", "MorphoBorrowers.sol")
_OUR_CONTRACTS: Final = (
    "AdaptiveRateModel",
    "FixedRateModel",
    "OddRateModel",
    "FeedPairOracle",
    "EarlyLiquidation",
    "EarlyLiquidationFactory",
    "MorphoBorrowers",
)


def morpho_artifacts(progress: Progress = quiet) -> Mapping[str, Artifact]:
    """Return Morpho and the contracts around it, compiling them the first time."""
    folder = ensure("morpho-blue", progress=progress)
    morpho = Program(
        name="morpho-blue",
        label="Morpho Blue",
        sources=gather_sources(("src/Morpho.sol",), {"src/": folder / "src"}, {}),
        settings=Settings(compiler="solc-0.8.19", optimizer_runs=200, evm_version="paris"),
        contracts=("Morpho",),
    )
    home = files("keeper.devnet").joinpath("contracts")
    ours = Program(
        name="morpho-around",
        label="what is around Morpho Blue",
        sources={name: home.joinpath(name).read_text("utf-8") for name in _OURS},
        settings=Settings(evm_version="cancun"),
        contracts=_OUR_CONTRACTS,
    )
    return {
        **ensure_compiled(morpho, progress=progress),
        **ensure_compiled(ours, progress=progress),
    }
