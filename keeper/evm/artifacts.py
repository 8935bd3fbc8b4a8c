"""Compiled contracts of ours, as shipped: ABI and bytecode."""

import json
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from keeper.core.errors import ConfigError
from keeper.core.units import Address, address_bytes

_FOLDERS = (
    Path(__file__).resolve().parents[1] / "abis",
    Path(__file__).resolve().parents[2] / "abis",
)
"""In an installed package; in a checkout."""


_WORD = 32


class Artifact(Struct, frozen=True, kw_only=True):
    """One compiled contract."""

    name: str
    bytecode: bytes
    """Creation code, without constructor arguments."""
    runtime: bytes

    def creation(self, *arguments: Address | Sequence[Address]) -> bytes:
        """Return creation code with constructor arguments: addresses, or arrays of them."""
        heads, tail = [], b""
        for one in arguments:
            if isinstance(one, str):
                heads.append(_word(one))
            else:
                heads.append((_WORD * len(arguments) + len(tail)).to_bytes(_WORD))
                tail += len(one).to_bytes(_WORD) + b"".join(_word(item) for item in one)
        return self.bytecode + b"".join(heads) + tail


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


def _word(one: str) -> bytes:
    return address_bytes(Address(one)).rjust(_WORD, b"\0")
