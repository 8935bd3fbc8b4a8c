"""What trips the breaker, at which wei, and what does not."""

from pathlib import Path

import pytest

from keeper.core.plan import Outcome, Plan, Status
from keeper.core.standing import Tally
from keeper.core.values import replace
from keeper.executor.breaker import BreakerLimits, tripped
from keeper.executor.standing import DAY, HOUR
from keeper.ledger.journal import SqliteJournal
from tests.support.ledger_records import HandClock, ended, landed, opened, plan, submission

LIMITS = BreakerLimits(max_reverts_in_row=3, max_loss_per_day=1_000, max_wasted_gas_per_hour=500)
QUIET = Tally(reverts_in_row=0, loss=0, wasted=0)


@pytest.mark.parametrize(
    ("tally", "said"),
    [
        (replace(QUIET, reverts_in_row=3), "3 reverts in a row, the limit is 3"),
        (replace(QUIET, loss=1_000), "1000 wei lost in a day, the limit is 1000"),
        (replace(QUIET, wasted=500), "500 wei of gas wasted in an hour, the limit is 500"),
    ],
)
def test_each_limit_trips_at_its_figure(tally: Tally, said: str) -> None:
    assert tripped(tally, LIMITS) == f"circuit breaker: {said}"


def test_just_under_each_limit_nothing_trips() -> None:
    assert tripped(QUIET, LIMITS) is None
    assert tripped(replace(QUIET, reverts_in_row=2, loss=999, wasted=499), LIMITS) is None


def test_a_limit_of_zero_is_off_and_leaves_the_others_on() -> None:
    worst = Tally(reverts_in_row=9, loss=10**9, wasted=10**9)
    off = BreakerLimits(max_reverts_in_row=0, max_loss_per_day=0, max_wasted_gas_per_hour=0)
    assert tripped(worst, off) is None
    only_one = replace(off, max_wasted_gas_per_hour=500)
    assert "wasted" in str(tripped(worst, only_one))


def test_what_was_earned_makes_up_for_a_loss_and_never_for_a_forced_one() -> None:
    limits = replace(LIMITS, forced_per_day={"a": 400})
    assert tripped(replace(QUIET, loss=-(10**6)), limits) is None
    assert tripped(replace(QUIET, forced={"a": 400}), limits) is None
    assert tripped(replace(QUIET, loss=600, forced={"a": 799}), limits) is None
    assert tripped(replace(QUIET, loss=600, forced={"a": 800}), limits) is not None
    assert tripped(replace(QUIET, forced={"a": 399, "b": 1_000}), limits) is not None
    assert tripped(replace(QUIET, loss=999, forced={"a": 100}), limits) is None


async def settle(journal: SqliteJournal, of: Plan, outcome: Outcome, nonce: int) -> None:
    sent = submission(of, nonce=nonce)
    await journal.seal([(of, sent)])
    await journal.record_all_sent([sent])
    await journal.settle(replace(outcome, tx_hash=sent.tx_hash))


async def tally(journal: SqliteJournal, clock: HandClock) -> Tally:
    now = int(clock.now())
    return await journal.tally(day=now - DAY, hour=now - HOUR)


async def test_reverts_count_until_something_lands_and_gas_and_losses_until_their_time_is_up(
    tmp_path: Path,
) -> None:
    clock = HandClock()
    journal = await opened(tmp_path, clock=clock)
    for number in (1, 2):
        one = plan(number)
        await settle(journal, one, ended(one, Status.REVERTED, gas=40), number)
    found = await tally(journal, clock)
    assert (found.reverts_in_row, found.loss, found.wasted) == (2, 80, 80)
    cancelled = plan(3)
    await settle(journal, cancelled, ended(cancelled, Status.CANCELLED, gas=5), 3)
    found = await tally(journal, clock)
    assert (found.reverts_in_row, found.loss, found.wasted) == (2, 85, 85)
    clock.seconds += HOUR
    assert (await tally(journal, clock)).wasted == 85
    clock.seconds += 1
    found = await tally(journal, clock)
    assert (found.reverts_in_row, found.loss, found.wasted) == (2, 85, 0)
    good = plan(4)
    await settle(journal, good, landed(good, submission(good, nonce=4)), 4)
    found = await tally(journal, clock)
    assert found.reverts_in_row == 0
    assert found.loss == 85 - good.forecast.net
    clock.seconds += DAY - HOUR
    assert (await tally(journal, clock)).loss == -good.forecast.net
    await journal.close()
