"""Aave V3.6, compiled from the sources that its authors publish on npm.

Fetched, checked and compiled once, then kept in the user's cache folder.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from posixpath import dirname, normpath

from eth_utils.crypto import keccak

from keeper.devnet.contract import Artifact
from keeper.devnet.packages import Package, cache_root, ensure_package
from keeper.devnet.solc import Compiled, compile_sources

ORIGIN = Package(
    name="aave-v3-origin",
    npm="@aave-dao/aave-v3-origin",
    version="3.6.0",
    integrity="sha512-TwK/TpTZGArN0G3AE+0NoafsaXc7BiXdZhYuxcD+8A5OjIGolp0cqu5FZcTDLo/pbavJvMU5v0php/LEJiJ/cQ==",
    keep=("src/contracts/*.sol", "LICENSE"),
)
UTILITIES = Package(
    name="bgd-solidity-utils",
    npm="@bgd-labs/solidity-utils",
    version="1.1.2",
    integrity="sha512-GgKwrjgdfnd9yKiWX1LDWysbVIyw/HTvqewq+4I2FAJXJt7AdUgSOCSi/cJi4dymsQmE1u/zgXHSeFH5fI+XsA==",
    keep=("src/contracts/*.sol", "LICENSE"),
)
OPENZEPPELIN = Package(
    name="openzeppelin-contracts",
    npm="@openzeppelin/contracts",
    version="5.1.0",
    integrity="sha512-p1ULhl7BXzjjbha5aqst+QMLY+4/LCWADXOCsmLHRM77AqiPjnd9vvUN9sosUfhL9JGKpZ0TjEGxgvnizmWGSA==",
    keep=("*.sol",),
)
UPGRADEABLE = Package(
    name="openzeppelin-contracts-upgradeable",
    npm="@openzeppelin/contracts-upgradeable",
    version="5.1.0",
    integrity="sha512-AIElwP5Ck+cslNE+Hkemf5SxjJoF4wBvvjxc27Rp+9jaPs/CLIaUBMYe1FNzhdiN0cYuwGRmYaRHmmntuiju4Q==",
    keep=("*.sol",),
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

_ROOTS = (
    "instances/PoolInstance",
    "instances/PoolConfiguratorInstance",
    "instances/ATokenInstance",
    "instances/VariableDebtTokenInstance",
    "misc/AaveOracle",
    "misc/DefaultReserveInterestRateStrategyV2",
    "protocol/configuration/PoolAddressesProvider",
    "protocol/configuration/ACLManager",
    "helpers/AaveProtocolDataProvider",
    *(f"protocol/libraries/logic/{name}" for name in LIBRARIES),
)
_NAMES = tuple(root.rsplit("/", 1)[1] for root in _ROOTS)
_IMPORT = re.compile(r"import\s+(?:[^;]*?from\s+)?['\"]([^'\"]+)['\"]")


def aave_v36_artifacts() -> dict[str, Artifact]:
    """Return what a market of 3.6 is deployed from, by contract name."""
    kept = cache_root() / "compiled" / f"{ORIGIN.folder}.json"
    if not kept.is_file():
        compiled = compile_sources(_sources(), optimizer_runs=200, evm_version="shanghai")
        _keep(kept, {name: compiled[name] for name in _NAMES})
    content = json.loads(kept.read_text("utf-8"))
    places = {one["source"] + ":" + name: name for name, one in content.items()}
    return {
        name: Artifact(
            name=name, abi=one["abi"], bytecode=one["bytecode"], links=_links(one, places)
        )
        for name, one in content.items()
    }


def _keep(path: Path, contracts: Mapping[str, Compiled]) -> None:
    """Write to a name of our own first: another run may be doing the same."""
    content = {
        name: {"source": one.source, "abi": one.abi, "bytecode": one.bytecode}
        for name, one in contracts.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{id(content)}")
    draft.write_text(json.dumps(content), "utf-8")
    draft.replace(path)


def _links(one: Mapping[str, str], places: Mapping[str, str]) -> dict[str, list[int]]:
    """Return where the addresses of libraries go, in bytes, from solc's marks of them."""
    digits = one["bytecode"].removeprefix("0x")
    found = {}
    for place, library in places.items():
        mark = "__$" + keccak(text=place).hex()[:34] + "$__"
        starts = [match.start() // 2 for match in re.finditer(re.escape(mark), digits)]
        if starts:
            found[library] = starts
    return found


def _sources() -> dict[str, str]:
    """Return every source that the roots need, by the name they are imported by."""
    folders = {
        "openzeppelin-contracts-upgradeable/contracts/": ensure_package(UPGRADEABLE),
        "openzeppelin-contracts/contracts/": ensure_package(OPENZEPPELIN),
        "@openzeppelin/contracts-upgradeable/": ensure_package(UPGRADEABLE),
        "@openzeppelin/contracts/": ensure_package(OPENZEPPELIN),
        "solidity-utils/contracts/": ensure_package(UTILITIES) / "src" / "contracts",
        "src/": ensure_package(ORIGIN) / "src",
    }
    found: dict[str, str] = {}
    wanted = [f"src/contracts/{root}.sol" for root in _ROOTS]
    while wanted:
        unit = wanted.pop()
        if unit not in found:
            prefix = next(prefix for prefix in folders if unit.startswith(prefix))
            text = (folders[prefix] / unit.removeprefix(prefix)).read_text("utf-8")
            found[unit] = text
            wanted.extend(_imports(unit, text))
    return found


def _imports(unit: str, text: str) -> Iterator[str]:
    for imported in _IMPORT.findall(text):
        near = imported.startswith(".")
        yield normpath(f"{dirname(unit)}/{imported}") if near else imported
