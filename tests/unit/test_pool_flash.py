"""Of a pool's loans the books have those alone that the executor took itself."""

from collections.abc import Sequence
from typing import Any

from keeper.core.chain import Log, Simulated, Transaction
from keeper.core.units import Address, Hash32
from keeper.core.values import replace
from keeper.executor.rehearse import rehearse
from keeper.venues.pool_flash import FLASH_TOPIC, TRANSFER_TOPIC, PoolFlashSource
from tests.support.ledger_records import EXECUTOR, USDC, account, hash32
from tests.support.rehearsal_node import ONE, PLANS, Node, decoders, done, stage, word
from tests.support.scripted_reader import words

POOL, HOSTILE, STRANGE = account(81), account(82), account(83)
AMOUNT, FEE = 1_000, 3


def logged(by: Address, topics: Sequence[Hash32], data: bytes) -> Log:
    return Log(
        address=by,
        topics=tuple(topics),
        data=data,
        block_number=101,
        block_hash=hash32(101),
        tx_hash=hash32(1),
        index=0,
    )


def loan(taker: Address, token: Address) -> list[Log]:
    """Return what is logged of a loan that goes to the executor."""
    parties = (word(taker), word(EXECUTOR))
    return [
        logged(token, (TRANSFER_TOPIC, word(POOL), word(EXECUTOR)), words(AMOUNT)),
        logged(POOL, (FLASH_TOPIC, *parties), words(AMOUNT, 0, FEE, 0)),
    ]


def source() -> PoolFlashSource:
    nobody: Any = None
    return PoolFlashSource(nobody, pool=POOL, executor=EXECUTOR)


def test_a_loan_of_the_executor_is_told_with_its_fee() -> None:
    assert source().fee_paid(loan(EXECUTOR, USDC)) == (USDC, FEE)


def test_one_that_somebody_else_took_for_it_is_none() -> None:
    assert source().fee_paid(loan(HOSTILE, STRANGE)) is None


def test_a_token_that_tells_of_a_transfer_in_a_way_of_its_own_is_passed_by() -> None:
    odd = [logged(HOSTILE, (TRANSFER_TOPIC,), words(1, 2, 3)), logged(HOSTILE, (), b"")]
    assert source().fee_paid([*odd, *loan(EXECUTOR, USDC)]) == (USDC, FEE)


async def test_a_rehearsal_in_which_a_token_borrows_for_the_executor_is_read() -> None:
    """What is lent so need not be a token of the market: it has no price there."""

    def answer(_before: Sequence[Transaction], one: Transaction) -> Simulated:
        made = done(PLANS[one])
        return replace(made, logs=(*loan(HOSTILE, STRANGE), *made.logs))

    how = decoders()
    reading = replace(
        how,
        flash_fee=source().fee_paid,
        liquidations=lambda logs: how.liquidations([x for x in logs if x.topics[0] != FLASH_TOPIC]),
    )
    (held,), refused = await rehearse([ONE], Node(answer), stage(), reading)
    assert refused == []
    assert held.forecast.flash_fee == 0
