"""What an answer must hold before it is an offer. Pure."""

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from keeper.core.ports import Ask
from keeper.core.units import BPS, Address
from keeper.venues.aggregators.answer import Answer

LEAST_GAS: Final = 150_000
"""Counted for an offer whose answer says less, or nothing."""
MOST_GAS: Final = 2_000_000
MOST_ABOVE_BPS: Final = 2_000
"""How much more than its worth at the market's prices anything is believed to bring."""
_LEAST_DATA: Final = 4
MOST_DATA: Final = 16 * 1024


class AllowList(Struct, frozen=True, kw_only=True):
    """Whom an offer may have called, and who may be allowed to take the tokens."""

    targets: frozenset[Address]
    spenders: frozenset[Address]


def fault(ask: Ask, answer: Answer, allowed: AllowList) -> str | None:
    """Return the first thing that is wrong with an answer, None when nothing is.

    The texts hold nothing that the aggregator wrote but addresses and numbers.
    """
    return next(_faults(ask, answer, allowed), None)


def _faults(ask: Ask, answer: Answer, allowed: AllowList) -> Iterator[str]:
    if answer.target not in allowed.targets:
        yield f"target: expected one that is allowed, found {answer.target}"
    if answer.spender not in allowed.spenders:
        yield f"spender: expected one that is allowed, found {answer.spender}"
    if (answer.token_in, answer.token_out) != (ask.token_in, ask.token_out):
        yield f"tokens: expected those asked for, found {answer.token_in} > {answer.token_out}"
    if answer.amount_in != ask.amount_in:
        yield f"amount: expected {ask.amount_in}, found {answer.amount_in}"
    if answer.taker not in (None, ask.taker):
        yield f"taker: expected {ask.taker}, found {answer.taker}"
    if answer.value != 0:
        yield f"value: expected no native coin, found {answer.value} wei"
    most = ask.fair_out * (BPS + MOST_ABOVE_BPS) // BPS
    if not 0 < answer.amount_out <= most:
        yield f"output: expected more than 0 and at most {most}, found {answer.amount_out}"
    if not _LEAST_DATA <= len(answer.data) <= MOST_DATA:
        yield f"calldata: expected {_LEAST_DATA} to {MOST_DATA} bytes, found {len(answer.data)}"
    if answer.gas > MOST_GAS:
        yield f"gas: expected at most {MOST_GAS}, found {answer.gas}"
