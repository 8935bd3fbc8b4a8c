"""One run of the keeper on the ladder: ticks, and what is measured between them."""

import asyncio
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter_ns
from typing import Any
from urllib.parse import urlsplit

import structlog
from coincurve import PrivateKey

from benchmarks.far_node import far
from benchmarks.ladder import Ladder
from benchmarks.tick_crowd import DEPLOYMENT, write_book
from benchmarks.tick_others import DRILL_MS, Echo, Web3Bot
from keeper.app.session import Session, keeper_session
from keeper.config.settings import load
from keeper.core.tick import Rung, Tick
from keeper.core.values import replace
from keeper.devnet.accounts import KEEPER_KEY
from keeper.devnet.sender import read
from keeper.evm.keys import parse_key
from keeper.evm.transaction import LocalSigner
from keeper.executor.prearm import Prearm
from keeper.ledger.books import read_books

_AHEAD = 4
"""Accounts signed ahead on each side: each is rehearsed anew for each tick."""
_SPARE = 12
"""Accounts that stay above the line, to be signed ahead for until the end."""
_PATIENCE_S = 20.0
_PAUSE_S = 0.004
_SIGNS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to run: how many synthetic loans, over what, how often."""

    crowd: int
    transport: str
    ticks: int
    burst: int = 0
    planned_every: int = 6
    """Every so many ticks one is planned on the spot as well: it takes the longest."""
    away_ms: float = 0.0
    """How far away the node is made to be in each direction; over ``ws`` alone."""

    @property
    def rungs(self) -> int:
        """Accounts on a ladder that is long enough."""
        planned = -(-self.ticks // self.planned_every)
        return 2 * self.ticks + planned + self.burst + _SPARE


@dataclass(slots=True)
class Run:
    """What a run found. Times are microseconds."""

    loans: int = 0
    ticks: list[Tick] = field(default_factory=list)
    echo_us: list[float] = field(default_factory=list)
    sign_us: list[float] = field(default_factory=list)
    others: dict[str, list[float]] = field(default_factory=dict)
    on_chain: list[tuple[Tick, float]] = field(default_factory=list)
    """Ticks, with the time from the price transaction's write to the log of the liquidation."""
    sent: int = 0
    landed: int = 0
    burst_us: float = 0.0
    burst_first: int = 0


