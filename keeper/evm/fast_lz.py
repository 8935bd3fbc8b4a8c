"""How long FastLZ would make some bytes: what OP-stack rollups price a transaction's data by."""

from typing import Final

_BUCKETS: Final = 8_192
_REACH: Final = 8_191
"""How far back a match may be."""
_TAIL: Final = 13
"""Bytes at the end in which no match begins."""
_AFTER_LIMIT: Final = 9
_LITERALS: Final = 32
_LONGEST: Final = 262
_LONG: Final = 6
_MULTIPLIER: Final = 2_654_435_769


def compressed_size(data: bytes) -> int:
    """Return the bytes of FastLZ level 1 output (solady ``LibZip.flzCompress``)."""
    limit = max(len(data) - _TAIL, 0)
    seen = [0] * _BUCKETS
    size, start, at = 0, 0, 2
    while at < limit:
        at, found = _next_match(data, seen, at, limit)
        if found is None:
            break
        size += _literals(at - start)
        length = _matching(data, found + 3, at + 3, limit + _AFTER_LIMIT)
        size += _match(length)
        at += length
        for _ in range(2):
            seen[_bucket(data, at)] = at
            at += 1
        start = at
    return size + _literals(len(data) - start)


def _next_match(data: bytes, seen: list[int], at: int, limit: int) -> tuple[int, int | None]:
    """Return where the next match begins and what it matches, None when there is none."""
    while at < limit:
        bucket = _bucket(data, at)
        before, seen[bucket] = seen[bucket], at
        if at - before <= _REACH and data[before : before + 3] == data[at : at + 3]:
            return at, before
        at += 1
    return at, None


def _bucket(data: bytes, at: int) -> int:
    word = data[at] | data[at + 1] << 8 | data[at + 2] << 16
    return (_MULTIPLIER * word & 0xFFFFFFFF) >> 19


def _matching(data: bytes, before: int, at: int, end: int) -> int:
    """Return how many bytes from ``at`` on, short of ``end``, are those from ``before`` on.

    One more is counted than matches, as the first byte that differs is looked at too.
    """
    length = 0
    while length < end - at:
        length += 1
        if data[before + length - 1] != data[at + length - 1]:
            break
    return length


def _literals(count: int) -> int:
    rest = count % _LITERALS
    return count // _LITERALS * (_LITERALS + 1) + (rest + 1 if rest else 0)


def _match(length: int) -> int:
    long = (length - 1) % _LONGEST >= _LONG
    return 3 * ((length - 1) // _LONGEST) + (3 if long else 2)
