"""The two faces of a Chainlink feed: the proxy that is read and the aggregator that emits.

Mirrors ``EACAggregatorProxy`` and ``AccessControlledAggregator`` (Chainlink contracts v0.6), whose
``AnswerUpdated`` comes from the aggregator with the round id without its phase.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from keeper.core.chain import Call, CallResult, Log
from keeper.core.units import Address, Hash32
from keeper.evm.words import WORD, int_at, signed_at

ANSWER_UPDATED: Final = Hash32("0x0559884fd3a460db3073b7fc896cc77986f16e378210ded43186175bf646fc5f")
"""topic0 of ``AnswerUpdated(int256 indexed current,uint256 indexed roundId,uint256 updatedAt)``."""

AGGREGATOR: Final = bytes.fromhex("245a7bfc")
LATEST_ROUND_DATA: Final = bytes.fromhex("feaf968c")

_ROUND_WORDS = 5
_PHASE_BIT = 64
_TOPICS = 3
_SIGN_BIT = 255
_BEYOND = 1 << 256


class Round(Struct, frozen=True, kw_only=True):
    """What ``latestRoundData`` of a proxy says."""

    answer: int
    started_at: int
    """Unix seconds; for a sequencer's uptime feed, when its status last changed."""
    updated_at: int
    phase: int
    """Which of the proxy's aggregators answered; it grows when the aggregator is replaced."""


def aggregator_call(proxy: Address) -> Call:
    """Return the call of ``aggregator()``."""
    return Call(to=proxy, data=AGGREGATOR)


def round_call(source: Address) -> Call:
    """Return the call of ``latestRoundData()``."""
    return Call(to=source, data=LATEST_ROUND_DATA)


def decode_round(result: CallResult) -> Round | None:
    """Return the round in an answer of ``latestRoundData``, or None when it is not one."""
    if not result.success or len(result.data) < WORD * _ROUND_WORDS:
        return None
    return Round(
        answer=signed_at(result.data, 1),
        started_at=int_at(result.data, 2),
        updated_at=int_at(result.data, 3),
        phase=int_at(result.data, 0) >> _PHASE_BIT,
    )


def glimpse_answer(topics: Sequence[str]) -> int | None:
    """Return the answer of an ``AnswerUpdated`` log by its topics, or None when it is not one."""
    if len(topics) != _TOPICS or topics[0] != ANSWER_UPDATED:
        return None
    try:
        word = int(topics[1], 16)
    except ValueError:
        return None
    return word - _BEYOND if word >> _SIGN_BIT else word


def decode_answer(log: Log) -> tuple[int, int] | None:
    """Return answer and ``updatedAt`` of an ``AnswerUpdated`` log, or None when it is not one."""
    if len(log.topics) != _TOPICS or log.topics[0] != ANSWER_UPDATED or len(log.data) < WORD:
        return None
    answer = int.from_bytes(bytes.fromhex(log.topics[1][2:]), "big", signed=True)
    return answer, int_at(log.data, 0)
