"""An order to halt holds, whether the keeper of its chain is open, being opened or gone."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from structlog.testing import capture_logs

from keeper.app.switch import HALT_IN_MEMORY, HALT_ORDERED, Switch
from keeper.commands.running import MISCONFIGURED
from keeper.executor.breaker import BreakerLimits
from keeper.executor.standing import Standing, Triggers
from keeper.ledger.journal import SqliteJournal
from keeper.ledger.standing import read_standing, rearm
from tests.support.ledger_records import HandClock, opened
from tests.support.settings_files import write_settings

NO_BREAKER = BreakerLimits(
    max_reverts_in_row=None, max_loss_per_day=None, max_wasted_gas_per_hour=None
)


def database(folder: Path) -> Path:
    return folder / "keeper.sqlite"


def switch_of(folder: Path, clock: HandClock | None = None) -> Switch:
    return Switch(database(folder), clock or HandClock())


def standing_over(journal: SqliteJournal) -> Standing:
    triggers = Triggers(breaker=NO_BREAKER, halt_file=None)
    return Standing(journal, triggers, now=HandClock().now)


async def ran_once(folder: Path) -> None:
    await (await opened(folder)).close()


async def test_a_chain_that_is_not_open_is_halted_for_whoever_opens_it(tmp_path: Path) -> None:
    await ran_once(tmp_path)
    with capture_logs() as lines:
        switch_of(tmp_path).halt("enough")
    assert [one["event"] for one in lines] == [HALT_ORDERED]
    journal = await opened(tmp_path)  # of another process: nothing is left in memory
    standing = standing_over(journal)
    await standing.review()
    assert standing.halted == "enough"
    await journal.close()


async def test_an_open_keeper_is_told_and_the_disk_too_before_any_block(tmp_path: Path) -> None:
    journal, switch = await opened(tmp_path), switch_of(tmp_path)
    standing = standing_over(journal)
    with switch.over(standing):
        switch.halt("enough")
        assert standing.halted == "enough"
        assert read_standing(database(tmp_path)).halted == "enough"
    assert await standing.review() == "enough"
    await journal.close()


async def test_a_word_to_go_on_that_comes_before_the_next_block_is_heard(tmp_path: Path) -> None:
    journal, switch = await opened(tmp_path), switch_of(tmp_path)
    standing = standing_over(journal)
    assert await standing.review() is None
    with switch.over(standing):
        switch.halt("enough")
        assert rearm(database(tmp_path), now=1_700_000_000) == "enough"
        assert standing.halted == "enough", "until it is reviewed"
        assert await standing.review() is None
        assert read_standing(database(tmp_path)).halted is None
    await journal.close()


async def test_what_halted_for_another_reason_before_is_no_matter_of_that_word(
    tmp_path: Path,
) -> None:
    journal, switch = await opened(tmp_path), switch_of(tmp_path)
    standing = standing_over(journal)
    assert await standing.review() is None
    with switch.over(standing):
        standing.halt("the breaker")
        switch.halt("enough")
        assert rearm(database(tmp_path), now=1_700_000_000) == "enough"
        assert await standing.review() == "the breaker"
    await journal.close()


async def test_a_keeper_that_read_the_disk_before_the_order_is_told_of_it(tmp_path: Path) -> None:
    journal, switch = await opened(tmp_path), switch_of(tmp_path)
    standing = standing_over(journal)
    assert await standing.review() is None
    switch.halt("enough")
    assert standing.halted is None
    with switch.over(standing):
        assert standing.halted == "enough"
    await journal.close()


async def test_a_keeper_that_is_gone_is_told_nothing_and_the_next_one_is(tmp_path: Path) -> None:
    journal, switch = await opened(tmp_path), switch_of(tmp_path)
    gone, later = standing_over(journal), standing_over(journal)
    with switch.over(gone):
        pass
    switch.halt("enough")
    assert gone.halted is None
    with switch.over(later):
        assert later.halted == "enough"
    await journal.close()


async def test_an_order_that_somebody_took_back_is_told_to_nobody(tmp_path: Path) -> None:
    await ran_once(tmp_path)
    switch = switch_of(tmp_path)
    switch.halt("enough")
    assert rearm(database(tmp_path), now=1_700_000_001) == "enough"
    journal = await opened(tmp_path)
    standing = standing_over(journal)
    with switch.over(standing):
        assert standing.halted is None
    await journal.close()


async def test_an_order_of_before_is_told_once(tmp_path: Path) -> None:
    await ran_once(tmp_path)
    switch = switch_of(tmp_path)
    switch.halt("enough")
    for expected in ("enough", None):  # it fails, somebody rearms, it is opened again
        journal = await opened(tmp_path)
        standing = standing_over(journal)
        with switch.over(standing):
            assert await standing.review() == expected
        await journal.close()
        rearm(database(tmp_path), now=1_700_000_001)


async def test_where_there_is_no_database_yet_it_is_said_and_kept_as_soon_as_there_is(
    tmp_path: Path,
) -> None:
    switch = switch_of(tmp_path)
    with capture_logs() as lines:
        switch.halt("enough")
    assert [one["event"] for one in lines] == [HALT_ORDERED, HALT_IN_MEMORY]
    assert not database(tmp_path).exists()
    journal = await opened(tmp_path)
    standing = standing_over(journal)
    assert await standing.review() is None
    with switch.over(standing):
        assert standing.halted == "enough"
        assert read_standing(database(tmp_path)).halted == "enough"
    await journal.close()


async def test_an_order_that_no_disk_took_holds_for_the_keeper_that_is_opened_next(
    tmp_path: Path,
) -> None:
    """A chain that fails is opened anew in the same process, and reads a disk without it."""
    elsewhere = await opened(tmp_path / "elsewhere")
    switch = switch_of(tmp_path)
    with switch.over(standing_over(elsewhere)):
        switch.halt("enough")
    await elsewhere.close()
    journal = await opened(tmp_path)
    later, last = standing_over(journal), standing_over(journal)
    with switch.over(later):
        assert later.halted == "enough"
    await journal.close()
    rearm(database(tmp_path), now=1_700_000_001)
    with switch.over(last):
        assert last.halted is None


async def test_an_order_that_the_keeper_kept_and_somebody_took_back_is_over(tmp_path: Path) -> None:
    elsewhere = await opened(tmp_path / "elsewhere")
    switch = switch_of(tmp_path)
    with switch.over(standing_over(elsewhere)):
        switch.halt("enough")
    await elsewhere.close()
    journal = await opened(tmp_path)  # the disk is well again, and the keeper puts it there
    await journal.halt("enough")
    later = standing_over(journal)
    rearm(database(tmp_path), now=1_700_000_001)
    with switch.over(later):
        assert later.halted is None
    await journal.close()


async def test_the_first_reason_stands(tmp_path: Path) -> None:
    await ran_once(tmp_path)
    switch = switch_of(tmp_path)
    switch.halt("enough")
    switch.halt("again")
    assert read_standing(database(tmp_path)).halted == "enough"


PULLED = """
import os, signal, sys

class Pull:
    def find_spec(self, name, *_):
        if name == "keeper.commands.run":
            os.kill(os.getpid(), signal.SIGUSR1)

sys.meta_path.insert(0, Pull())
from keeper.cli import main
sys.argv[1:] = ["run", "-c", sys.argv[1]]
main()
"""


def test_an_order_to_a_process_that_still_loads_is_on_disk_when_it_ends(tmp_path: Path) -> None:
    """A service manager starts it again and again while its node is gone."""
    asyncio.run(ran_once(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", PULLED, str(write_settings(tmp_path))],
        env={
            **os.environ,
            "KEEPER_DATABASE": str(database(tmp_path)),
            "KEEPER_RPC_ETHEREUM": "ws://127.0.0.1:1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == MISCONFIGURED, done.stderr
    assert read_standing(database(tmp_path)).halted == "kill switch: signal SIGUSR1"
