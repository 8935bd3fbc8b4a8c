"""Published artifacts, and calls to what was deployed from them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from eth_abi.abi import decode, encode
from eth_utils.crypto import keccak
from msgspec import Struct

from keeper.core.errors import InvariantError
from keeper.core.units import Address, address_bytes

Entry = Mapping[str, Any]
"""One entry of an ABI: JSON of the compiler's making."""


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A compiled contract: ABI, creation code, and where libraries go in it."""

    name: str
    abi: Sequence[Entry]
    bytecode: str
    links: Mapping[str, Sequence[int]]

    @cached_property
    def functions(self) -> Mapping[str, Entry]:
        """Return the functions, by name and by signature."""
        found: dict[str, Entry] = {}
        for entry in self.abi:
            if entry["type"] == "function":
                found.setdefault(entry["name"], entry)
                found[signature(entry)] = entry
        return found

    def creation_code(self, arguments: Sequence[object], libraries: Mapping[str, Address]) -> bytes:
        """Return linked creation code with the constructor's arguments behind it."""
        code = bytearray.fromhex(self._linked(libraries))
        constructor = next((e for e in self.abi if e["type"] == "constructor"), None)
        types = _types(constructor["inputs"]) if constructor else []
        return bytes(code) + encode(types, list(arguments))

    def encode(self, function: str, arguments: Sequence[object]) -> bytes:
        """Return the calldata of a function given by name or by signature."""
        entry = self.functions[function]
        return selector(entry) + encode(_types(entry["inputs"]), list(arguments))

    def decode(self, function: str, data: bytes) -> tuple[Any, ...]:
        """Return what a function answered."""
        return decode(_types(self.functions[function]["outputs"]), data)

    def _linked(self, libraries: Mapping[str, Address]) -> str:
        digits = self.bytecode.removeprefix("0x")
        for library, starts in self.links.items():
            if library not in libraries:
                raise InvariantError(f"{self.name}: expected library {library}, found none")
            for start in starts:
                at = start * 2
                digits = digits[:at] + libraries[library][2:] + digits[at + 40 :]
        return digits


class Contract(Struct, frozen=True, kw_only=True):
    """A deployed contract, known by address and ABI."""

    artifact: Artifact
    address: Address

    def encode(self, function: str, *arguments: object) -> bytes:
        """Return the calldata of a call to it."""
        return self.artifact.encode(function, arguments)


def load_artifact(path: Path) -> Artifact:
    """Return the contract of an artifact file in the Hardhat or the Chainlink 0.6 form."""
    content = json.loads(path.read_text(encoding="utf-8"))
    output = content.get("compilerOutput", content)
    code = output["bytecode"] if "bytecode" in output else output["evm"]["bytecode"]["object"]
    references = output.get("linkReferences", {})
    links = {
        library: [place["start"] for place in places]
        for libraries in references.values()
        for library, places in libraries.items()
    }
    return Artifact(name=path.stem, abi=output["abi"], bytecode=code, links=links)


def signature(entry: Entry) -> str:
    """Return the canonical signature of an ABI entry."""
    return f"{entry['name']}({','.join(_types(entry['inputs']))})"


def selector(entry: Entry) -> bytes:
    """Return the four bytes a function is called by."""
    return keccak(text=signature(entry))[:4]


def create_address(creator: Address, nonce: int) -> Address:
    """Return where the CREATE of an account at this nonce puts its contract."""
    digits = nonce.to_bytes((nonce.bit_length() + 7) // 8, "big")
    item = digits if len(digits) == 1 and digits[0] < 0x80 else bytes([0x80 + len(digits)]) + digits  # noqa: PLR2004 - RLP's own numbers
    body = b"\x94" + address_bytes(creator) + item
    return Address("0x" + keccak(bytes([0xC0 + len(body)]) + body)[12:].hex())


def _types(inputs: Iterable[Entry]) -> list[str]:
    return [_type(entry) for entry in inputs]


def _type(entry: Entry) -> str:
    kind: str = entry["type"]
    if kind.startswith("tuple"):
        return f"({','.join(_types(entry['components']))}){kind.removeprefix('tuple')}"
    return kind
