"""A fork of Compound V2 with nothing that Venus has added since: Venus's own first release.

Published bytecode (``DiamondR1`` and its facets, ``VBep20DelegateR1``; ``VBNB`` is today's): one
incentive for all markets, collateral factors as thresholds, balances as cash, no pools, no
Liquidator, no VAI. Only the lens that the Comptroller asks for sums is ours.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from keeper.core.units import BPS, MAX_UINT256, WAD, Address
from keeper.devnet.assets import ASSETS
from keeper.devnet.compile_cache import Program, ensure_compiled
from keeper.devnet.contract import Artifact, Contract, load_artifact, selector
from keeper.devnet.live import LiveMarket
from keeper.devnet.packages import ensure, ensure_all
from keeper.devnet.prices import push_prices
from keeper.devnet.sender import Sender
from keeper.devnet.solc import Settings
from keeper.devnet.tokens import fund
from keeper.devnet.venus import (
    CLOSE_FACTOR,
    NATIVE_ASSET,
    PACKAGES,
    Oracles,
    deploy_resilient,
    price_asset,
    venus_artifacts,
)
from keeper.devnet.venus_markets import NATIVE, TOKEN_PLACES, initial_rate
from tests.support.market_node import MarketNode, copied_market

INCENTIVE: Final = WAD * 108 // 100
FALL_BPS: Final = {"WETH": 9_100, "WBTC": 8_800}
LOANS: Final = (
    ("WETH", "USDC"),
    ("WBTC", "DAI"),
    (NATIVE, "USDC"),
    ("WBTC", "WETH"),
    ("USDC", "WETH"),
    ("WETH", "DAI"),
    (NATIVE, "DAI"),
    ("WBTC", "USDC"),
)
"""Collateral and debt of each account: after the fall all are under but who has dollars."""

MARKETS: Final = {NATIVE: "WETH"} | {one: one for one in ("WETH", "WBTC", "USDC", "DAI")}
_FACETS: Final = ("MarketFacetR1", "PolicyFacetR1", "RewardFacetR1", "SetterFacetR1")
_LEGACY: Final = "artifacts/contracts/Comptroller/legacy/Diamond"
_TOKENS: Final = "artifacts/contracts/Tokens/VTokens/legacy"
CURVE: Final = (0, WAD // 20, WAD, 8 * WAD // 10, 2_628_000)
RESERVE_FACTOR: Final = WAD // 10
_SUPPLY_USD: Final = 5_000_000
_LOAN_USD: Final = 30_000
_USED_BPS: Final = 9_700
"""Of what the collateral lets borrow."""
_NEVER: Final = 2**64
"""Blocks until a market pays out its reserves, which Compound's do not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainFork:
    """It on a node that answers."""

    node: MarketNode
    comptroller: Contract
    markets: Mapping[str, Contract]
    borrowers: tuple[Address, ...]
    start_block: int


@contextmanager
def plain_fork(binary: Path, base: MarketNode) -> Iterator[PlainFork]:
    """Build it on a copy of the shared market, open the loans, and let prices fall."""
    with copied_market(binary, base) as node:
        live, artifacts = node.live, plain_artifacts()
        start_block = int(live.rpc.call("eth_blockNumber"), 16) + 1
        owner = Sender.of(live.rpc, node.market.accounts.deployer)
        access = owner.deploy(artifacts["AccessControlManagerMock"], owner.account)
        comptroller = _deploy_comptroller(owner, artifacts, access)
        markets = _deploy_markets(owner, live, artifacts, comptroller)
        ours = (markets[NATIVE].address, live.market.weth)
        oracles = deploy_resilient(owner, artifacts, access, ours)
        owner.call(comptroller, "_setPriceOracle", oracles.resilient.address)
        owner.mine()
        for token in markets.values():
            owner.call(token, "setAccessControlManager", access.address)
            owner.call(token, "_setReserveFactor", RESERVE_FACTOR)
            owner.call(token, "setReduceReservesBlockDelta", _NEVER)
        list_markets(owner, live, comptroller, markets, oracles)
        places = [one.address for one in markets.values()]
        owner.call(comptroller, "_setMarketSupplyCaps", places, [MAX_UINT256] * len(places))
        owner.call(comptroller, "_setMarketBorrowCaps", places, [MAX_UINT256] * len(places))
        owner.mine()
        yield with_loans(node, comptroller, markets, start_block)


