"""Solidity, compiled by the pinned solc of npm under Node; nothing is installed."""

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from importlib.resources import as_file, files
from typing import Any

from msgspec import Struct, field

from keeper.core.errors import ConfigError
from keeper.devnet.packages import Progress, ensure, quiet

_TIMEOUT_S = 600
"""The slowest machine that is worth waiting for: the largest program takes 20 s of a fast one."""


class Settings(Struct, frozen=True, kw_only=True):
    """How to compile; `compiler` names a pinned solc package."""

    compiler: str = "solc"
    optimizer_runs: int = 1_000
    evm_version: str = "prague"
    via_ir: bool = False
    remappings: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """Return the settings as solc takes them, without the metadata that would follow code."""
        return {
            "optimizer": {"enabled": True, "runs": self.optimizer_runs},
            "evmVersion": self.evm_version,
            **({"viaIR": True} if self.via_ir else {}),
            "remappings": [f"{prefix}={target}" for prefix, target in self.remappings.items()],
            "metadata": {"bytecodeHash": "none", "appendCBOR": False},
        }


class Compiled(Struct, frozen=True, kw_only=True):
    """One contract as solc made it; bytecodes are lower-case 0x hex."""

    source: str
    name: str
    abi: list[dict[str, Any]]  # the ABI is JSON of solc's making
    bytecode: str
    runtime: str
    links: Mapping[str, Sequence[int]]
    """Where the addresses of libraries go in the creation code, in bytes."""


def compile_sources(
    sources: Mapping[str, str],
    *,
    settings: Settings | None = None,
    wanted: Sequence[str] = (),
    progress: Progress = quiet,
) -> dict[str, Compiled]:
    """Compile sources, named by path, and return the contracts by name: the wanted ones, or all.

    Raises ConfigError with the compiler's first error, or when Node is missing.
    """
    chosen = settings or Settings()
    outputs = ["abi", "evm.bytecode.object", "evm.bytecode.linkReferences"]
    outputs.append("evm.deployedBytecode.object")
    request = {
        "language": "Solidity",
        "sources": {path: {"content": text} for path, text in sources.items()},
        "settings": {
            **chosen.as_json(),
            "outputSelection": {"*": dict.fromkeys(wanted or ("*",), outputs)},
        },
    }
    output = _run(request, chosen.compiler, progress=progress)
    errors = [e for e in output.get("errors", ()) if e["severity"] == "error"]
    if errors:
        raise ConfigError(f"solc: {errors[0]['formattedMessage'].strip()}")
    return {
        name: _compiled(source, name, contract)
        for source, contracts in output["contracts"].items()
        for name, contract in contracts.items()
    }


def _compiled(source: str, name: str, contract: Mapping[str, Any]) -> Compiled:
    code = contract["evm"]["bytecode"]
    return Compiled(
        source=source,
        name=name,
        abi=contract["abi"],
        bytecode="0x" + code["object"],
        runtime="0x" + contract["evm"]["deployedBytecode"]["object"],
        links={
            library: [place["start"] for place in places]
            for libraries in code["linkReferences"].values()
            for library, places in libraries.items()
        },
    )


def _run(request: Mapping[str, object], compiler: str, *, progress: Progress) -> dict[str, Any]:
    node = shutil.which("node")
    if node is None:
        raise ConfigError("expected Node.js 18 or newer on the PATH to run solc, found none")
    soljson = ensure(compiler, progress=progress) / "soljson.js"
    with as_file(files("keeper.devnet").joinpath("solc.js")) as script:
        done = subprocess.run(  # noqa: S603 - our own script, no shell
            [node, str(script), str(soljson)],
            input=json.dumps(request).encode(),
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    if done.returncode != 0:
        raise ConfigError(f"solc: expected it to compile, found {done.stderr.decode()[-400:]}")
    output: dict[str, Any] = json.loads(done.stdout)
    return output