class _Quiet:
    """Hears everything and says nothing."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any call of the observer
        return lambda *_: None


class Prices:
    """The process that submits answers."""

    def __init__(self, steps: Ladder) -> None:
        """Start it; rounds go on from those of the aggregators."""
        live = steps.live
        self._rounds = {
            name: read(live.rpc, aggregator, "latestRound")
            for name, aggregator in live.aggregators.items()
        }
        self._addresses = {name: one.address for name, one in live.aggregators.items()}
        sender = live.market.accounts.oracle_node
        words = (sys.executable, "-m", "benchmarks.price_driver")
        self._process = subprocess.Popen(  # noqa: S603 - ourselves
            [*words, str(steps.anvil.ipc_path), sender, live.market.pool],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        os.sched_setaffinity(self._process.pid, {0})

    async def submit(self, symbol: str, answer: int) -> int:
        """Submit an answer, wait until the node has it, and return when it was written."""
        self._rounds[symbol] += 1
        line = f"{self._addresses[symbol]} {self._rounds[symbol]} {answer}"
        told, written = (await asyncio.to_thread(self._exchange, line)).split()
        if not told.startswith("0x"):
            raise AssertionError("a submission that the node takes")
        return int(written)

    async def liquidated_ns(self) -> int:
        """Return when the newest log of a liquidation came."""
        return int(await asyncio.to_thread(self._exchange, ""))

    def _exchange(self, line: str) -> str:
        if self._process.stdin is None or self._process.stdout is None:
            raise AssertionError("pipes")
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        return self._process.stdout.readline()

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


class _Bench:
    """A keeper that runs, and what a tick needs to know of it."""

    def __init__(self, steps: Ladder, session: Session, prices: Prices, run: Run) -> None:
        self.steps, self.session, self.prices, self.run = steps, session, prices, run
        sending = session.keeper._sending
        if sending.arming is None:
            raise AssertionError("a keeper that signs ahead")
        self.prearm: Prearm = sending.arming.prearm
        self.prearm.aftermath.on_fired(lambda one: run.ticks.append(one.tick))
        (self.deployment,) = session.keeper.deployments
        self.deployment.acting._timed = run.ticks.append
        self._key = PrivateKey(b"\x01" * 32)

    async def armed(self) -> None:
        """Wait until everything is prepared for the newest head, and nothing is in flight."""
        waited = 0.0
        while waited < _PATIENCE_S:
            head = await self.session.chain.reader.head()
            ready = any(
                salvo.block == head.number and salvo.feed == self._feed and salvo.shots
                for salvos in self.prearm._salvos.values()
                for salvo in salvos
            )
            if ready and not self.session.keeper.in_flight:
                return
            await asyncio.sleep(_PAUSE_S)
            waited += _PAUSE_S
        raise AssertionError("waited too long for a keeper that is armed")

    @property
    def _feed(self) -> str:
        return self.steps.live.market.asset("WETH").token

    async def tick(self, rung: Rung) -> None:
        """Bring one account under the line, as far prepared as asked, and see it landed."""
        price = await asyncio.to_thread(self.steps.price_for)
        await self.armed()
        self._leave(rung)
        before = len(self.run.ticks)
        written_ns = await self.prices.submit("WETH", price)
        self.steps.took(price)
        await self._until(lambda: len(self.run.ticks) > before)
        self.run.sent += 1
        await self._until(lambda: not self.session.keeper.in_flight)
        took_ns = await self.prices.liquidated_ns() - written_ns
        if took_ns > 0:  # else it did not land, which is counted
            self.run.on_chain.append((self.run.ticks[before], took_ns / 1e3))

    def _leave(self, rung: Rung) -> None:
        """Take away what a rung below the highest does not have."""
        if rung is Rung.PLANNED:
            self.prearm.void(DEPLOYMENT)
        if rung is Rung.PREPARED:
            self.prearm._salvos = {
                key: tuple(
                    replace(one, shots=tuple(map(_of_another_nonce, one.shots))) for one in salvos
                )
                for key, salvos in self.prearm._salvos.items()
            }

    async def burst(self, many: int) -> None:
        """Bring many under at once, in a chain whose blocks hold them all."""
        self.steps.live.rpc.call("evm_setBlockGasLimit", hex(_BURST_GAS * many))
        price = await asyncio.to_thread(self.steps.price_for, many)
        await self.armed()
        self.steps.live.rpc.call("evm_setAutomine", False)
        await self.prices.submit("WETH", price)
        await asyncio.to_thread(self.steps.live.rpc.call, "evm_mine")
        await self._until(lambda: len(self.run.ticks) >= many)
        self.run.burst_us = max(one.total_ns for one in self.run.ticks[:many]) / 1e3
        await asyncio.sleep(0.5)
        before = int(self.steps.live.rpc.call("eth_blockNumber"), 16)
        await asyncio.to_thread(self.steps.live.rpc.call, "evm_mine")
        await self._until(lambda: not self.session.keeper.in_flight)
        block = self.steps.live.rpc.call("eth_getBlockByNumber", hex(before + 1), False)
        self.run.burst_first = len(block["transactions"])
        self.run.sent += many
        self.steps.took(price, many)
        self.steps.live.rpc.call("evm_setAutomine", True)

    async def signatures(self) -> None:
        """Time a few bare signatures, each after a pause: as warm as a tick meets its own."""
        for _ in range(_SIGNS):
            await asyncio.sleep(_PAUSE_S)
            started = perf_counter_ns()
            self._key.sign_recoverable(b"\x02" * 32, hasher=None)
            self.run.sign_us.append((perf_counter_ns() - started) / 1e3)

    async def _until(self, done: Any) -> None:  # noqa: ANN401 - a question
        waited = 0.0
        while not done():
            await asyncio.sleep(_PAUSE_S)
            waited += _PAUSE_S
            if waited > _PATIENCE_S:
                raise AssertionError("waited too long for a tick")


def _of_another_nonce(shot: Any) -> Any:  # noqa: ANN401 - a shot
    """Return a shot as it is when another transaction took its nonce."""
    return replace(shot, submission=replace(shot.submission, nonce=-1))


_BURST_GAS = 1_500_000
"""Of one liquidation of a burst, more than it takes."""


async def measure(steps: Ladder, plan: Plan) -> Run:
    """Run a keeper on the ladder and measure."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    run = Run()
    with tempfile.TemporaryDirectory() as folder:
        async with _running(steps, plan, Path(folder), run) as bench:
            others = await _others(bench, plan)
            for number in range(plan.ticks):
                for rung in (Rung.PREARMED, Rung.PREPARED, Rung.PLANNED)[
                    : 2 + (number % plan.planned_every == 0)
                ]:
                    await bench.tick(rung)
                    await bench.signatures()
                for other in others:
                    await bench.armed()
                    await other.tick(bench.prices)
            if plan.burst:
                await bench.burst(plan.burst)
            for other in others:
                await other.close()
                run.others |= other.found
                run.echo_us += other.echo_us
        books = read_books(Path(folder) / "keeper.sqlite")
        run.landed = sum(entry.status == "landed" for entry in books.entries)
    return run


