"""The race for loans that one price move opens: ten at once on Morpho Blue, on a real anvil.

The usual bot's figures are published ones and were not measured here: Morpho's own
``morpho-blue-liquidation-bot`` (commit 2b00762, viem 2.46.2), run end to end on anvil with real
Morpho contracts and an indexer that answers from memory, on a machine of two cores. They are an
anchor, not a race on one machine.

The keeper runs whole, journal, policy and rehearsal included, over anvil's socket. A round moves
one price in one block; the next block is mined as soon as the node holds what was sent, or after a
second. Then the chain is what it was, and a new keeper runs the next round.
"""

# ruff: noqa: ARG002 - the observer's arguments

import asyncio
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.rows import Row, progress, quantile
from benchmarks.soak import Counter
from keeper.app.session import Session, keeper_session
from keeper.chain.anvil import Anvil, AnvilOptions, start_anvil
from keeper.commands.local_run import anvil_binary
from keeper.config.settings import Settings, load
from keeper.core.chain import BlockRef, Log
from keeper.core.plan import Plan, Submission
from keeper.devnet.accounts import KEEPER_KEY
from keeper.devnet.assets import ASSETS
from keeper.devnet.build import build_market
from keeper.devnet.config_files import KeeperFiles, write_config
from keeper.devnet.executor import deploy_executor
from keeper.devnet.live import LiveMarket, open_live
from keeper.devnet.morpho import LocalMorpho, build_morpho
from keeper.devnet.morpho_specs import MorphoLoan, loan_of
from keeper.devnet.prices import move_market
from keeper.devnet.rpc import Rpc
from keeper.devnet.stage_morpho_blue import morpho_file
from keeper.evm.keys import parse_key
from keeper.evm.transaction import LocalSigner

RACING = 10
"""Loans that the price move opens."""
PEER_LOANS = 100
"""Loans of which the usual bot's figures are."""
TIMES = 100
"""How many times as many the keeper has in its second race."""
FALL_BPS = 9_850
BITCOIN = 2
"""The place of the market of bitcoin against dollars."""
GIVE_UP_S = 1.0
"""Longest wait for ten transactions before the next block comes all the same."""
ROUNDS = 12

PEER = "morpho-blue-liquidation-bot, published"
PEER_SEEN_US = 24_000.0
"""Block seen to first send, p50 with 100 positions, as shipped."""
PEER_SEEN_WORST_US = 101_000.0
PEER_DROP_US = 1_962_000.0
"""Price drop to first send, p50 with 100 positions, as shipped: it asks every 4 s."""
PEER_DROP_WORST_US = 3_919_000.0
PEER_LANDED = "1 of 10 in 40 s"


@dataclass(slots=True)
class Ears(Counter):
    """Notes when each transaction had been handed to the node."""

    sent_at: list[float] = field(default_factory=list)

    def sent(self, plan: Plan, submission: Submission) -> None:
        """Note the time."""
        self.sent_at.append(time.perf_counter())


@dataclass(frozen=True, slots=True, kw_only=True)
class Lap:
    """One round, seconds."""

    seen_to_last_sent: float
    drop_to_last_sent: float
    drop_to_landed: float
    landed: int
    """Of the next block."""


