"""A story of faults that chance writes: the same seed tells the same one."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

from keeper.core.units import Address
from keeper.devnet.assets import ASSETS
from keeper.devnet.prices import push_prices
from keeper.ledger.standing import rearm
from tests.faults.test_market import rival
from tests.support.chain_truth import SIGNERS, Truth
from tests.support.fault_desk import Desk, keeper_desk
from tests.support.fault_proxy import (
    HTML,
    Backwards,
    Body,
    Cut,
    Deaf,
    Delay,
    Drop,
    Fault,
    FaultProxy,
    Mute,
    Refuse,
    Removed,
    Stall,
    Twice,
    WrongId,
)
from tests.support.market_node import MarketNode
from tests.support.relay import TestRelay

DEAR: Final = 60 * 10**9
"""A base fee that the keeper's transactions do not pay, wei per gas."""
_METHODS: Final = (
    None,
    "eth_call",
    "eth_getLogs",
    "eth_getBlockByNumber",
    "eth_simulateV1",
    "eth_sendRawTransaction",
    "eth_getTransactionReceipt",
    "eth_getTransactionCount",
)
_ROUNDS: Final = 60
_QUIET: Final = 4
_LONG_S: Final = 600


def _fault(chance: Random) -> Fault:
    """Return a fault; push faults befall what the node tells by itself."""
    return chance.choice(
        [
            Stall(),
            Drop(),
            Deaf(),
            HTML,
            Body(text="slow down", status=429, headers={"Retry-After": "1"}),
            Cut(),
            WrongId(),
            Delay(seconds=0.2),
            Refuse(code=-32000, message="internal error"),
            Refuse(code=-32005, message="limit exceeded"),
            Mute(),
            Twice(),
            Backwards(of=2),
            Removed(),
        ]
    )


