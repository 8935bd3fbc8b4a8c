"""A simulation that was begun ahead answers the question that it was begun for, and no other."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from keeper.core.chain import BlockRef, Simulated, Transaction
from keeper.core.errors import TransientError
from keeper.core.values import replace
from keeper.executor.simulating_ahead import SimulatingAhead
from tests.support.ledger_records import block, plan
from tests.support.rehearsal_node import ONE, done

ASKED = [ONE.transaction]
ANSWER = [done(ONE)]


@dataclass
class Counting:
    """Answers each question anew, or fails."""

    error: Exception | None = None
    asked: list[Sequence[Transaction]] = field(default_factory=list)

    async def simulate(self, transactions: Sequence[Transaction], **_: object) -> list[Simulated]:
        self.asked.append(transactions)
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return ANSWER


def begin(ahead: SimulatingAhead) -> None:
    ahead.begin(ASKED, base=block(7), timestamp=8, base_fee=9, overrides={})


async def asked(ahead: SimulatingAhead, at: BlockRef | None = None) -> list[Simulated]:
    base = block(7) if at is None else at
    return await ahead.simulate(list(ASKED), base=base, timestamp=8, base_fee=9, overrides={})


async def test_what_was_begun_is_asked_once_and_good_for_once() -> None:
    node = Counting()
    ahead = SimulatingAhead(node)
    begin(ahead)
    assert await asked(ahead) == ANSWER
    assert len(node.asked) == 1
    assert await asked(ahead) == ANSWER
    assert len(node.asked) == 2


async def test_another_block_or_another_transaction_is_asked_for_anew() -> None:
    node = Counting()
    ahead = SimulatingAhead(node)
    begin(ahead)
    await asked(ahead, replace(block(7), hash=block(8).hash))
    assert len(node.asked) == 2
    begin(ahead)
    other = [replace(plan().transaction, data=b"other")]
    await ahead.simulate(other, base=block(7), timestamp=8, base_fee=9, overrides={})
    assert other in node.asked


async def test_an_error_is_told_to_who_asks_and_to_nobody_else() -> None:
    node = Counting(TransientError("no answer"))
    ahead = SimulatingAhead(node)
    begin(ahead)
    with pytest.raises(TransientError, match="no answer"):
        await asked(ahead)
    node.error = None
    assert await asked(ahead) == ANSWER  # it is not kept

    node.error = TransientError("nobody hears of it")
    begin(ahead)
    await asyncio.sleep(0.01)  # an error that nobody looked at would fail the test at its end
    node.error = None
    assert await asked(ahead, block(9)) == ANSWER
