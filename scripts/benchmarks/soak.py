"""Run an armed keeper over a market whose prices swing, and watch what it holds.

Prints a line at intervals and a verdict: memory, descriptors and tasks must not grow after the
warm-up, and the database by no more than what the books gain.
"""

# ruff: noqa: ARG002 - the observer's arguments

import argparse
import asyncio
import gc
import os
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from keeper.app.observer import Observer
from keeper.app.session import Session, keeper_session
from keeper.chain.anvil import AnvilOptions, start_anvil
from keeper.chain.endpoint import parse_endpoint
from keeper.commands.local_run import anvil_binary
from keeper.config.settings import Settings, load
from keeper.core.chain import BlockRef
from keeper.core.lending import Rejection
from keeper.core.plan import Outcome, Plan, Status, Submission
from keeper.core.values import replace
from keeper.devnet.accounts import KEEPER_KEY
from keeper.devnet.assets import ASSETS
from keeper.devnet.build import BLOCK_INTERVAL_S
from keeper.devnet.config_files import KeeperFiles, write_config
from keeper.devnet.executor import deploy_executor
from keeper.devnet.live import LiveMarket, open_live
from keeper.devnet.prices import move_market
from keeper.devnet.saved import ensure_saved, start_saved
from keeper.evm.keys import parse_key
from keeper.evm.transaction import LocalSigner

MIB = 1 << 20
WARM_UP = 0.4
"""Part of the run after which nothing may grow any more."""
MOST_RSS = 0.05
"""Growth of the mean of the last third over the first after the warm-up."""
MOST_MORE = 4
"""Descriptors or tasks more."""
MOST_LOG = 16 * MIB
MOVE_EVERY = 10
"""Blocks between two moves of prices, or more while something is in flight."""
FALL_PER_10_BLOCKS = 2
"""Basis points, so that somebody comes under the line all along; 2,000 in 10,000 blocks. With the
swings the price stays above two thirds of the first one, where the exchange's liquidity ends."""
MOST_DB_PER_OUTCOME = 16 * 1_024
MOST_DB_PER_BLOCK = 128
"""Bytes: what the books gain is kept on purpose, and nothing else is."""


