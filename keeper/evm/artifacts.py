"""Compiled contracts of ours, as shipped: ABI and bytecode."""

import json
from dataclasses import dataclass
from pathlib import Path

from keeper.core.errors import ConfigError
from keeper.core.units import Address, address_bytes

_FOLDERS = (
    Path(__file__).resolve().parents[1] / "abis",
    Path(__file__).resolve().parents[2] / "abis",
)
"""In an installed package; in a checkout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """One compiled contract."""

    name: str
    bytecode: bytes
    """Creation code, without constructor arguments."""
    runtime: bytes

    def creation(self, *addresses: Address) -> bytes:
        """Return creation code with constructor arguments that are all addresses."""
        return self.bytecode + b"".join(address_bytes(one).rjust(32, b"\0") for one in addresses)


def load_artifact(name: str) -> Artifact:
    """Return a contract of ``abis/``. Raises ConfigError when the installation lacks it."""
    for folder in _FOLDERS:
        path = folder / f"{name}.json"
        if path.exists():
            content = json.loads(path.read_text("utf-8"))
            return Artifact(
                name=name,
                bytecode=bytes.fromhex(content["bytecode"].removeprefix("0x")),
                runtime=bytes.fromhex(content["deployedBytecode"].removeprefix("0x")),
            )
    msg = f"abis/{name}.json: expected it beside the package, found none: reinstall keeper"
    raise ConfigError(msg)
