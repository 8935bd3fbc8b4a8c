"""Numbers as few bytes: each behind its own length."""

from collections.abc import Iterable, Iterator


def packed(numbers: Iterable[int]) -> bytes:
    """Return numbers that are not negative as bytes."""
    return b"".join(_one(number) for number in numbers)


def unpacked(data: bytes) -> Iterator[int]:
    """Yield the numbers that were packed."""
    at = 0
    while at < len(data):
        end = at + 1 + data[at]
        yield int.from_bytes(data[at + 1 : end], "little")
        at = end


def _one(number: int) -> bytes:
    length = (number.bit_length() + 7) // 8
    return bytes((length,)) + number.to_bytes(length, "little")
