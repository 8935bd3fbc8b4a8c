"""Venus's core pool, deployed from its published artifacts as its own scripts would."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from msgspec import Struct

from keeper.core.units import WAD, ZERO_ADDRESS, Address
from keeper.devnet.contract import Artifact, Contract, load_artifact, selector
from keeper.devnet.sender import Sender

PACKAGES: Final = ("venus-protocol", "venus-oracle")

CLOSE_FACTOR: Final = WAD // 2
TREASURY_PERCENT: Final = WAD // 2
"""Of the bonus, as on BNB Chain since pools came."""

NATIVE_ASSET: Final = Address("0x" + "bb" * 20)
"""What Venus's oracles call the native coin."""

_PROTOCOL: Final = (
    "Comptroller/Unitroller",
    "Comptroller/Diamond/Diamond",
    "Comptroller/Diamond/facets/MarketFacet",
    "Comptroller/Diamond/facets/PolicyFacet",
    "Comptroller/Diamond/facets/RewardFacet",
    "Comptroller/Diamond/facets/SetterFacet",
    "Comptroller/Diamond/facets/FlashLoanFacet",
    "InterestRateModels/JumpRateModel",
    "Lens/ComptrollerLens",
    "Liquidator/Liquidator",
    "Tokens/VAI/VAI",
    "Tokens/VAI/VAIController",
    "Tokens/VAI/VAIUnitroller",
    "Tokens/VTokens/VBNB",
    "Tokens/VTokens/VBep20Immutable",
    "test/AccessControlManagerMock",
)
_ORACLES: Final = (
    "DeviationBoundedOracle",
    "ResilientOracle",
    "oracles/BoundValidator",
    "oracles/ChainlinkOracle",
    "oracles/OneJumpOracle",
)
_FACETS: Final = ("MarketFacet", "PolicyFacet", "RewardFacet", "SetterFacet", "FlashLoanFacet")
_PROXY: Final = "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol/ERC1967Proxy.json"

_STOP: Final = bytes.fromhex("60016000f3")
"""Creation code of a contract that takes every call and every coin: it stands for the reserve that
collects the protocol's income."""

_STALE_S: Final = 10 * 365 * 86_400
_VAI_RATE: Final = 3 * WAD // 100
_VAI_MINT_RATE_BPS: Final = 5_000
_ADD: Final = 0

Artifacts = Mapping[str, Artifact]


class Core(Struct, frozen=True, kw_only=True):
    """The contracts of the core pool before it has markets; proxies wear their implementation."""

    comptroller: Contract
    vai_controller: Contract
    vai: Contract
    access: Contract
    reserve: Address


class Oracles(Struct, frozen=True, kw_only=True):
    """A resilient oracle with Chainlink's feeds as its main source."""

    resilient: Contract
    chainlink: Contract


def venus_artifacts(folders: Mapping[str, Path]) -> dict[str, Artifact]:
    """Return the artifacts by contract name, given the packages' folders."""
    protocol, oracle = (folders[name] / "artifacts" for name in PACKAGES)
    found = {
        **_load(protocol / "contracts", _PROTOCOL),
        **_load(oracle / "contracts", _ORACLES),
        "ERC1967Proxy": load_artifact(protocol / _PROXY),
    }
    # Facets answer at the Comptroller's address: one ABI for all of them.
    abi = [entry for name in _FACETS for entry in found[name].abi]
    abi += [entry for entry in found["Diamond"].abi if entry["type"] == "function"]
    found["Comptroller"] = Artifact(name="Comptroller", abi=abi, bytecode="", links={})
    return found


def deploy_core(sender: Sender, artifacts: Artifacts) -> Core:
    """Queue the Comptroller with its facets, and VAI."""
    access = sender.deploy(artifacts["AccessControlManagerMock"], sender.account)
    unitroller = sender.deploy(artifacts["Unitroller"])
    diamond = sender.deploy(artifacts["Diamond"])
    sender.call(unitroller, "_setPendingImplementation", diamond.address)
    sender.call(diamond, "_become", unitroller.address)
    comptroller = Contract(artifact=artifacts["Comptroller"], address=unitroller.address)
    sender.call(comptroller, "diamondCut", list(_cuts(sender, artifacts)))
    sender.call(comptroller, "_setAccessControl", access.address)
    lens = sender.deploy(artifacts["ComptrollerLens"])
    sender.call(comptroller, "_setComptrollerLens", lens.address)
    sender.call(comptroller, "_setCloseFactor", CLOSE_FACTOR)
    reserve = deploy_reserve(sender)
    vai_controller, vai = _deploy_vai(sender, artifacts, comptroller, access)
    return Core(
        comptroller=comptroller,
        vai_controller=vai_controller,
        vai=vai,
        access=access,
        reserve=reserve,
    )


