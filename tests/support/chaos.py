"""A story of faults that chance writes: the same seed tells the same one."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final

from keeper.core.lending import Reason
from keeper.core.units import Address
from keeper.devnet.live import under_water
from keeper.devnet.morpho import build_morpho, liquidatable
from keeper.devnet.morpho_specs import loan_of
from keeper.devnet.prices import move_market, push_prices
from keeper.devnet.stage_aave_v3 import aave_file
from keeper.devnet.stage_morpho_blue import morpho_file
from keeper.ledger.standing import rearm
from tests.faults.test_market import fallen, rival
from tests.support.chain_truth import KEYS, SIGNERS, Truth
from tests.support.chaos_faults import lag, lie, spoil
from tests.support.desk_files import desk_files
from tests.support.fault_desk import Desk, keeper_desk
from tests.support.fault_proxy import FaultProxy
from tests.support.market_node import MarketNode
from tests.support.mortal_keeper import DOOMS, Doom, Mortal, mortal_keeper
from tests.support.relay import TestRelay
from tests.support.updates import submit

DEAR: Final = 60 * 10**9
"""A base fee that the keeper's transactions do not pay, wei per gas."""
AGE_S: Final = 200
"""Longer than any transaction may wait."""
LOANS: Final = [
    loan_of(place, 30_000, 10_250 + 150 * number) for place in (0, 3) for number in range(4)
]
"""Of Morpho Blue, in a market with early liquidation and in one without."""
NO_REASONS: Final = {Reason.IN_FLIGHT, Reason.MARKET_PAUSED, Reason.HEAD_UNUSABLE, Reason.HALTED}
"""None of these outlives what fails."""
_ROUNDS: Final = 60
_QUIET: Final = 4
_LONG_S: Final = 600