def with_loans(
    node: MarketNode, comptroller: Contract, markets: Mapping[str, Contract], start_block: int
) -> PlainFork:
    """Supply all markets, open the loans, let prices fall, and return the whole."""
    supply_all(node.live, markets)
    borrowers = tuple(open_loans(node.live, comptroller, markets))
    push_prices(node.live, {n: ASSETS[n].price * by // BPS for n, by in FALL_BPS.items()})
    return PlainFork(
        node=node,
        comptroller=comptroller,
        markets=markets,
        borrowers=borrowers,
        start_block=start_block,
    )


def plain_artifacts() -> dict[str, Artifact]:
    """Return the published contracts by name, and our lens."""
    folder = ensure("venus-protocol")
    places = {name: folder / _LEGACY / "facets" / f"{name}.sol" for name in _FACETS}
    places["DiamondR1"] = folder / _LEGACY / "DiamondR1.sol"
    for name in ("VBep20DelegateR1", "VBep20DelegatorR1"):
        places[name] = folder / _TOKENS / f"{name}.sol"
    found = {name: load_artifact(place / f"{name}.json") for name, place in places.items()}
    abi = [entry for name in (*_FACETS, "DiamondR1") for entry in found[name].abi]
    found["Comptroller"] = Artifact(name="Comptroller", abi=abi, bytecode="", links={})
    return (
        venus_artifacts(ensure_all(PACKAGES)) | found | ensure_compiled(lens_program("PlainLens"))
    )


def deploy_lens(owner: Sender, artifact: Artifact, fork: Contract, *, half_up: bool) -> None:
    """Queue a lens, and that the Comptroller asks it."""
    lens = owner.deploy(artifact, half_up)
    owner.call(fork, "_setComptrollerLens", lens.address)


def lens_program(name: str) -> Program:
    """Return a contract of ours, by its name, as what to compile."""
    source = Path(__file__).parent / "lenses" / f"{name}.sol"
    return Program(
        name=name.lower(),
        label=name,
        sources={source.name: source.read_text("utf-8")},
        settings=Settings(evm_version="cancun"),
        contracts=(name,),
    )


def _deploy_comptroller(
    owner: Sender, artifacts: Mapping[str, Artifact], access: Contract
) -> Contract:
    unitroller = owner.deploy(artifacts["Unitroller"])
    diamond = owner.deploy(artifacts["DiamondR1"])
    owner.call(unitroller, "_setPendingImplementation", diamond.address)
    owner.call(diamond, "_become", unitroller.address)
    comptroller = Contract(artifact=artifacts["Comptroller"], address=unitroller.address)
    taken: set[bytes] = set()
    for name in _FACETS:
        functions = [selector(one) for one in artifacts[name].abi if one["type"] == "function"]
        fresh = [one for one in functions if one not in taken]
        taken.update(fresh)
        owner.call(comptroller, "diamondCut", [(owner.deploy(artifacts[name]).address, 0, fresh)])
    owner.call(comptroller, "_setAccessControl", access.address)
    owner.call(comptroller, "_setCloseFactor", CLOSE_FACTOR)
    owner.call(comptroller, "_setLiquidationIncentive", INCENTIVE)
    deploy_lens(owner, artifacts["PlainLens"], comptroller, half_up=False)
    return comptroller


def _deploy_markets(
    owner: Sender, live: LiveMarket, artifacts: Mapping[str, Artifact], comptroller: Contract
) -> dict[str, Contract]:
    model = owner.deploy(artifacts["JumpRateModel"], *CURVE)
    code = owner.deploy(artifacts["VBep20DelegateR1"])
    made = {}
    for name, symbol in MARKETS.items():
        rate, says = initial_rate(symbol), (f"Plain {name}", f"c{name}", TOKEN_PLACES)
        shared = (comptroller.address, model.address, rate, *says, owner.account)
        if name == NATIVE:
            made[name] = owner.deploy(artifacts["VBNB"], *shared)
            continue
        underlying = live.market.asset(symbol).token
        proxy = owner.deploy(artifacts["VBep20DelegatorR1"], underlying, *shared, code.address, b"")
        made[name] = Contract(artifact=artifacts["VBep20DelegateR1"], address=proxy.address)
    return made


def list_markets(
    owner: Sender,
    live: LiveMarket,
    comptroller: Contract,
    markets: Mapping[str, Contract],
    oracles: Oracles,
) -> None:
    """Queue pricing and listing every market."""
    for name, token in markets.items():
        asset = live.market.asset(MARKETS[name])
        priced = NATIVE_ASSET if name == NATIVE else asset.token
        price_asset(owner, oracles, priced, asset.feed)
        owner.call(comptroller, "_supportMarket", token.address)
        factor = ASSETS[asset.symbol].ltv_bps * WAD // BPS
        owner.call(comptroller, "_setCollateralFactor", token.address, factor)


def supply_all(live: LiveMarket, markets: Mapping[str, Contract]) -> None:
    """Supply every market."""
    supplier = Sender.of(live.rpc, live.market.accounts.supplier)
    live.rpc.call("anvil_setBalance", supplier.account, hex(10**24))
    for name in markets:
        _supply(supplier, live, markets, name, _raw(name, _SUPPLY_USD))
    supplier.mine()


def open_loans(
    live: LiveMarket, comptroller: Contract, markets: Mapping[str, Contract]
) -> Iterator[Address]:
    """Open a loan of each kind; yield whose it is."""
    for number, (collateral, debt) in enumerate(LOANS):
        account = Address(f"0x{0xB0220000 + number:040x}")
        live.rpc.call("anvil_setBalance", account, hex(10**24))
        live.rpc.call("anvil_impersonateAccount", account)
        borrower = Sender.of(live.rpc, account)
        _supply(borrower, live, markets, collateral, _raw(collateral, _LOAN_USD))
        entered = [markets[one].address for one in (collateral, debt)]
        borrower.call(comptroller, "enterMarkets", entered)
        share = ASSETS[MARKETS[collateral]].ltv_bps * _USED_BPS // BPS
        borrower.call(markets[debt], "borrow", _raw(debt, _LOAN_USD) * share // BPS)
        borrower.mine()
        yield account


def _supply(
    sender: Sender, live: LiveMarket, markets: Mapping[str, Contract], name: str, amount: int
) -> None:
    if name == NATIVE:
        sender.call(markets[name], "mint", value=amount)
        return
    fund(sender, live.tokens, sender.account, {name: 2 * amount})
    sender.call(live.tokens[name], "approve", markets[name].address, MAX_UINT256)
    sender.call(markets[name], "mint", amount)


def _raw(name: str, dollars: int) -> int:
    asset = ASSETS[MARKETS[name]]
    raw: int = dollars * 10 ** (8 + asset.decimals) // asset.price
    return raw
