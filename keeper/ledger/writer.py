"""The one thread that writes a database: each piece of work is a transaction of its own."""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from keeper.core.errors import InvariantError
from keeper.core.lending import Rejection
from keeper.ledger.rejections import upsert_rejection
from keeper.ledger.store import transaction

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]


class Writer:
    """Runs work on the database in its order. Once the disk failed, nothing runs any more."""

    def __init__(self, path: Path) -> None:
        """Make a closed writer; ``open`` opens it."""
        self._path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        self._database: sqlite3.Connection | None = None
        self._broken: str | None = None
        self._rejections: deque[tuple[str, Rejection, int]] = deque()

    async def open(self, connect: Callable[[], sqlite3.Connection]) -> None:
        """Connect within the thread: a connection belongs to the thread that made it."""
        self._database = await self._in_thread(connect)

    async def close(self) -> None:
        """Write what is waiting, close the database and end the thread."""
        if self._database is not None:
            database, self._database = self._database, None
            if self._broken is None:
                await self._in_thread(lambda: self._write(database, _nothing))
            await self._in_thread(database.close)
        self._thread.shutdown(wait=True)

    def require_whole(self) -> None:
        """Raise InvariantError when the disk failed before."""
        if self._broken is not None:
            raise InvariantError(self._broken)

    async def run(self, what: str, work: Work[T]) -> T:
        """Run work as one transaction. Raises InvariantError when the disk fails."""
        self.require_whole()
        database = self._open_database()
        return await self._on_disk(what, self._in_thread(lambda: self._write(database, work)))

    def begin(self, what: str, work: Work[T]) -> Awaitable[T]:
        """Queue work at once, before all that comes later; the result is awaited when it suits."""
        self.require_whole()
        written = self._thread.submit(self._write, self._open_database(), work)
        return self._on_disk(what, asyncio.wrap_future(written))

    def reject(self, deployment: str, rejection: Rejection, *, now: int) -> None:
        """Take note of a rejection, which is on disk with the next record or soon."""
        self.require_whole()
        database = self._open_database()
        self._rejections.append((deployment, rejection, now))
        if len(self._rejections) == 1:
            self._thread.submit(self._write_rejections, database)

    def _open_database(self) -> sqlite3.Connection:
        if self._database is None:
            msg = f"{self._path}: expected an open journal, found it closed"
            raise InvariantError(msg)
        return self._database

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _on_disk(self, what: str, written: Awaitable[T]) -> T:
        try:
            return await written
        except sqlite3.Error as error:
            raise InvariantError(self._failed(what, error)) from error

    def _failed(self, what: str, error: sqlite3.Error) -> str:
        """Return how the disk failed first: whoever writes after that is told the same."""
        self._broken = self._broken or f"{self._path}: expected {what} on disk, found: {error}"
        return self._broken

    def _write(self, database: sqlite3.Connection, work: Work[T]) -> T:
        """Run in the thread: the rejections that wait, then the work."""
        with transaction(database):
            while self._rejections:
                deployment, rejection, now = self._rejections.popleft()
                upsert_rejection(database, deployment, rejection, now=now)
            return work(database)

    def _write_rejections(self, database: sqlite3.Connection) -> None:
        """Run in the thread, with nobody waiting: a failure shows at the next record."""
        try:
            self._write(database, _nothing)
        except sqlite3.Error as error:
            self._failed("rejections", error)


def _nothing(database: sqlite3.Connection) -> None:
    """Write nothing more than what waits."""
    del database
