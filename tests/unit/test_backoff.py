"""An account that failed is left alone for a while, never for good."""

from keeper.core.lending import AccountRef
from keeper.core.plan import Companion, Intent, Outcome, Status
from keeper.core.values import replace
from keeper.executor.backoff import LONGEST_WAIT_BLOCKS, Backoff, Cause
from tests.support.ledger_records import MARKET, account, landed, plan, submission

REHEARSAL, REFUSAL, REVERT = Cause
ONE, OTHER = (AccountRef(market=MARKET, account=account(number)) for number in (1, 2))


def test_nobody_waits_without_a_failure() -> None:
    assert Backoff().until(ONE, 100) is None


def test_a_failure_holds_the_account_back_for_the_rest_of_its_block() -> None:
    backoff = Backoff()
    backoff.failed(ONE, REHEARSAL, 100)
    assert backoff.until(ONE, 100) == 101
    assert backoff.until(ONE, 101) is None
    assert backoff.until(OTHER, 100) is None


def test_each_failure_in_a_row_doubles_the_wait_up_to_the_longest() -> None:
    backoff, waits, block = Backoff(), [], 100
    for _ in range(9):
        backoff.failed(ONE, REHEARSAL, block)
        until = backoff.until(ONE, block)
        assert until is not None
        waits.append(until - block)
        block = until
    assert waits == [1, 2, 4, 8, 16, 32, 64, 64, 64]
    assert waits[-1] == LONGEST_WAIT_BLOCKS


def test_a_price_move_lets_everybody_try_again_from_the_first_wait() -> None:
    backoff = Backoff()
    for _ in range(4):
        backoff.failed(ONE, REHEARSAL, 100)
    backoff.forget()
    assert backoff.until(ONE, 100) is None
    backoff.failed(ONE, REHEARSAL, 100)
    assert backoff.until(ONE, 100) == 101


def test_the_same_account_of_another_market_does_not_wait() -> None:
    backoff = Backoff()
    backoff.failed(ONE, REHEARSAL, 100)
    assert backoff.until(AccountRef(market="another", account=ONE.account), 100) is None


def test_each_cause_has_a_wait_of_its_own_and_the_longest_holds() -> None:
    backoff = Backoff()
    for _ in range(3):
        backoff.failed(ONE, REHEARSAL, 100)
    backoff.failed(ONE, REVERT, 100)
    assert backoff.until(ONE, 100) == 104
    backoff.failed(ONE, REFUSAL, 104)
    assert backoff.until(ONE, 104) == 105
    backoff.failed(ONE, REVERT, 104)
    assert backoff.until(ONE, 104) == 106


def outcome_of(*statuses: Status) -> tuple[Intent, Outcome]:
    """Return an intent of so many accounts, and how each ended in block 101."""
    plans = [plan(number) for number in range(1, len(statuses) + 1)]
    sent = submission(plans[0])
    first, *others = (
        replace(landed(one, sent), status=status)
        for one, status in zip(plans, statuses, strict=True)
    )
    intent = Intent(
        plan_id=plans[0].id,
        deployment=plans[0].deployment,
        ref=plans[0].ref,
        status=Status.SENT,
        tip=0,
        deadline=0,
        submission=sent,
        companions=tuple(Companion(plan_id=one.id, ref=one.ref) for one in plans[1:]),
    )
    return intent, replace(first, companions=tuple(others))


def test_who_reverted_waits_from_that_block_on_and_who_landed_does_not() -> None:
    backoff = Backoff()
    intent, outcome = outcome_of(Status.REVERTED, Status.LANDED)
    backoff.settled(intent, outcome)
    first, second = intent.refs
    assert backoff.until(first, 101) == 102
    assert backoff.until(second, 101) is None
    backoff.settled(intent, outcome)
    assert backoff.until(first, 102) == 103


def test_what_never_ran_holds_nobody_back() -> None:
    backoff = Backoff()
    intent, outcome = outcome_of(Status.REVERTED)
    backoff.settled(intent, replace(outcome, block=None))
    assert backoff.until(intent.ref, 101) is None
