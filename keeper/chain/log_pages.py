"""A page of ``eth_getLogs`` as columns: the texts of all logs at once, an object for no log."""

from binascii import Error as HexError
from binascii import unhexlify
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from keeper.core.errors import TransientError
from keeper.core.log_columns import TOPICS, LogColumns

_WORD: Final = 32
_ADDRESS: Final = 20
_AROUND: Final = len('"0x"')

Texts = Sequence[msgspec.Raw | bytes]
"""JSON values, one of each log, as they stand in the page."""


class SlimLogRecord(msgspec.Struct, frozen=True, gc=False):
    """What is read of a log in bulk, still as JSON; the node's other fields are passed over."""

    address: msgspec.Raw
    topics: msgspec.Raw
    data: msgspec.Raw
    removed: bool = False


def columns_of(page: list[SlimLogRecord]) -> LogColumns:
    """Return a page as columns; raise TransientError when it is not what a node sends."""
    if True in [one.removed for one in page]:  # in half the time of any()
        page = [one for one in page if not one.removed]
    try:
        emitters = _single([one.address for one in page])
        data = _single([one.data for one in page])
        return LogColumns(
            emitters=emitters.of_width(_ADDRESS),
            topics=_topics([one.topics for one in page]),
            data=data.end_to_end(),
            ends=np.cumsum(data.widths // 2, dtype=np.int64),
        )
    except (HexError, ValueError, msgspec.DecodeError) as e:
        raise TransientError(f"expected logs in hex, found some where {e}") from e


class _Hex:
    """Hex texts in JSON, found by their quotes. Raises ValueError when there is anything else.

    ``besides`` is how many characters there are outside the texts: with the texts' own they must
    make up the whole.
    """

    def __init__(self, json: bytes) -> None:
        self.json = json
        self.characters: NDArray[np.uint8] = np.frombuffer(json, np.uint8)
        quotes = np.flatnonzero(self.characters == ord('"'))
        self.starts: NDArray[np.intp] = quotes[::2]
        if len(quotes) % 2:
            raise ValueError("a text does not end")
        self.widths: NDArray[np.intp] = quotes[1::2] - self.starts - (_AROUND - 1)
        if (self.widths < 0).any() or not self._have_prefix():
            raise ValueError("a text does not begin with 0x")

    def is_all_but(self, besides: int) -> bool:
        """Return whether there are just these characters outside the texts."""
        return int(self.widths.sum()) + _AROUND * len(self.widths) + besides == len(self.json)

    def of_width(self, width: int) -> NDArray[np.uint8]:
        """Return the texts as rows of ``width`` bytes."""
        if (self.widths != 2 * width).any():
            msg = f"texts are not of {width} bytes each"
            raise ValueError(msg)
        everywhere = max(len(self.json) - 2 * width + 1, 0)
        windows = np.ndarray((everywhere,), f"V{2 * width}", self.json, strides=(1,))
        digits = windows[self.starts + (_AROUND - 1)].tobytes()
        return np.frombuffer(unhexlify(digits), np.uint8).reshape(-1, width)

    def end_to_end(self) -> bytes:
        """Return the bytes of texts that follow each other directly."""
        if (self.widths % 2).any():
            raise ValueError("a text has half a byte")
        kept = np.ones(len(self.json), bool)
        for place in range(_AROUND - 1):
            kept[self.starts + place] = False
        kept[self.starts + (_AROUND - 1) + self.widths] = False
        return unhexlify(self.characters[kept].tobytes())

    def _have_prefix(self) -> bool:
        zero = self.characters.take(self.starts + 1)
        x = self.characters.take(self.starts + 2)
        return bool(((zero == ord("0")) & (x == ord("x"))).all())


def _single(values: Texts) -> _Hex:
    """Return one hex text of each log."""
    found = _Hex(b"".join(values))
    if len(found.widths) != len(values) or not found.is_all_but(0):
        raise ValueError("a value is not a text")
    return found


def _topics(values: Texts) -> NDArray[np.uint8]:
    """Return four words of each log; those that a log has not are zero."""
    found = _Hex(b"".join(values))
    if not found.is_all_but(_outside(found, len(values))):
        found = _Hex(b"".join(map(_compact, values)))
        if not found.is_all_but(_outside(found, len(values))):
            raise ValueError("topics are not lists of texts")
    words, counts = found.of_width(_WORD), _counts(found)
    if (counts == TOPICS).all():
        return words.reshape(-1, TOPICS, _WORD)
    topics = np.zeros((len(values), TOPICS, _WORD), np.uint8)
    topics[np.arange(TOPICS) < counts[:, None]] = words
    return topics


def _counts(found: _Hex) -> NDArray[np.intp]:
    """Return how many texts each list has."""
    lists = np.flatnonzero(found.characters == ord("["))
    return np.diff(np.append(found.starts.searchsorted(lists), len(found.starts)))


def _outside(found: _Hex, lists: int) -> int:
    """Return how many characters lists of these texts have around them, written without spaces."""
    counts = _counts(found)
    if len(counts) != lists:
        raise ValueError("topics are not lists")
    return 2 * lists + int(np.maximum(counts - 1, 0).sum())


def _compact(value: msgspec.Raw | bytes) -> bytes:
    """Return a list of texts as JSON without spaces."""
    return msgspec.json.encode(msgspec.json.decode(value, type=list[str]))
