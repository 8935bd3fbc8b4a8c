"""Transactions that were sent before the database had them: a line each, written in one call.

A line is with the operating system when ``append`` returns, so that it outlives the process however
that ends. It does not outlive a power cut before the database has it, a few milliseconds later:
what may be lost then is said in docs/sending.md.
"""

import contextlib
import os
from pathlib import Path
from typing import Final
from zlib import crc32

import msgspec

from keeper.core.chain import Fees
from keeper.core.errors import ConfigError, InvariantError
from keeper.core.plan import Submission
from keeper.core.units import Address, Hash32

_PRIVATE_MODE: Final = 0o600
_EMPTY: Final = b"\0"
_ROOM: Final = 1 << 16


class _Line(msgspec.Struct, frozen=True):
    """A submission of an armed plan."""

    plan_id: str
    sender: str
    nonce: int
    tx_hash: str
    raw: str
    max_fee: str
    priority_fee: str
    target_block: int
    lane: str


_encode = msgspec.json.Encoder().encode


class Spool:
    """The file, opened when it is first written to."""

    def __init__(self, path: Path) -> None:
        """Take where it lies; it need not be there."""
        self._path = path
        self._file: int | None = None
        self._practice: int | None = None
        self._broken: str | None = None
        self.end = 0
        """Bytes in the file that are lines."""

    def append(self, submission: Submission) -> None:
        """Write a submission before it is sent. Raises InvariantError once the disk has failed."""
        if self._broken is not None:
            raise InvariantError(self._broken)
        data = _text(submission)
        try:
            if self._file is None:
                self._open()
            done = os.pwrite(self._opened, data, self.end)
        except OSError as error:
            raise self._failed(f"a transaction noted, found: {error.strerror}") from error
        if done < len(data):  # no line follows what was cut short
            raise self._failed(f"{len(data)} bytes written, found {done}")
        self.end += done

    def _failed(self, expected: str) -> InvariantError:
        self._broken = f"{self._path}: expected {expected}"
        return InvariantError(self._broken)

    def touch(self, submission: Submission) -> None:
        """Go the way of ``append``, to a file that nobody reads: it stays warm."""
        data = _text(submission)
        with contextlib.suppress(OSError):  # who notes one for real says so
            if self._practice is None:
                self._practice = self._nameless()
            os.pwrite(self._practice, data, 0)

    def read(self) -> list[Submission]:
        """Return what an earlier run noted; a line that is cut short was not sent.

        Raises ConfigError when there is something that cannot be read.
        """
        try:
            lines = self._path.read_bytes().rstrip(_EMPTY).splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._unusable(error) from error
        found = []
        for line in lines:
            checksum, _, body = line.partition(b" ")
            if checksum == b"%08x" % crc32(body):
                with contextlib.suppress(msgspec.DecodeError):
                    found.append(_submission(msgspec.json.decode(body, type=_Line)))
        return found

    def forget(self, end: int) -> None:
        """Empty the file if nothing was noted past ``end``: the database has all before.

        Raises InvariantError when the disk fails.
        """
        if self._file is not None and end == self.end and end:
            try:
                self._clear_room()
            except OSError as error:
                raise self._failed(f"an empty file, found: {error.strerror}") from error

    def clear(self) -> None:
        """Empty the file: nothing in it matters any more."""
        self._path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Close the file."""
        for one in (self._file, self._practice):
            if one is not None:
                os.close(one)
        self._file = self._practice = None

    def prepare(self) -> None:
        """Open the file beforehand: no time for it later. Raises ConfigError when it cannot be."""
        try:
            if self._file is None:
                self._open()
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: OSError) -> ConfigError:
        return ConfigError(f"{self._path}: expected a file of our own, found: {error.strerror}")

    def _open(self) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._file = os.open(self._path, flags, _PRIVATE_MODE)
        self.end = len(self._path.read_bytes().rstrip(_EMPTY))
        if not self.end:
            self._clear_room()

    def _clear_room(self) -> None:
        """Empty the file, and fill it with what is no line: to make it longer takes a while."""
        os.ftruncate(self._opened, 0)
        self.end = 0
        with contextlib.suppress(OSError):  # a full disk is for whoever notes something
            os.pwrite(self._opened, _EMPTY * _ROOM, 0)

    def _nameless(self) -> int:
        """Return a file beside this one that is gone when it is closed."""
        path = self._path.with_name(f"{self._path.name}.practice")
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, _PRIVATE_MODE)
        path.unlink()
        return file

    @property
    def _opened(self) -> int:
        if self._file is None:
            msg = f"{self._path}: expected an open spool, found it closed"
            raise InvariantError(msg)
        return self._file


def _text(one: Submission) -> bytes:
    """Return a submission as a line, behind its checksum."""
    body = _encode(_line(one))
    return b"%08x %s\n" % (crc32(body), body)


def _line(one: Submission) -> _Line:
    return _Line(
        plan_id=one.plan_id,
        sender=one.sender,
        nonce=one.nonce,
        tx_hash=one.tx_hash,
        raw=one.raw.hex(),
        max_fee=str(one.fees.max_fee),
        priority_fee=str(one.fees.priority_fee),
        target_block=one.target_block,
        lane=one.lane,
    )


def _submission(line: _Line) -> Submission:
    return Submission(
        plan_id=line.plan_id,
        sender=Address(line.sender),
        nonce=line.nonce,
        tx_hash=Hash32(line.tx_hash),
        raw=bytes.fromhex(line.raw),
        fees=Fees(max_fee=int(line.max_fee), priority_fee=int(line.priority_fee)),
        target_block=line.target_block,
        lane=line.lane,
    )
