"""Whose balance counts: of the executor contract that ran a transaction, as things were then."""

from types import SimpleNamespace
from typing import Any

import pytest

from keeper.app.auditing import paid_by
from keeper.app.executor_contract import ExecutorContract
from keeper.core.chain import BlockRef
from keeper.core.errors import RefusedError, StaleError
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.executor.dividing import Decoders
from tests.support.ledger_records import EXECUTOR, account, block
from tests.support.scripted_reader import ScriptedReader, words
from tests.support.settling_desk import auditor, liquidations
from tests.support.signed_plans import ONE, SIGNER, signed

THEN, NOW, ANOTHER = account(77), account(78), account(79)
RECIPIENT = bytes.fromhex("66d003ac")
DEPTH = 8
CONTRACT = ExecutorContract(
    address=EXECUTOR, operators=(SIGNER.address,), operator=SIGNER.address, recipient=NOW
)


async def test_a_transaction_is_read_by_its_own_executor_and_block() -> None:
    before = auditor(liquidations)
    other = replace(before.decoders, recipient=THEN)

    async def decoders_at(executor: Address, at: BlockRef) -> Decoders:
        assert (executor, at) == (EXECUTOR, block(101))
        return other

    found = await replace(before, decoders_at=decoders_at).as_of(signed(ONE, 5), block(101))
    assert found.decoders is other
    assert await before.as_of(signed(ONE, 5), block(101)) is before


async def paid(reader: object, *, head: int = 102, executor: Address = EXECUTOR) -> Address:
    async def newest() -> BlockRef:
        return block(head)

    chain: Any = SimpleNamespace(agreed=reader, reader=SimpleNamespace(head=newest))
    return await paid_by(chain, CONTRACT, executor, block(101), DEPTH)


@pytest.mark.parametrize("executor", [EXECUTOR, ANOTHER])
async def test_it_is_whom_the_executor_paid_in_the_block(executor: Address) -> None:
    reader = ScriptedReader(answers={(executor, RECIPIENT): words(int(THEN, 16))})
    assert await paid(reader, head=500, executor=executor) == THEN
    assert reader.blocks == [block(101)]


class Pruned:
    """A node without that block's state."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def call_many(self, *_: object) -> list[object]:
        raise self._error


@pytest.mark.parametrize("error", [StaleError("pruned"), RefusedError("pruned")])
async def test_where_that_is_told_no_more_it_is_whom_the_executor_pays_now(
    error: Exception,
) -> None:
    assert await paid(Pruned(error), head=101 + DEPTH + 1) == NOW
    with pytest.raises(type(error)):
        await paid(Pruned(error), head=101 + DEPTH)


async def test_whom_another_executor_paid_is_not_guessed() -> None:
    with pytest.raises(StaleError):
        await paid(Pruned(StaleError("pruned")), head=500, executor=ANOTHER)


async def test_what_is_no_executor_pays_nobody() -> None:
    with pytest.raises(StaleError, match="expected its recipient at block 101, found 08c379a0"):
        await paid(ScriptedReader(answers={}))
