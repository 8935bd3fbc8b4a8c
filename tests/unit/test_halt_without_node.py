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


async def test_a_halt_is_kept_though_no_node_answers(journal: SqliteJournal) -> None:
    async def gone(_: object) -> None:
        raise TransientError("no node")

    standing = standing_of(journal)
    sending: Any = SimpleNamespace(standing=standing, confirm=gone, executor=standing)
    skipped: list[str] = []
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
    keeper.halt("by hand")
    keeper._settle_mail.close()
    await keeper._settle()
    assert skipped == ["no node"]
    assert (await journal.standing()).halted == "by hand"
