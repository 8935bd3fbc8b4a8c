"""A keeper in this process, behind proxies that fail, with what must hold whatever fails."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keeper.app import opening
from keeper.app.chorus import Chorus
from keeper.app.observer import Observer
from keeper.app.session import Keys, Session, keeper_session
from keeper.chain.rpc import RetryPolicy
from keeper.chain.session import ChainOptions, open_chain
from keeper.chain.trouble import Trouble
from keeper.config.settings import Settings, load
from keeper.core.plan import Outcome, Plan, Status, Submission
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.devnet.accounts import KEEPER_KEY
from keeper.devnet.assets import ASSETS
from keeper.devnet.executor import deploy_executor
from keeper.devnet.live import under_water
from keeper.devnet.prices import move_market
from keeper.devnet.stages import DeploymentFile
from keeper.evm.keys import parse_key
from keeper.evm.transaction import LocalSigner
from keeper.executor.policy import worst_gas
from keeper.executor.totals import Share
from keeper.ledger.books import read_books
from keeper.mirror.mirror import Mirror
from keeper.runtime.clock import Clock
from tests.support.desk_files import desk_files
from tests.support.heard import Heard
from tests.support.market_node import MarketNode

PATIENCE_S = 90.0
BLOCK_S = 0.3
CHECK_S = 0.3
"""Longest wall time between two blocks while something is in flight."""
PASSED_OVER_S = 5.0
"""After so long a block is taken for one whose reads failed for good, as on a busy machine."""
FALLEN = 8_500
"""Ether in basis points of its first price: some loans are under the line."""
NOT_SENT = (Status.SIMULATED,)
QUICK = RetryPolicy(timeout_s=1.0, budget_s=1.5)


@dataclass(slots=True)
class Ears(Heard):
    """Hears everything, and notes at once what must never be."""

    sent_plans: list[tuple[Plan, Submission]] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    settings: Settings | None = None
    in_flight: Callable[[], int] = lambda: 0

    def sent(self, plan: Plan, submission: Submission) -> None:
        """Hear of a send, and check I2: it is within the caps."""
        assert self.settings is not None
        limits = self.settings.limits
        if self.in_flight() > limits.max_in_flight:
            self.broken.append(f"{self.in_flight()} in flight")
        if submission.fees.max_fee > limits.max_gas_price_wei:
            self.broken.append(f"a fee of {submission.fees.max_fee}")
        if worst_gas(plan) > limits.max_gas_per_tx_wei:
            self.broken.append(f"gas of {worst_gas(plan)}")
        if plan.forecast.net < limits.min_profit_wei:
            self.broken.append(f"a net of {plan.forecast.net}")
        self.sent_plans.append((plan, submission))

    def settled(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)

    def landed(self) -> list[Outcome]:
        return [one for one in self.outcomes if one.status is Status.LANDED]

    def reasons(self) -> list[str]:
        """I5: everything that was said about not acting."""
        return [*self.skips, *self.pauses, *(one.detail for one in self.rejections)]


@dataclass(slots=True, kw_only=True)
class Desk:
    """A running keeper and the market that it watches."""

    node: MarketNode
    settings: Settings
    session: Session
    ears: Ears
    trouble: list[tuple[Trouble, str]]
    stop: asyncio.Event
    running: "asyncio.Task[None]"

    @property
    def mirrors(self) -> list[Any]:
        return [one.mirror for one in self.session.keeper.deployments]

    def rpc(self, method: str, *params: object) -> Any:
        return self.node.live.rpc.call(method, *params)

    def height(self) -> int:
        return int(self.rpc("eth_blockNumber"), 16)

    def fall(self, ether_bps: int = FALLEN) -> int:
        """Let ether's price fall, in feeds and on the exchange, in one block."""
        answers = {name: ASSETS[name].price * ether_bps // 10_000 for name in ("WETH", "wstETH")}
        return move_market(self.node.live, answers)

    def mine(self, blocks: int = 1) -> None:
        for _ in range(blocks):
            self.rpc("evm_mine")

    def halt(self, why: str) -> None:
        self.session.keeper.halt(why)

    def flying(self) -> list[Plan]:
        """Return what was sent and has no outcome yet."""
        open_plans = self.session.keeper.sending.flight.airborne
        return [plan for plan, _ in self.ears.sent_plans if plan.id in open_plans]

    def told(self, trouble: Trouble) -> list[str]:
        return [detail for kind, detail in self.trouble if kind is trouble]

    async def until(self, condition: Callable[[], bool], *, mining: bool = False) -> None:
        """Return once the condition holds; fail with what was heard when it takes too long.

        ``mining`` lets another block come where one seems to be passed over: it is for what a look
        at any block brings about.
        """
        due = time.monotonic() + PASSED_OVER_S
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not condition():
                    if self.running.done():
                        await self.running
                    if mining and time.monotonic() > due:
                        self.mine()
                        due = time.monotonic() + PASSED_OVER_S
                    await asyncio.sleep(0.01)
        except TimeoutError:
            skips, rejected = self.ears.skips[-3:], self.ears.rejections[-3:]
            msg = f"waited too long; {self.trouble[-5:]=} {skips=} {rejected=}"
            raise AssertionError(msg) from None

    async def at_head(self) -> None:
        """Return once the keeper has dealt with the node's newest block, or a later one."""
        wanted = self.height()
        await self.until(lambda: self.session.keeper.acted_on >= wanted, mining=True)

    async def settle(self, blocks: int = 30) -> None:
        """Mine until nothing is in flight, with time for the keeper between two blocks."""
        for _ in range(blocks):
            self.mine()
            await self.at_head()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BLOCK_S):
                    while self.session.keeper.in_flight:  # noqa: ASYNC110 - it tells nobody
                        await asyncio.sleep(0.005)
            if not self.session.keeper.in_flight:
                break
        self.mine()
        await self.at_head()
        await self.until(self._all_told, mining=True)

    async def settle_landed(self) -> None:
        """Settle once something was sent, however late on a busy machine; some of it must land."""
        if not self.ears.sent_plans:
            self.mine()
            await self.until(lambda: bool(self.ears.sent_plans), mining=True)
        await self.settle()
        assert self.ears.landed() != []

    def _all_told(self) -> bool:
        """Tell whether every send has been heard to end, but for what is still in flight."""
        ended = {one.plan_id for one in self.ears.outcomes}
        for one in self._airborne():
            ended |= {one.intent.plan_id, *(other.plan_id for other in one.intent.companions)}
        return all(plan.id in ended for plan, _ in self.ears.sent_plans)

    async def require_cold_start(self) -> None:
        """I4: what is held equals what a cold start reads."""
        self.mine()
        await self.at_head()
        urls = [self.node.anvil.http_url]
        options = ChainOptions(
            chain_id=self.settings.chain.chain_id, multicall3=self.settings.chain.multicall3
        )
        async with open_chain(urls, options) as chain:
            for one in self.mirrors:
                held = one.snapshot
                head = await chain.reader.block(held.block.number)
                assert head.hash == held.block.hash
                fresh = Mirror(one._adapter, chain.reader)
                cold = await fresh.start(head, None, lambda *_: None)
                assert dict(held.positions) == dict(cold.positions)
                assert held.market == cold.market

    def require_invariants(self) -> None:
        """I1, I2 and I5; I3 and I4 have tests and checks of their own."""
        assert self.ears.broken == []
        assert self._overlapping() == []
        assert all(self.ears.reasons())
        assert set(under_water(self.node.live)) - self._explained() == set()

    def _overlapping(self) -> list[str]:
        """I1: return transactions for one account of which the first was live with the second."""
        included = {
            (sender, nonce): block
            for sender in {submission.sender for _, submission in self.ears.sent_plans}
            for nonce, block in self._included(sender).items()
        }
        ends: dict[tuple[str, str], int | None] = {}
        found = []
        for plan, submission in self.ears.sent_plans:
            key = (plan.ref.market, plan.ref.account)
            end = ends.get(key)
            if end is not None and end > plan.opportunity.block.number:
                found.append(f"{plan.id}: the one before was in block {end}")
            ends[key] = included.get((submission.sender, submission.nonce))
        return found

    def _included(self, who: str) -> dict[int, int]:
        """Return the block of each nonce that an operator used on chain."""
        found = {}
        for number in range(self.session.head.number, self.height() + 1):
            block = self.rpc("eth_getBlockByNumber", hex(number), True)
            mine = [one for one in block["transactions"] if one["from"] == who]
            found.update({int(one["nonce"], 16): number for one in mine})
        return found

    def _explained(self) -> set[str]:
        """Return the accounts that the books, or what is in flight, say something of (I5)."""
        books = read_books(self.settings.database)
        flying = {ref.account for one in self._airborne() for ref in one.intent.refs}
        shown = {one.plan_id.split(":")[2] for one in books.entries if one.status in NOT_SENT}
        return {one.account for one in books.missed} | flying | shown

    def _airborne(self) -> list[Any]:
        return list(self.session.keeper._sending.flight.airborne.values())


