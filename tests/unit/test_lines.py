"""Lines on their way out of the process: in order, held by nobody, and what is lost is counted."""

import fcntl
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import TextIO, cast

import pytest
import structlog

from keeper.telemetry import lines
from keeper.telemetry.lines import Lines, Outlet
from keeper.telemetry.logging import configure_logging
from tests.support.keeper_process import until

PIPE = 4_096
"""Bytes that the pipe holds, so that few lines fill it."""


@pytest.fixture
def logged() -> Iterator[None]:
    """The process's logging is put back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


class Reader:
    """The other end of a log."""

    def __init__(self) -> None:
        self.end, end = os.pipe()
        fcntl.fcntl(end, fcntl.F_SETPIPE_SZ, PIPE)
        self.log = os.fdopen(end, "w")
        self.lost = 0
        self.outlet = Outlet(self.log, count_lost=self.count)
        self.read = b""

    def count(self) -> None:
        self.lost += 1

    def close(self) -> None:
        """Read whatever is left, so that the thread holds on to no descriptor of a later test."""
        while not self.outlet.drain(0.01):
            self.take()
        self.log.close()
        os.close(self.end)

    def take(self) -> list[str]:
        """Read some of it; return all that was read."""
        os.set_blocking(self.end, False)
        with suppress(BlockingIOError):
            self.read += os.read(self.end, 2**16)
        return self.read.decode().splitlines()

    def say(self, *said: str) -> None:
        logger = Lines(cast("TextIO", self.outlet))
        for one in said:
            logger.msg(one)


@pytest.fixture
def reader() -> Iterator[Reader]:
    with closing(Reader()) as made:
        yield made


def numbered(count: int) -> list[str]:
    return [f"{number:099}" for number in range(count)]


def test_a_reader_that_does_not_read_holds_up_nobody_and_has_all_in_order_later(
    reader: Reader,
) -> None:
    said = numbered(1_000)
    reader.say(*said)
    assert not reader.outlet.drain(0.01)
    until(lambda: len(reader.take()) == len(said))
    assert reader.take() == said
    assert reader.lost == 0


@pytest.mark.usefixtures("logged")
def test_what_is_too_much_to_hold_is_lost_and_said_where_it_would_have_stood(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "MOST_HELD", 20_000)
    configure_logging(form="json", stream=cast("TextIO", reader.outlet))
    said = numbered(1_000)
    reader.say(*said)
    held = len(said) - reader.lost
    assert 200 <= held < 300
    until(lambda: len(reader.take()) > held)
    reader.say("after")
    until(lambda: reader.take()[-1] == "after")
    *first, gap, last = reader.take()
    assert (first, last) == (said[:held], "after")
    assert (json.loads(gap)["event"], json.loads(gap)["count"]) == ("lines.lost", reader.lost)
    assert reader.lost == 1_000 - held


@pytest.mark.usefixtures("logged")
def test_a_disk_that_takes_no_line_stops_nobody_and_is_told_with_the_next_that_it_takes(
    tmp_path: Path,
) -> None:
    disk, lost = tmp_path / "log", list[None]()
    with Path("/dev/full").open("w") as out, disk.open("w") as freed:
        outlet = Outlet(out, count_lost=lambda: lost.append(None))
        configure_logging(form="json", stream=cast("TextIO", outlet))
        log = structlog.get_logger()
        for _ in range(3):
            log.info("block.processed")
        assert outlet.drain(60)
        os.dup2(freed.fileno(), out.fileno())
        log.info("block.processed", block=7)
        assert outlet.drain(60)
        log.info("block.processed", block=8)
        assert outlet.drain(60)
    first, second, third = map(json.loads, disk.read_text().splitlines())
    assert first["block"] == 7
    assert (second["event"], second["count"]) == ("lines.lost", 3)
    assert third["block"] == 8
    assert len(lost) == 3


def test_a_log_that_somebody_closed_costs_its_lines_and_nothing_else(tmp_path: Path) -> None:
    lost = list[None]()
    with (tmp_path / "log").open("w") as out:
        outlet = Outlet(out, count_lost=lambda: lost.append(None))
    for _ in range(3):
        outlet.write("late")
    assert outlet.drain(60)
    assert len(lost) == 3


def test_a_log_that_somebody_made_not_to_block_is_written_whole(reader: Reader) -> None:
    os.set_blocking(reader.log.fileno(), False)
    said = numbered(1_000)
    reader.say(*said)
    until(lambda: len(reader.take()) == len(said))
    assert reader.take() == said
    assert reader.lost == 0


SAYS = """
import os, sys
from keeper.commands.console import finish_stderr, say, write_stderr_aside
from keeper.telemetry.logging import configure_logging
import structlog

write_stderr_aside(int)
configure_logging(form="json")
for number in range(1_000):
    structlog.get_logger().info("block.processed", block=number)
say("last words")
"""


@pytest.mark.parametrize(
    ("end", "code", "said"),
    [
        ("", 0, "last words"),
        ("raise SystemExit(2)", 2, "last words"),
        ("raise ZeroDivisionError", 1, "ZeroDivisionError"),
        ("finish_stderr(); os._exit(130)", 130, "last words"),
        ("finish_stderr(); say('more'); os.abort()", -6, "more"),
    ],
)
def test_nothing_is_lost_of_what_was_said_before_an_end(end: str, code: int, said: str) -> None:
    words = [sys.executable, "-c", SAYS + end]
    done = subprocess.run(words, stderr=subprocess.PIPE, text=True, check=False)
    written = done.stderr.splitlines()
    assert done.returncode == code
    assert [json.loads(one)["block"] for one in written[:1_000]] == list(range(1_000))
    assert said in (written[1_000], written[-1])


ENDS_UNREAD = """
import fcntl
fcntl.fcntl(2, fcntl.F_SETPIPE_SZ, 4096)
""" + SAYS.replace('"last words"', '"x" * 100_000')


def test_an_end_waits_only_a_little_for_a_reader_that_does_not_read() -> None:
    words = [sys.executable, "-c", ENDS_UNREAD]
    with subprocess.Popen(words, stderr=subprocess.PIPE) as unread:
        assert unread.wait(30) == 0
        assert unread.stderr is not None
        assert len(unread.stderr.read()) <= PIPE


def test_a_kill_loses_nothing_that_was_written_before() -> None:
    """Of what waits for nobody all is with the reader a moment later, without an end."""
    words = [sys.executable, "-c", SAYS + "import time; time.sleep(600)"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        for number in range(1_000):
            assert json.loads(running.stderr.readline())["block"] == number
        assert running.stderr.readline() == "last words\n"
        running.kill()