@dataclass(kw_only=True)
class Story:
    """What befalls a keeper, and what it went by."""

    node: MarketNode
    folder: Path
    nodes: Sequence[FaultProxy]
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
            self._rpc("anvil_setBalance", one.address, hex(10**19))
        self.database = self.folder / "keeper.sqlite"
        morpho = None
        self.deployments = (aave_file(self.node.market),)
        self.under = [partial(under_water, self.node.live)]
        if self.chance.random() < 0.4:
            morpho = build_morpho(self.node.live, seed=5, borrowers=len(LOANS), loans=LOANS)
            self.deployments += (morpho_file(morpho),)
            self.under.append(partial(liquidatable, morpho))
        self.truth = Truth(
            node=self.node, database=self.database, executor=self.executor, morpho=morpho
        )

    def _choices(self) -> dict[str, Any]:
        """Return the keeper's own choices, which chance makes too."""
        over_socket = self.chance.random() < 0.5
        sending: dict[str, Any] = {
            "prearm_accounts": self.chance.choice([0, 4]),
            "batch": {"most": self.chance.choice([1, 4]), "risk_bps": self.chance.choice([0, 100])},
            "breaker": {"max_head_gap_s": 0},
            "lane": self.chance.choice(["mempool", "mempool", "builders", "protect"]),
            "replace_after_blocks": self.chance.choice([0, 1, 3]),
        }
        limits = {"slippage_bps": 500, "max_in_flight": self.chance.choice([25, 25, 3])}
        chain: dict[str, Any] = {
            "lanes": [
                {"kind": "bundle", "name": "builders", "rpc": [self.relay.url]},
                {"kind": "private", "name": "protect", "rpc": self.relay.url},
            ],
        }
        sees_pending = over_socket and sending["lane"] == "builders"
        chain["watch_mempool"] = sending["backrun"] = sees_pending
        self.quorum = 1 if sending["prearm_accounts"] else self.chance.choice([1, 2])
        chain["quorum"] = self.quorum
        chain["confirmations"] = self.chance.choice([0, 0, 2])
        nodes = self.nodes[: self.quorum + 1]
        return {
            "urls": [one.ws_url if over_socket else one.url for one in nodes],
            "executor": self.executor,
            "deployments": self.deployments,
            "root": {"sending": sending, "limits": limits},
            "chain": chain,
        }

    async def live(self, *, lives: int, steps: int) -> None:
        """Have so many keepers after one another live through so many steps each."""
        for life in range(1, lives + 1):
            chosen = self._choices()
            self.told.append(
                f"life {life}: {chosen['urls'][0][:4]}, {chosen['root']}, "
                f"quorum {self.quorum}, {chosen['chain']['confirmations']} confirmations, "
                f"{len(self.signers)} keys, {len(self.deployments)} deployments"
            )
            is_last = life == lives
            if not is_last and self.chance.random() < 0.4:
                await self._short_life(chosen, steps, self.folder / f"{life}.log")
            else:
                await self._long_life(chosen, steps, is_last=is_last)
            self._heal()

    async def _long_life(self, chosen: dict[str, Any], steps: int, *, is_last: bool) -> None:
        """Live in this process, to an end that is not death."""
        async with keeper_desk(self.folder, self.node, keys=lambda: self.signers, **chosen) as desk:
            for _ in range(steps):
                await self._step(desk)
                if self.chance.random() < 0.7:
                    await desk.at_head()
            if is_last:
                await self._end(desk)
            elif self.chance.random() < 0.3:
                await self._drain(desk)
            self.broken += desk.ears.broken

    async def _short_life(self, chosen: dict[str, Any], steps: int, log: Path) -> None:
        """Live as a process, and be killed: at some step of sending, or else in the end."""
        doom = Doom(
            step=self.chance.choice(sorted(DOOMS)),
            call=self.chance.randint(1, 4),
            wait_ms=self.chance.choice([0, 0, 1, 3, 10, 30]),
        )
        keys = KEYS[: len(self.signers)]
        self.told.append(f"as a process that is killed: {doom}")
        config = desk_files(self.folder, self.node, **chosen)
        self._rpc("evm_setAutomine", False)
        async with mortal_keeper(config, log, keys=keys, doom=doom) as mortal:
            for _ in range(steps):
                await self._step(mortal)
                if self.chance.random() < 0.7:
                    await mortal.until(self._height())
                if mortal.is_dead:
                    self.told.append("it is dead")
                    return
            await asyncio.sleep(self.chance.random() * 0.1)  # so far it gets

    def _rpc(self, method: str, *params: object) -> Any:
        return self.node.live.rpc.call(method, *params)

    def _height(self) -> int:
        return int(self._rpc("eth_blockNumber"), 16)

    def _heal(self) -> None:
        for one in self.nodes:
            one.heal()

    @property
    def _acts(self) -> dict[Callable[[Desk | Mortal], str], int]:
        """Return what may happen, and how often."""
        return {
            self._fault: 6,
            self._lag: 1,
            self._move: 4,
            self._push: 3,
            self._update: 2,
            self._reorg: 2,
            self._spike: 2,
            self._lose: 1,
            self._rival: 2,
            self._halt: 1,
            self._rearm: 2,
            self._sulk: 1,
            self._wait: 3,
            self._age: 1,
        }

    async def _step(self, keeper: Desk | Mortal) -> None:
        happen = self.chance.choices(list(self._acts), list(self._acts.values()))[0]
        self.told.append(f"block {self._height()}: {happen(keeper)}")
        if self.chance.random() < 0.7:
            self.relay.build(withhold=self.chance.random() < 0.2, late=self.chance.random() < 0.05)

    def _fault(self, _: object) -> str:
        # Without a quorum a node's word is believed, and its books are as true as the node.
        if self.quorum > 1 and self.chance.random() < 0.3:
            return lie(self.nodes[-1], self.chance)
        return spoil(self.chance.choice(self.nodes), self.chance)

    def _lag(self, _: object) -> str:
        blocks, count = self.chance.randint(1, 3), self.chance.randint(5, 60)
        lag(self.chance.choice(self.nodes), self.node.live.rpc, blocks, count)
        return f"a node is {blocks} blocks behind for {count} answers"

    def _move(self, _: object) -> str:
        self._withdraw()
        self.price_bps = self.chance.randint(8_300, 9_900)
        move_market(self.node.live, fallen(self.price_bps))
        return f"the market moves to {self.price_bps}"

    def _push(self, _: object) -> str:
        self._withdraw()
        self.price_bps += self.chance.randint(-60, 20)
        push_prices(self.node.live, fallen(self.price_bps))
        return f"the feeds move to {self.price_bps}"

    def _update(self, _: object) -> str:
        self._withdraw()
        self.price_bps += self.chance.randint(-200, 20)
        submit(self.node.live, fallen(self.price_bps)["WETH"])
        return f"an update of ether to {self.price_bps} is pending"

    def _withdraw(self) -> None:
        """Forget an update that is pending yet, as its sender would replace it."""
        for one in self._pending([self.node.market.accounts.oracle_node]):
            self._rpc("anvil_dropTransaction", one)

    def _pending(self, senders: Sequence[Address]) -> list[str]:
        """Return the hashes of what the node holds of some senders."""
        held = self._rpc("txpool_content")["pending"]
        return sorted(
            one["hash"]
            for who, some in held.items()
            if who.lower() in senders
            for one in some.values()
        )

    def _reorg(self, _: object) -> str:
        depth = self.chance.choice([1, 2, 3, 3, 6])
        if self._height() - self.truth.start <= depth:
            return "nothing"
        self._rpc("anvil_reorg", depth, [])
        return f"{depth} blocks are undone"

    def _spike(self, _: object) -> str:
        self._rpc("anvil_setNextBlockBaseFeePerGas", hex(DEAR))
        self._rpc("evm_mine")
        return "gas is dear"

    def _lose(self, _: object) -> str:
        mine = self._pending([one.address for one in SIGNERS])
        if not mine:
            return "nothing"
        lost = self.chance.choice(mine)
        self._rpc("anvil_dropTransaction", lost)
        return f"the node forgets {lost}"

    def _rival(self, keeper: Desk | Mortal) -> str:
        plans = [one for one in keeper.flying() if one.deployment.startswith("aave")]
        if not plans:
            return "nothing"
        plan = self.chance.choice(plans)
        rival(self.node, plan)
        return f"somebody else liquidates {plan.ref.account}"

    def _halt(self, keeper: Desk | Mortal) -> str:
        keeper.halt("chance")
        return "sending is halted"

    def _rearm(self, _: object) -> str:
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
        self._rpc("evm_increaseTime", AGE_S)
        return f"{AGE_S} s pass without a block"

    async def _drain(self, desk: Desk) -> None:
        """Have it stop as its operator would; what is in flight has some blocks to end in."""
        self.told.append("it is to stop")
        desk.stop.set()
        for _ in range(6):
            self.relay.build()
            await asyncio.wait([desk.running], timeout=0.2)
            if desk.running.done():
                await desk.running
                return

    async def _end(self, desk: Desk) -> None:
        """Let what fails heal, and what is in flight end; of another lane it has its deadline."""
        self._heal()
        self.relay.refuse, self.relay.stall_s = "", 0
        await self._calm(desk, blocks=_QUIET)
        await desk.require_cold_start()
        await self._calm(desk, blocks=1)
        self._require_reasons(desk)

    def _require_reasons(self, desk: Desk) -> None:
        """Hold that whoever is under the line in the end is left alone for a reason."""
        keeper, block = desk.session.keeper, desk.height()
        said = {
            ref.account: keeper.sending.executor.waiting(ref, block) or one
            for deployment in keeper.deployments
            for ref, one in deployment.acting.told.items()
        }
        left = {one: said.get(one) for under in self.under for one in under()}
        poor = [one for one in left.items() if one[1] is None or one[1].reason in NO_REASONS]
        assert not poor, f"{poor}: under the line, and no reason of today's"

    async def _calm(self, desk: Desk, *, blocks: int) -> None:
        """Build blocks until nothing was in flight for so many; let it send whenever it halted."""
        quiet, keeper = 0, desk.session.keeper
        for number in range(_ROUNDS):
            if keeper.sending.standing.halted is not None:
                self._rearm(desk)
                quiet = 0
            self.relay.build()
            await desk.at_head()
            await asyncio.sleep(0.1)  # what was cancelled may be planned anew
            quiet = 0 if keeper.in_flight else quiet + 1
            if quiet >= blocks:
                return
            if number == _ROUNDS // 2:
                desk.rpc("evm_increaseTime", _LONG_S)

    def require_truth(self) -> None:
        """Hold caps, journal and books to the chain."""
        assert self.broken == []
        self.truth.require()
        sent = [raw for one in self.nodes for raw in one.sent]
        assert self.truth.leaked(sent) == [], "of a private lane, and sent to the mempool"