@dataclass(slots=True)
class Counter(Observer):
    """Counts what it hears; of the rest it hears and says nothing."""

    heard: dict[str, int] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)

    def _count(self, what: str) -> None:
        self.heard[what] = self.heard.get(what, 0) + 1

    def scanned(self, deployment: str, block: BlockRef, under: int, moved: str) -> None:
        """Count a scan."""
        self._count("scanned")

    def sent(self, plan: Plan, submission: Submission) -> None:
        """Count a send."""
        self._count("sent")

    def rejected(self, deployment: str, rejection: Rejection) -> None:
        """Count a rejection."""
        self._count("rejected")

    def settled(self, outcome: Outcome) -> None:
        """Count an outcome."""
        if outcome.status is Status.LANDED:
            self._count("landed")
        else:
            self._count("not landed")
            print(f"not landed: {outcome}", flush=True)

    def skipped(self, deployment: str, why: str) -> None:
        """Count a block passed over and say why."""
        self._count("skipped")
        print(f"skipped: {why}", flush=True)

    def paused(self, deployment: str, why: str) -> None:
        """Count a pause and say why: a sound market has none."""
        self._count("paused")
        print(f"paused: {why}", flush=True)

    def resumed(self, deployment: str) -> None:
        """Count the end of a pause."""
        self._count("resumed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What the process holds at a block."""

    block: int
    rss: int
    descriptors: int
    tasks: int
    database: int
    log: int
    """The database's write-ahead log."""
    outcomes: int
    p99_ms: float
    heard: str

    def __str__(self) -> str:
        return (
            f"{self.block:>7,}  {self.rss / MIB:>8.1f} MiB  {self.descriptors:>4}  {self.tasks:>5}"
            f"  {self.database / MIB:>7.2f} MiB"
            f"  {self.log / MIB:>5.1f} MiB  {self.p99_ms:>8.1f} ms  {self.heard}"
        )


def main() -> int:
    """Read the command line, run, and return 0 when everything stayed flat."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=10_000)
    parser.add_argument("--borrowers", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every", type=int, default=0, help="blocks between two lines")
    wanted = parser.parse_args()
    samples, heard = asyncio.run(soak(wanted))
    return max(verdict(samples), soundness(heard))


async def soak(wanted: argparse.Namespace) -> tuple[list[Sample], Mapping[str, int]]:
    """Run the whole of it."""
    binary = anvil_binary()
    saved = ensure_saved(binary, seed=wanted.seed, borrowers=wanted.borrowers, progress=print)
    base, market = start_saved(binary, saved)
    # A fork: what a block costs anvil grows with the state that it holds itself.
    options = AnvilOptions(
        fork_url=base.http_url,
        block_interval_s=BLOCK_INTERVAL_S,
        ipc=True,
        max_persisted_states=0,
    )
    with (
        base,
        start_anvil(binary, options) as anvil,
        tempfile.TemporaryDirectory(prefix="keeper-soak-") as name,
    ):
        live = open_live(market, anvil.http_url)
        with closing(live.rpc):
            settings = _settings(Path(name), live, str(anvil.ipc_path))
            live.rpc.call("evm_setAutomine", False)
            return await _run(wanted, live, settings)


def _settings(folder: Path, live: LiveMarket, rpc: str) -> Settings:
    who = live.market.accounts
    executor = deploy_executor(
        live.rpc, owner=who.deployer, operator=who.keeper, recipient=who.recipient
    )
    files = KeeperFiles(rpc=rpc, mode="live", executor=executor, recipient=who.recipient)
    settings = load(write_config(folder, live.market, files))
    fork = replace(parse_endpoint(rpc), forks=True)
    return replace(settings, chain=settings.chain.model_copy(update={"rpc": (fork,)}))


async def _run(
    wanted: argparse.Namespace, live: LiveMarket, settings: Settings
) -> tuple[list[Sample], Mapping[str, int]]:
    counter, stop = Counter(), asyncio.Event()
    chain_id = settings.chain.chain_id
    samples: list[Sample] = []
    every = wanted.every or max(wanted.blocks // 20, 1)
    chance = random.Random(wanted.seed)  # noqa: S311 - prices of a test
    async with keeper_session(
        settings, counter, signer=lambda: [LocalSigner(parse_key(KEEPER_KEY), chain_id=chain_id)]
    ) as session:
        running = asyncio.create_task(session.keeper.run(session.head, stop))
        await session.keeper.watching.wait()
        print("  block           RSS   fds  tasks     database        log   block p99  heard")
        for number in range(1, wanted.blocks + 1):
            started = time.perf_counter()
            # What is in flight when a price turns would revert, as it should: not what is asked.
            moves = number % MOVE_EVERY == 0 and not session.keeper.in_flight
            fallen = number * FALL_PER_10_BLOCKS // 10 if moves else None
            await asyncio.to_thread(_next_block, live, chance, fallen)
            await _dealt_with(session, live, running)
            counter.seconds.append(time.perf_counter() - started)
            if number % every == 0:
                samples.append(_sample(number, settings, counter))
                print(samples[-1], flush=True)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return samples, counter.heard


def _next_block(live: LiveMarket, chance: random.Random, fallen: int | None) -> None:
    """Mine a block; swing prices in it, from ``fallen`` basis points under the first ones down."""
    if fallen is None:
        live.rpc.call("evm_mine")
        return
    ether = 10_000 - fallen - chance.randrange(600)
    # All of them: a feed that is silent for its heartbeat stops acting, as it should.
    answers = {asset.symbol: ASSETS[asset.symbol].price for asset in live.market.assets}
    answers |= {name: answers[name] * ether // 10_000 for name in ("WETH", "wstETH")}
    move_market(live, answers)


async def _dealt_with(session: Session, live: LiveMarket, running: "asyncio.Task[None]") -> None:
    mined = int(await asyncio.to_thread(live.rpc.call, "eth_blockNumber"), 16)
    while session.keeper.acted_on < mined:
        if running.done():
            await running
        await asyncio.sleep(0.001)


def _sample(number: int, settings: Settings, counter: Counter) -> Sample:
    gc.collect()
    lately, counter.seconds = sorted(counter.seconds), []
    heard = ", ".join(f"{count} {what}" for what, count in sorted(counter.heard.items()))
    return Sample(
        block=number,
        rss=int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGESIZE"),
        descriptors=len(list(Path("/proc/self/fd").iterdir())),
        tasks=len(asyncio.all_tasks()),
        database=_database_bytes(settings.database),
        log=settings.database.with_name(settings.database.name + "-wal").stat().st_size,
        outcomes=counter.heard.get("landed", 0) + counter.heard.get("not landed", 0),
        p99_ms=lately[len(lately) * 99 // 100] * 1_000,
        heard=heard,
    )


def _database_bytes(path: Path) -> int:
    """Return the bytes of the pages in use, those that are only in the log so far included."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    return int(pages) * int(size)


def verdict(samples: list[Sample]) -> int:
    """Say what is flat and what is not; return the exit code."""
    kept = samples[int(len(samples) * WARM_UP) :]
    third = max(len(kept) // 3, 1)
    first, last = kept[:third], kept[-third:]
    blocks = last[-1].block - first[0].block
    outcomes = last[-1].outcomes - first[0].outcomes
    rss = _mean(one.rss for one in last) / _mean(one.rss for one in first) - 1
    more = max(one.descriptors for one in last) - max(one.descriptors for one in first)
    tasks = max(one.tasks for one in last) - max(one.tasks for one in first)
    database = last[-1].database - first[0].database
    most = outcomes * MOST_DB_PER_OUTCOME + blocks * MOST_DB_PER_BLOCK
    checks = (
        (f"memory {rss:+.1%} after the warm-up", rss <= MOST_RSS),
        (f"descriptors {more:+d}", more <= MOST_MORE),
        (f"tasks {tasks:+d}", tasks <= MOST_MORE),
        (f"write-ahead log {last[-1].log / MIB:.1f} MiB", last[-1].log <= MOST_LOG),
        (
            f"database {database / MIB:+.2f} MiB in {blocks:,} blocks with {outcomes:,} outcomes",
            database <= most,
        ),
    )
    for text, flat in checks:
        print(f"{'flat' if flat else 'NOT FLAT'}: {text}")
    return 0 if all(flat for _, flat in checks) else 1


def soundness(heard: Mapping[str, int]) -> int:
    """Say whether it kept working to the end; return the exit code."""
    stopped = {what: heard[what] for what in ("paused", "not landed") if what in heard}
    print(f"NOT SOUND: {stopped}" if stopped else "sound: never paused, every send landed")
    return 1 if stopped else 0


def _mean(values: Iterable[int]) -> float:
    found = list(values)
    return sum(found) / len(found)


if __name__ == "__main__":
    sys.exit(main())