def quick(options: ChainOptions, retry: RetryPolicy, check_s: float = CHECK_S) -> ChainOptions:
    """Return options whose patience fits a test."""
    return replace(
        options,
        retry=retry,
        poll_s=0.05,
        check_s=check_s,
        stall_s=2.0,
        watch_s=0.1,
        patience_s=0.3,
        recover_s=0.5,
    )


@asynccontextmanager
async def keeper_desk(  # noqa: PLR0913 - all but three by keyword
    folder: Path,
    node: MarketNode,
    urls: Sequence[str],
    *,
    armed: bool = True,
    keys: Keys | None = None,
    executor: Address | None = None,
    chain: Mapping[str, object] | None = None,
    root: Mapping[str, object] | None = None,
    clock: Clock | None = None,
    deployments: tuple[DeploymentFile, ...] = (),
    retry: RetryPolicy = QUICK,
    besides: Sequence[Observer] = (),
    share: Share | None = None,
    check_s: float = CHECK_S,
) -> AsyncIterator[Desk]:
    """Run a keeper on the nodes at ``urls`` until the block ends; its blocks are mined by hand."""
    who = node.market.accounts
    executor = executor or deploy_executor(
        node.live.rpc,
        owner=who.deployer,
        operator=who.keeper,
        recipient=who.recipient,
        more_operators=[one.address for one in keys() if one.address != who.keeper] if keys else (),
    )
    node.live.rpc.call("evm_setAutomine", False)
    path = desk_files(
        folder, node, urls, executor=executor, chain=chain, root=root, deployments=deployments
    )
    settings = load(path)
    ears = Ears(settings=settings)
    trouble: list[tuple[Trouble, str]] = []
    signer = keys or (
        (lambda: [LocalSigner(parse_key(KEEPER_KEY), chain_id=settings.chain.chain_id)])
        if armed
        else None
    )
    stop = asyncio.Event()
    with _tuned(trouble, retry, check_s):
        observer = Chorus([ears, *besides])
        async with keeper_session(
            settings, observer, signer=signer, clock=clock, share=share
        ) as session:
            running = asyncio.create_task(session.keeper.run(session.head, stop))
            ears.in_flight = lambda: session.keeper.in_flight
            desk = Desk(
                node=node,
                settings=settings,
                session=session,
                ears=ears,
                trouble=trouble,
                stop=stop,
                running=running,
            )
            try:
                await desk.until(session.keeper.watching.is_set)
                await desk.at_head()
                yield desk
            finally:
                await _end(desk)


async def _end(desk: Desk) -> None:
    if not desk.running.done():
        desk.running.cancel()
    await asyncio.gather(desk.running, return_exceptions=True)


class _tuned:  # noqa: N801 - a context manager
    """Opens chains with other patience, and hears of their trouble."""

    def __init__(
        self, trouble: list[tuple[Trouble, str]], retry: RetryPolicy, check_s: float = CHECK_S
    ) -> None:
        self._trouble = trouble
        self._retry = retry
        self._check_s = check_s
        self._kept = opening.open_chain

    def __enter__(self) -> None:
        def opened(urls: Sequence[str], options: ChainOptions, **_: object) -> Any:
            return open_chain(
                urls,
                quick(options, self._retry, self._check_s),
                report=lambda kind, said, _="": self._trouble.append((kind, said)),
            )

        opening.open_chain = opened  # type: ignore[assignment]

    def __exit__(self, *_: object) -> None:
        opening.open_chain = self._kept
