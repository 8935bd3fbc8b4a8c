"""What the status page, health checks and the kill switch have of a running keeper."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from msgspec import structs
from prometheus_client import CollectorRegistry

from keeper import __version__
from keeper.app.board import Board
from keeper.app.builders import limits_of
from keeper.app.deployment import Deployment
from keeper.app.session import Session
from keeper.chain.member import NodeState
from keeper.config.settings import Settings
from keeper.config.sources import find_outside
from keeper.config.watching import TOKEN_VARIABLE
from keeper.core.errors import ConfigError
from keeper.core.plan import Submission
from keeper.core.text import readable
from keeper.executor.airborne import Airborne
from keeper.executor.standing import DAY, HOUR
from keeper.ledger.latest import read_latest
from keeper.ledger.totals import Sums, read_sums
from keeper.runtime.clock import Clock
from keeper.telemetry.tallies import Tallies
from keeper.telemetry.web import Endpoint, serving

SHORTEST_TOKEN: Final = 16
MOST_CLOSE: Final = 100
"""Accounts near the line that a request may have assessed."""
MOST_OUTCOMES: Final = 50

# Any: each deployment has its own market and position types; nothing here opens them.
AnyDeployment = Deployment[Any, Any]


class Status:
    """Implements ``telemetry.web.Watched`` over an open keeper."""

    def __init__(
        self,
        settings: Settings,
        session: Session,
        board: Board,
        tallies: Tallies,
        clock: Clock,
        *,
        halt: Callable[[str], None],
    ) -> None:
        """Show ``session``; ``board`` has heard of it from its start."""
        self._settings = settings
        self._session = session
        self._board = board
        self._tallies = tallies
        self._clock = clock
        self._halt = halt
        self._closest: dict[str, tuple[int, list[dict[str, object]]]] = {}
        self._following_since = 0.0
        """When it began to follow the head, in the board's seconds; 0 where that was before."""
        session.keeper.on_watching = self._follow

    def _follow(self) -> None:
        self._following_since = self._board.now()

    def stalled(self) -> Sequence[str]:
        """Return which deployments see no blocks.

        None has to see any while mirrors are filled: the first ones wait for the last one.
        """
        if not self._session.keeper.watching.is_set():
            return []
        longest = float(self._settings.chain.max_head_age_s)
        nodes = self._nodes()
        troubles = [f"{one.name}: {one.trouble}" for one in nodes if one.trouble]
        gone = troubles if len(troubles) == len(nodes) else []
        return [
            "; ".join((f"{name}: {why}", *gone))
            for name, why in self._board.problems(longest, since=self._following_since).items()
        ]

    def _nodes(self) -> Sequence[NodeState]:
        chain = self._session.chain
        return chain.nodes() or [self._session.keeper.node(chain.rpc.name)]

    def unready(self) -> Sequence[str]:
        """Return everything that keeps it from liquidating. Being disarmed is no problem."""
        keeper = self._session.keeper
        starting = [] if keeper.watching.is_set() else ["starting: the mirrors are being filled"]
        halted = keeper.sending.standing.halted
        stopped = [f"sending is halted: {halted}"] if halted is not None else []
        paused = [
            f"{name} is paused: {facts.paused}"
            for name, facts in self._board.deployments.items()
            if facts.paused
        ]
        return [*starting, *self.stalled(), *stopped, *paused]

    def measure(self) -> None:
        """Bring the gauges of what nobody tells up to date."""
        keeper = self._session.keeper
        self._tallies.in_flight.set(keeper.in_flight)
        self._tallies.halted.set(int(keeper.sending.standing.halted is not None))
        least = self._settings.limits.min_balance_wei
        self._tallies.balances(keeper.sending.executor.balances, least=least)
        for one in self._nodes():
            self._tallies.node(
                one.name, is_usable=not one.trouble, is_active=one.is_active, block=one.block
            )

    def halt(self, why: str) -> None:
        """Stop all sending now; only ``keeper rearm`` takes it back."""
        self._halt(why)

    async def status(self) -> Mapping[str, object]:
        """Return the whole page; wei and health factors are decimal strings."""
        settings, keeper = self._settings, self._session.keeper
        return {
            "version": __version__,
            "chain": settings.chain.name,
            "chain_id": settings.chain.chain_id,
            "native": settings.chain.native_symbol,
            "armed": keeper.sending.is_armed,
            "lane": settings.sending.lane,
            "up_s": int(self._board.now() - self._board.started_at),
            "problems": self.unready(),
            "nodes": [structs.asdict(one) for one in self._nodes()],
            "deployments": [self._deployment(one) for one in keeper.deployments],
            "in_flight": [_flying(*pair) for pair in keeper.sending.flight.in_order()],
            "rejections": self._rejections(),
            "outcomes": await self._outcomes(),
            "guards": await self._guards(),
            "books": await self._books(),
        }

    def _deployment(self, deployment: AnyDeployment) -> dict[str, object]:
        facts = self._board.of(deployment.name)
        return {
            "name": deployment.name,
            "block": facts.block,
            "age_s": int(self._board.now() - facts.seen_at),
            "accounts": facts.accounts,
            "under": facts.under,
            "moved": facts.moved,
            "paused": facts.paused,
            "skipped": facts.skipped,
            "closest": [] if facts.accounts is None else self._close(deployment, facts.block),
        }

    def _close(self, deployment: AnyDeployment, block: int) -> list[dict[str, object]]:
        """Return who is near the line; assessed once a block, however often it is asked."""
        known = self._closest.get(deployment.name)
        if known is None or known[0] != block:
            found = [
                {
                    "market": ref.market,
                    "account": ref.account,
                    "health_factor": str(health.health_factor),
                    "liquidatable": health.liquidatable,
                    "debt_base": str(health.debt_base),
                }
                for ref, health in deployment.closest(MOST_CLOSE)
            ]
            known = self._closest[deployment.name] = (block, found)
        return known[1]

    def _rejections(self) -> list[dict[str, object]]:
        return [
            {
                "deployment": deployment,
                "market": one.ref.market,
                "account": one.ref.account,
                "block": one.block,
                "reason": one.reason.value,
                "detail": one.detail,
                "said": readable(one.detail),
            }
            for (deployment, _, _), one in reversed(self._board.rejections.items())
        ]

    async def _outcomes(self) -> list[dict[str, object]]:
        """Return the newest of the books: they know of earlier runs, and of what was undone."""
        found = await asyncio.to_thread(read_latest, self._settings.database, MOST_OUTCOMES)
        return [
            {
                "plan": one.plan_id,
                "deployment": one.deployment,
                "account": one.account,
                "status": one.status.value,
                "block": one.block,
                "tx": one.tx_hash,
                "net": str(one.net),
                "detail": one.detail,
                "said": readable(one.detail),
            }
            for one in found
        ]

    async def _guards(self) -> dict[str, object]:
        """Return each limit with what is used of it."""
        limits, flight = self._settings.limits, self._session.keeper.sending.flight
        now = int(self._clock.now())
        spent = await self._session.journal.spent(hour=now - HOUR, day=now - DAY)
        return {
            "halted": self._session.keeper.sending.standing.halted,
            "gas_hour": str(spent.hour),
            "gas_hour_most": str(limits.max_gas_per_hour_wei),
            "gas_day": str(spent.day),
            "gas_day_most": str(limits.max_gas_per_day_wei),
            "at_stake": str(flight.at_stake),
            "in_flight": len(flight.airborne),
            "in_flight_most": limits.max_in_flight,
            "gas_price_most": str(limits.max_gas_price_wei),
            "min_profit": str(limits.min_profit_wei),
            "min_balance": str(limits.min_balance_wei),
            "forced": self._forced(spent.forced),
            "totals": {} if self._session.share is None else self._session.share.used(),
        }

    def _forced(self, lost: Mapping[str, int]) -> dict[str, object]:
        """Return what is taken of each deployment's forced budget of a day, given its losses."""
        staked = self._session.keeper.sending.flight.forced_staked
        return {
            name: {
                "taken": str(lost.get(name, 0) + staked.get(name, 0)),
                "most": str(one.max_loss_per_day),
            }
            for name, one in limits_of(self._settings).forced.items()
        }

    async def _books(self) -> dict[str, object]:
        path, now = self._settings.database, int(self._clock.now())
        day = await asyncio.to_thread(read_sums, path, since=now - DAY)
        whole = await asyncio.to_thread(read_sums, path, since=0)
        return {"day": _sums(day), "all": _sums(whole)}


