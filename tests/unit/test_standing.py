"""When nothing is sent: memory, disk and the file beside it, and the way back that a person has."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from keeper.core.errors import TransientError
from keeper.core.plan import Plan, Status
from keeper.core.standing import StandingRow
from keeper.executor.breaker import BreakerLimits
from keeper.executor.standing import SENDING_HALTED, SENDING_RESUMED, Standing, Triggers
from keeper.ledger.journal import SqliteJournal
from keeper.ledger.standing import rearm
from tests.support.ledger_records import HandClock, ended, opened, plan, submission

TWO_REVERTS = BreakerLimits(
    max_reverts_in_row=2, max_loss_per_day=1_000, max_wasted_gas_per_hour=900
)


class Desk:
    """A standing over a real journal, and its kill switch."""

    def __init__(self, journal: SqliteJournal, clock: HandClock, folder: Path) -> None:
        self.journal = journal
        self.clock = clock
        self.database = folder / "keeper.sqlite"
        self.file = folder / "halt"

    def standing(self) -> Standing:
        triggers = Triggers(breaker=TWO_REVERTS, halt_file=self.file)
        return Standing(self.journal, triggers, now=self.clock.now)

    async def on_disk(self) -> str | None:
        return (await self.journal.standing()).halted

    def rearm(self) -> None:
        rearm(self.database, now=int(self.clock.now()))

    async def revert(self, one: Plan, *, gas: int, nonce: int) -> None:
        sent = submission(one, nonce=nonce)
        await self.journal.seal([(one, sent)])
        await self.journal.settle(ended(one, Status.REVERTED, gas=gas, tx_hash=sent.tx_hash))


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    clock = HandClock()
    journal = await opened(tmp_path, clock=clock)
    yield Desk(journal, clock, tmp_path)
    await journal.close()


async def test_while_nothing_is_wrong_it_is_not_halted(desk: Desk) -> None:
    standing = desk.standing()
    with capture_logs() as lines:
        assert await standing.review() is None
        assert await standing.review() is None
    assert (standing.halted, lines) == (None, [])
    assert await desk.on_disk() is None


async def test_a_halt_holds_at_once_and_is_on_disk_at_the_next_review(desk: Desk) -> None:
    standing = desk.standing()
    await standing.review()
    standing.halt("a person said so")
    assert standing.halted == "a person said so"
    assert await standing.review() == "a person said so"
    assert await desk.on_disk() == "a person said so"


async def test_the_first_reason_stands_and_is_said_once(desk: Desk) -> None:
    standing = desk.standing()
    with capture_logs() as lines:
        standing.halt("the first")
        standing.halt("the second")
        desk.file.touch()
        await standing.review()
    assert standing.halted == "the first"
    assert [one["why"] for one in lines if one["event"] == SENDING_HALTED] == ["the first"]


async def test_a_halt_outlives_the_process_and_is_said_again(desk: Desk) -> None:
    before = desk.standing()
    before.halt("the breaker")
    await before.review()
    again = desk.standing()
    with capture_logs() as lines:
        assert await again.review() == "the breaker"
        assert await again.review() == "the breaker"
    assert again.halted == "the breaker"
    assert [one["why"] for one in lines if one["event"] == SENDING_HALTED] == ["the breaker"]


async def test_only_a_persons_word_takes_a_halt_back(desk: Desk) -> None:
    standing = desk.standing()
    standing.halt("the breaker")
    for _ in range(3):
        assert await standing.review() == "the breaker"
    desk.rearm()
    assert standing.halted == "the breaker", "until it is reviewed"
    with capture_logs() as lines:
        assert await standing.review() is None
    assert standing.halted is None
    assert [one["event"] for one in lines] == [SENDING_RESUMED]
    standing.halt("anew")
    assert await standing.review() == "anew"
    assert await desk.on_disk() == "anew"


async def test_what_halts_between_a_persons_word_and_the_next_review_is_not_taken_back_by_it(
    desk: Desk,
) -> None:
    standing = desk.standing()
    standing.halt("the breaker")
    await standing.review()
    desk.clock.seconds += 5
    desk.rearm()
    desk.clock.seconds += 5
    standing.halt("a person sees more")
    assert await standing.review() == "a person sees more"
    assert await desk.on_disk() == "a person sees more"
    desk.clock.seconds += 5
    desk.rearm()
    assert await standing.review() is None
    assert await standing.review() is None


async def test_what_halts_after_a_persons_word_stands_though_the_books_were_dated_ahead(
    desk: Desk,
) -> None:
    standing = desk.standing()
    desk.clock.seconds += 3_600
    await desk.revert(plan(1), gas=1, nonce=1)
    standing.halt("the breaker")
    await standing.review()
    desk.clock.seconds -= 3_600
    desk.rearm()
    desk.clock.seconds += 5
    standing.halt("a person sees more")
    assert await standing.review() == "a person sees more"


@pytest.mark.parametrize(("before", "found"), [(0, "another"), (1, None)])
async def test_a_persons_word_takes_back_every_reason_of_the_seconds_before_it(
    desk: Desk, before: int, found: str | None
) -> None:
    standing = desk.standing()
    standing.halt("the breaker")
    await standing.review()
    standing.halt("another")
    desk.clock.seconds += before
    desk.rearm()
    desk.clock.seconds += 50
    assert await standing.review() == found


async def test_what_halts_while_the_disk_is_asked_whether_it_may_go_on_stands(desk: Desk) -> None:
    standing = desk.standing()
    standing.halt("the breaker")
    await standing.review()
    desk.rearm()
    reviewing = asyncio.ensure_future(standing.review())
    await asyncio.sleep(0)
    standing.halt("meanwhile")
    assert await reviewing == "meanwhile"


async def test_a_halt_on_disk_is_found_though_the_disk_could_not_be_read_at_first(
    desk: Desk,
) -> None:
    await desk.journal.halt("the breaker")
    asked: list[int] = []

    class Failing:
        """A journal whose first answer does not come; all else is the real one's."""

        def __getattr__(self, name: str) -> Any:
            return getattr(desk.journal, name)

        async def standing(self) -> StandingRow:
            asked.append(1)
            if len(asked) == 1:
                raise TransientError("busy")
            return await desk.journal.standing()

    journal: Any = Failing()
    triggers = Triggers(breaker=TWO_REVERTS, halt_file=None)
    standing = Standing(journal, triggers, now=desk.clock.now)
    with pytest.raises(TransientError):
        await standing.review()
    assert await standing.review() == "the breaker"


