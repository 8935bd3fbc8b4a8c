"""A word about a keeper is not taken from, or given to, a database that is not its own."""

import asyncio
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from keeper.commands.rearm import rearm_sending
from keeper.commands.report import Shown, report
from keeper.commands.resume import resume
from keeper.core.chain import BlockRef
from keeper.core.errors import ConfigError
from keeper.core.units import Hash32
from keeper.ledger.journal import SqliteJournal
from keeper.ledger.store import ChainIdentity
from keeper.mirror.pauses import EVERY_MARKET, Evidence, Pauses
from keeper.runtime.clock import SystemClock
from tests.support.settings_files import write_settings

DEPLOYMENT = "aave_v3.ethereum"
BLOCK = BlockRef(
    number=1,
    hash=Hash32("0x" + "11" * 32),
    parent_hash=Hash32("0x" + "22" * 32),
    timestamp=1,
    base_fee=1,
    gas_used=0,
    gas_limit=1,
)

Command = Callable[[Path], None]
COMMANDS: dict[str, Command] = {
    "show": lambda config: resume(config, None, as_json=False),
    "resume": lambda config: resume(config, DEPLOYMENT, as_json=False),
    "rearm": lambda config: rearm_sending(config, as_json=False),
    "report": lambda config: report(config, Shown(), since=0),
}


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "keeper.sqlite"


@pytest.fixture
def config(tmp_path: Path, database: Path) -> Path:
    return write_settings(tmp_path, database=str(database))


@pytest.fixture(params=list(COMMANDS))
def refused(
    request: pytest.FixtureRequest, config: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[[], str]:
    def run() -> str:
        with pytest.raises(ConfigError) as failed:
            COMMANDS[request.param](config)
        assert capsys.readouterr() == ("", "")
        return str(failed.value)

    return run


def foreign(database: Path) -> None:
    other = sqlite3.connect(database)
    other.execute("CREATE TABLE songs (name TEXT)")
    other.close()


async def _made(database: Path, chain_id: int) -> None:
    identity = ChainIdentity(chain_id=chain_id, genesis_hash=Hash32("0x" + "9e" * 32))
    await (await SqliteJournal.open(database, identity, clock=SystemClock())).close()


def made(database: Path, chain_id: int) -> None:
    asyncio.run(_made(database, chain_id))


def test_one_of_another_program_is_named(database: Path, refused: Callable[[], str]) -> None:
    foreign(database)
    assert refused() == f"{database}: expected a Keeper database, found one of another program"


def test_what_is_no_database_is_named(database: Path, refused: Callable[[], str]) -> None:
    database.write_text("no database at all, however long it is looked at " * 40, "utf-8")
    expected = "expected a Keeper database that can be read, found: file is not a database"
    assert refused() == f"{database}: {expected}"


def test_one_of_another_chain_is_named(database: Path, refused: Callable[[], str]) -> None:
    made(database, 56)
    assert refused() == f"{database}: expected a database of chain id 1, found 56"


def test_one_with_damage_is_named_before_a_word_is_given(config: Path, database: Path) -> None:
    made(database, 1)
    whole = database.read_bytes()
    database.write_bytes(whole[:4096] + b"\x55" * 4096 + whole[8192:])
    for name in ("show", "resume", "rearm"):
        with pytest.raises(ConfigError, match=f"^{re.escape(str(database))}: expected "):
            COMMANDS[name](config)


def test_a_pause_is_shown_beside_a_foreign_database_and_not_lifted(
    config: Path, database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    foreign(database)
    evidence = Evidence(
        why="it differs", markets=frozenset([EVERY_MARKET]), block=BLOCK, drifted={}
    )
    pauses = Pauses(database, DEPLOYMENT)
    pauses.add(evidence, now=1)
    for name in ("show", "resume"):
        with pytest.raises(ConfigError, match="found one of another program"):
            COMMANDS[name](config)
    assert capsys.readouterr().err == f"{DEPLOYMENT}: *: it differs\n"
    assert pauses.is_paused()


def test_without_a_database_nothing_is_paused_and_it_is_said_where_it_was_looked_for(
    config: Path, database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    resume(config, None, as_json=False)
    said = f"nothing is paused; {database} is not there: no keeper has run with it\n"
    assert capsys.readouterr().err == said


def test_beside_its_own_database_nothing_is_paused(
    config: Path, database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made(database, 1)
    resume(config, None, as_json=False)
    assert capsys.readouterr().err == "nothing is paused\n"