def _sums(sums: Sums) -> dict[str, object]:
    return {"counts": sums.counts, "net": str(sums.net), "gas": str(sums.gas)}


def _flying(newest: Submission, one: Airborne) -> dict[str, object]:
    return {
        "plan": newest.plan_id,
        "account": one.intent.ref.account,
        "market": one.intent.ref.market,
        "companions": [other.ref.account for other in one.intent.companions],
        "sender": newest.sender,
        "nonce": newest.nonce,
        "tx": newest.tx_hash,
        "purpose": newest.purpose.value,
        "lane": newest.lane,
        "target_block": newest.target_block,
        "max_fee": str(newest.fees.max_fee),
        "attempts": len(one.intent.attempts),
    }


def endpoint_of(settings: Settings) -> Endpoint | None:
    """Return where to serve, None when it is off. Raises ConfigError for a token too short."""
    http = settings.http
    if http.port is None:
        return None
    token = find_outside(TOKEN_VARIABLE) or None
    if token is not None and len(token) < SHORTEST_TOKEN:
        msg = f"{TOKEN_VARIABLE}: expected at least {SHORTEST_TOKEN} characters, found {len(token)}"
        raise ConfigError(msg)
    key = f"{settings.path}: http.port"
    return Endpoint(host=http.host, port=http.port, token=token, key=key, names=http.names)


@asynccontextmanager
async def served(
    settings: Settings, status: Status, registry: CollectorRegistry
) -> AsyncIterator[int | None]:
    """Serve a keeper's endpoint until the block ends; give its port, None when it is off."""
    endpoint = endpoint_of(settings)
    if endpoint is None:
        yield None
        return
    async with serving(endpoint, status, registry) as port:
        yield port
