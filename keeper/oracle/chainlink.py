"""The two faces of a Chainlink feed: the proxy that is read and the aggregator that emits.

Mirrors ``EACAggregatorProxy`` and ``AccessControlledAggregator`` (Chainlink contracts v0.6), whose
``AnswerUpdated`` comes from the aggregator with the round id without its phase.
"""

from keeper.core.chain import Call, Log
from keeper.core.units import Address, Hash32

ANSWER_UPDATED = Hash32("0x0559884fd3a460db3073b7fc896cc77986f16e378210ded43186175bf646fc5f")
"""topic0 of ``AnswerUpdated(int256 indexed current,uint256 indexed roundId,uint256 updatedAt)``."""

_AGGREGATOR = bytes.fromhex("245a7bfc")
_LATEST_ROUND_DATA = bytes.fromhex("feaf968c")
_ROUND_WORDS = 5


def aggregator_call(proxy: Address) -> Call:
    """Return the call of ``aggregator()``."""
    return Call(to=proxy, data=_AGGREGATOR)


def round_call(source: Address) -> Call:
    """Return the call of ``latestRoundData()``."""
    return Call(to=source, data=_LATEST_ROUND_DATA)


def decode_updated_at(data: bytes) -> int | None:
    """Return ``updatedAt`` of ``latestRoundData``, or None when the answer is not one."""
    if len(data) < 32 * _ROUND_WORDS:
        return None
    return int.from_bytes(data[96:128], "big")


def decode_answer(log: Log) -> tuple[int, int]:
    """Return answer and ``updatedAt`` of an ``AnswerUpdated`` log."""
    answer = int.from_bytes(bytes.fromhex(log.topics[1][2:]), "big", signed=True)
    return answer, int.from_bytes(log.data[:32], "big")