async def _others(bench: _Bench, plan: Plan) -> list[Any]:
    """Open what else is measured: it hears of other feeds than the ladder's."""
    if plan.burst or plan.away_ms:
        return []
    steps = bench.steps
    others: list[Any] = [await Echo.opened(steps, plan.transport)]
    if not plan.crowd:
        others.append(await Web3Bot.opened(steps, plan.transport))
    return others


@asynccontextmanager
async def _running(steps: Ladder, plan: Plan, folder: Path, run: Run) -> AsyncIterator[_Bench]:
    """Run a keeper on a core of its own, the node on another."""
    with _node(steps, plan) as rpc:
        async with _running_on(rpc, steps, plan, folder, run) as bench:
            yield bench


@contextmanager
def _node(steps: Ladder, plan: Plan) -> Iterator[str]:
    """Yield where the node is found."""
    if not plan.away_ms:
        yield steps.anvil.ws_url if plan.transport == "ws" else str(steps.anvil.ipc_path)
        return
    port = urlsplit(steps.anvil.ws_url).port
    if port is None:
        raise AssertionError("a node with a port")
    with far(port, plan.away_ms) as relayed:
        yield f"ws://127.0.0.1:{relayed}"


@asynccontextmanager
async def _running_on(
    rpc: str, steps: Ladder, plan: Plan, folder: Path, run: Run
) -> AsyncIterator[_Bench]:
    ahead = plan.burst + 10 if plan.burst else _AHEAD
    settings = load(steps.config(folder, rpc=rpc, prearm=ahead, drill=DRILL_MS))
    if plan.crowd:
        kept = Path(tempfile.gettempdir()) / f"keeper-bench-{os.getpid()}-{plan.crowd}.book"
        if not kept.exists():
            await write_book(steps, kept, plan.crowd)
        shutil.copy(kept, folder / f"keeper.sqlite.{DEPLOYMENT}.book")
        if plan.transport == "ws":
            kept.unlink()
    for thread in Path(f"/proc/{steps.anvil.pid}/task").iterdir():  # noqa: ASYNC240
        os.sched_setaffinity(int(thread.name), {0})
    os.sched_setaffinity(0, {1})
    signer = LocalSigner(parse_key(KEEPER_KEY), chain_id=settings.chain.chain_id)
    stop, prices = asyncio.Event(), Prices(steps)
    try:
        async with keeper_session(settings, _Quiet(), signer=lambda: [signer]) as session:  # type: ignore[arg-type]
            running = asyncio.ensure_future(session.keeper.run(session.head, stop))
            waiting = asyncio.ensure_future(session.keeper.watching.wait())
            await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED)
            bench = _Bench(steps, session, prices, run)
            run.loans = len(bench.deployment.mirror.snapshot.positions)
            await bench.deployment.checkpoint()  # the first is of all loans
            yield bench
            stop.set()
            await running
    finally:
        prices.stop()
        os.sched_setaffinity(0, {0, 1})
