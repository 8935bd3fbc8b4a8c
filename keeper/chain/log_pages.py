"""A page of ``eth_getLogs`` as columns: decoded at once, an object for no log."""

from binascii import Error as HexError
from binascii import unhexlify

import msgspec
import numpy as np
from numpy.typing import NDArray

from keeper.core.errors import TransientError
from keeper.core.log_columns import TOPICS, LogColumns

_WORD_TEXT = 66
_ADDRESS_TEXT = 42


class SlimLogRecord(msgspec.Struct, frozen=True, gc=False):
    """What is read of a log in bulk; the node's other fields are passed over."""

    address: str
    topics: list[str]
    data: str
    removed: bool = False


def columns_of(page: list[SlimLogRecord]) -> LogColumns:
    """Return a page as columns; raise TransientError when it is not what a node sends."""
    if any(one.removed for one in page):
        page = [one for one in page if not one.removed]
    try:
        data = b"".join([unhexlify(one.data[2:]) for one in page])
        lengths = [len(one.data) // 2 - 1 for one in page]
        return LogColumns(
            emitters=_bytes([one.address for one in page], _ADDRESS_TEXT),
            topics=_topics(page),
            data=data,
            ends=np.cumsum(lengths, dtype=np.int64),
        )
    except (HexError, ValueError) as e:
        raise TransientError(f"expected logs in hex, found some where {e}") from e


def _topics(page: list[SlimLogRecord]) -> NDArray[np.uint8]:
    counts = [len(one.topics) for one in page]
    flat = _bytes([topic for one in page for topic in one.topics], _WORD_TEXT)
    if counts.count(TOPICS) == len(counts):
        return flat.reshape(-1, TOPICS, 32)
    topics = np.zeros((len(page), TOPICS, 32), np.uint8)
    topics[np.arange(TOPICS) < np.array(counts, np.int64)[:, None]] = flat
    return topics


def _bytes(texts: list[str], width: int) -> NDArray[np.uint8]:
    """Return ``0x`` texts of one width as rows of bytes."""
    joined = "".join(texts).encode()
    if len(joined) != width * len(texts):
        msg = f"texts are not of {width} characters each"
        raise ValueError(msg)
    digits = np.frombuffer(joined, np.uint8).reshape(len(texts), width)[:, 2:]
    return np.frombuffer(unhexlify(digits.tobytes()), np.uint8).reshape(len(texts), width // 2 - 1)