def run(*, quick: bool) -> Iterator[Row]:
    """Race with as many loans as the bot had and with many more; hold it to its figures."""
    for loans in (PEER_LOANS, PEER_LOANS * (TIMES // 10 if quick else TIMES)):
        yield from _raced(loans, asyncio.run(_race(2 if quick else ROUNDS, loans)))
    yield _published("block seen to first sent", PEER_SEEN_US, PEER_SEEN_WORST_US)
    yield _published("price drop to first sent", PEER_DROP_US, PEER_DROP_WORST_US)


def _raced(loans: int, laps: list[Lap]) -> Iterator[Row]:
    all_landed = sum(one.landed == RACING for one in laps)
    yield Row(
        bench="race",
        variant="ten loans in one block",
        n=loans,
        value=f"{all_landed} of {len(laps)} rounds: all ten",
        against=f"{PEER}: {PEER_LANDED}",
        goal="ten landed in the next block",
        met=all_landed == len(laps),
        note=f"landed {sorted(one.landed for one in laps)}",
    )
    seen, sent = "block seen to tenth sent", "price drop to tenth sent"
    yield _timed(seen, loans, [one.seen_to_last_sent for one in laps], PEER_SEEN_US)
    yield _timed(sent, loans, [one.drop_to_last_sent for one in laps], PEER_DROP_US)
    yield _timed("price drop to all landed", loans, [one.drop_to_landed for one in laps], None)


def _timed(variant: str, loans: int, seconds: list[float], peer_us: float | None) -> Row:
    p50 = median(seconds) * 1e6
    return Row(
        bench="race",
        variant=variant,
        n=loans,
        p50_us=p50,
        p99_us=quantile(seconds, 0.99) * 1e6,
        against="" if peer_us is None else f"{PEER} p50, {PEER_LOANS} loans, of its first",
        ratio=None if peer_us is None else peer_us / p50,
    )


def _published(variant: str, p50_us: float, worst_us: float) -> Row:
    """Return what others published, as it is; its second figure is the worst of the run."""
    return Row(
        bench="race",
        variant=f"{PEER}: {variant}",
        n=PEER_LOANS,
        p50_us=p50_us,
        p99_us=worst_us,
        note="published, not measured here",
    )


async def _race(rounds: int, loans: int) -> list[Lap]:
    with start_anvil(anvil_binary(), AnvilOptions(ipc=True)) as anvil:
        progress(f"building Morpho Blue with ten loans near the line of {loans:,} ...")
        market = build_market(anvil.http_url, seed=1, borrowers=0)
        live = open_live(market, anvil.http_url)
        with closing(live.rpc):
            local = build_morpho(live, seed=1, borrowers=0, loans=_loans(loans))
            who = market.accounts
            executor = deploy_executor(
                live.rpc, owner=who.deployer, operator=who.keeper, recipient=who.recipient
            )
            live.rpc.call("evm_setAutomine", False)
            return [
                await _lap(anvil, live, local, str(executor), number) for number in range(rounds)
            ]


def _loans(many: int) -> list[MorphoLoan]:
    near = [loan_of(BITCOIN, 20_000 + 1_000 * i, 10_060 + 4 * i) for i in range(RACING)]
    far = ((i, i % (PEER_LOANS - RACING)) for i in range(many - RACING))
    return near + [loan_of(i % 4, 5_000 + 250 * at, 16_000 + 50 * at) for i, at in far]


async def _lap(
    anvil: Anvil, live: LiveMarket, local: LocalMorpho, executor: str, number: int
) -> Lap:
    kept = live.rpc.call("evm_snapshot")
    with tempfile.TemporaryDirectory(prefix="keeper-race-") as name:
        files = KeeperFiles(
            rpc=str(anvil.ipc_path),
            mode="live",
            executor=executor,  # type: ignore[arg-type]  # an address in text
            recipient=live.market.accounts.recipient,
            deployments=(morpho_file(local),),
        )
        lap = await _keep(load(write_config(Path(name), live.market, files)), live)
    live.rpc.call("evm_revert", kept)
    progress(f"round {number + 1}: {lap.landed} landed, {lap.drop_to_landed * 1e3:.1f} ms")
    return lap


async def _keep(settings: Settings, live: LiveMarket) -> Lap:
    """Run a keeper through one price move."""
    ears, stop = Ears(), asyncio.Event()
    chain_id = settings.chain.chain_id
    async with keeper_session(
        settings, ears, signer=lambda: [LocalSigner(parse_key(KEEPER_KEY), chain_id=chain_id)]
    ) as session:
        running = asyncio.create_task(session.keeper.run(session.head, stop))
        await session.keeper.watching.wait()
        live.rpc.call("evm_mine")
        await _acted(session, live)
        seen = _watch(session)
        lap = await _move(live, ears, seen)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return lap


def _watch(session: Session) -> dict[int, float]:
    """Note when the keeper first hears of each block, by its head or by a price in it."""
    seen: dict[int, float] = {}
    executor, (deployment,) = session.keeper.sending.executor, session.keeper.deployments
    head_seen, see_price = executor.head_seen, deployment.see_price

    def hear_head(head: BlockRef) -> None:
        seen.setdefault(head.number, time.perf_counter())
        head_seen(head)

    async def hear_price(log: Log) -> None:
        seen.setdefault(log.block_number, time.perf_counter())
        await see_price(log)

    executor.head_seen = hear_head  # type: ignore[method-assign]
    deployment.see_price = hear_price  # type: ignore[method-assign]
    return seen


async def _move(live: LiveMarket, ears: Ears, seen: dict[int, float]) -> Lap:
    """Move the price, and mine the next block once the ten are with the node."""
    answers = {"WBTC": ASSETS["WBTC"].price * FALL_BPS // 10_000}
    with _mining() as asked:
        block = await asyncio.to_thread(move_market, live, answers)
    deadline = time.perf_counter() + GIVE_UP_S
    while len(ears.sent_at) < RACING and time.perf_counter() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.0002)
    last = max(ears.sent_at, default=deadline)
    await asyncio.to_thread(live.rpc.call, "evm_mine")
    mined = time.perf_counter()
    return Lap(
        seen_to_last_sent=last - seen.get(block, deadline),
        drop_to_last_sent=last - asked[0],
        drop_to_landed=mined - asked[0],
        landed=await asyncio.to_thread(_landed, live),
    )


@contextmanager
def _mining() -> Iterator[list[float]]:
    """Note when each block is asked for: the price cannot have dropped before."""
    asked: list[float] = []
    call = Rpc.call

    def noting(rpc: Rpc, method: str, *params: object) -> Any:  # noqa: ANN401 - as what it stands for
        if method == "evm_mine":
            asked.append(time.perf_counter())
        return call(rpc, method, *params)

    Rpc.call = noting  # type: ignore[method-assign]
    try:
        yield asked
    finally:
        Rpc.call = call  # type: ignore[method-assign]


def _landed(live: LiveMarket) -> int:
    """Return how many transactions of the keeper succeeded in the newest block."""
    block = live.rpc.call("eth_getBlockByNumber", "latest", True)
    ours = [one for one in block["transactions"] if one["from"] == live.market.accounts.keeper]
    receipts = [live.rpc.call("eth_getTransactionReceipt", one["hash"]) for one in ours]
    return sum(int(one["status"], 16) for one in receipts)


async def _acted(session: Session, live: LiveMarket) -> None:
    mined = int(await asyncio.to_thread(live.rpc.call, "eth_blockNumber"), 16)
    while session.keeper.acted_on < mined:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.001)
