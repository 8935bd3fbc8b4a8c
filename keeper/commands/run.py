"""``keeper run``: the daemon, disarmed unless armed."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry

from keeper.app.alerting import alert_tap
from keeper.app.board import Board
from keeper.app.chorus import Chorus
from keeper.app.log_observer import LogObserver
from keeper.app.outside import signers_of
from keeper.app.session import Keys, Session, keeper_session
from keeper.app.supervision import Berth, Supervisor
from keeper.app.switch import Switch
from keeper.app.totals import totals_of
from keeper.commands.arming import armings
from keeper.commands.console import say, write_stderr_aside
from keeper.commands.running import halt_on_signal, stop_on_signals
from keeper.config.fleet import Fleet, load_fleet
from keeper.config.settings import Settings
from keeper.config.sources import find_outside
from keeper.config.watching import TOKEN_VARIABLE
from keeper.core.errors import KeeperError
from keeper.core.ports import Signer
from keeper.executor.totals import Share
from keeper.runtime.clock import Clock, SystemClock
from keeper.telemetry.logging import configure_logging
from keeper.telemetry.metrics import LOST_LINES, with_process
from keeper.telemetry.tallies import Tallies

log = structlog.get_logger()

KEEPER_FAILED = "keeper.failed"


async def run(config: Path, *, arm: bool, chain: str | None = None) -> None:
    """Run until a signal.

    A file of one chain ends with whatever fails; of several, each is kept up by itself.
    """
    fleet = load_fleet(config)
    chains = fleet.only(chain)
    keys = armings(chains, os.environ, arm=arm)
    write_stderr_aside(LOST_LINES.inc)
    with alert_tap(fleet.first) as tap:
        configure_logging(
            level=fleet.first.log.level,
            form=fleet.first.log.format,
            secrets=secrets_of(chains),
            tap=tap,
        )
        try:
            await _run(fleet, list(zip(chains, keys, strict=True)))
        except Exception as error:
            if tap is not None:  # without an alert to raise, the command's own line says it all
                log.critical(KEEPER_FAILED, kind=type(error).__name__, why=_shown(error))
            raise


async def _run(fleet: Fleet, chains: Sequence[tuple[Settings, Keys | None]]) -> None:
    stop = asyncio.Event()
    stop_on_signals(stop)
    if fleet.several:
        await _run_several(fleet, chains, stop)
        return
    ((settings, key),) = chains
    watched = _Watched(settings, key)
    halt_on_signal(watched.switch.halt)
    async with watched.opened() as session:
        await session.keeper.run(session.head, stop)


async def _run_several(
    fleet: Fleet, chains: Sequence[tuple[Settings, Keys | None]], stop: asyncio.Event
) -> None:
    clock = SystemClock()
    totals = totals_of(fleet, clock.now)
    berths = []
    for settings, key in chains:
        name = settings.chain.name
        watched = _Watched(settings, key, totals.share(name))
        berths.append(Berth(name=name, open=watched.opened, halt=watched.switch.halt))
    supervisor = Supervisor(berths, clock=clock)
    halt_on_signal(supervisor.halt)
    await supervisor.run(stop)


class _Watched:
    """A chain's keeper with its log, its metrics and its status page."""

    def __init__(self, settings: Settings, keys: Keys | None, share: Share | None = None) -> None:
        """Count on over a session that fails and is opened again."""
        self._settings = settings
        self._keys = keys
        self._share = share
        self._registry = with_process(CollectorRegistry())
        self._tallies = Tallies(self._registry)
        self._board = Board(self._tallies, now=time.monotonic)
        self._observer = Chorus([LogObserver(), self._board])
        self.switch = Switch(settings.database, SystemClock())

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Session]:
        """Open the keeper and what shows it, and say how it stands."""
        settings, clock = self._settings, SystemClock()
        async with (
            signers_of(settings, armed=self._keys is not None) as remote,
            keeper_session(
                settings,
                self._observer,
                signer=joined(self._keys, remote),
                clock=clock,
                share=self._share,
            ) as session,
            _under(self.switch, session),
            self._page(session, clock) as port,
        ):
            say(_standing(settings, armed=self._keys is not None))
            if port is not None:
                say(f"status on http://{settings.http.host}:{port}/")
            yield session

    @asynccontextmanager
    async def _page(self, session: Session, clock: Clock) -> AsyncIterator[int | None]:
        """Serve the status page where one is wanted; give its port."""
        if self._settings.http.port is None:
            yield None
            return
        # A web server is loaded for nobody else: a restart would wait for it.
        from keeper.app.status import Status, served  # noqa: PLC0415

        told = self._settings, session, self._board, self._tallies, clock
        shown = served(self._settings, Status(*told, halt=self.switch.halt), self._registry)
        async with shown as port:
            yield port


@asynccontextmanager
async def _under(switch: Switch, session: Session) -> AsyncIterator[None]:
    with switch.over(session.keeper):
        yield


def joined(local: Keys | None, remote: Sequence[Signer]) -> Keys | None:
    """Return how to get every signer; None is disarmed."""
    return None if local is None else lambda: [*local(), *remote]


def secrets_of(chains: Sequence[Settings]) -> list[str]:
    """Return what must never be in a line of the log."""
    nodes = [one.address for settings in chains for one in settings.chain.rpc]
    channels = [one.get_secret_value() for one in chains[0].alerts.urls]
    token = find_outside(TOKEN_VARIABLE)
    remote = [one.operator.web3signer for one in chains]
    signers = [one.rpc.address for one in remote if one is not None]
    return [*nodes, *channels, *([token] if token else []), *signers]


def _shown(error: Exception) -> str:
    """Return what may be said of an error: the words of one that is not ours may hold anything."""
    if isinstance(error, ExceptionGroup):
        return "; ".join(_shown(one) for one in error.exceptions)
    return str(error) if isinstance(error, KeeperError) else type(error).__name__


def _standing(settings: Settings, *, armed: bool) -> str:
    """Say plainly whether anything can be sent."""
    enabled = [one.name for one in settings.deployments if one.settings.enabled]
    names = ", ".join(enabled) or "no deployment, none being enabled,"
    if armed:
        return f"ARMED on {settings.chain.name}: liquidations of {names} are sent for real"
    return f"disarmed on {settings.chain.name}: {names} is watched, nothing is sent, no key is read"
