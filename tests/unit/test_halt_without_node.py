"""A halt is on disk whatever becomes of the nodes."""

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from keeper.app.keeper import Keeper
from keeper.core.errors import TransientError
from keeper.executor.breaker import BreakerLimits
from keeper.executor.standing import Standing, Triggers
from keeper.ledger.journal import SqliteJournal
from keeper.runtime.precedence import Precedence
from tests.support.ledger_records import HandClock, block, opened

NO_BREAKER = BreakerLimits(max_reverts_in_row=0, max_loss_per_day=0, max_wasted_gas_per_hour=0)


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[SqliteJournal]:
    found = await opened(tmp_path)
    yield found
    await found.close()


def standing_of(journal: Any) -> Standing:
    return Standing(journal, Triggers(breaker=NO_BREAKER, halt_file=None), now=HandClock().now)


def keeper_over(standing: Standing, confirm: Any, skipped: list[str]) -> Keeper:
    """A keeper that has nothing but its standing, and a node that answers like this."""
    agreed = SimpleNamespace(require=confirm)
    sending: Any = SimpleNamespace(standing=standing, agreed=agreed, executor=standing)
    nobody: Any = None
    keeper = Keeper(
        hull=nobody,
        sending=sending,
        streams=nobody,
        observer=SimpleNamespace(skipped=lambda *told: skipped.append(told[1])),  # type: ignore[arg-type]
        pace=nobody,
        precedence=Precedence(),
    )
    keeper._newest = block(101)
    return keeper


async def test_a_halt_is_kept_though_no_node_answers(journal: SqliteJournal) -> None:
    async def gone(_: object) -> None:
        raise TransientError("no node")

    skipped: list[str] = []
    keeper = keeper_over(standing_of(journal), gone, skipped)
    keeper.halt("by hand")
    keeper._settle_mail.close()
    await keeper._settle()
    assert skipped == ["no node"]
    assert (await journal.standing()).halted == "by hand"


async def test_a_halt_that_was_met_before_the_node_went_away_is_kept(
    journal: SqliteJournal,
) -> None:
    standing = standing_of(journal)

    async def goes(_: object) -> None:
        standing.halt("nonce 5 was used by a transaction that is not ours")
        raise TransientError("no node")

    keeper = keeper_over(standing, goes, [])
    keeper._settle_mail.offer(block(101))
    keeper._settle_mail.close()
    await keeper._settle()
    assert (await journal.standing()).halted == standing.halted
