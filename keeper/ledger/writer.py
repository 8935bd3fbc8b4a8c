"""The one thread that writes a database: each piece of work is a transaction of its own."""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from keeper.core.errors import InvariantError
from keeper.core.lending import Rejection
from keeper.ledger.rejections import upsert_rejection
from keeper.ledger.store import transaction

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]
Waiting = tuple[str, Rejection, int]
"""A rejection of a deployment, and when, unix seconds."""


class Writer:
    """Runs work on the database in its order. Once the disk failed, nothing runs any more."""

    def __init__(self, path: Path) -> None:
        """Make a closed writer; ``open`` opens it."""
        self._path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        self._database: sqlite3.Connection | None = None
        self._broken: str | None = None
        """How the disk failed first; the thread sets it, so that nothing that waits runs."""
        self._is_told = False
        """Whether anybody heard of that."""
        self._rejections: deque[Waiting] = deque()

    async def open(self, connect: Callable[[], sqlite3.Connection]) -> None:
        """Connect within the thread: a connection belongs to the thread that made it."""
        self._database = await self._in_thread(connect)

    async def close(self) -> None:
        """Write what is waiting, close the database and end the thread, whatever befalls.

        Raises InvariantError when the disk failed and nobody was told yet.
        """
        database, self._database = self._database, None
        try:
            if database is not None:
                await self._in_thread(lambda: self._close(database))
        finally:
            self._thread.shutdown(wait=True)
        if not self._is_told:
            self.require_whole()

    def require_whole(self) -> None:
        """Raise InvariantError when the disk failed before."""
        if self._broken is not None:
            self._is_told = True
            raise InvariantError(self._broken)

    async def run(self, what: str, work: Work[T]) -> T:
        """Run work as one transaction. Raises InvariantError when the disk fails."""
        self.require_whole()
        database = self._open_database()
        return await self._told(self._in_thread(lambda: self._write(what, database, work)))

    def begin(self, what: str, work: Work[T]) -> Awaitable[T]:
        """Queue work at once, before all that comes later; the result is awaited when it suits.

        It is done even if whoever awaits it is stopped.
        """
        self.require_whole()
        written = self._thread.submit(self._write, what, self._open_database(), work)
        return self._told(asyncio.shield(asyncio.wrap_future(written)))

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

    async def _told(self, written: Awaitable[T]) -> T:
        try:
            return await written
        except InvariantError:
            self._is_told = self._broken is not None
            raise

    def _failed(self, what: str, error: Exception) -> InvariantError:
        """Return how the disk failed first: whoever writes after that is told the same."""
        self._broken = self._broken or f"{self._path}: expected {what} on disk, found: {error}"
        return InvariantError(self._broken)

    def _write(self, what: str, database: sqlite3.Connection, work: Work[T]) -> T:
        """Run in the thread: the rejections that wait, then the work."""
        if self._broken is not None:
            raise InvariantError(self._broken)
        waiting = [self._rejections.popleft() for _ in range(len(self._rejections))]
        try:
            with transaction(database):
                self._enter(database, waiting)
                return work(database)
        except BaseException as error:
            self._rejections.extendleft(reversed(waiting))
            if isinstance(error, sqlite3.Error):
                raise self._failed(what, error) from error
            raise

    def _enter(self, database: sqlite3.Connection, waiting: Sequence[Waiting]) -> None:
        """Write rejections; whatever befalls them is no fault of the work that they came with."""
        try:
            for deployment, rejection, now in waiting:
                upsert_rejection(database, deployment, rejection, now=now)
        except Exception as error:
            raise self._failed("rejections", error) from error

    def _write_rejections(self, database: sqlite3.Connection) -> None:
        """Run in the thread, with nobody waiting: a failure shows at the next record or the end."""
        try:
            self._write("rejections", database, _nothing)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is kept to be told
            self._failed("rejections", error)

    def _close(self, database: sqlite3.Connection) -> None:
        """Run in the thread, last of all."""
        try:
            if self._broken is None:
                self._write("rejections", database, _nothing)
        finally:
            database.close()


def _nothing(database: sqlite3.Connection) -> None:
    """Write nothing more than what waits."""
    del database
