"""A keeper as its operator runs it: a process of its own, configured by files."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from keeper.core.units import Address
from keeper.devnet.accounts import KEEPER_KEY
from keeper.devnet.config_files import KeeperFiles, write_config
from keeper.devnet.executor import deploy_executor
from keeper.devnet.rpc import Rpc
from tests.support.market_node import MarketNode

ARMED = {"KEEPER_PRIVATE_KEY": KEEPER_KEY, "KEEPER_CONFIRM_LIVE_CHAIN_ID": "31337"}
NOBODY = "0x" + "12" * 20
"""An address at which no local market has anything."""


PATIENCE_S = 90.0
"""Of a test on a machine that is busy with others: nothing waits that long that comes at all."""


def until(condition: Callable[[], bool], told: Callable[[], str] = str) -> None:
    """Return once the condition holds; fail with what was ``told`` when it takes too long."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited too long {told()}"
        time.sleep(0.02)


@dataclass(slots=True)
class KeeperProcess:
    """A running `keeper run`; its log lines are JSON, as they are where nobody looks."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)
    reading: threading.Event = field(default_factory=threading.Event)
    """While it is clear its log has a reader that does not read."""

    def events(self, name: str) -> list[Mapping[str, object]]:
        found = []
        for line in list(self.lines):
            if line.startswith("{"):
                event = json.loads(line)
                if event.get("event") == name:
                    found.append(event)
        return found

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def interrupt(self, timeout_s: float = PATIENCE_S) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout_s)

    def drain(self, mine: Callable[[], object]) -> None:
        """Ask the keeper to stop, and mine for what it has in flight until it has ended well."""
        self.process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + PATIENCE_S
        while self.process.poll() is None:
            assert time.monotonic() < deadline, "".join(self.lines)
            mine()
            time.sleep(0.1)
        assert self.process.returncode == 0, "".join(self.lines)

    def read(self) -> None:
        assert self.process.stderr is not None
        while line := self.process.stderr.readline():
            self.lines.append(line)
            self.reading.wait()

    def stop_reading(self) -> None:
        """Read nothing more of its log, and let no more of that be taken."""
        self.reading.clear()
        assert self.process.stderr is not None
        path = f"/proc/self/fd/{self.process.stderr.fileno()}"
        other_end = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        with suppress(BlockingIOError):
            while True:
                os.write(other_end, b"\n")
        os.close(other_end)


@contextmanager
def running_keeper(
    config: Path,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    before: Sequence[str] = (),
) -> Iterator[KeeperProcess]:
    """Start `keeper run`, wait until it watches, and end it at the latest with the block.

    ``before`` is a command that runs what follows it.
    """
    command = [*before, sys.executable, "-m", "keeper", "run", "-c", str(config), *arguments]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environment or {})},
    )
    keeper = KeeperProcess(process=process)
    keeper.reading.set()
    reader = threading.Thread(target=keeper.read, daemon=True)
    reader.start()
    try:
        until(lambda: bool(keeper.events("block.scanned")) or process.poll() is not None)
        yield keeper
    finally:
        process.kill()
        process.wait()
        keeper.reading.set()
        reader.join()
        sys.stdout.write("".join(keeper.lines))  # shown where the test fails, and nowhere else
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        process.stderr.close()


def live_on(keeper: KeeperProcess, rpc: Rpc, *, blocks: int) -> None:
    """Mine blocks, each when the keeper has dealt with the last, for as long as it lives."""
    for _ in range(blocks):
        seen = len(keeper.events("block.scanned"))
        rpc.call("evm_mine")
        until(
            lambda seen=seen: (
                len(keeper.events("block.scanned")) > seen or keeper.process.poll() is not None
            )
        )


def with_executor(node: MarketNode) -> Address:
    """Deploy the executor for the market's keeper, paying to its recipient."""
    who = node.market.accounts
    return deploy_executor(
        node.live.rpc, owner=who.deployer, operator=who.keeper, recipient=who.recipient
    )


def configured(
    folder: Path,
    node: MarketNode,
    *,
    mode: str,
    executor: Address | None = None,
    rpc: str | None = None,
) -> Path:
    """Write the configuration of a keeper on a market node."""
    wanted = KeeperFiles(rpc=rpc or node.anvil.ws_url, mode=mode, executor=executor, recipient=None)
    return write_config(folder, node.market, wanted)
