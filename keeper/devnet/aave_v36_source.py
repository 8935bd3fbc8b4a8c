"""Aave V3.6 from its published sources, compiled as its authors compile it."""

from collections.abc import Sequence

from keeper.devnet.compile_cache import Program, ensure_compiled
from keeper.devnet.contract import Artifact
from keeper.devnet.packages import Progress, ensure_all, quiet
from keeper.devnet.solc import Settings
from keeper.devnet.source_tree import gather_sources

PACKAGES = (
    "aave-v3-origin",
    "bgd-solidity-utils",
    "openzeppelin-contracts",
    "openzeppelin-contracts-upgradeable",
)

LIBRARIES = (
    "SupplyLogic",
    "BorrowLogic",
    "LiquidationLogic",
    "PoolLogic",
    "ConfiguratorLogic",
    "FlashLoanLogic",
)
"""In an order in which each finds those that it links to."""

_ORIGIN = "@aave-dao/aave-v3-origin/src/contracts/"
_REMAPPINGS = {
    "openzeppelin-contracts/contracts/": "@openzeppelin/contracts/",
    "openzeppelin-contracts-upgradeable/contracts/": "@openzeppelin/contracts-upgradeable/",
    "solidity-utils/contracts/": "@bgd-labs/solidity-utils/src/contracts/",
}
_PLACES = {
    "instances": (
        "PoolInstance",
        "PoolConfiguratorInstance",
        "ATokenInstance",
        "VariableDebtTokenInstance",
    ),
    "misc": ("AaveOracle", "DefaultReserveInterestRateStrategyV2", "PriceOracleSentinel"),
    "protocol/configuration": ("PoolAddressesProvider", "ACLManager"),
    "helpers": ("AaveProtocolDataProvider", "LiquidationDataProvider"),
    "protocol/libraries/logic": LIBRARIES,
}


def aave_v36_artifacts(progress: Progress = quiet) -> dict[str, Artifact]:
    """Return what a market is deployed from, compiled the first time.

    The names are those of 3.0: what an instance is made of is under the name of the contract.
    """
    places = [f"{place}/{name}" for place, names in _PLACES.items() for name in names]
    program = program_of("aave-v3.6", "Aave V3.6", places, progress)
    compiled = ensure_compiled(program, progress=progress)
    return {name.removesuffix("Instance"): artifact for name, artifact in compiled.items()}


def program_of(name: str, label: str, places: Sequence[str], progress: Progress = quiet) -> Program:
    """Return contracts of the package, given by folder and name, as what is to be compiled."""
    folders = ensure_all(PACKAGES, progress=progress)
    sources = gather_sources(
        [f"{_ORIGIN}{place}.sol" for place in places],
        {
            _ORIGIN: folders["aave-v3-origin"] / "src" / "contracts",
            "@bgd-labs/solidity-utils/": folders["bgd-solidity-utils"],
            "@openzeppelin/contracts-upgradeable/": folders["openzeppelin-contracts-upgradeable"],
            "@openzeppelin/contracts/": folders["openzeppelin-contracts"],
        },
        _REMAPPINGS,
    )
    return Program(
        name=name,
        label=f"{label} ({len(sources)} files)",
        sources=sources,
        settings=Settings(
            compiler="solc-0.8.27",
            optimizer_runs=200,
            evm_version="shanghai",
            remappings=_REMAPPINGS,
        ),
        contracts=tuple(place.rpartition("/")[2] for place in places),
    )
