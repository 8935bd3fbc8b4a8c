"""Compile the market's own contract: `python -m keeper.devnet.rebuild` writes its artifact."""

import json
import sys
from importlib.resources import files
from pathlib import Path

from keeper.devnet.packages import Progress, quiet
from keeper.devnet.solc import Settings, compile_sources

CONTRACT = "BorrowerFactory"

_FOLDER = Path(str(files("keeper.devnet")))
SOURCE = _FOLDER / "contracts" / f"{CONTRACT}.sol"
ARTIFACT = _FOLDER / "artifacts" / f"{CONTRACT}.json"


def artifact_text(progress: Progress = quiet) -> str:
    """Return what the artifact file should hold: the ABI and creation code of the source."""
    sources = {SOURCE.name: SOURCE.read_text("utf-8")}
    compiled = compile_sources(sources, settings=Settings(evm_version="cancun"), progress=progress)[
        CONTRACT
    ]
    content = {"contractName": CONTRACT, "abi": compiled.abi, "bytecode": compiled.bytecode}
    return json.dumps(content, indent=2) + "\n"


def main() -> None:
    """Write the artifact."""
    ARTIFACT.write_text(artifact_text(_say), "utf-8")
    _say(f"wrote {ARTIFACT}")


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    main()
