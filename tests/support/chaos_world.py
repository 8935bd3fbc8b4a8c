"""The world around a keeper: what chance lets befall it, one thing after another."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final, Protocol

from keeper.core.plan import Plan
from keeper.core.units import Address
from keeper.devnet.prices import move_market, push_prices
from keeper.ledger.standing import rearm
from tests.faults.test_market import fallen, rival
from tests.support.chain_truth import SIGNERS
from tests.support.chaos_faults import lag, lie, spoil
from tests.support.fault_proxy import FaultProxy
from tests.support.market_node import MarketNode
from tests.support.relay import TestRelay
from tests.support.updates import submit

DEAR: Final = 60 * 10**9
"""A base fee that the keeper's transactions do not pay, wei per gas."""
AGE_S: Final = 200
"""Longer than any transaction may wait."""


class Alive(Protocol):
    """A running keeper."""

    def halt(self, why: str) -> None:
        """Have it stop sending."""

    def flying(self) -> list[Plan]:
        """Return what it sent that has no outcome yet, as far as that is known."""


class Nobody:
    """No keeper."""

    def halt(self, why: str) -> None:
        """Do nothing."""

    def flying(self) -> list[Plan]:
        """Return nothing."""
        return []


@dataclass(kw_only=True)
class World:
    """A market, the ways to its node, and a relay."""

    market: MarketNode
    nodes: Sequence[FaultProxy]
    relay: TestRelay
    database: Path
    chance: Random
    told: list[str] = field(default_factory=list)
    """What happened, in order: for whoever reads a failure."""
    strange: set[str] = field(default_factory=set)
    """Hashes of what somebody else sent with the keeper's keys."""
    price_bps: int = 10_000
    quorum: int = 1
    """How many nodes the keeper asks."""

    def __post_init__(self) -> None:
        self.start = self.height()

    def rpc(self, method: str, *params: object) -> Any:
        return self.market.live.rpc.call(method, *params)

    def height(self) -> int:
        return int(self.rpc("eth_blockNumber"), 16)

    def heal(self) -> None:
        """Let whatever fails by itself be well again."""
        self.relay.refuse, self.relay.stall_s = "", 0
        for one in self.nodes:
            one.heal()

    def befall(self, keeper: Alive) -> None:
        """Let something happen, and perhaps a block come."""
        self._happen({**self._acts, self._fault: 6, self._lag: 1}, keeper)
        if self.chance.random() < 0.7:
            self.relay.build(withhold=self.chance.random() < 0.2, late=self.chance.random() < 0.05)

    def go_on(self) -> None:
        """Let something happen while no keeper lives."""
        for _ in range(self.chance.randint(0, 3)):
            self._happen(self._acts, Nobody())

    def _happen(self, acts: dict[Callable[[Alive], str], int], keeper: Alive) -> None:
        happen = self.chance.choices(list(acts), list(acts.values()))[0]
        self.told.append(f"block {self.height()}: {happen(keeper)}")

    @property
    def _acts(self) -> dict[Callable[[Alive], str], int]:
        """Return what may happen, however well the nodes are, and how often."""
        return {
            self._move: 4,
            self._push: 3,
            self._update: 2,
            self._reorg: 2,
            self._spike: 2,
            self._lose: 1,
            self._rival: 2,
            self._steal: 1,
            self._halt: 1,
            self.rearm: 2,
            self._sulk: 1,
            self._wait: 3,
            self._age: 1,
        }

    def _fault(self, _: object) -> str:
        # Without a quorum a node's word is believed, and its books are as true as the node.
        if self.quorum > 1 and self.chance.random() < 0.3:
            return lie(self.nodes[-1], self.chance)
        return spoil(self.chance.choice(self.nodes), self.chance)

    def _lag(self, _: object) -> str:
        blocks, count = self.chance.randint(1, 3), self.chance.randint(5, 60)
        lag(self.chance.choice(self.nodes), self.market.live.rpc, blocks, count)
        return f"a node is {blocks} blocks behind for {count} answers"

    def _move(self, _: object) -> str:
        self._withdraw()
        # Not far at once: there is somebody left for the next keeper.
        self.price_bps = min(max(self.price_bps + self.chance.randint(-600, 300), 8_000), 10_000)
        move_market(self.market.live, fallen(self.price_bps))
        return f"the market moves to {self.price_bps}"

    def _push(self, _: object) -> str:
        self._withdraw()
        self.price_bps += self.chance.randint(-60, 20)
        push_prices(self.market.live, fallen(self.price_bps))
        return f"the feeds move to {self.price_bps}"

    def _update(self, _: object) -> str:
        self._withdraw()
        self.price_bps += self.chance.randint(-200, 20)
        submit(self.market.live, fallen(self.price_bps)["WETH"])
        return f"an update of ether to {self.price_bps} is pending"

    def _withdraw(self) -> None:
        """Forget an update that is pending yet, as its sender would replace it."""
        for one in self._pending([self.market.market.accounts.oracle_node]):
            self.rpc("anvil_dropTransaction", one)

    def _pending(self, senders: Sequence[Address]) -> list[str]:
        """Return the hashes of what the node holds of some senders."""
        held = self.rpc("txpool_content")["pending"]
        return sorted(
            one["hash"]
            for who, some in held.items()
            if who.lower() in senders
            for one in some.values()
        )

    def _reorg(self, _: object) -> str:
        depth = self.chance.choice([1, 2, 3, 3, 6])
        if self.height() - self.start <= depth:
            return "nothing"
        self.rpc("anvil_reorg", depth, [])
        return f"{depth} blocks are undone"

    def _spike(self, _: object) -> str:
        self.rpc("anvil_setNextBlockBaseFeePerGas", hex(DEAR))
        self.rpc("evm_mine")
        return "gas is dear"

    def _lose(self, _: object) -> str:
        mine = self._pending([one.address for one in SIGNERS])
        if not mine:
            return "nothing"
        lost = self.chance.choice(mine)
        self.rpc("anvil_dropTransaction", lost)
        return f"the node forgets {lost}"

    def _rival(self, keeper: Alive) -> str:
        plans = [one for one in keeper.flying() if one.deployment.startswith("aave")]
        if not plans:
            return "nothing"
        plan = self.chance.choice(plans)
        rival(self.market, plan)
        return f"somebody else liquidates {plan.ref.account}"

    def _steal(self, _: object) -> str:
        who, nonce = self.chance.choice(SIGNERS).address, self.chance.choice(["latest", "pending"])
        number = self.rpc("eth_getTransactionCount", who, nonce)
        call = {"from": who, "to": who, "nonce": number, "gas": hex(21_000)}
        fees = {"maxFeePerGas": hex(500 * 10**9), "maxPriorityFeePerGas": hex(100 * 10**9)}
        self.rpc("anvil_impersonateAccount", who)
        self.strange.add(self.rpc("eth_sendTransaction", {**call, **fees}))
        self.rpc("anvil_stopImpersonatingAccount", who)
        return f"somebody else uses nonce {int(number, 16)} of {who}"

    def _halt(self, keeper: Alive) -> str:
        keeper.halt("chance")
        return "sending is halted"

    def rearm(self, _: object = None) -> str:
        """Have the operator let the keeper send again."""
        return f"rearmed: {rearm(self.database, now=int(time.time()))}"

    def _sulk(self, _: object) -> str:
        self.relay.refuse = self.chance.choice(["", "", "busy: try again", "not today"])
        self.relay.stall_s = self.chance.choice([0, 0, 0.2])
        return f"the relay says {self.relay.refuse!r} after {self.relay.stall_s} s"

    def _wait(self, _: object) -> str:
        for _ in range(self.chance.randint(1, 3)):
            self.relay.build()
        return "time passes"

    def _age(self, _: object) -> str:
        self.rpc("evm_increaseTime", AGE_S)
        return f"{AGE_S} s pass without a block"
