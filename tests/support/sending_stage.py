"""A keeper process on a market of its own whose blocks a test mines one by one."""

import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from keeper.commands.local_run import Purse
from keeper.devnet.assets import ASSETS
from keeper.devnet.prices import move_market, push_prices
from keeper.ledger.books import Books, read_books
from tests.support.keeper_process import (
    ARMED,
    KeeperProcess,
    configured,
    running_keeper,
    until,
    with_executor,
)
from tests.support.market_node import MarketNode

GWEI = 10**9
CHEAP, DEAR = 2 * GWEI, 60 * GWEI
"""Base fees: under every transaction of the keeper, and over them."""

TELLING = {"KEEPER_LOG__LEVEL": "debug"}
"""The environment of a keeper that tells what it has signed ahead."""
SETTLING_S = 2.0
"""How long a block is the newest while something is in flight, unless that ends before."""
_SHOTS = re.compile(r'"shots": (\d+)')

FALLEN, DIPPED, RISEN = 8_500, 9_505, 10_000
"""Prices of ether in basis points of those before: some loans are under the line, a few, none."""


@dataclass
class SendingStage:
    """The node, the keeper's files, and what a test does with them."""

    node: MarketNode
    config: Path
    folder: Path
    purse: Purse
    executor: str
    before: int = 0
    kept: str = ""
    """A snapshot of the node, to go back to."""

    def rpc(self, method, *params):
        return self.node.live.rpc.call(method, *params)

    @property
    def operator(self):
        return self.node.market.accounts.keeper

    def move(self, ether_bps, *, base_fee):
        """Move prices in a block of that base fee; the keeper's pending ones may be in it."""
        self.rpc("anvil_setNextBlockBaseFeePerGas", hex(base_fee))
        names = ("WETH", "wstETH")
        answers = {name: ASSETS[name].price * ether_bps // 10_000 for name in names}
        return move_market(self.node.live, answers)

    def push(self, bps):
        """Move feeds alone: they follow exchanges that have moved before."""
        answers = {name: ASSETS[name].price * bps // 10_000 for name in ("WETH", "WBTC")}
        return push_prices(self.node.live, answers)

    def mine(self, *, base_fee):
        self.rpc("anvil_setNextBlockBaseFeePerGas", hex(base_fee))
        self.rpc("evm_mine")

    def mine_seen(self, keeper, *, base_fee):
        """Mine a block and wait until the keeper has looked at it."""
        seen = len(keeper.events("block.scanned"))
        self.mine(base_fee=base_fee)
        until(lambda: len(keeper.events("block.scanned")) > seen)

    def until_sent(self, keeper, count=1):
        """Wait until the keeper has sent; a block that it had to pass over is followed by another.

        On a busy machine a read may time out, and where nobody mines no further head would come.
        """
        for _ in range(4):
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                if len(keeper.events("liquidation.sent")) >= count:
                    return
                time.sleep(0.02)
            if not self.open_intents():
                self.mine(base_fee=CHEAP)
        until(lambda: len(keeper.events("liquidation.sent")) >= count)

    def settle(self, keeper, *, blocks=12):
        """Mine cheap blocks until nothing is in flight, each when there was time for the last.

        One is scanned long before it is settled, and each takes the chain twelve seconds on: deep
        in the chain's future deadlines are over, and what has no receipt yet is somebody else's.
        """
        for _ in range(blocks):
            self.mine_seen(keeper, base_fee=CHEAP)
            deadline = time.monotonic() + SETTLING_S
            while self.open_intents() and time.monotonic() < deadline:
                time.sleep(0.02)
            if not self.open_intents():
                return
        until(lambda: not self.open_intents())

    def drain(self, keeper):
        """Stop the keeper, mining for what it has just sent."""
        keeper.drain(lambda: self.mine(base_fee=CHEAP))

    def configure(self, **sending):
        """Write into the ``sending`` section."""
        root = yaml.safe_load(self.config.read_text("utf-8"))
        root.setdefault("sending", {}).update(sending)
        self.config.write_text(yaml.safe_dump(root), "utf-8")

    def limit(self, **limits):
        root = yaml.safe_load(self.config.read_text("utf-8"))
        root["limits"].update(limits)
        self.config.write_text(yaml.safe_dump(root), "utf-8")

    def books(self) -> Books:
        return read_books(self.folder / "keeper.sqlite")

    def open_intents(self):
        return self.sql("SELECT count(*) FROM intents WHERE status IN"
                        " ('intended', 'signed', 'sent')")[0][0]  # fmt: skip

    def sql(self, statement):
        with closing(sqlite3.connect(self.folder / "keeper.sqlite", timeout=10)) as db:
            return db.execute(statement).fetchall()

    def attempts(self):
        """Return plan, nonce, both fees and purpose of each transaction, in order."""
        return self.sql("SELECT plan_id, nonce, max_fee, priority_fee, purpose, tx_hash"
                        " FROM submissions ORDER BY sequence")  # fmt: skip

    def grown(self):
        return self.purse.count(self.node.live.rpc) - self.before

    def command(self, name):
        words = [sys.executable, "-m", "keeper", name, "-c", str(self.config)]
        return subprocess.run(words, capture_output=True, text=True, check=False, timeout=600)


def stage(node: MarketNode, folder: Path) -> SendingStage:
    """Deploy the executor, stop mining, write the configuration."""
    executor = with_executor(node)
    node.live.rpc.call("evm_setAutomine", False)
    who = node.market.accounts
    purse = Purse(operator=who.keeper, recipient=who.recipient, wrapped_native=node.market.weth)
    made = SendingStage(
        node=node,
        config=configured(folder, node, mode="live", executor=executor),
        folder=folder,
        purse=purse,
        executor=executor,
    )
    made.before = purse.count(node.live.rpc)
    return made


def ready_shots(told: str) -> int:
    """Return how many transactions are signed ahead and at hand, as the log of one told last.

    They are on disk before that: a price that comes in between goes the ordinary way.
    """
    return int(([0, *_SHOTS.findall(told)])[-1])


@contextmanager
def armed(
    made: SendingStage, environment: Mapping[str, str] | None = None
) -> Iterator[KeeperProcess]:
    """Run the armed keeper."""
    with running_keeper(
        made.config, "--arm", environment={**ARMED, **(environment or {})}
    ) as keeper:
        yield keeper


def stop(keeper: KeeperProcess) -> None:
    assert keeper.interrupt() == 0, "".join(keeper.lines)
