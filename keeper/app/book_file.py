"""The book on disk: exact positions and their columns as of one block, read back at a restart.

It saves reading every account from the chain again. It says nothing that the chain does not: it is
used only while its block is canonical, and what happened since is read. Any doubt about the file
itself (torn, of another version or deployment) is an absent file.

The file is a line of JSON that says what follows, the arrays as they lie in memory, the buckets of
the positions, and a CRC-32 of all before it: it is read straight into the arrays that are used.
"""

from collections.abc import Iterable
from io import BufferedReader
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, Final, Generic, TypeVar
from zlib import crc32

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from keeper.core.lending import Scope
from keeper.core.ports import ProtocolAdapter
from keeper.core.units import Hash32
from keeper.ledger.checkpoints import Checkpoint as Kept
from keeper.mirror.positions import PackedPositions, Positions, no_positions
from keeper.mirror.snapshot import Snapshot
from keeper.runtime.private import privately
from keeper.scanner.columns import Columns

M = TypeVar("M")
P = TypeVar("P")

_VERSION: Final = 7
_CRC_BYTES: Final = 4
_LONGEST_LINE: Final = 2**24
"""Of JSON: a file without a line is not read whole to find that out."""

_DAMAGE: Final = (
    OSError,
    ValueError,
    TypeError,
    KeyError,
    msgspec.DecodeError,
    MemoryError,  # what it says of itself may be anything until its sum was compared
    OverflowError,
)

# Any: bytes, numbers and keys lie side by side, each of the type that its owner knows.
Array = NDArray[Any]


class _Column(msgspec.Struct, frozen=True):
    """An array in the file."""

    name: str
    kind: str
    """As numpy writes it: ``<f8``."""
    shape: tuple[int, ...]


class _Facts(msgspec.Struct, frozen=True):
    """What the file says about itself."""

    version: int
    deployment: str
    block: int
    hash: str
    known_at: int
    known_hash: str
    since: int
    places: tuple[str, ...]
    """With ``since`` where accounts were looked for."""
    position_markets: tuple[str, ...]
    column_markets: tuple[str, ...]
    count: int
    columns: tuple[_Column, ...]
    buckets: tuple[int, ...]
    """The size of each."""


class SavedBook(Struct, Generic[P], frozen=True, kw_only=True):
    """A book as it was at a block."""

    block: int
    hash: Hash32
    known: Kept
    positions: Positions[P]
    columns: Columns


def save_book(
    path: Path, deployment: str, snapshot: Snapshot[M, P], columns: Columns, known: Kept
) -> bool:
    """Write the book, all or nothing; return whether there is anything to write it from.

    Raises OSError when the disk does not take it; the book of before is left as it is.

    ``known`` is the checkpoint by whose side it is written: all of its accounts are with that.
    An account that is no weighted sum is in no column: such books are not saved.
    """
    positions = snapshot.positions
    if not isinstance(positions, PackedPositions) or columns.odd or len(columns) != len(positions):
        return False
    buckets, markets, count = positions.parts
    arrays = {name: np.ascontiguousarray(one) for name, one in columns.arrays().items()}
    facts = _Facts(
        version=_VERSION,
        deployment=deployment,
        block=snapshot.block.number,
        hash=snapshot.block.hash,
        known_at=known.block,
        known_hash=known.hash,
        since=known.scope.since,
        places=tuple(sorted(known.scope.places)),
        position_markets=markets,
        column_markets=tuple(columns.markets),
        count=count,
        columns=tuple(_Column(name, one.dtype.str, one.shape) for name, one in arrays.items()),
        buckets=tuple(map(len, buckets)),
    )
    parts: list[bytes | memoryview] = [msgspec.json.encode(facts) + b"\n"]
    parts += [*map(_bytes_of, arrays.values()), b"".join(buckets)]
    # Of one name: what a killed process left is written over. No other writes it: see the lock.
    draft = path.with_name(f"{path.name}.draft")
    try:
        _write(draft, parts)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)  # a disk that is full needs the room
        raise
    return True


def _write(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    """Write the parts, and the sum of them."""
    crc = 0
    with open(path, "wb", opener=privately) as file:
        for part in parts:
            crc = crc32(part, crc)
            file.write(part)
        file.write(crc.to_bytes(_CRC_BYTES, "big"))


def load_book(path: Path, adapter: ProtocolAdapter[M, P]) -> SavedBook[P] | None:
    """Read a book back, None where there is none that can be used."""
    empty = no_positions(adapter)
    if not isinstance(empty, PackedPositions):
        return None
    try:
        with path.open("rb") as file:
            return _read(file, adapter.deployment, empty)
    except _DAMAGE:
        return None


def _read(file: BufferedReader, deployment: str, empty: PackedPositions[P]) -> SavedBook[P] | None:
    line = file.readline(_LONGEST_LINE)
    facts = msgspec.json.decode(line, type=_Facts)
    if (facts.version, facts.deployment) != (_VERSION, deployment):
        return None
    crc, arrays = crc32(line), dict[str, Array]()
    for column in facts.columns:
        arrays[column.name] = np.empty(column.shape, column.kind)
        into = _bytes_of(arrays[column.name])
        file.readinto(into)
        crc = crc32(into, crc)
    whole = file.read(sum(facts.buckets))
    if file.read() != crc32(whole, crc).to_bytes(_CRC_BYTES, "big"):
        return None
    ends = accumulate(facts.buckets, initial=0)
    buckets = [whole[start:end] for start, end in pairwise(ends)]
    return SavedBook(
        block=facts.block,
        hash=Hash32(facts.hash),
        known=Kept(
            block=facts.known_at,
            hash=Hash32(facts.known_hash),
            scope=Scope(since=facts.since, places=frozenset(facts.places)),
        ),
        positions=empty.filled(buckets, facts.position_markets, facts.count),
        columns=Columns.of_arrays(arrays, facts.column_markets),
    )


def _bytes_of(array: Array) -> memoryview:
    """Return the bytes of an array, not a copy of them."""
    return array.reshape(-1).view(np.uint8).data