async def test_the_kill_switch_halts_without_a_review_and_stays_when_the_file_is_gone(
    desk: Desk,
) -> None:
    standing = desk.standing()
    await standing.review()
    desk.file.touch()
    said = f"kill switch: {desk.file} is there"
    assert standing.halted == said
    desk.file.unlink()
    assert standing.halted == said
    assert await standing.review() == said
    assert await desk.on_disk() == said


async def test_where_it_cannot_be_told_whether_the_kill_switch_is_there_nothing_is_sent(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "exists", os.path.exists)  # as from Python 3.14 on
    desk.file = desk.file.with_name("x" * 300)  # as on a disk that went away: no answer is no "no"
    standing = desk.standing()
    said = f"kill switch: {desk.file}: expected to be told whether it is there, found File name"
    assert (standing.halted or "").startswith(said)
    assert (await standing.review() or "").startswith(said)
    assert (await desk.on_disk() or "").startswith(said)


async def test_a_review_finds_the_kill_switch_though_nobody_asks_before(desk: Desk) -> None:
    desk.file.touch()
    assert await desk.standing().review() == f"kill switch: {desk.file} is there"


async def test_who_rearms_with_the_kill_switch_still_there_is_halted_by_it(desk: Desk) -> None:
    standing = desk.standing()
    desk.file.touch()
    said = await standing.review()
    desk.rearm()
    assert await standing.review() == said
    assert await desk.on_disk() == said
    desk.file.unlink()
    desk.rearm()
    assert await standing.review() is None


async def test_without_a_kill_switch_there_is_no_file_to_look_for(desk: Desk) -> None:
    triggers = Triggers(breaker=TWO_REVERTS, halt_file=None)
    assert await Standing(desk.journal, triggers, now=desk.clock.now).review() is None


async def test_the_breaker_trips_at_the_review_that_finds_its_figure(desk: Desk) -> None:
    standing = desk.standing()
    await desk.revert(plan(1), gas=1, nonce=1)
    assert await standing.review() is None
    await desk.revert(plan(2), gas=1, nonce=2)
    assert await standing.review() == "circuit breaker: 2 reverts in a row, the limit is 2"
    assert await desk.on_disk() == "circuit breaker: 2 reverts in a row, the limit is 2"
    desk.rearm()
    assert await standing.review() is None, "what was before is forgiven"


@pytest.mark.parametrize(
    ("gas", "age", "said"),
    [
        (1_000, 86_400, "circuit breaker: 1000 wei lost in a day, the limit is 1000"),
        (1_000, 86_401, None),
        (900, 3_600, "circuit breaker: 900 wei of gas wasted in an hour, the limit is 900"),
        (900, 3_601, None),
    ],
)
async def test_what_a_day_lost_and_an_hour_wasted_is_counted_up_to_its_last_second(
    desk: Desk, gas: int, age: int, said: str | None
) -> None:
    await desk.revert(plan(1), gas=gas, nonce=1)
    desk.clock.seconds += age
    assert await desk.standing().review() == said


async def test_a_halt_while_the_disk_is_asked_is_on_disk_at_the_review_behind(desk: Desk) -> None:
    standing = desk.standing()
    reviewing = asyncio.ensure_future(standing.review())
    await asyncio.sleep(0)
    standing.halt("meanwhile")
    await reviewing
    assert await standing.review() == "meanwhile"
    assert await desk.on_disk() == "meanwhile"
