"""Introduce the rooms to each other: from settings and an open chain to a keeper that can run."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from msgspec import Struct, field

from keeper.app.acting import Acting
from keeper.app.aiming import Aim
from keeper.app.auditing import auditor_of
from keeper.app.backrun import Backrun
from keeper.app.batch import ALL
from keeper.app.books import Appraiser
from keeper.app.builders import (
    decoders_for,
    lenders_for,
    planner_for,
    protocol_file,
    reference_of,
)
from keeper.app.checkpoints import JournaledCheckpoints
from keeper.app.compartment import Compartment
from keeper.app.crossings import Bench
from keeper.app.deployment import Deployment
from keeper.app.executor_contract import ExecutorContract
from keeper.app.growing import Growing
from keeper.app.hull import Hull
from keeper.app.keeper import Keeper, KeeperPace, Streams
from keeper.app.observer import Observer
from keeper.app.opening import adapter_of
from keeper.app.outside import Dial
from keeper.app.parity import HeadLimits, Parity
from keeper.app.planning import PART, PlannerDesk
from keeper.app.prearming import Prearming
from keeper.app.prices import warning_watcher_for
from keeper.app.rivals import Rivals
from keeper.app.sending import Post, Sending, build_sending
from keeper.app.shelf import Shelf
from keeper.app.sight import Sight
from keeper.chain.session import Chain
from keeper.config.settings import Deployment as DeploymentSettings
from keeper.config.settings import Settings
from keeper.core.chain import LogFilter
from keeper.core.errors import ConfigError
from keeper.core.plan import Intent
from keeper.core.ports import OfferDesk, Signer
from keeper.core.screening import Screened
from keeper.executor.executor import Executor
from keeper.executor.ladder import outbiddable
from keeper.executor.totals import Share
from keeper.ledger.journal import SqliteJournal
from keeper.mirror.audit import ParityAudit
from keeper.mirror.pauses import Pauses
from keeper.oracle.multiples import Multiples
from keeper.oracle.pending import SELECTORS
from keeper.oracle.stand_in import StandIns
from keeper.oracle.watcher import PriceWatcher
from keeper.protocols.registry import AnyAdapter
from keeper.runtime.clock import Clock
from keeper.runtime.precedence import Precedence
from keeper.telemetry.metrics import STOPWATCH

CHECKPOINT_EVERY_BLOCKS = 32


class Parts(Struct, frozen=True, kw_only=True):
    """What a keeper is made from besides its settings."""

    chain: Chain
    journal: SqliteJournal
    contract: ExecutorContract
    signers: tuple[Signer, ...]
    """None of them keeps the keeper disarmed."""
    observer: Observer
    clock: Clock
    dial: Dial
    offers: OfferDesk | None = None
    """Who is asked for better sales; None asks nobody."""
    share: Share | None = None
    """Of the budgets over all chains; None where there is one chain."""
    precedence: Precedence = field(default_factory=Precedence)
    """Among all that runs for the chain."""


class Watched(NamedTuple):
    """An adapter with the watcher of its prices and the judge of what may be acted on."""

    adapter: AnyAdapter
    watcher: PriceWatcher
    parity: Parity[Any, Any]


async def assemble(settings: Settings, parts: Parts) -> Keeper:
    """Build the keeper of a chain, with what the journal left open."""
    by_name: dict[str, Compartment] = {}
    post = Post(
        chain=parts.chain,
        journal=parts.journal,
        contract=parts.contract,
        signers=parts.signers,
        clock=parts.clock,
        dial=parts.dial,
        share=parts.share,
        auditor_of=lambda name: auditor_of(settings, parts.chain, parts.contract, by_name[name]),
        on_stuck=partial(_blame, by_name),
    )
    sending = await build_sending(settings, post)
    for one in settings.deployments:
        if one.settings.enabled:
            build = partial(_deployment, settings, parts, sending, one)
            by_name[one.name] = Compartment(
                build, sending.executor.seam, parts.observer, parts.clock
            )
    hull = Hull(list(by_name.values()))
    if sending.arming is not None:
        sending.arming.prearm.aftermath.on_fired(lambda one: STOPWATCH.record(one.tick))
        sending.arming.prearm.aftermath.on_fired(
            lambda one: parts.observer.sent(one.plan, one.submission)
        )
    return Keeper(
        hull=hull,
        sending=sending,
        streams=_streams(settings, parts),
        observer=parts.observer,
        pace=KeeperPace(
            drain_s=float(settings.limits.deadline_s),
            finality_depth=settings.chain.finality_depth,
            max_head_gap_s=float(settings.sending.breaker.max_head_gap_s),
            drill_s=settings.sending.prearm_drill_ms / 1_000,
        ),
        precedence=parts.precedence,
    )


def _blame(by_name: Mapping[str, Compartment], intent: Intent, error: Exception) -> None:
    """Take out the deployment of an intent; one that is no longer configured is out already."""
    if (one := by_name.get(intent.deployment)) is not None:
        one.blame(error)


def _deployment(
    settings: Settings, parts: Parts, sending: Sending, file: DeploymentSettings
) -> Deployment[Any, Any]:
    """Bring the rooms of one deployment together."""
    chain, adapter = settings.chain, adapter_of(file)
    watcher = warning_watcher_for(settings, adapter.deployment, parts.chain.reader)
    shelf: Shelf[Any, Any] = Shelf(
        adapter,
        JournaledCheckpoints(parts.journal.checkpoints),
        _book_file(settings.database, adapter.deployment),
        every_blocks=CHECKPOINT_EVERY_BLOCKS,
    )
    watched = Watched(adapter, watcher, _parity(settings, parts, adapter, shelf))
    acting = _acting(settings, parts, sending.executor, watched)
    return Deployment(
        adapter=adapter,
        reader=parts.chain.reader,
        acting=acting,
        shelf=shelf,
        watcher=watcher,
        parity=watched.parity,
        block_time_s=chain.block_time_s,
        finality_depth=chain.finality_depth,
        growing=Growing(
            watcher,
            parts.chain.preview,
            Multiples(watcher, parts.chain.preview, StandIns(parts.chain.reader)),
            block_time_s=chain.block_time_s,
        ),
        rivals=Rivals(
            adapter,
            acting.appraiser,
            parts.journal.others,
            parts.observer,
            told=acting.telling.told,
            shown=acting.telling.shown,
            reader=parts.chain.reader,
            wire=parts.chain.wire,
            now=parts.clock.monotonic,
        ),
        observer=parts.observer,
        precedence=parts.precedence,
        prearming=_prearming(settings, parts, sending, watched, acting),
        backrun=_backrun(settings, parts, adapter, acting),
    )


def _backrun(
    settings: Settings, parts: Parts, adapter: AnyAdapter, acting: Acting[Any, Any]
) -> Backrun[Any, Any] | None:
    """Return what sends behind pending updates, None unless switched on and armed."""
    if not settings.sending.backrun or not parts.signers:
        return None
    return Backrun(
        adapter,
        acting,
        parts.chain.wire,
        parts.observer,
        block_time_s=settings.chain.block_time_s,
    )


def _prearming(
    settings: Settings, parts: Parts, sending: Sending, watched: Watched, acting: Acting[Any, Any]
) -> Callable[[Sight[Any, Any]], Prearming[Any, Any]] | None:
    """Return how to make what signs ahead for a deployment, None where nothing may be."""
    arming = sending.arming
    if arming is None or not isinstance(watched.adapter, Screened):
        return None
    bench = Bench(
        adapter=watched.adapter,
        planning=acting.planning,
        watcher=watched.watcher,
        appraiser=acting.appraiser,
        parity=watched.parity,
        simulator=parts.chain.simulator,
        decoders=acting.decoders,
        overrides=parts.contract.overrides,
        stand_ins=StandIns(parts.chain.reader),
        block_time_s=settings.chain.block_time_s,
        min_debt_base=protocol_file(settings, watched.adapter.deployment).min_debt_base,
        most=settings.sending.prearm_accounts,
        most_move_bps=settings.limits.slippage_bps,
    )
    return lambda sight: Prearming(bench, arming, sight)


def _acting(
    settings: Settings, parts: Parts, executor: Executor, watched: Watched
) -> Acting[Any, Any]:
    """Bring together what acts on the loans of one deployment."""
    chain, reader, adapter = settings.chain, parts.chain.reader, watched.adapter
    lenders = lenders_for(chain, reader, parts.contract.address)
    reference = reference_of(chain, reader)
    return Acting(
        adapter=adapter,
        planning=PlannerDesk(
            planner_for(settings, reader, parts.contract, lenders, adapter.deployment),
            parts.chain.agreed,
            chain,
            max_gas_price=outbiddable(settings.limits.max_gas_price_wei),
            offers=parts.offers,
            recipient=parts.contract.recipient if settings.sending.batch.most > 1 else None,
        ),
        executor=executor,
        journal=parts.journal,
        watcher=watched.watcher,
        appraiser=Appraiser(adapter, watched.watcher, reference, chain.wrapped_native),
        parity=watched.parity,
        aim=Aim(
            adapter,
            parts.chain.preview,
            is_told=watched.watcher.tells,
        ),
        decoders=decoders_for(adapter, lenders, chain.wrapped_native, parts.contract.recipient),
        min_debt_base=protocol_file(settings, adapter.deployment).min_debt_base,
        part=PART if parts.signers else ALL,
        observer=parts.observer,
        precedence=parts.precedence,
        timed=STOPWATCH.record,
    )


def _book_file(database: Path, deployment: str) -> Path:
    return database.with_name(f"{database.name}.{deployment}.book")


def _parity(
    settings: Settings, parts: Parts, adapter: AnyAdapter, shelf: Shelf[Any, Any]
) -> Parity[Any, Any]:
    chain, audit = settings.chain, settings.audit
    heads = HeadLimits(most_age_s=chain.max_head_age_s, most_lead_s=chain.max_head_lead_s)
    return Parity(
        ParityAudit(adapter, parts.chain.reader, sample=audit.sample),
        Pauses(settings.database, adapter.deployment),
        parts.observer,
        every_blocks=audit.every_blocks,
        heads=heads if chain.follows_wall_clock else None,
        now=parts.clock.now,
        forget=shelf.forget_book,
    )


def _streams(settings: Settings, parts: Parts) -> Streams:
    nothing = LogFilter(addresses=frozenset(), topics=frozenset())
    pending = parts.chain.pending(SELECTORS) if settings.chain.watch_mempool else None
    if settings.chain.watch_mempool and pending is None:
        msg = f"{settings.chain.name}: watch_mempool: expected a ws or ipc node, found none"
        raise ConfigError(msg)
    return Streams(heads=parts.chain.heads(), prices=parts.chain.logs(nothing), pending=pending)