def deploy_oracles(
    sender: Sender, artifacts: Artifacts, core: Core, native_market: Address
) -> Oracles:
    """Queue the oracles and make them the Comptroller's."""
    ours = (native_market, core.vai.address)
    oracles = deploy_resilient(sender, artifacts, core.access, ours)
    bounded = proxied(
        sender,
        artifacts,
        core.access,
        artifacts["DeviationBoundedOracle"],
        *(oracles.resilient.address, *ours),
    )
    sender.call(core.comptroller, "_setPriceOracle", oracles.resilient.address)
    sender.call(core.comptroller, "setDeviationBoundedOracle", bounded.address)
    return oracles


def deploy_resilient(
    sender: Sender, artifacts: Artifacts, access: Contract, ours: tuple[Address, Address]
) -> Oracles:
    """Queue a resilient oracle; ``ours`` are the native market and VAI, which it prices itself."""
    bounds = proxied(sender, artifacts, access, artifacts["BoundValidator"])
    chainlink = proxied(sender, artifacts, access, artifacts["ChainlinkOracle"])
    own = (*ours, bounds.address)
    resilient = proxied(sender, artifacts, access, artifacts["ResilientOracle"], *own)
    return Oracles(resilient=resilient, chainlink=chainlink)


def deploy_reserve(sender: Sender) -> Address:
    """Queue what stands for the reserve that collects the protocol's income."""
    artifact = Artifact(name="Reserve", abi=(), bytecode=_STOP.hex(), links={})
    return sender.deploy(artifact).address


def price_asset(sender: Sender, oracles: Oracles, asset: Address, feed: Address) -> None:
    """Queue that an asset's price is a Chainlink feed's."""
    sender.call(oracles.chainlink, "setTokenConfig", (asset, feed, _STALE_S))
    sources = [oracles.chainlink.address, ZERO_ADDRESS, ZERO_ADDRESS]
    enabled = [True, False, False]
    sender.call(oracles.resilient, "setTokenConfig", (asset, sources, enabled, False))


def deploy_liquidator(
    sender: Sender, artifacts: Artifacts, core: Core, native_market: Address, wrapped: Address
) -> Contract:
    """Queue the Liquidator, through which alone markets may be liquidated from then on."""
    artifact = artifacts["Liquidator"]
    body = sender.deploy(artifact, core.comptroller.address, native_market, wrapped)
    start = artifact.encode("initialize", (TREASURY_PERCENT, core.access.address, core.reserve))
    proxy = sender.deploy(artifacts["ERC1967Proxy"], body.address, start)
    sender.call(core.comptroller, "_setLiquidatorContract", proxy.address)
    return Contract(artifact=artifact, address=proxy.address)


def _load(folder: Path, places: Iterable[str]) -> dict[str, Artifact]:
    names = {place: place.rpartition("/")[2] for place in places}
    return {
        name: load_artifact(folder / f"{place}.sol" / f"{name}.json")
        for place, name in names.items()
    }


def _cuts(sender: Sender, artifacts: Artifacts) -> Iterable[tuple[Address, int, list[bytes]]]:
    """Return each facet with the functions that no facet before it has."""
    taken: set[bytes] = set()
    for name in _FACETS:
        functions = [selector(e) for e in artifacts[name].abi if e["type"] == "function"]
        fresh = [one for one in functions if one not in taken]
        taken.update(fresh)
        yield sender.deploy(artifacts[name]).address, _ADD, fresh


def _deploy_vai(
    sender: Sender, artifacts: Artifacts, comptroller: Contract, access: Contract
) -> tuple[Contract, Contract]:
    vai = sender.deploy(artifacts["VAI"], 1)
    proxy = sender.deploy(artifacts["VAIUnitroller"])
    body = sender.deploy(artifacts["VAIController"])
    sender.call(proxy, "_setPendingImplementation", body.address)
    sender.call(body, "_become", proxy.address)
    controller = Contract(artifact=artifacts["VAIController"], address=proxy.address)
    sender.call(controller, "initialize")
    sender.call(controller, "_setComptroller", comptroller.address)
    sender.call(controller, "setVAIToken", vai.address)
    sender.call(controller, "setReceiver", sender.account)
    sender.call(controller, "setAccessControl", access.address)
    sender.call(controller, "setBaseRate", _VAI_RATE)
    sender.call(vai, "rely", controller.address)
    sender.call(comptroller, "_setVAIController", controller.address)
    sender.call(comptroller, "_setVAIMintRate", _VAI_MINT_RATE_BPS)
    return controller, vai


def proxied(
    sender: Sender,
    artifacts: Artifacts,
    access: Contract,
    artifact: Artifact,
    *arguments: object,
) -> Contract:
    """Queue a contract behind a proxy that is initialised with the access control."""
    body = sender.deploy(artifact, *arguments)
    start = artifact.encode("initialize", (access.address,))
    proxy = sender.deploy(artifacts["ERC1967Proxy"], body.address, start)
    return Contract(artifact=artifact, address=proxy.address)