@dataclass(kw_only=True)
class Story:
    """What befalls a keeper, and what it went by."""

    node: MarketNode
    folder: Path
    proxies: Sequence[FaultProxy]
    executor: Address
    relay: TestRelay
    seed: int
    told: list[str] = field(default_factory=list)
    """What happened, in order: for whoever reads a failure."""
    price_bps: int = 10_000
    broken: list[str] = field(default_factory=list)
    """Caps that were not kept, over all lives of the keeper."""

    def __post_init__(self) -> None:
        self.chance = Random(self.seed)  # noqa: S311 - of a test
        self.signers = SIGNERS[: self.chance.choice([1, len(SIGNERS)])]
        for one in SIGNERS[1:]:
            self.node.live.rpc.call("anvil_setBalance", one.address, hex(10**19))
        database = self.folder / "keeper.sqlite"
        self.truth = Truth(node=self.node, database=database, executor=self.executor)

    @property
    def settings(self) -> dict[str, Any]:
        """Return the keeper's own choices, which chance makes too."""
        over_socket = self.chance.random() < 0.5
        urls = [one.ws_url if over_socket else one.url for one in self.proxies]
        sending = {
            "prearm_accounts": self.chance.choice([0, 4]),
            "batch": {"most": self.chance.choice([1, 4])},
            "breaker": {"max_head_gap_s": 0},
            "lane": self.chance.choice(["mempool", "mempool", "builders", "protect"]),
        }
        lanes = [
            {"kind": "bundle", "name": "builders", "rpc": [self.relay.url]},
            {"kind": "private", "name": "protect", "rpc": self.relay.url},
        ]
        root = {"sending": sending, "limits": {"slippage_bps": 500}}
        return {"urls": urls, "root": root, "chain": {"lanes": lanes}}

    async def live(self, *, lives: int, steps: int) -> None:
        """Have so many keepers after one another live through so many steps each."""
        for life in range(lives):
            chosen = self.settings
            self.told.append(f"life {life}: {chosen['urls'][0][:4]} {chosen['root']['sending']}")
            async with self._keeper(chosen) as desk:
                for _ in range(steps):
                    await self._step(desk)
                if life == lives - 1:
                    await self._end(desk)
                self.broken += desk.ears.broken
            for one in self.proxies:
                one.heal()

    def _keeper(self, chosen: dict[str, Any]) -> AbstractAsyncContextManager[Desk]:
        return keeper_desk(
            self.folder,
            self.node,
            chosen["urls"],
            executor=self.executor,
            root=chosen["root"],
            chain=chosen["chain"],
            keys=lambda: self.signers,
        )

    @property
    def _acts(self) -> dict[Callable[[Desk], str], int]:
        """Return what may happen, and how often."""
        return {
            self._fault: 6,
            self._move: 4,
            self._push: 3,
            self._reorg: 2,
            self._spike: 2,
            self._lose: 1,
            self._rival: 2,
            self._halt: 1,
            self._rearm: 2,
            self._sulk: 1,
            self._wait: 3,
        }

    async def _step(self, desk: Desk) -> None:
        happen = self.chance.choices(list(self._acts), list(self._acts.values()))[0]
        self.told.append(f"block {desk.height()}: {happen(desk)}")
        if self.chance.random() < 0.7:
            self.relay.build(withhold=self.chance.random() < 0.2, late=self.chance.random() < 0.05)
        if self.chance.random() < 0.7:
            await desk.at_head()

    def _fault(self, _: Desk) -> str:
        proxy, fault = self.chance.choice(self.proxies), _fault(self.chance)
        method = self.chance.choice(_METHODS)
        if isinstance(fault, Mute | Twice | Backwards | Removed):
            method = "eth_subscription"
        count = self.chance.randint(1, 3)
        proxy.spoil(fault, method=method, count=count)
        return f"{type(fault).__name__} of {method}, {count} times"

    def _move(self, desk: Desk) -> str:
        self.price_bps = self.chance.randint(8_300, 9_900)
        desk.fall(self.price_bps)
        return f"the market moves to {self.price_bps}"

    def _push(self, _: Desk) -> str:
        self.price_bps += self.chance.randint(-60, 20)
        names = ("WETH", "wstETH")
        push_prices(
            self.node.live, {one: ASSETS[one].price * self.price_bps // 10_000 for one in names}
        )
        return f"the feeds move to {self.price_bps}"

    def _reorg(self, desk: Desk) -> str:
        depth = self.chance.randint(1, 3)
        if desk.height() - self.truth.start <= depth:
            return "nothing"
        desk.rpc("anvil_reorg", depth, [])
        return f"{depth} blocks are undone"

    def _spike(self, desk: Desk) -> str:
        desk.rpc("anvil_setNextBlockBaseFeePerGas", hex(DEAR))
        desk.mine()
        return "gas is dear"

    def _lose(self, desk: Desk) -> str:
        pending = desk.rpc("txpool_content")["pending"]
        ours = {one.address for one in SIGNERS}
        mine = [
            one for who, some in pending.items() if who.lower() in ours for one in some.values()
        ]
        if not mine:
            return "nothing"
        lost = self.chance.choice(sorted(one["hash"] for one in mine))
        desk.rpc("anvil_dropTransaction", lost)
        return f"the node forgets {lost}"

    def _rival(self, desk: Desk) -> str:
        flying = set(desk.session.keeper.sending.flight.airborne)
        plans = [plan for plan, _ in desk.ears.sent_plans if plan.id in flying]
        if not plans:
            return "nothing"
        plan = self.chance.choice(plans)
        rival(desk, plan)
        return f"somebody else liquidates {plan.ref.account}"

    def _halt(self, desk: Desk) -> str:
        desk.session.keeper.halt("chance")
        return "sending is halted"

    def _rearm(self, _: Desk) -> str:
        return f"rearmed: {rearm(self.folder / 'keeper.sqlite', now=int(time.time()))}"

    def _sulk(self, _: Desk) -> str:
        self.relay.refuse = self.chance.choice(["", "", "busy: try again", "not today"])
        self.relay.stall_s = self.chance.choice([0, 0, 0.2])
        return f"the relay says {self.relay.refuse!r} after {self.relay.stall_s} s"

    def _wait(self, _: Desk) -> str:
        for _ in range(self.chance.randint(1, 3)):
            self.relay.build()
        return "time passes"

    async def _end(self, desk: Desk) -> None:
        """Let what fails heal, and what is in flight end; of another lane it has its deadline."""
        for one in self.proxies:
            one.heal()
        self.relay.refuse, self.relay.stall_s = "", 0
        self._rearm(desk)
        await self._calm(desk, blocks=_QUIET)
        await desk.require_cold_start()
        await self._calm(desk, blocks=1)

    async def _calm(self, desk: Desk, *, blocks: int) -> None:
        """Build blocks until nothing was in flight for so many."""
        quiet = 0
        for number in range(_ROUNDS):
            self.relay.build()
            await desk.at_head()
            await asyncio.sleep(0.1)  # what was cancelled may be planned anew
            quiet = 0 if desk.session.keeper.in_flight else quiet + 1
            if quiet >= blocks:
                return
            if number == _ROUNDS // 2:
                desk.rpc("evm_increaseTime", _LONG_S)

    def require_truth(self) -> None:
        """Hold caps, journal and books to the chain."""
        assert self.broken == []
        self.truth.require()
        sent = [raw for one in self.proxies for raw in one.sent]
        assert self.truth.leaked(sent) == [], "of a private lane, and sent to the mempool"
