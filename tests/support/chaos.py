"""A story of faults that chance writes: the same seed tells the same one."""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final

from keeper.core.errors import KeeperError
from keeper.core.lending import Reason
from keeper.core.units import Address
from keeper.devnet.live import under_water
from keeper.devnet.morpho import build_morpho, liquidatable
from keeper.devnet.morpho_specs import loan_of
from keeper.devnet.stage_aave_v3 import aave_file
from keeper.devnet.stage_morpho_blue import morpho_file
from tests.support.chain_truth import KEYS, SIGNERS, Truth
from tests.support.chaos_world import World
from tests.support.desk_files import desk_files
from tests.support.fault_desk import Desk, keeper_desk
from tests.support.fault_proxy import FaultProxy
from tests.support.market_node import MarketNode
from tests.support.mortal_keeper import DOOMS, Doom, mortal_keeper
from tests.support.relay import TestRelay

LOANS: Final = [
    loan_of(place, 30_000, 10_250 + 150 * number) for place in (0, 3) for number in range(4)
]
"""Of Morpho Blue, in a market with early liquidation and in one without."""
NO_REASONS: Final = {Reason.IN_FLIGHT, Reason.MARKET_PAUSED, Reason.HEAD_UNUSABLE, Reason.HALTED}
"""None of these outlives what fails."""
WEALTHY, POOR = 10**19, 12 * 10**16
"""Gas money, wei: for whatever comes, and little over the floor."""
NOWHERE: Final = "http://127.0.0.1:9"
"""Of a builder that is not there."""
LANES: Final = ("mempool", "builders", "protect")
_ROUNDS: Final = 60
_QUIET: Final = 4
_LONG_S: Final = 600


