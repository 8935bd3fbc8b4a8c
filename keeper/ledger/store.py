"""One database file: opened for writing by one keeper at a time, checked before it is trusted."""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO

from msgspec import Struct

from keeper.core.errors import ConfigError
from keeper.core.units import Hash32
from keeper.ledger.schema import (
    APPLICATION_ID,
    MIGRATIONS,
    PRAGMAS,
    SCHEMA_VERSION,
    TABLES,
)
from keeper.runtime.presence import is_there
from keeper.runtime.private import privately


class ChainIdentity(Struct, frozen=True, kw_only=True):
    """Which chain a database belongs to. The genesis hash tells forks of one id apart."""

    chain_id: int
    genesis_hash: Hash32


def beside(path: Path, suffix: str) -> Path:
    """Return the path of a file next to a database, the same by whatever link that is reached."""
    real = Path(os.path.realpath(path))
    return real.with_name(real.name + suffix)


class DatabaseLock(Struct, frozen=True, kw_only=True):
    """What keeps a database to one keeper, as long as it is open."""

    files: tuple[IO[bytes], ...]

    def close(self) -> None:
        """Let others have it. SQLite's connection must be closed before: its locks go too."""
        for one in self.files:
            one.close()


def lock_database(path: Path) -> DatabaseLock:
    """Return the held lock of a database; it is released when closed, or when we die.

    The file beside it says so before the database is touched; the database itself is locked as
    well, for that file may be deleted by hand, or be another one by another link. It is made where
    there is none. Raises ConfigError when another keeper has it, or the folder cannot be written.
    """
    first = _locked(path, beside(path, ".lock"))
    try:
        return DatabaseLock(files=(first, _locked(path, path)))
    except BaseException:
        first.close()
        raise


def _locked(path: Path, target: Path) -> IO[bytes]:
    """Return a file that is held for the keeper of a database."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = open(target, "rb", opener=privately)  # noqa: SIM115 - it is held
    except OSError as error:
        msg = f"{path}: expected a database that can be written, found: {error.strerror}"
        raise ConfigError(msg) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        msg = f"{path}: expected a database of our own, found it in use by another keeper"
        raise ConfigError(msg) from error
    return lock


def open_for_writing(path: Path, identity: ChainIdentity, *, now: int) -> sqlite3.Connection:
    """Return a connection to the chain's database, which is made when there is none.

    It is written to once, so that a full or read-only disk is known before anything is sent.
    Raises ConfigError naming the file, what was expected and what was found.
    """
    with _explained(path, "a Keeper database that can be written"):
        # Autocommit: each transaction is begun and ended by name.
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            is_new = _is_empty(connection)
            if not is_new:
                _require_sound(connection, path)
                _require_identity(connection, path, identity)
            for pragma in PRAGMAS:
                connection.execute(pragma)
            _require_write_ahead(connection, path)
            if is_new:
                _create(connection, identity, now=now)
            else:
                _migrate(connection)
            connection.execute("UPDATE meta SET opened = ?", (now,))
        except BaseException:
            connection.close()
            raise
    return connection


def is_made(path: Path) -> bool:
    """Return whether there is anything: a keeper that dies as it starts may leave an empty file."""
    return is_there(path) and path.stat().st_size > 0


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database to be read as it is now, as for a report. A running keeper is not disturbed.

    Raises ConfigError when there is no such database, it is not one of ours, or it is damaged.
    """
    if not path.is_file():
        msg = f"{path}: expected a Keeper database, found none; has a keeper run yet?"
        raise ConfigError(msg)
    with _explained(path, "a Keeper database that can be read"):
        uri = f"{path.resolve().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
            connection.execute("PRAGMA busy_timeout = 5000")
            _require_ours(connection, path)
            connection.execute("BEGIN")  # all that is read is of one moment
            yield connection


def require_of_chain(path: Path, chain_id: int) -> None:
    """Raise ConfigError for a database that is another program's, another chain's, or damaged.

    None at all is none of these: no keeper has run yet.
    """
    if not is_made(path):
        return
    with reading(path) as connection:
        _require_sound(connection, path)
        require_chain_id(path, _chain_id(connection), chain_id)


def require_chain_id(path: Path, found: int, expected: int) -> None:
    """Raise ConfigError for a database of another chain."""
    if found != expected:
        msg = f"{path}: expected a database of chain id {expected}, found {found}"
        raise ConfigError(msg)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Run a block as one transaction: on disk when it ends, undone when it raises."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def _explained(path: Path, expected: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        msg = f"{path}: expected {expected}, found: {error}"
        raise ConfigError(msg) from error


def _is_empty(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_master").fetchone() is None


def _create(connection: sqlite3.Connection, identity: ChainIdentity, *, now: int) -> None:
    with transaction(connection):
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        for statement in TABLES:
            connection.execute(statement)
        connection.execute(
            "INSERT INTO meta VALUES (1, ?, ?, ?, ?, ?)",
            (identity.chain_id, identity.genesis_hash, SCHEMA_VERSION, now, now),
        )


def _migrate(connection: sqlite3.Connection) -> None:
    """Bring an older database to our version, all of it or nothing."""
    (version,) = connection.execute("SELECT schema_version FROM meta").fetchone()
    if version == SCHEMA_VERSION:
        return
    with transaction(connection):
        for older in range(version, SCHEMA_VERSION):
            for statement in MIGRATIONS[older]:
                connection.execute(statement)
        connection.execute("UPDATE meta SET schema_version = ?", (SCHEMA_VERSION,))


def _require_write_ahead(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a disk on which the last commit may be undone by a power cut."""
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    if mode != "wal":
        msg = f"{path}: expected a disk that takes a write-ahead log, found journal mode {mode}"
        raise ConfigError(msg)


def _require_ours(connection: sqlite3.Connection, path: Path) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application != APPLICATION_ID:
        msg = f"{path}: expected a Keeper database, found one of another program"
        raise ConfigError(msg)
    found = connection.execute("SELECT schema_version FROM meta").fetchone()
    version = "none" if found is None else found[0]
    if version != SCHEMA_VERSION and version not in MIGRATIONS:
        msg = f"{path}: expected schema version {SCHEMA_VERSION}, found {version}"
        raise ConfigError(msg)


def _require_sound(connection: sqlite3.Connection, path: Path) -> None:
    _require_ours(connection, path)
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        msg = f"{path}: expected a sound database, found: {str(found).splitlines()[-1]}"
        raise ConfigError(msg)


def _chain_id(connection: sqlite3.Connection) -> int:
    (found,) = connection.execute("SELECT chain_id FROM meta").fetchone()
    return int(found)


def _require_identity(connection: sqlite3.Connection, path: Path, identity: ChainIdentity) -> None:
    require_chain_id(path, _chain_id(connection), identity.chain_id)
    (genesis,) = connection.execute("SELECT genesis_hash FROM meta").fetchone()
    if genesis != identity.genesis_hash:
        msg = f"{path}: expected genesis block {identity.genesis_hash}, found {genesis}"
        raise ConfigError(msg)
