"""A dry run that is ended amid its work, by a real process: nothing of it stays behind."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from keeper.commands.local_run import PATIENCE_S
from keeper.commands.running import INTERRUPTED
from tests.support.keeper_process import configured, until
from tests.support.market_node import MarketNode


@dataclass(slots=True)
class DryRun:
    """A running `keeper dry-run` whose temporary files are in a folder of its own."""

    process: subprocess.Popen[str]
    folder: Path
    lines: list[str] = field(default_factory=list)

    def said(self) -> str:
        return "".join(self.lines)

    def left(self) -> list[str]:
        return sorted(one.name for one in self.folder.iterdir())

    def forks(self) -> list[int]:
        """Return the processes of anvil that keep their states in the folder."""
        listed = subprocess.run(
            ["ps", "-ww", "-eo", "pid=,args="], capture_output=True, text=True, check=True
        )
        rows = [line.split(maxsplit=1) for line in listed.stdout.splitlines()]
        return [int(pid) for pid, words in rows if f"--cache-path {self.folder}/" in words]

    def read(self) -> None:
        assert self.process.stderr is not None
        self.lines.extend(self.process.stderr)

    def press(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def hold_up_the_fork(self) -> None:
        """Have the fork answer nothing, so that what is asked of it is waited for."""
        for one in self.forks():
            os.kill(one, signal.SIGSTOP)

    def let_the_fork_go(self) -> None:
        for one in self.forks():
            os.kill(one, signal.SIGCONT)


@pytest.fixture
def dry_run(market_copy: MarketNode, tmp_path: Path) -> Iterator[DryRun]:
    """Start a dry run and wait until it watches its fork."""
    with started(market_copy, tmp_path) as running:
        until(lambda: "block.scanned" in running.said(), running.said)
        yield running


@contextmanager
def started(market_copy: MarketNode, tmp_path: Path) -> Iterator[DryRun]:
    """Start a dry run, and end it at the latest with the block."""
    config = configured(tmp_path, market_copy, mode="observe")
    folder = tmp_path / "temporary"
    folder.mkdir()
    words = ["-m", "keeper", "dry-run", "-c", str(config), "--blocks", "1000"]
    with subprocess.Popen(
        [sys.executable, *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(folder)},
    ) as process:
        running = DryRun(process=process, folder=folder)
        reader = threading.Thread(target=running.read, daemon=True)
        reader.start()
        try:
            yield running
        finally:
            running.let_the_fork_go()
            process.kill()
            process.wait()
            reader.join()


def test_a_second_ctrl_c_leaves_no_folder_and_no_fork(dry_run: DryRun) -> None:
    assert dry_run.left()
    assert dry_run.forks()
    dry_run.hold_up_the_fork()
    dry_run.press()
    until(lambda: "Ctrl-C again" in dry_run.said(), dry_run.said)
    dry_run.press()
    assert dry_run.process.wait(timeout=90) == INTERRUPTED
    dry_run.let_the_fork_go()
    until(lambda: not dry_run.forks() and not dry_run.left(), lambda: str(dry_run.left()))


@pytest.mark.parametrize("one", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_dry_run_that_is_ended_leaves_no_folder_and_no_fork(
    dry_run: DryRun, one: signal.Signals
) -> None:
    dry_run.process.send_signal(one)
    assert dry_run.process.wait(timeout=90) in {0, -one}
    until(lambda: not dry_run.forks() and not dry_run.left(), lambda: str(dry_run.left()))


def test_ctrl_c_while_loans_are_read_ends_it(market_copy: MarketNode, tmp_path: Path) -> None:
    with started(market_copy, tmp_path) as running:
        until(lambda: bool([*running.folder.glob("*/keeper.sqlite")]), running.said)
        running.hold_up_the_fork()
        running.press()
        until(lambda: "Ctrl-C again" in running.said(), running.said)
        running.let_the_fork_go()
        assert running.process.wait(timeout=PATIENCE_S / 2) == 0  # it waits for no block
        assert "block.scanned" not in running.said()
        until(lambda: not running.forks() and not running.left(), lambda: str(running.left()))
