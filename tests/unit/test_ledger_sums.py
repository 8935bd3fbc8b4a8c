"""What outcomes of a time brought together: each counted, and money only where it moved."""

from pathlib import Path

from keeper.core.plan import Status
from keeper.ledger.latest import read_latest
from keeper.ledger.spending import read_spending
from keeper.ledger.totals import Sums, read_sums
from tests.support.ledger_records import (
    FORECAST,
    HandClock,
    ended,
    landed,
    opened,
    plan,
    submission,
)

WASTED = {Status.REVERTED: 5, Status.CANCELLED: 7}


async def test_outcomes_are_counted_and_what_moved_on_chain_is_added_up(tmp_path: Path) -> None:
    clock = HandClock()
    journal = await opened(tmp_path, clock=clock)
    path = tmp_path / "keeper.sqlite"
    started = int(clock.now())
    statuses = (Status.LANDED, Status.REVERTED, Status.REVERTED, Status.CANCELLED, Status.DROPPED)
    for number, status in enumerate(statuses, start=1):
        one, sent = plan(number), submission(plan(number), nonce=number)
        await journal.seal([(one, sent)])
        outcome = landed(one, sent) if status is Status.LANDED else None
        await journal.settle(
            outcome or ended(one, status, gas=WASTED.get(status, 0), tx_hash=sent.tx_hash)
        )
        clock.seconds += 10
    await journal.intend(plan(9))
    await journal.settle(ended(plan(9), Status.SIMULATED, gas=10**9))
    await journal.close()
    assert read_sums(path, since=started) == Sums(
        counts={"landed": 1, "reverted": 2, "cancelled": 1, "dropped": 1, "simulated": 1},
        net=FORECAST.net - 5 - 5 - 7,
        gas=FORECAST.gas + 5 + 5 + 7,
    )
    later = {"reverted": 2, "cancelled": 1, "dropped": 1, "simulated": 1}
    for second in (1, 10):
        assert read_sums(path, since=started + second) == Sums(counts=later, net=-17, gas=17)
    assert read_sums(path, since=started + 11).counts["reverted"] == 1


async def test_what_was_spent_is_told_by_plan_with_its_second(tmp_path: Path) -> None:
    clock = HandClock()
    path = tmp_path / "keeper.sqlite"
    assert read_spending(path, since=0) is None
    journal = await opened(tmp_path, clock=clock)
    one, two = plan(1), plan(2)
    for number, of in enumerate((one, two)):
        sent = submission(of, nonce=number)
        await journal.seal([(of, sent)])
        await journal.settle(ended(of, Status.REVERTED, gas=40 + number, tx_hash=sent.tx_hash))
        clock.seconds += 10
    await journal.close()
    started = int(clock.now()) - 20
    found = read_spending(path, since=started)
    assert found is not None
    assert found.spent == {one.id: (started, 40), two.id: (started + 10, 41)}
    assert (found.at_stake, found.open_intents) == (0, 0)
    later = read_spending(path, since=started + 1)
    assert later is not None
    assert later.spent == {two.id: (started + 10, 41)}


async def test_the_newest_outcomes_name_their_account_and_what_was_undone_is_not_among_them(
    tmp_path: Path,
) -> None:
    journal = await opened(tmp_path)
    path = tmp_path / "keeper.sqlite"
    for number in (1, 2, 3):
        one, sent = plan(number), submission(plan(number), nonce=number)
        await journal.seal([(one, sent)])
        await journal.settle(landed(one, sent))
    await journal.reopen(plan(2).id)
    newest = read_latest(path, 5)
    assert [one.account for one in newest] == [plan(3).ref.account, plan(1).ref.account]
    assert {(one.status, one.net) for one in newest} == {(Status.LANDED, FORECAST.net)}
    assert read_latest(path, 1) == newest[:1]
    await journal.close()
