"""Compound V2 itself, on the local market: published bytecode, in somebody else's copy.

What only it has is there: the share of a seizure that a market keeps, markets that are deprecated,
a pause of all seizures. It is priced as the plain fork is, by Venus's oracle over Chainlink feeds.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from keeper.core.units import WAD, Address
from keeper.core.values import replace
from keeper.devnet.compile_cache import ensure_compiled
from keeper.devnet.contract import Artifact, Contract, load_artifact
from keeper.devnet.live import LiveMarket
from keeper.devnet.packages import ensure, ensure_all
from keeper.devnet.rpc import Rpc
from keeper.devnet.sender import Sender, read
from keeper.devnet.venus import CLOSE_FACTOR, PACKAGES, deploy_resilient, venus_artifacts
from keeper.devnet.venus_markets import NATIVE, TOKEN_PLACES, initial_rate
from tests.support.market_node import MarketNode, copied_market
from tests.support.plain_fork import (
    CURVE,
    INCENTIVE,
    MARKETS,
    RESERVE_FACTOR,
    PlainFork,
    lens_program,
    list_markets,
    with_loans,
)

NEWEST: Final = "Comptroller"
SEIZE_SHARE: Final = WAD * 28 // 1_000
"""What a market keeps of seized cTokens."""

_MAX_ASSETS: Final = 20
_BODIES: Final = ("CErc20Delegate", "CEther")
_TIMESTAMP, _NUMBER, _PUSH1, _PUSH32 = 0x42, 0x43, 0x60, 0x7F
_FOLDER: Final = "dist/artifacts/contracts/compound"
_TOKENS: Final = ("CErc20Delegate", "CErc20Delegator", "CEther", "JumpRateModelV2", "Unitroller")


@contextmanager
def compound_fork(
    binary: Path, base: MarketNode, comptroller: str = NEWEST, *, by_second: bool = False
) -> Iterator[PlainFork]:
    """Build it on a copy of the shared market, open the loans, and let prices fall.

    ``comptroller`` is the contract's name: each release of it is in the package. ``by_second``
    gives the markets another clock.
    """
    with copied_market(binary, base) as node:
        live, artifacts = node.live, compound_artifacts(comptroller)
        if by_second:
            artifacts |= {name: of_seconds(artifacts[name]) for name in _BODIES}
        start_block = int(live.rpc.call("eth_blockNumber"), 16) + 1
        owner = Sender.of(live.rpc, node.market.accounts.deployer)
        root = _deploy_comptroller(owner, artifacts, comptroller)
        markets = _deploy_markets(owner, live, artifacts, root)
        access = owner.deploy(artifacts["AccessControlManagerMock"], owner.account)
        ours = (markets[NATIVE].address, live.market.weth)
        oracles = deploy_resilient(owner, artifacts, access, ours)
        owner.call(root, "_setPriceOracle", oracles.resilient.address)
        owner.mine()
        if by_second:
            _rename(owner, markets)
        for token in markets.values():
            owner.call(token, "_setReserveFactor", RESERVE_FACTOR)
        list_markets(owner, live, root, markets, oracles)
        owner.mine()
        yield with_loans(node, root, markets, start_block)


def compound_artifacts(comptroller: str) -> dict[str, Artifact]:
    """Return Compound's contracts by name, and what they are priced by."""
    own = {name: load_compound(name) for name in (*_TOKENS, comptroller)}
    return venus_artifacts(ensure_all(PACKAGES)) | own


def load_compound(name: str) -> Artifact:
    """Return a contract of Compound's."""
    return load_artifact(ensure("compound-copied") / _FOLDER / f"{name}.sol" / f"{name}.json")


def of_seconds(market: Artifact) -> Artifact:
    """Return a market's code that asks for the time where it asked for the block's number."""
    code, at = bytearray.fromhex(market.bytecode.removeprefix("0x")), 0
    while at < len(code):
        operation = code[at]
        if operation == _NUMBER:
            code[at] = _TIMESTAMP
        at += 1 + (operation - _PUSH1 + 1 if _PUSH1 <= operation <= _PUSH32 else 0)
    return replace(market, bytecode="0x" + code.hex())


def _rename(owner: Sender, markets: Mapping[str, Contract]) -> None:
    """Let each market answer to the names of forks by the second, whatever it is called itself."""
    front = ensure_compiled(lens_program("SecondHand"))["SecondHand"]
    for place in _bodies(owner.rpc, markets):
        body = Address(f"0x{int(place, 16) ^ 1:040x}")
        owner.rpc.call("anvil_setCode", body, owner.rpc.call("eth_getCode", place, "latest"))
        named = owner.deploy(front, body)
        owner.mine()
        owner.rpc.call(
            "anvil_setCode", place, owner.rpc.call("eth_getCode", named.address, "latest")
        )


def _bodies(rpc: Rpc, markets: Mapping[str, Contract]) -> set[str]:
    """Return where the markets' code is: behind its proxies once, and of native coin in place."""
    proxy = replace(markets["DAI"], artifact=load_compound("CErc20Delegator"))
    return {read(rpc, proxy, "implementation"), markets[NATIVE].address}


def _deploy_comptroller(owner: Sender, artifacts: Mapping[str, Artifact], name: str) -> Contract:
    unitroller = owner.deploy(artifacts["Unitroller"])
    body = owner.deploy(artifacts[name])
    owner.call(unitroller, "_setPendingImplementation", body.address)
    owner.call(body, "_become", unitroller.address)
    root = Contract(artifact=artifacts[name], address=unitroller.address)
    owner.call(root, "_setCloseFactor", CLOSE_FACTOR)
    owner.call(root, "_setLiquidationIncentive", INCENTIVE)
    if "_setMaxAssets" in root.artifact.functions:
        owner.call(root, "_setMaxAssets", _MAX_ASSETS)
    return root


def _deploy_markets(
    owner: Sender, live: LiveMarket, artifacts: Mapping[str, Artifact], root: Contract
) -> dict[str, Contract]:
    model = owner.deploy(artifacts["JumpRateModelV2"], *CURVE[:-1], owner.account)
    body = owner.deploy(artifacts["CErc20Delegate"])
    made = {}
    for name, symbol in MARKETS.items():
        says = (f"Compound {name}", f"c{name}", TOKEN_PLACES, owner.account)
        shared = (root.address, model.address, initial_rate(symbol), *says)
        if name == NATIVE:
            made[name] = owner.deploy(artifacts["CEther"], *shared)
            continue
        underlying = live.market.asset(symbol).token
        proxy = owner.deploy(artifacts["CErc20Delegator"], underlying, *shared, body.address, b"")
        made[name] = Contract(artifact=artifacts["CErc20Delegate"], address=proxy.address)
    return made
