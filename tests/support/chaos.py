"""A story of faults that chance writes: the same seed tells the same one."""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, closing
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

from keeper.commands.local_run import Purse
from keeper.core.plan import Status
from keeper.core.units import Address, address_of_word
from keeper.devnet.accounts import KEEPER_KEY
from keeper.devnet.assets import ASSETS
from keeper.devnet.prices import push_prices
from keeper.evm.keys import parse_key
from keeper.evm.transaction import LocalSigner
from keeper.ledger.books import Books, read_books
from keeper.ledger.standing import rearm
from tests.faults.test_market import rival
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
from tests.support.relay import TestRelay, tx_hash

SIGNERS: Final = [
    LocalSigner(key, chain_id=31337) for key in (parse_key(KEEPER_KEY), b"\x31" * 32, b"\x32" * 32)
]
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
_LIQUIDATION_CALL: Final = "0xe413a321e8681d831f4dbccbca790d2952b56f977908e45be37335533e005286"


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
        self.before = self._purse()
        self.start = int(self.node.live.rpc.call("eth_blockNumber"), 16)

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

    def _purse(self) -> int:
        """Return what our accounts hold, wei."""
        market, rpc = self.node.market, self.node.live.rpc
        first, *others = (one.address for one in SIGNERS)
        held = Purse(
            operator=first, recipient=market.accounts.recipient, wrapped_native=market.weth
        ).count(rpc)
        return held + sum(int(rpc.call("eth_getBalance", one, "latest"), 16) for one in others)

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
        if desk.height() - self.start <= depth:
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

    @property
    def books(self) -> Books:
        return read_books(self.folder / "keeper.sqlite")

    def require_truth(self) -> None:
        """Hold journal and books to the chain, read from the node itself."""
        books, journal = self.books, self._journal()
        mine = self._transactions()
        assert self.broken == []
        assert books.open_intents == 0
        assert [one for one in mine if one not in journal] == [], "sent and not in the journal"
        landed = {str(one.tx_hash) for one in books.entries if one.status is Status.LANDED}
        assert landed == self._liquidations(), "landed in the books and on the chain"
        assert self._twice(journal, mine) == [], "two of one intent on the chain"
        assert self._leaked() == [], "of a private lane, and sent to the mempool"
        known = {str(one.tx_hash) for one in books.entries}
        assert [one for one in mine if one not in known] == [], "on the chain and in no outcome"
        assert books.total.realised.net == self._purse() - self.before

    def _journal(self) -> dict[str, str]:
        """Return the intent of each transaction that was ever signed, by its hash."""
        with closing(sqlite3.connect(self.folder / "keeper.sqlite")) as db:
            return dict(db.execute("SELECT tx_hash, plan_id FROM submissions").fetchall())

    def _leaked(self) -> list[str]:
        """Return what went to a node's mempool and was signed for another lane."""
        with closing(sqlite3.connect(self.folder / "keeper.sqlite")) as db:
            lanes = dict(db.execute("SELECT tx_hash, lane FROM submissions").fetchall())
        sent = {tx_hash(raw) for one in self.proxies for raw in one.sent}
        return [one for one in sent if lanes.get(one, "mempool") != "mempool"]

    def _transactions(self) -> list[str]:
        """Return the operator's transactions on the chain."""
        rpc, ours = self.node.live.rpc, {one.address for one in SIGNERS}
        head = int(rpc.call("eth_blockNumber"), 16)
        blocks = [
            rpc.call("eth_getBlockByNumber", hex(one), True)
            for one in range(self.start + 1, head + 1)
        ]
        return [
            one["hash"] for block in blocks for one in block["transactions"] if one["from"] in ours
        ]

    def _liquidations(self) -> set[str]:
        wanted = {
            "address": self.node.market.pool,
            "fromBlock": hex(self.start),
            "topics": [_LIQUIDATION_CALL],
        }
        logs = self.node.live.rpc.call("eth_getLogs", wanted)
        return {
            one["transactionHash"]
            for one in logs
            if address_of_word("0x" + one["data"][130:194]) == self.executor
        }

    @staticmethod
    def _twice(journal: dict[str, str], mine: Sequence[str]) -> list[str]:
        """Return intents of which two transactions are on the chain."""
        intents = [journal[one] for one in mine]
        return [one for one in set(intents) if intents.count(one) > 1]
