"""Many logs as columns of bytes: what a cold start reads without making an object of each."""

from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from keeper.core.units import Address, Hash32

TOPICS = 4

_MIXED = tuple(
    (at, np.uint64(odd)) for at, odd in ((0, 1), (6, 0x9E3779B97F4A7C15), (12, 0xC2B2AE3D27D4EB4F))
)
"""Eight bytes of an address from each place, times what spreads them over 64 bits."""


class LogColumns(Struct, frozen=True, kw_only=True):
    """Logs in the chain's order, row by row."""

    emitters: NDArray[np.uint8]
    """20 bytes a row."""
    topics: NDArray[np.uint8]
    """Four words a row; those that a log has not are zero."""
    data: bytes
    """All data, end to end."""
    ends: NDArray[np.int64]
    """Where each row's data ends."""

    def __len__(self) -> int:
        """Return how many logs there are."""
        return len(self.emitters)

    def rows(self, emitter: Address, topic: Hash32) -> NDArray[np.intp]:
        """Return the rows of an event of a contract."""
        is_event = _equal(self.topics[:, 0], bytes.fromhex(topic[2:]), np.uint64)
        return np.flatnonzero(
            is_event & _equal(self.emitters, bytes.fromhex(emitter[2:]), np.uint32)
        )

    def addresses(self, rows: NDArray[np.intp], topic: int) -> set[Address]:
        """Return the addresses that a topic of the rows names, each once."""
        text = _fewer(self.topics[rows, topic, 12:]).tobytes().hex()
        found = {text[at : at + 40] for at in range(0, len(text), 40)}
        return {Address("0x" + one) for one in found}

    def words(self, rows: NDArray[np.intp]) -> NDArray[np.uint64]:
        """Return the data of rows of one event, exact: by row and word, four limbs from the top.

        Raises ValueError when the rows' data are not of one length in words.
        """
        lengths = np.diff(self.ends, prepend=0)
        wanted = lengths[rows]
        if len(rows) == 0 or wanted[0] % 32 or (wanted != wanted[0]).any():
            msg = f"data of {len(rows)} logs: expected one length in words, found {set(wanted)}"
            raise ValueError(msg)
        size = int(wanted[0])
        if (lengths == size).all():
            taken = np.frombuffer(self.data, ">u8").reshape(len(self), -1, 4)[rows]
        else:
            ends = self.ends[rows].tolist()
            chosen = b"".join([self.data[end - size : end] for end in ends])
            taken = np.frombuffer(chosen, ">u8").reshape(len(rows), -1, 4)
        return taken.astype(np.uint64)


def _fewer(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return rows of addresses without nearly all of those that are there more than once.

    They are sorted by a number that is made of all their bytes, for addresses may begin and end
    alike; a row like the one before is left out.
    """
    order = np.argsort(sum(_eight(rows, at) * odd for at, odd in _MIXED))
    ordered = rows[order]
    is_first = np.ones(len(rows), bool)
    is_first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    return ordered[is_first]


def _eight(rows: NDArray[np.uint8], at: int) -> NDArray[np.uint64]:
    """Return eight bytes of each row as an integer."""
    return np.ascontiguousarray(rows[:, at : at + 8]).view(np.uint64).ravel()


def _equal(rows: NDArray[np.uint8], wanted: bytes, kind: type[np.generic]) -> NDArray[np.bool_]:
    """Return which rows of bytes are these, compared some bytes at a time."""
    wide = np.ascontiguousarray(rows).view(kind)
    same: NDArray[np.bool_] = (wide == np.frombuffer(wanted, kind)).all(axis=1)
    return same


def joined(parts: Sequence[LogColumns]) -> LogColumns:
    """Return the logs of all parts, in order."""
    if len(parts) == 1:
        return parts[0]
    offsets = np.cumsum([0, *(len(part.data) for part in parts)])
    ends = [part.ends + offset for part, offset in zip(parts, offsets[:-1], strict=True)]
    return LogColumns(
        emitters=np.concatenate([np.zeros((0, 20), np.uint8), *(p.emitters for p in parts)]),
        topics=np.concatenate([np.zeros((0, TOPICS, 32), np.uint8), *(p.topics for p in parts)]),
        data=b"".join(part.data for part in parts),
        ends=np.concatenate([np.zeros(0, np.int64), *ends]),
    )
