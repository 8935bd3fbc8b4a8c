"""The book on disk: exact positions and their columns as of one block, read back at a restart.

It saves reading every account from the chain again. It says nothing that the chain does not: it is
used only while its block is canonical, and what happened since is read. Any doubt about the file
itself (torn, of another version or deployment) is an absent file.
"""

import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from keeper.core.ports import ProtocolAdapter
from keeper.core.units import Hash32
from keeper.mirror.positions import PackedPositions, Positions, no_positions
from keeper.mirror.snapshot import Snapshot
from keeper.scanner.columns import Columns

M = TypeVar("M")
P = TypeVar("P")

_VERSION: Final = 3

# Any: bytes, numbers and keys lie side by side, each of the type that its owner knows.
Arrays = Mapping[str, NDArray[Any]]


class _Facts(msgspec.Struct, frozen=True):
    """What the file says about itself."""

    version: int
    deployment: str
    block: int
    hash: str
    position_markets: tuple[str, ...]
    column_markets: tuple[str, ...]
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedBook(Generic[P]):
    """A book as it was at a block."""

    block: int
    hash: Hash32
    positions: Positions[P]
    columns: Columns


def save_book(path: Path, deployment: str, snapshot: Snapshot[M, P], columns: Columns) -> bool:
    """Write the book, all or nothing; return whether there is anything to write it from.

    An account that is no weighted sum is in no column: such books are not saved.
    """
    positions = snapshot.positions
    if not isinstance(positions, PackedPositions) or columns.odd or len(columns) != len(positions):
        return False
    buckets, markets, count = positions.parts
    facts = _Facts(
        version=_VERSION,
        deployment=deployment,
        block=snapshot.block.number,
        hash=snapshot.block.hash,
        position_markets=markets,
        column_markets=tuple(columns.markets),
        count=count,
    )
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with draft.open("wb") as file:
        arrays: dict[str, Any] = {
            "facts": np.frombuffer(msgspec.json.encode(facts), np.uint8),
            "sizes": np.array([len(one) for one in buckets], np.int64),
            "buckets": np.frombuffer(b"".join(buckets), np.uint8),
            **columns.arrays(),
        }
        np.savez(file, allow_pickle=False, **arrays)
    draft.replace(path)
    return True


def load_book(path: Path, adapter: ProtocolAdapter[M, P]) -> SavedBook[P] | None:
    """Read a book back, None where there is none that can be used."""
    empty = no_positions(adapter)
    if not isinstance(empty, PackedPositions):
        return None
    try:
        with path.open("rb") as bytes_of_it, np.load(bytes_of_it, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        facts = msgspec.json.decode(arrays["facts"].tobytes(), type=_Facts)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, msgspec.DecodeError):
        return None
    if (facts.version, facts.deployment) != (_VERSION, adapter.deployment):
        return None
    return SavedBook(
        block=facts.block,
        hash=Hash32(facts.hash),
        positions=empty.filled(_split(arrays), facts.position_markets, facts.count),
        columns=Columns.of_arrays(arrays, facts.column_markets),
    )


def _split(arrays: Arrays) -> list[bytes]:
    whole = arrays["buckets"].tobytes()
    ends = np.cumsum(arrays["sizes"]).tolist()
    return [whole[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]
