"""The forced budget: what counts towards it, what passes it, and what outlives the keeper."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from keeper.core.accounting import Waterfall
from keeper.core.chain import Fees
from keeper.core.lending import Reason
from keeper.core.plan import Plan, Purpose, Status
from keeper.core.values import replace
from keeper.executor.breaker import BreakerLimits, tripped
from keeper.executor.flight import Flight
from keeper.executor.forced import ForcedLimits
from keeper.executor.policy import Exposure, Limits, judge, worst_gas
from keeper.executor.second_look import SecondLook, Verdict
from keeper.ledger.books import read_books
from keeper.ledger.exports import entry_fields
from keeper.ledger.journal import SqliteJournal
from keeper.ledger.report import sheets, summary
from keeper.ledger.schema import SCHEMA_VERSION
from keeper.ledger.standing import rearm
from tests.support.ledger_records import (
    DEPLOYMENT,
    FORECAST,
    HandClock,
    block,
    ended,
    landed,
    opened,
    plan,
    submission,
)

GWEI = 10**9
LOSS = 10**15
LOSING = Waterfall(
    penalty=LOSS, protocol_fee=0, swap_cost=0, flash_fee=0, gas=2 * LOSS, tip=0, net=-LOSS
)


def forced(borrower: int = 1, *, deployment: str = DEPLOYMENT) -> Plan:
    one = plan(borrower, deployment=deployment)
    return replace(one, forced=True, forecast=LOSING, least_net=-(10**18), min_profit=0)


WORST = worst_gas(forced())


def limits(each: int = WORST, day: int = 3 * WORST, deployment: str = DEPLOYMENT) -> Limits:
    return Limits(
        min_profit=10**15,
        max_gas_price=10**12,
        max_gas_per_tx=10**20,
        max_gas_per_hour=10**20,
        max_gas_per_day=10**20,
        max_in_flight=9,
        min_balance=0,
        forced={deployment: ForcedLimits(max_loss_per_tx=each, max_loss_per_day=day)},
    )


def exposed(**forced_figures: dict[str, int]) -> Exposure:
    return Exposure(
        spent_hour=0,
        spent_day=0,
        at_stake=0,
        in_flight=0,
        busy=frozenset(),
        balances=None,
        **forced_figures,
    )


def test_a_forced_plan_passes_although_it_loses() -> None:
    assert judge(forced(), limits(), exposed()) is None
    ordinary = replace(forced(), forced=False, least_net=0)
    refused = judge(ordinary, limits(), exposed())
    assert refused is not None
    assert refused.reason is Reason.BELOW_MIN_PROFIT


@pytest.mark.parametrize(
    ("allowed", "exposure", "words"),
    [
        (limits(WORST - 7), exposed(), "7 wei over the budget"),
        (limits(day=WORST + 5), exposed(forced_lost={DEPLOYMENT: 8}), "3 wei over the budget"),
        (limits(day=WORST + 5), exposed(forced_staked={DEPLOYMENT: 6}), "1 wei over the budget"),
        (limits(deployment="other"), exposed(), "forced mode is off"),
    ],
)
def test_what_could_pass_the_budget_is_refused_by_how_much(
    allowed: Limits, exposure: Exposure, words: str
) -> None:
    refused = judge(forced(), allowed, exposure)
    assert refused is not None
    assert refused.reason is Reason.FORCED_BUDGET
    assert words in refused.detail
    assert refused.net_wei == -LOSS


def test_the_budget_of_one_deployment_is_not_touched_by_another() -> None:
    exposure = exposed(forced_lost={"other": 10**18}, forced_staked={"other": 10**18})
    assert judge(forced(), limits(day=WORST), exposure) is None


def test_forced_plans_of_one_batch_share_the_days_budget() -> None:
    together = exposed().with_plan(forced(1)).with_plan(forced(2))
    assert judge(forced(3), limits(day=3 * WORST), together) is None
    assert judge(forced(3), limits(day=3 * WORST - 1), together) is not None
    assert judge(forced(3), limits(day=3 * WORST), together.with_plan(plan(4))) is None


async def lose(journal: SqliteJournal, one: Plan, nonce: int, status: Status, gas: int) -> None:
    signed = submission(one, nonce=nonce)
    await journal.seal([(one, signed)])
    await journal.settle(ended(one, status, gas=gas, tx_hash=signed.tx_hash))


async def test_losses_are_added_up_by_deployment_and_outlive_the_keeper(tmp_path: Path) -> None:
    clock = HandClock()
    journal = await opened(tmp_path, clock=clock)
    signed = submission(forced(1), nonce=0)
    await journal.seal([(forced(1), signed)])
    await journal.settle(replace(landed(forced(1), signed), realised=LOSING))
    await lose(journal, forced(2), 1, Status.REVERTED, 70)
    await lose(journal, forced(3), 2, Status.CANCELLED, 5)
    await lose(journal, plan(4), 3, Status.REVERTED, 10**18)
    await lose(journal, forced(5, deployment="other"), 4, Status.REVERTED, 11)
    earned = submission(forced(6), nonce=5)
    await journal.seal([(forced(6), earned)])
    await journal.settle(replace(landed(forced(6), earned), realised=FORECAST))
    await journal.intend(forced(7))
    await journal.settle(replace(ended(forced(7), Status.SIMULATED), realised=LOSING))
    await journal.close()
    again = await opened(tmp_path, clock=clock)
    lost = {DEPLOYMENT: LOSS + 75, "other": 11}
    assert (await again.spent(hour=0, day=int(clock.now()))).forced == lost
    assert (await again.spent(hour=0, day=int(clock.now()) + 1)).forced == {}
    rearm(tmp_path / "keeper.sqlite", now=int(clock.now()))
    assert (await again.spent(hour=0, day=0)).forced == lost
    await again.close()


async def test_an_open_forced_intent_is_forced_after_a_restart(tmp_path: Path) -> None:
    journal = await opened(tmp_path)
    flight = Flight()
    for number, one in enumerate((forced(1), plan(2))):
        signed = submission(one, nonce=number)
        await journal.seal([(one, signed)])
        flight.took_off(one, signed)
    assert flight.forced_staked == {DEPLOYMENT: WORST}
    await journal.close()
    again = await opened(tmp_path)
    assert [one.forced for one in await again.open_intents()] == [True, False]
    await again.close()


async def test_the_breaker_counts_only_what_passes_the_budget(tmp_path: Path) -> None:
    clock = HandClock()
    journal = await opened(tmp_path, clock=clock)
    await lose(journal, forced(1), 0, Status.REVERTED, 100)
    tally = await journal.tally(day=0, hour=0)
    await journal.close()
    assert (tally.loss, tally.wasted, tally.forced) == (0, 0, {DEPLOYMENT: 100})

    def breaker(allowed: int, loss: int) -> str | None:
        budget = {DEPLOYMENT: allowed} if allowed else {}
        caps = BreakerLimits(
            max_reverts_in_row=0,
            max_loss_per_day=loss,
            max_wasted_gas_per_hour=1,
            forced_per_day=budget,
        )
        return tripped(tally, caps)

    assert breaker(100, 1) is None
    assert breaker(90, 11) is None
    assert "10 wei lost in a day" in (breaker(90, 10) or "")
    assert "100 wei lost in a day" in (breaker(0, 100) or "")


async def test_books_mark_what_was_forced_and_show_its_loss(tmp_path: Path) -> None:
    journal = await opened(tmp_path)
    for number, one in enumerate((forced(1), plan(2))):
        signed = submission(one, nonce=number)
        await journal.seal([(one, signed)])
        await journal.settle(replace(landed(one, signed), realised=one.forecast))
    await journal.close()
    books = read_books(tmp_path / "keeper.sqlite")
    assert [entry.forced for entry in books.entries] == [True, False]
    assert books.forced.realised.net == -LOSS
    assert "1 of them forced, net -0.001000" in summary(books)
    assert [row[3] for row in sheets(books)[0].rows] == ["landed, forced", "landed"]
    fields = [entry_fields(entry, "") for entry in books.entries]
    assert [(one["forced"], one["net"]) for one in fields] == [
        ("true", str(-LOSS)),
        ("false", str(FORECAST.net)),
    ]


async def test_a_database_of_the_second_version_keeps_everything_and_forces_nothing(
    tmp_path: Path,
) -> None:
    path = tmp_path / "keeper.sqlite"
    journal = await opened(tmp_path)
    one, other = plan(1), plan(2)
    done = submission(one, nonce=0)
    await journal.seal([(one, done), (other, submission(other, nonce=1))])
    await journal.settle(landed(one, done))
    await journal.close()
    tables = tuple(
        f"SELECT * FROM {name}"  # noqa: S608 - our own names
        for name in ("intents", "submissions", "outcomes")
    )
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        before = [db.execute(one).fetchall() for one in tables]
        db.execute("ALTER TABLE checkpoints DROP COLUMN places")
        db.execute("ALTER TABLE checkpoints DROP COLUMN since")
        db.execute("ALTER TABLE outcomes DROP COLUMN final")
        db.execute("DROP TABLE taken")
        db.execute("DROP INDEX intents_by_carrier")
        db.execute("ALTER TABLE intents DROP COLUMN carried_by")
        db.execute("ALTER TABLE intents DROP COLUMN forced")
        db.execute("UPDATE meta SET schema_version = 2")
    assert [entry.forced for entry in read_books(path).entries] == [False]
    again = await opened(tmp_path)
    assert (await again.spent(hour=0, day=0)).forced == {}
    assert [found.forced for found in await again.open_intents()] == [False]
    await again.close()
    with closing(sqlite3.connect(path)) as db:
        after = [db.execute(one).fetchall() for one in tables]
        after[-1] = [(*row[:-1], 0) for row in after[-1] if row[-1] == 1]  # long ago: it is final
        assert after == before
        assert db.execute("SELECT schema_version FROM meta").fetchone() == (SCHEMA_VERSION,)


RERUN = Verdict(success=True, received=1, gas_used=500_000, error="")


def looked_at(
    one: Plan, verdict: Verdict, allowed: Limits, **others: dict[str, int]
) -> tuple[Purpose, int]:
    """Return what is next for a transaction that missed its block."""
    flight = Flight()
    signed = replace(submission(one), fees=Fees(max_fee=30 * GWEI, priority_fee=GWEI))
    flight.took_off(one, signed)
    exposure = replace(
        exposed(**others), at_stake=flight.at_stake, forced_staked=flight.forced_staked
    )
    look = SecondLook(
        simulator=None,  # type: ignore[arg-type] - nothing is run again
        auditor_of=None,  # type: ignore[arg-type]
        on_stuck=None,  # type: ignore[arg-type]
        overrides={},
        limits=allowed,
        block_time_s=12,
    )
    return look.judged(signed, flight.airborne[one.id], verdict, block(101), exposure)


def test_an_overdue_forced_one_stays_though_it_does_not_pay() -> None:
    assert looked_at(forced(), RERUN, limits())[0] is Purpose.LIQUIDATE
    assert looked_at(replace(forced(), forced=False), RERUN, limits())[0] is Purpose.CANCEL


def test_an_overdue_forced_one_that_would_revert_or_is_not_allowed_any_more_is_cancelled() -> None:
    failed = replace(RERUN, success=False)
    assert looked_at(forced(), failed, limits())[0] is Purpose.CANCEL
    off = replace(limits(), forced={})
    assert looked_at(forced(), RERUN, off)[0] is Purpose.CANCEL


def test_no_rung_of_the_ladder_can_lose_more_than_the_budget() -> None:
    gas = forced().gas_limit
    assert looked_at(forced(), RERUN, limits(WORST))[1] == WORST // gas
    assert looked_at(forced(), RERUN, limits(2 * WORST))[1] == 2 * WORST // gas
    spent = limits(2 * WORST, 2 * WORST)
    lost = {DEPLOYMENT: WORST // 2}
    assert looked_at(forced(), RERUN, spent, forced_lost=lost)[1] == (2 * WORST - WORST // 2) // gas
