"""Morpho Blue and its rate model, compiled from published sources, and contracts of ours."""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Final

from keeper.devnet.compile_cache import Program, ensure_compiled
from keeper.devnet.contract import Artifact
from keeper.devnet.packages import Progress, ensure, ensure_all, quiet
from keeper.devnet.solc import Settings
from keeper.devnet.source_tree import gather_sources

_BLUE: Final = "domains/morpho/contracts/"
_RATE_MODEL: Final = "domains/morphoIrm/contracts/AdaptiveCurveIrm.sol"

_OURS: Final = ("MorphoModels.sol", "MorphoEarly.sol", "MorphoBorrowers.sol")
_OUR_CONTRACTS: Final = (
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
    model = Program(
        name="morpho-irm",
        label="its rate model",
        sources=copied_sources(_RATE_MODEL, progress=progress),
        settings=Settings(optimizer_runs=999_999, evm_version="paris", via_ir=True),
        contracts=("AdaptiveCurveIrm",),
    )
    return {
        **ensure_compiled(morpho, progress=progress),
        **ensure_compiled(model, progress=progress),
        **ensure_compiled(ours, progress=progress),
    }


def copied_sources(
    root: str, more: Mapping[str, Path] | None = None, *, progress: Progress = quiet
) -> Mapping[str, str]:
    """Return a source of the package that copies Morpho's, with all that it imports.

    What is Morpho Blue's is read from Morpho's own package; ``more`` says where other packages lie.
    """
    folders = ensure_all(("morpho-blue", "morpho-copied"), progress=progress)
    places = {
        _BLUE: folders["morpho-blue"] / "src",
        "domains/": folders["morpho-copied"] / "domains",
    }
    return gather_sources((root,), {**places, **(more or {})}, {})