@dataclass(kw_only=True)
class Story:
    """The lives of a keeper, and what it went by."""

    node: MarketNode
    folder: Path
    nodes: Sequence[FaultProxy]
    executor: Address
    relay: TestRelay
    seed: int
    broken: list[str] = field(default_factory=list)
    """Caps that were not kept, over all lives of the keeper."""

    def __post_init__(self) -> None:
        self.chance = Random(self.seed)  # noqa: S311 - of a test
        self.lane = self.chance.choice(LANES)
        self.signers = SIGNERS[: self.chance.choice([1, len(SIGNERS)])]
        self.database = self.folder / "keeper.sqlite"
        for one in SIGNERS[1:]:
            self.node.live.rpc.call(
                "anvil_setBalance", one.address, hex(self.chance.choice([WEALTHY, POOR]))
            )
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
        self.world = World(
            strange=self.truth.strange,
            market=self.node,
            nodes=self.nodes,
            relay=self.relay,
            database=self.database,
            chance=self.chance,
        )

    def _choices(self) -> dict[str, Any]:
        """Return the keeper's own choices, which chance makes too."""
        over_socket = self.chance.random() < 0.5
        sending: dict[str, Any] = {
            "prearm_accounts": self.chance.choice([0, 4]),
            "batch": {"most": self.chance.choice([1, 4]), "risk_bps": self.chance.choice([0, 100])},
            "breaker": {"max_head_gap_s": 0},
            "lane": self.chance.choice([self.lane, self.chance.choice(LANES)]),
            "replace_after_blocks": self.chance.choice([0, 1, 3]),
            "on_foreign_nonce": self.chance.choice(["halt", "resync"]),
        }
        limits = {
            "slippage_bps": 500,
            "max_in_flight": self.chance.choice([25, 25, 3]),
            "max_gas_per_hour_wei": self.chance.choice(["5 ether", "5 ether", "0.03 ether"]),
        }
        builders = [self.relay.url, NOWHERE][: self.chance.choice([1, 2])]
        chain: dict[str, Any] = {
            "lanes": [
                {"kind": "bundle", "name": "builders", "rpc": builders},
                {"kind": "private", "name": "protect", "rpc": self.relay.url},
            ],
        }
        sees_pending = over_socket and sending["lane"] == "builders"
        chain["watch_mempool"] = sending["backrun"] = sees_pending
        self.world.quorum = 1 if sending["prearm_accounts"] else self.chance.choice([1, 2])
        chain["quorum"] = self.world.quorum
        chain["confirmations"] = self.chance.choice([0, 0, 2])
        nodes = self.nodes[: self.world.quorum + 1]
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
            self.world.told.append(
                f"life {life}: {chosen['urls'][0][:4]}, {chosen['root']}, "
                f"quorum {self.world.quorum}, {chosen['chain']['confirmations']} confirmations, "
                f"{len(self.signers)} keys, {len(self.deployments)} deployments"
            )
            is_last = life == lives
            if not is_last and self.chance.random() < 0.4:
                await self._short_life(chosen, steps, self.folder / f"{life}.log")
            else:
                await self._long_life(chosen, steps, is_last=is_last)
            if not is_last:
                self.world.go_on()
                if self.chance.random() < 0.5:
                    self.world.heal()

    async def _long_life(self, chosen: dict[str, Any], steps: int, *, is_last: bool) -> None:
        """Live in this process, to an end that is not death."""
        async with AsyncExitStack() as stack:
            desk = await self._started(stack, chosen)
            for _ in range(steps):
                self.world.befall(desk)
                if self.chance.random() < 0.7:
                    await desk.at_head()
            if is_last:
                await self._end(desk)
            elif self.chance.random() < 0.3:
                await self._drain(desk)
            self.broken += desk.ears.broken

    async def _started(self, stack: AsyncExitStack, chosen: dict[str, Any]) -> Desk:
        """Start a keeper amid what still fails; where that ends the start, again without."""
        try:
            return await stack.enter_async_context(self._keeper(chosen))
        except (KeeperError, ExceptionGroup) as error:
            self.world.told.append(f"it cannot start: {error!r}")
            self.world.heal()
            return await stack.enter_async_context(self._keeper(chosen))

    def _keeper(self, chosen: dict[str, Any]) -> AbstractAsyncContextManager[Desk]:
        return keeper_desk(self.folder, self.node, keys=lambda: self.signers, **chosen)

    async def _short_life(self, chosen: dict[str, Any], steps: int, log: Path) -> None:
        """Live as a process, and be killed: at some step of sending, or else in the end."""
        doom = Doom(
            step=self.chance.choice(sorted(DOOMS)),
            call=self.chance.choice([1, 1, 1, 2, 3]),
            wait_ms=self.chance.choice([0, 0, 1, 3, 10, 30]),
        )
        keys = KEYS[: len(self.signers)]
        self.world.told.append(f"as a process that is killed: {doom}")
        config = desk_files(self.folder, self.node, **chosen)
        self.world.rpc("evm_setAutomine", False)
        async with mortal_keeper(config, log, keys=keys, doom=doom) as mortal:
            for _ in range(steps):
                self.world.befall(mortal)
                if self.chance.random() < 0.7:
                    await mortal.until(self.world.height())
                if mortal.is_dead:
                    self.world.told.append("it is dead")
                    return
            await asyncio.sleep(self.chance.random() * 0.1)  # so far it gets

    async def _drain(self, desk: Desk) -> None:
        """Have it stop as its operator would; what is in flight has some blocks to end in."""
        self.world.told.append("it is to stop")
        desk.stop.set()
        for _ in range(6):
            self.relay.build()
            await asyncio.wait([desk.running], timeout=0.2)
            if desk.running.done():
                await desk.running
                return

    async def _end(self, desk: Desk) -> None:
        """Let what fails heal, and what is in flight end; of another lane it has its deadline."""
        self.world.heal()
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
            for ref, one in deployment.acting.telling.told.items()
        }
        left = {one: said.get(one) for under in self.under for one in under()}
        poor = [one for one in left.items() if one[1] is None or one[1].reason in NO_REASONS]
        assert not poor, f"{poor}: under the line, and no reason of today's"

    async def _calm(self, desk: Desk, *, blocks: int) -> None:
        """Build blocks until nothing was in flight for so many; let it send whenever it halted."""
        quiet, keeper = 0, desk.session.keeper
        for number in range(_ROUNDS):
            if keeper.sending.standing.halted is not None:
                self.world.rearm()
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
