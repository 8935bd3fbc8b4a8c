"""Two chains of their own ids under one keeper: Aave on one, Morpho Blue on the other."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from keeper.app.session import Session, keeper_session
from keeper.app.supervision import Berth, Supervisor
from keeper.app.switch import Switch
from keeper.app.totals import totals_of
from keeper.chain.anvil import Anvil, AnvilOptions, start_anvil
from keeper.config.fleet import Fleet, load_fleet
from keeper.config.settings import Settings
from keeper.core.plan import Status
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.devnet.accounts import KEEPER_KEY
from keeper.devnet.config_files import KeeperFiles, write_config
from keeper.devnet.crash import crash
from keeper.devnet.executor import deploy_executor
from keeper.devnet.live import LiveMarket, open_live
from keeper.devnet.market import LocalMarket
from keeper.devnet.stages import Scene, Wanted, staged
from keeper.evm.keys import parse_key
from keeper.evm.transaction import LocalSigner
from keeper.executor.totals import Share
from keeper.runtime.clock import SystemClock
from tests.support.fault_desk import QUICK, Ears, _tuned
from tests.support.market_node import copied_node

PATIENCE_S = 90.0
PROTOCOLS = {"north": ("aave_v3", 31_337), "south": ("morpho_blue", 31_338)}
BORROWERS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A chain with its market and the executor, to be copied."""

    name: str
    anvil: Anvil
    scene: Scene
    executor: Address

    @property
    def market(self) -> LocalMarket:
        return self.scene.live.market


@contextmanager
def built_chain(binary: Path, name: str) -> Iterator[Built]:
    protocol, chain_id = PROTOCOLS[name]
    with start_anvil(binary, AnvilOptions(chain_id=chain_id)) as anvil:
        scene = staged(protocol, anvil.http_url, Wanted(seed=3, borrowers=BORROWERS))
        with closing(scene.live.rpc):
            who = scene.live.market.accounts
            executor = deploy_executor(
                scene.live.rpc, owner=who.deployer, operator=who.keeper, recipient=who.recipient
            )
            yield Built(name=name, anvil=anvil, scene=scene, executor=executor)


@dataclass(slots=True, kw_only=True)
class Side:
    """One chain of the two: a copy, whose node can be killed and started again as it was."""

    built: Built
    binary: Path
    ears: Ears = field(default_factory=Ears)
    sessions: list[Session] = field(default_factory=list)
    stack: ExitStack = field(default_factory=ExitStack)
    port: int = 0
    node: Anvil | None = None
    live: LiveMarket | None = None

    @property
    def session(self) -> Session:
        return self.sessions[-1]

    def start(self) -> None:
        """Start the node, as it was before its first block."""
        base = self.built.scene.live
        options = AnvilOptions(chain_id=PROTOCOLS[self.built.name][1], port=self.port)
        copy = copied_node(self.binary, self.built, base.rpc, options)
        self.node = self.stack.enter_context(copy)
        self.port = self.node.port
        self.live = open_live(base.market, self.node.http_url)
        self.stack.enter_context(closing(self.live.rpc))
        self.live.rpc.call("evm_setAutomine", False)

    def kill(self) -> None:
        """Kill the node; nothing answers on its port until ``start``."""
        assert self.node is not None
        self.node.process.kill()
        self.stack.close()
        self.node = self.live = None

    def fall(self, steps: int) -> None:
        assert self.live is not None
        for _ in zip(range(steps), crash(self.live), strict=False):
            pass

    def mine(self) -> None:
        if self.live is not None:
            self.live.rpc.call("evm_mine")

    @property
    def landed(self) -> int:
        return sum(one.status is Status.LANDED for one in self.ears.outcomes)


@dataclass(slots=True, kw_only=True)
class Pair:
    """Two chains under one running keeper."""

    north: Side
    south: Side
    fleet: Fleet
    supervisor: Supervisor
    stop: asyncio.Event
    running: "asyncio.Task[None]"

    async def until(self, condition: Callable[[], bool]) -> None:
        """Mine on both chains until the condition holds."""
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                if self.running.done():
                    await self.running
                for side in (self.north, self.south):
                    await asyncio.to_thread(side.mine)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.2):
                        while not condition():  # noqa: ASYNC110 - it may be anything
                            await asyncio.sleep(0.01)

    async def drain(self) -> None:
        """Stop both, and mine until nothing is in flight."""
        self.stop.set()
        await self.until(self.running.done)
        await self.running


def write_fleet(folder: Path, *sides: Side, root: dict[str, object] | None = None) -> Path:
    """Write the files of both chains and a root that lists them; return the root's path."""
    entries = []
    content: dict[str, object] = {}
    for side in sides:
        name, scene = side.built.name, side.built.scene
        files = KeeperFiles(
            rpc=f"ws://127.0.0.1:{side.port}",
            mode="live",
            executor=side.built.executor,
            recipient=scene.live.market.accounts.recipient,
            chain=name,
            deployments=(scene.deployment,),
        )
        path = write_config(folder / name, scene.live.market, files)
        content = yaml.safe_load(path.read_text("utf-8"))
        protocols = [f"{name}/{one}" for one in content.pop("protocols")]
        entries.append(
            {
                "chain": f"{name}/{content.pop('chain')}",
                "protocols": protocols,
                "executor": content.pop("executor"),
                "database": f"{name}.sqlite",
            }
        )
    content |= {"chains": entries, **(root or {})}
    path = folder / "keeper.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")
    return path


def _berth(side: Side, settings: Settings, share: Share) -> Berth:
    chain_id = settings.chain.chain_id
    switch = Switch(settings.database, SystemClock())
    side.ears.settings = settings
    side.ears.in_flight = lambda: side.session.keeper.in_flight

    @asynccontextmanager
    async def opened() -> AsyncIterator[Session]:
        async with keeper_session(
            settings,
            side.ears,
            signer=lambda: [LocalSigner(parse_key(KEEPER_KEY), chain_id=chain_id)],
            share=share,
        ) as session:
            side.sessions.append(session)
            with switch.over(session.keeper):
                yield session

    return Berth(name=side.built.name, open=opened, halt=switch.halt)


@asynccontextmanager
async def kept_up(
    folder: Path, north: Side, south: Side, *, root: dict[str, object] | None = None
) -> AsyncIterator[Pair]:
    """Run an armed keeper on both chains until the block ends."""
    fleet = load_fleet(write_fleet(folder, north, south, root=root))
    clock = SystemClock()
    totals = totals_of(fleet, clock.now)
    berths = [
        _berth(side, settings, totals.share(side.built.name))
        for side, settings in zip((north, south), fleet.chains, strict=True)
    ]
    stop = asyncio.Event()
    supervisor = Supervisor(berths, clock=clock)
    with _tuned([], QUICK):
        running = asyncio.create_task(supervisor.run(stop))
        pair = Pair(
            north=north,
            south=south,
            fleet=fleet,
            supervisor=supervisor,
            stop=stop,
            running=running,
        )
        try:
            await pair.until(lambda: bool(north.ears.blocks and south.ears.blocks))
            yield pair
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


def tampered(session: Session) -> None:
    """Let the mirror of a session's first deployment say something else than the chain."""
    deployment = session.keeper.deployments[0]
    snapshot = deployment.mirror.snapshot
    ref = sorted(snapshot.positions)[3]
    position = snapshot.positions[ref]
    (reserve, scaled), *rest = position.debt
    more = ((reserve, scaled + scaled // 1_000 + 1), *rest)
    held = snapshot.positions.with_changes({ref: replace(position, debt=more)})
    deployment.mirror._snapshot = replace(snapshot, positions=held)
