"""Price updates that no block has yet, read from the calldata of pending transactions.

Layouts: ``FluxAggregator.submit`` (Chainlink contracts v0.6), ``OffchainAggregator.transmit``
(OCR1), ``OCR2Aggregator.transmit`` and ``DualAggregator.transmitSecondary`` (SVR). The answer of a
report is its middle observation, ``observations[length / 2]``, taken as the contract takes it:
by position, never sorted again. Whoever sends a transaction writes its calldata, so every length
in it is checked and nothing in it is believed before it is in a block.
"""

from enum import Enum, auto
from typing import Final

from msgspec import Struct

from keeper.core.units import Address
from keeper.evm.words import WORD, address_at, int_at, selector, signed_at

SUBMIT: Final = selector("submit(uint256,int256)")
TRANSMIT_OCR1: Final = selector("transmit(bytes,bytes32[],bytes32[],bytes32)")
TRANSMIT_OCR2: Final = selector("transmit(bytes32[3],bytes,bytes32[],bytes32[],bytes32)")
TRANSMIT_SECONDARY: Final = selector(
    "transmitSecondary(bytes32[3],bytes,bytes32[],bytes32[],bytes32)"
)
FORWARD: Final = selector("forward(address,bytes)")
"""By which a node's own contract passes its transmission on."""

SELECTORS: Final = frozenset({SUBMIT, TRANSMIT_OCR1, TRANSMIT_OCR2, TRANSMIT_SECONDARY, FORWARD})

_REPORT_WORD: Final = {TRANSMIT_OCR1: 0, TRANSMIT_OCR2: 3, TRANSMIT_SECONDARY: 3}
"""Which argument word points at the report."""
_OBSERVATIONS_WORD: Final = 2
"""The same in the reports of both protocols."""
_MOST_OBSERVATIONS: Final = 31
"""``MAX_NUM_ORACLES`` of both."""
_FORWARDS: Final = 2
_INT192: Final = 1 << 191


class Kind(Enum):
    """How an aggregator is told a price."""

    SUBMISSION = auto()
    """One oracle's own answer; it is the round's where one is enough."""
    REPORT = auto()
    """All oracles' answers."""
    SECOND_REPORT = auto()
    """The same for the auctioned face of an SVR aggregator alone."""


class Update(Struct, frozen=True, kw_only=True):
    """What a pending transaction tells an aggregator."""

    aggregator: Address
    answer: int
    kind: Kind


def decode_update(to: Address, data: bytes) -> Update | None:
    """Return the update in a transaction's calldata, None when there is none that can be read."""
    for _ in range(_FORWARDS):
        if not data.startswith(FORWARD):
            break
        inner = _bytes_at(data[4:], 1)
        if inner is None:
            return None
        to, data = address_at(data[4:], 0), inner
    function, arguments = data[:4], data[4:]
    if function == SUBMIT and len(arguments) >= 2 * WORD:
        return Update(aggregator=to, answer=signed_at(arguments, 1), kind=Kind.SUBMISSION)
    if function not in _REPORT_WORD:
        return None
    answer = _median(_bytes_at(arguments, _REPORT_WORD[function]))
    if answer is None:
        return None
    kind = Kind.SECOND_REPORT if function == TRANSMIT_SECONDARY else Kind.REPORT
    return Update(aggregator=to, answer=answer, kind=kind)


def _median(report: bytes | None) -> int | None:
    """Return the answer of a report of either protocol, None when it is not one."""
    if report is None or len(report) < (_OBSERVATIONS_WORD + 1) * WORD:
        return None
    start = int_at(report, _OBSERVATIONS_WORD)
    if start + WORD > len(report):
        return None
    count = int_at(report[start:], 0)
    if not 0 < count <= _MOST_OBSERVATIONS or start + (1 + count) * WORD > len(report):
        return None
    answer = signed_at(report[start:], 1 + count // 2)
    return answer if -_INT192 <= answer < _INT192 else None


def _bytes_at(arguments: bytes, position: int) -> bytes | None:
    """Return the ``bytes`` that an argument word points at, None when they are not all there."""
    if len(arguments) < (position + 1) * WORD:
        return None
    start = int_at(arguments, position)
    if start + WORD > len(arguments):
        return None
    end = start + WORD + int_at(arguments[start:], 0)
    return arguments[start + WORD : end] if end <= len(arguments) else None
