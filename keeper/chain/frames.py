"""Frames of the WebSocket protocol (RFC 6455, section 5), as a client sees them."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from aiohttp._websocket.helpers import websocket_mask

_FINAL: Final = 0x80
_MORE: Final = 0x0
_TEXT: Final = 0x1
_BINARY: Final = 0x2
_MASKED: Final = 0x80
_SIZE: Final = 0x7F
_TWO_BYTES: Final = 126
_EIGHT_BYTES: Final = 127
_MASK_SIZE: Final = 4

_MESSAGES: Final = frozenset({_TEXT, _BINARY})
_PARTS: Final = frozenset({_MORE, _TEXT, _BINARY})


class Frame(NamedTuple):
    """A whole message, or the bytes of a frame that is none."""

    is_message: bool
    content: bytes


class Frames:
    """Takes a server's bytes as they come."""

    def __init__(self, most: int) -> None:
        """Begin between two frames; those of a message have so many bytes at most."""
        self._most = most
        self._rest = bytearray()
        self._begun = bytearray()
        """What is there of a message whose last frame is to come."""
        self._size = 0
        """Of its frames, with their heads: they may be empty, and without an end."""
        self.is_oversized = False
        """Whether something was longer; then nothing more is told apart."""

    def split(self, data: bytes) -> Iterator[Frame]:
        """Yield what is whole by now; text and binary messages without their frames."""
        if not self._rest and not self._size and (only := _only_message(data)) is not None:
            yield Frame(True, only)
            return
        self._rest += data
        while (span := _span(self._rest)) is not None:
            start, end = span
            self.is_oversized = self._size + end > self._most
            if self.is_oversized or end > len(self._rest):
                return
            frame = bytes(memoryview(self._rest)[:end])
            del self._rest[:end]
            if (whole := self._whole(frame, start)) is not None:
                yield whole

    def _whole(self, frame: bytes, start: int) -> Frame | None:
        """Return what a frame completes, None while more of its message is to come."""
        first, is_masked = frame[0], frame[1] & _MASKED
        if is_masked or first & ~_FINAL not in _PARTS:
            return Frame(False, frame)
        if first & _FINAL and not self._size:
            return Frame(True, frame[start:])
        self._begun += memoryview(frame)[start:]
        self._size += len(frame)
        if not first & _FINAL:
            return None
        message, self._begun, self._size = bytes(self._begun), bytearray(), 0
        return Frame(True, message)


def _only_message(data: bytes) -> bytes | None:
    """Return the message if the bytes are those of one in one frame, None otherwise."""
    span = _span(data)
    if span is None or span[1] != len(data) or data[1] & _MASKED:
        return None
    return data[span[0] :] if data[0] & _FINAL and data[0] & ~_FINAL in _MESSAGES else None


def _span(data: bytes | bytearray) -> tuple[int, int] | None:
    """Return where the first frame's content starts and ends; None without a whole head."""
    if len(data) < 2:  # noqa: PLR2004 - the shortest head
        return None
    size, start = data[1] & _SIZE, 2
    if size >= _TWO_BYTES:
        start = 4 if size == _TWO_BYTES else 10
        if len(data) < start:
            return None
        size = int.from_bytes(data[2:start], "big")
    if data[1] & _MASKED:
        start += _MASK_SIZE
    return start, start + size


def text_frame(message: bytes, mask: bytes) -> bytes:
    """Return a client's text frame, whole and masked."""
    size = len(message)
    if size < _TWO_BYTES:
        head = bytes((_FINAL | _TEXT, _MASKED | size))
    elif size < 1 << 16:
        head = bytes((_FINAL | _TEXT, _MASKED | _TWO_BYTES)) + size.to_bytes(2, "big")
    else:
        head = bytes((_FINAL | _TEXT, _MASKED | _EIGHT_BYTES)) + size.to_bytes(8, "big")
    hidden = bytearray(message)
    websocket_mask(mask, hidden)  # in place
    return head + mask + hidden
