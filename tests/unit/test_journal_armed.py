"""Transactions signed ahead, on disk: they hold nothing until they are fired, and that once."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from keeper.core.errors import InvariantError
from keeper.core.plan import Status, Submission
from keeper.core.values import replace
from keeper.ledger.journal import SqliteJournal
from tests.support.ledger_records import OPERATOR, ended, opened, plan, submission

ONE, TWO = plan(1), plan(2)
ELSEWHERE = replace(plan(1), id="the same account at another feed's price")
FIRST, SECOND = submission(ONE, nonce=5), submission(TWO, nonce=6)


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[SqliteJournal]:
    found = await opened(tmp_path)
    await found.arm([(ONE, FIRST), (TWO, SECOND)])
    yield found
    await found.close()


async def armed(journal: SqliteJournal) -> list[Submission | None]:
    return [one.submission for one in await journal.armed()]


async def attempts(journal: SqliteJournal) -> dict[str, tuple[Submission, ...]]:
    """Return the transactions of each open intent."""
    return {one.plan_id: one.attempts for one in await journal.open_intents()}


async def refuses(journal: SqliteJournal, one: Submission, words: str) -> None:
    with pytest.raises(InvariantError, match=words):
        await journal.fired([one])


async def test_what_is_fired_is_open_with_the_transaction_that_is_out(
    journal: SqliteJournal,
) -> None:
    await journal.fired([FIRST])
    assert await attempts(journal) == {ONE.id: (FIRST,)}
    assert await armed(journal) == [SECOND]
    assert await journal.highest_nonce(OPERATOR) == 5


async def test_what_was_signed_anew_takes_the_place_of_what_was_signed_ahead(
    journal: SqliteJournal,
) -> None:
    anew = submission(ONE, nonce=9)
    await journal.fired([anew])
    assert await attempts(journal) == {ONE.id: (anew,)}
    assert await journal.others.own([FIRST.tx_hash, anew.tx_hash]) == {anew.tx_hash}


async def test_to_fire_twice_changes_nothing(journal: SqliteJournal) -> None:
    await journal.fired([FIRST])
    await journal.record_all_sent([FIRST])
    await journal.fired([FIRST])
    (intent,) = await journal.open_intents()
    assert (intent.status, intent.attempts) == (Status.SENT, (FIRST,))


async def test_to_fire_again_with_another_nonce_would_be_a_second_transaction(
    journal: SqliteJournal,
) -> None:
    await journal.fired([FIRST])
    await refuses(journal, submission(ONE, nonce=9), "expected nonce 9 to be its only one")
    assert await attempts(journal) == {ONE.id: (FIRST,)}


async def test_what_was_never_armed_cannot_be_out(journal: SqliteJournal) -> None:
    await refuses(
        journal, submission(plan(3)), "expected it armed before its transaction is sent, found none"
    )


@pytest.mark.parametrize("by", ["an ordinary intent", "another armed one"])
async def test_an_account_with_an_open_intent_is_not_fired_at(
    journal: SqliteJournal, by: str
) -> None:
    if by == "an ordinary intent":
        open_ = replace(plan(1), id="ordinary")
        await journal.seal([(open_, submission(open_, nonce=2))])
    else:
        await journal.arm([(ELSEWHERE, submission(ELSEWHERE, nonce=2))])
        await journal.fired([submission(ELSEWHERE, nonce=2)])
    (before,) = await journal.open_intents()
    await refuses(journal, FIRST, "expected no open intent")
    assert await attempts(journal) == {before.plan_id: before.attempts}
    assert FIRST in await armed(journal)


async def test_of_several_that_are_out_all_are_on_disk_or_none(journal: SqliteJournal) -> None:
    with pytest.raises(InvariantError):
        await journal.fired([FIRST, submission(plan(3))])
    assert await attempts(journal) == {}
    await journal.fired([FIRST, SECOND])
    assert await attempts(journal) == {ONE.id: (FIRST,), TWO.id: (SECOND,)}


async def test_a_nonce_that_was_signed_for_ahead_is_free_until_it_is_fired(
    journal: SqliteJournal,
) -> None:
    ordinary = plan(3)
    await journal.seal([(ordinary, submission(ordinary, nonce=5))])
    await refuses(journal, FIRST, "nobody else's, found nonce 5")


@pytest.mark.parametrize("then", ["open", "over"])
async def test_what_was_fired_is_not_forgotten_as_void(journal: SqliteJournal, then: str) -> None:
    await journal.fired([FIRST])
    if then == "over":
        await journal.settle(ended(ONE, Status.REVERTED, gas=9, tx_hash=FIRST.tx_hash))
    await journal.disarm([ONE.id, TWO.id, "never heard of"])
    assert await armed(journal) == []
    assert await journal.others.own([FIRST.tx_hash, SECOND.tx_hash]) == {FIRST.tx_hash}
    assert await journal.tried([ONE, TWO]) == {ONE.id}


async def test_what_was_void_may_be_armed_anew(journal: SqliteJournal) -> None:
    await journal.disarm([ONE.id])
    await journal.arm([(ONE, FIRST)])
    assert await armed(journal) == [SECOND, FIRST]


async def test_what_is_over_cannot_be_fired_again(journal: SqliteJournal) -> None:
    await journal.fired([FIRST])
    await journal.settle(ended(ONE, Status.REVERTED, gas=9, tx_hash=FIRST.tx_hash))
    await refuses(journal, submission(ONE, nonce=9), "expected an open one to sign for")
    assert await journal.open_intents() == []


async def test_of_several_armed_all_are_on_disk_or_none(
    journal: SqliteJournal, tmp_path: Path
) -> None:
    three = plan(3)
    with pytest.raises(InvariantError, match="expected 2 armed transactions on disk"):
        await journal.arm([(three, submission(three, nonce=7)), (ONE, FIRST)])
    await journal.close()
    again = await opened(tmp_path)
    assert await armed(again) == [FIRST, SECOND]
    await again.close()
