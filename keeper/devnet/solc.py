"""Solidity, compiled by the pinned solc of npm under Node; nothing is installed."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import as_file, files
from typing import Any

from keeper.core.errors import ConfigError
from keeper.devnet.packages import Progress, ensure, quiet

_TIMEOUT_S = 180


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """One contract as solc made it; bytecodes are lower-case 0x hex."""

    source: str
    name: str
    abi: list[dict[str, Any]]  # the ABI is JSON of solc's making
    bytecode: str
    runtime: str


def compile_sources(
    sources: Mapping[str, str],
    *,
    optimizer_runs: int = 1_000,
    evm_version: str = "prague",
    via_ir: bool = False,
    metadata_hash: str = "none",
    progress: Progress = quiet,
) -> dict[str, Compiled]:
    """Compile sources, named by path, and return the contracts by name.

    Raises ConfigError with the compiler's first error, or when Node is missing.
    """
    output = _run(
        {
            "language": "Solidity",
            "sources": {path: {"content": text} for path, text in sources.items()},
            "settings": {
                "optimizer": {"enabled": True, "runs": optimizer_runs},
                "evmVersion": evm_version,
                "viaIR": via_ir,
                "metadata": {"bytecodeHash": metadata_hash, "appendCBOR": metadata_hash != "none"},
                "outputSelection": {
                    "*": {"*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"]}
                },
            },
        },
        progress=progress,
    )
    errors = [e for e in output.get("errors", ()) if e["severity"] == "error"]
    if errors:
        raise ConfigError(f"solc: {errors[0]['formattedMessage'].strip()}")
    return {
        name: Compiled(
            source=source,
            name=name,
            abi=contract["abi"],
            bytecode="0x" + contract["evm"]["bytecode"]["object"],
            runtime="0x" + contract["evm"]["deployedBytecode"]["object"],
        )
        for source, contracts in output["contracts"].items()
        for name, contract in contracts.items()
    }


def _run(request: Mapping[str, object], *, progress: Progress) -> dict[str, Any]:
    node = shutil.which("node")
    if node is None:
        raise ConfigError("expected Node.js 18 or newer on the PATH to run solc, found none")
    soljson = ensure("solc", progress=progress) / "soljson.js"
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
